"""
Values of connections: merging into the stored collection, `expires`, `scope`, and which of them are secrets.

Sources: spec/connections.md sections 3, 7.5, 7.6 and 12, spec/communication.md section 21.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from connections.record import ConnectionRecord
from runtime.app.specs import App, ConnectionSpec
from runtime.dates import parse_date_text
from runtime.parameters import parse_fields, secret_values
from runtime.sanitize.encodings import SHORTEST_PART
from runtime.sanitize.names import SHORTEST_STORED, phase_secret, stored_secret
from runtime.values import UNDEFINED, from_milliseconds, number_text

#: A number of `expires` is unix seconds from here on, and milliseconds from there on; smaller ones are no instant.
_SECONDS: Final = 10**9
_MILLISECONDS: Final = 10**12
#: Members of `common` that steer the engine (spec/communication.md 22): no secrets, and masking them would hide every
#: equal number in a log.
_STEERING: Final = frozenset({"maxRequestCount", "maxPaginationRequestCount", "maxPastRecords", "timeout"})
#: A shorter number occurs everywhere.
_SHORTEST_NUMBER: Final = 6
#: Shorter texts of `temp` and of a callback are words such as `code` or `S256`, and masking those would spoil logs.
_SHORTEST_WORD: Final = 6
#: An address that was looked up, such as `temp.tokenUrl`: no secret, and every log line has it.
_ADDRESS: Final = re.compile(r"https?://[^?#@\s]*", re.IGNORECASE)


def merge_data(stored: Any, new: Any) -> Any:
    """
    `response.data` over the collection: objects deeply, arrays replaced, undefined skipped, null stored. Neither
    argument is changed.
    """
    if not isinstance(stored, dict) or not isinstance(new, dict):
        return new
    merged = dict(stored)
    for key, value in new.items():
        if value is UNDEFINED:
            continue
        merged[key] = merge_data(merged[key], value) if key in merged else value
    return merged


def expires_of(value: Any, *, timezone: str) -> datetime | None:
    """
    End of the whole grant: a date, its text, or unix time in seconds or milliseconds. None for anything else:
    `addSeconds(now, undefined)` gives no date.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"\d+(?:\.\d+)?", text):
            return parse_date_text(text, timezone)
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= _SECONDS:
        return None
    try:
        return from_milliseconds(value if value >= _MILLISECONDS else value * 1000)
    except (OverflowError, ValueError):
        return None


def scope_of(value: Any) -> tuple[str, ...]:
    """Granted scopes: a list, or a text split on blanks and commas. Order kept, duplicates removed."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[\s,]+", value) if part]
    if not isinstance(value, list):
        return ()
    return tuple(dict.fromkeys(item for item in value if isinstance(item, str) and item))


def secret_texts(app: App, spec: ConnectionSpec, record: ConnectionRecord | Mapping[str, Any] | None) -> set[str]:
    """
    Every value that the sanitizer must know before this connection is used.

    Values of `password`, `pkey` and `cert` inputs, values of the app's and the connection's `common`, members of the
    stored collection whose key names a secret, and the base64 pairs that Basic authentication makes of short ones.

    Args:
        app: The app; its `common` counts.
        spec: The connection component.
        record: A stored connection, or inputs that have not been stored yet; None for `common` alone.
    """
    found = set(_common(app.common_values)) | set(_common(spec.common.value))
    if record is None:
        return found
    collections = [record] if isinstance(record, Mapping) else [record.parameters, record.data]
    fields = parse_fields(spec.params.value, where=spec.title)
    own: set[str] = set()
    for collection in collections:
        own |= secret_values(fields, collection)
        own |= set(_named(collection))
    texts = {text for collection in collections for text in _texts(collection)}
    # The sanitizer finds a secret inside the base64 of a pair; one that is too short for that is known with its pair.
    short = [secret for secret in own if 0 < len(secret) < SHORTEST_PART]
    pairs = {pair for secret in short for text in (*texts, "") for pair in (f"{text}:{secret}", f"{secret}:{text}")}
    encoded = {base64.b64encode(pair.encode("utf-8", "surrogatepass")).decode("ascii") for pair in pairs}
    return found | {text for text in own if text} | encoded


def telling_texts(temp: Mapping[str, Any]) -> list[str]:
    """Texts in `temp` whose name says that they are secret, such as a code verifier; addresses are none."""
    texts = [text for name, value in temp.items() if phase_secret(name) for text in long_texts(value)]
    return [text for text in texts if _ADDRESS.fullmatch(text) is None]


def long_texts(value: Any) -> list[str]:
    """All texts in a value that are no short words."""
    return [text for text in _texts(value) if len(text) >= _SHORTEST_WORD]


def _common(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    for key, member in value.items():
        if key in _STEERING:
            continue
        yield from _texts(member)


def _named(value: Any) -> Iterator[str]:
    """Texts under a key that names a secret, at any depth; a collection under such a key counts as a whole."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if stored_secret(str(key)):
                yield from (text for text in _texts(member) if len(text) >= SHORTEST_STORED)
            else:
                yield from _named(member)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value; numbers that are long enough to be an id or a secret."""
    if isinstance(value, str):
        if value:
            yield str(value)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = number_text(value)
        if len(text) >= _SHORTEST_NUMBER:
            yield text
