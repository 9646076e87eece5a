"""
Redaction at the other exits: log events (the structlog processor) and errors (spec/communication.md sections 21, 30).
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final, TypeAlias

from runtime.counters import count
from runtime.errors import ModuleError, error_from_json
from runtime.sanitize.encodings import MASK
from runtime.sanitize.names import always_secret, mask_names
from runtime.sanitize.secrets import Secrets

#: What structlog hands from processor to processor.
Event: TypeAlias = "MutableMapping[str, Any]"
Processor: TypeAlias = "Callable[[object, str, Event], dict[str, Any]]"
#: Set by this code base and never by data, so they survive even when redaction fails.
_KEPT: Final = ("event", "level", "timestamp", "logger", "component", "status")


def redact_event(secrets: Secrets) -> Processor:
    """
    The structlog processor that belongs right before rendering.

    It masks what `secrets` knows and values under telling names, in a deep copy of the event that is plain JSON. If
    anything fails, event name, component and status remain.
    """

    def redact(_logger: object, method: str, event: Event) -> dict[str, Any]:
        try:
            # Unknown objects become text in `redact`, so their `repr` is searched as well.
            return mask_names(secrets.redact(dict(event)), always_secret)
        except Exception:  # noqa: BLE001  a log call must neither fail nor print what could not be searched
            return _withheld(secrets, method, event)

    return redact


def _withheld(secrets: Secrets, method: str, event: Event) -> dict[str, Any]:
    count("records_withheld")
    kept: dict[str, Any] = {"event": MASK, "level": method}
    for key in _KEPT:
        value = event.get(key)
        if isinstance(value, int):
            kept[key] = value
        elif isinstance(value, str):
            try:
                kept[key] = secrets.redact_text(value)
            except Exception:  # noqa: BLE001  see above
                kept[key] = MASK
    return kept | {"withheld": "The rest of this event could not be redacted."}


def redact_error(error: ModuleError, secrets: Secrets) -> ModuleError:
    """
    An equal error without secrets in its texts: what is stored, shown to an error route or sent to anybody.

    Messages are made from what a service answered, and so may repeat what was sent to it.
    """
    data = error.to_json()
    redacted = secrets.redact(data)
    return error_from_json(redacted | {key: data[key] for key in ("type", "statusCode", "delay") if key in data})
