"""The OpenAPI document of the API, made of the table of endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from workers.gateway.api import models
from workers.gateway.api.endpoint import Endpoint, Model, Nothing
from workers.ledger.tokens import SCOPES

_REF: Final = "#/components/schemas/{model}"
_REFUSALS: Final = {
    "400": "What was sent does not fit.",
    "401": "There is no token, or it is none of ours, or has ended.",
    "403": "The token does not allow this.",
    "404": "There is nothing of this name.",
    "409": "It is in another state.",
    "413": "The body is too large.",
    "429": "Too many requests with tokens that are none.",
    "503": "The ledger cannot be reached.",
}


def document(endpoints: Sequence[Endpoint], *, prefix: str, server: str) -> dict[str, Any]:
    """The document as JSON data. `server` is the gateway's public address."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(prefix + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    bodies: list[Any] = [(endpoint.body, "validation") for endpoint in endpoints if endpoint.body]
    answers: list[Any] = [
        (model, "serialization")
        for model in (
            models.Scenario, models.Run, models.Runs, models.Report, models.Hook, models.Event, models.Connection,
            models.Store, models.Incomplete, models.Counted, models.Accepted, models.Ended, models.Error,
        )
    ]  # fmt: skip
    _, schemas = models_json_schema([*bodies, *answers], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Scenarist",
            "version": "1",
            "summary": "Scenarios, runs, webhooks and their data.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"Of `scenarist token add`. Scopes: {', '.join(SCOPES)}.",
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", endpoint.path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    parameters += _query(endpoint.query)
    made: dict[str, Any] = {
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "description": f"Scope: `{endpoint.scope}`.",
        "parameters": parameters,
        "responses": _answers(endpoint),
    }
    if endpoint.path.endswith("/run"):
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}})
    if endpoint.body is not None:
        schema = {"$ref": _REF.format(model=endpoint.body.__name__)}
        made["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return made


def _query(query: type[Model]) -> list[dict[str, Any]]:
    if query is Nothing:
        return []
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": part}
        for name, part in schema.get("properties", {}).items()
    ]


def _answers(endpoint: Endpoint) -> dict[str, Any]:
    good: dict[str, Any] = {}
    if endpoint.gives is not None:
        schema = TypeAdapter(endpoint.gives).json_schema(mode="serialization", ref_template=_REF)
        # The models themselves are among the components.
        schema.pop("$defs", None)
        if schema.get("title") in {model.__name__ for model in (endpoint.gives,) if isinstance(model, type)}:
            schema = {"$ref": _REF.format(model=schema["title"])}
        good["200"] = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    for status, words in endpoint.other.items():
        schema = {"$ref": _REF.format(model="Accepted")}
        good[str(status)] = {"description": words, "content": {"application/json": {"schema": schema}}}
    error = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    return good | {status: {"description": words, "content": error} for status, words in _REFUSALS.items()}
