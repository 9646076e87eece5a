"""A connection's inputs as its flow begins with them, and the identity it shows (spec/connections.md 3 and 4)."""

from __future__ import annotations

import copy
from typing import Any, Final

from connections.job import ConnectionJob
from connections.record import MAX_METADATA
from connections.values import secret_texts
from runtime.effects import Conceal, Steps, Warn
from runtime.parameters import parse_fields, resolve
from runtime.values import UNDEFINED, is_empty, to_text

METADATA_TYPES: Final = frozenset({"email", "text"})


def resolved_inputs(job: ConnectionJob) -> Steps[dict[str, Any]]:
    """
    The inputs, checked and with their defaults: the beginning of the one collection.

    Raises:
        BundleValidationError: Inputs failed their checks; nothing was sent.
        InvalidConfigurationError: The component has problems and may not be used.
    """
    job.spec.require_usable()
    fields = parse_fields(job.spec.params.value, where=job.component)
    # Options that come from an RPC cannot be checked before there is a connection to ask with.
    resolved = resolve(fields, job.inputs(), timezone=job.environment.timezone, mode="form", rpc_unresolved=True)
    for warning in resolved.warnings:
        yield Warn(warning, "parameters")
    store = copy.deepcopy(resolved.values)
    yield Conceal(frozenset(secret_texts(job.app, job.spec, store) | set(_texts(job.common))))
    return store


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for member in members for text in _texts(member)]


def metadata_of(value: Any) -> dict[str, str] | None:
    """`response.metadata` as it is stored; None without a value. An unknown type counts as `text`."""
    if not isinstance(value, dict) or is_empty(value.get("value", UNDEFINED)):
        return None
    kind = value.get("type")
    return {
        "type": kind if isinstance(kind, str) and kind in METADATA_TYPES else "text",
        "value": to_text(value["value"])[:MAX_METADATA],
    }
