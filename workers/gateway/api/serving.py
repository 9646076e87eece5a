"""The API's routes: token, query and body are checked here, and every refusal is JSON."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import pydantic
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.errors import (
    BundleValidationError,
    DefinitionError,
    ModuleError,
    NotFoundError,
    ScenaristError,
    UsageError,
)
from runtime.logs import get_logger
from workers.gateway.api.bodies import Json, NotJson, read
from workers.gateway.api.endpoint import Call, Endpoint, Model, Refused, Reply
from workers.gateway.api.endpoints import ENDPOINTS
from workers.gateway.api.openapi import document
from workers.ledger.states import FINAL, RESTING, RunState
from workers.ledger.tokens import TokenRow, Tokens
from workers.service import Service

PREFIX: Final = "/api/v1"
#: Longest body of a request.
BODY_BYTES: Final = 8 * 1024 * 1024
#: Longest time in which a body has to arrive.
BODY_SECONDS: Final = 20.0
#: Longest `Idempotency-Key`.
_KEY_CHARACTERS: Final = 200
#: Longest wait for the end of a responsive run (spec/scenarios.md 5.2).
RESPONSIVE_SECONDS: Final = 180.0
#: Tokens that are none, from one address in a minute, before it is refused unheard.
_WRONG_TOKENS, _WRONG_SECONDS = 20, 60.0
_NUMBERS: Final = {RunState.SUCCESS: 1, RunState.WARNING: 2, RunState.ERROR: 3, RunState.CANCELLED: 3}

log = get_logger(__name__)


def api_routes(service: Service, stopping: Callable[[], bool]) -> list[Route]:
    """The routes; `stopping` tells when nobody is to wait any longer."""
    api = _Api(service, stopping)
    routes = [Route(f"{PREFIX}/openapi.json", api.openapi, methods=["GET"])]
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    for path, methods in paths.items():
        routes.append(Route(PREFIX + path, api.endpoint(methods), methods=list(methods)))
    return routes


class _Api:
    def __init__(self, service: Service, stopping: Callable[[], bool]) -> None:
        self._service, self._stopping = service, stopping
        self._tokens = Tokens(service.runner.runs.client, service.runner.runs.keys)
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document; it needs no token."""
        server = self._service.settings.public_url or str(request.base_url).rstrip("/")
        return Json(document(ENDPOINTS, prefix=PREFIX, server=server))

    def endpoint(self, methods: dict[str, Endpoint]) -> Any:
        """What answers the methods of one path."""

        async def answer(request: Request) -> Response:
            found = methods.get(request.method) or methods["GET"]
            try:
                return await self._answer(found, request)
            except Exception as error:
                refused = _refusal(error)
                if refused.status == 500:
                    log.error("request failed", endpoint=found.id, exc_info=error)
                return Json(self._service.secrets.redact(refused.to_json()), status_code=refused.status)

        return answer

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        token = await self._token(request)
        if not token.allows(endpoint.scope):
            raise Refused(403, "Forbidden", f'The token "{token.name}" does not allow {endpoint.scope}.')
        call = Call(
            self._service,
            token,
            {name: str(value) for name, value in request.path_params.items()},
            _checked(endpoint.query, _query_of(endpoint.query, request)),
            None if endpoint.body is None else _checked(endpoint.body, await body_of(request)),
            _key_of(request),
        )
        result = await run_in_threadpool(endpoint.handle, call)
        if not isinstance(result, Reply):
            return Json(result)
        if result.run:
            return Json(await self._ended(result.run))
        if result.raw is not None:
            return Response(result.raw, media_type=result.content_type)
        return Json(result.body, status_code=result.status)

    async def _token(self, request: Request) -> TokenRow:
        address = request.client.host if request.client else ""
        now = time.monotonic()
        since, count = self._wrong.get(address, (now, 0))
        if now - since > _WRONG_SECONDS:
            since, count = now, 0
        if count >= _WRONG_TOKENS:
            raise Refused(429, "TooManyRequests", "Too many requests with tokens that are none; wait a minute.")
        given = request.headers.getlist("authorization")
        word, _, token = given[0].partition(" ") if given else ("", "", "")
        row = None
        # Of two, what stands before us may have looked at the other one.
        if word.lower() == "bearer" and len(given) == 1:
            row = await run_in_threadpool(self._tokens.check, token.strip())
        if row is None:
            self._wrong[address] = (since, count + 1)
            while len(self._wrong) > 10_000:
                self._wrong.popitem(last=False)
            raise Refused(401, "Unauthorized", "Give a token that has not ended: Authorization: Bearer TOKEN.")
        return row

    async def _ended(self, run: str) -> dict[str, Any]:
        """A responsive run's end; one that goes on after the wait, or waits for a decision, has the status 0."""
        deadline, pause = time.monotonic() + RESPONSIVE_SECONDS, 0.05
        runs = self._service.runner.runs
        while True:
            header = await run_in_threadpool(runs.header, run)
            if header.state in RESTING or time.monotonic() > deadline or self._stopping():
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 1.0)
        outputs: dict[str, Any] = {}
        if header.state in FINAL:
            outputs = (await run_in_threadpool(self._service.runs.show, run)).outputs
        return {
            "executionId": run,
            "status": _NUMBERS.get(header.state, 0),
            "outputs": outputs,
            "error": header.error,
        }


def _key_of(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if len(key) > _KEY_CHARACTERS:
        raise Refused(400, "InvalidRequest", f"An Idempotency-Key may have {_KEY_CHARACTERS} characters.")
    return key


def _query_of(query: type[Model], request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        field = query.model_fields.get(name)
        many = field is not None and str(field.annotation).startswith("list")
        found[name] = values if many else values[-1]
    return found


async def body_of(request: Request) -> Any:
    """The JSON of a request's body. Raises Refused when it is none, too large, or does not come."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > BODY_BYTES:
                    raise Refused(413, "TooLarge", f"A body may have {BODY_BYTES} bytes.")
                pieces.append(piece)
    except TimeoutError:
        raise Refused(408, "TooSlow", f"A body has to be there within {BODY_SECONDS:g} seconds.") from None
    except ClientDisconnect:
        raise Refused(400, "InvalidBody", "The body did not come.") from None
    text = b"".join(pieces)
    if not text.strip():
        return {}
    try:
        return read(text)
    except NotJson as error:
        raise Refused(400, "InvalidBody", f"The body is no JSON: {error}.") from None


def _checked(model: type[Model], data: Any) -> Model:
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        details = [
            f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise Refused(400, "InvalidRequest", "The request does not fit.", details[:20]) from None


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotFoundError):
        return Refused(404, "NotFound", error.message)
    if isinstance(error, BundleValidationError):
        return Refused(400, error.name, error.message, list(error.suberrors))
    if isinstance(error, ModuleError):
        return Refused(502, error.name, error.message)
    if isinstance(error, (UsageError, DefinitionError)):
        return Refused(400, error.name, error.message)
    if isinstance(error, RedisError):
        return Refused(503, "NoLedger", "The ledger cannot be reached; try again in a moment.")
    if isinstance(error, ScenaristError):
        return Refused(500, error.name, error.message)
    return Refused(500, "UnexpectedError", "The request failed; the gateway's log says why.")
