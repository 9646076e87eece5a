"""
Request bodies: from the value of `body` and its `type` to bytes and a content type. Pure.

Source: spec/communication.md section 10.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from typing import Any, Final

from runtime.communication.url import encode_pairs, flatten, scalar_text
from runtime.effects import Pieces
from runtime.errors import DataError, InvalidConfigurationError, MaxFileSizeExceededError
from runtime.values import UNDEFINED, Buffer, compact_json, to_text

#: A longer multipart body is sent piece by piece instead of being put together first.
WHOLE_BYTES: Final = 1024 * 1024
#: The operating system's own table is left out: one file must get one type on every machine.
_TYPES: Final = mimetypes.MimeTypes(filenames=())
_QUOTED: Final = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}
_BREAKS: Final = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body as sent, and the Content-Type that goes with it; `forced` when the author may not override the latter."""

    data: bytes | Pieces
    content_type: str | None = None
    forced: bool = False


def encode_body(value: Any, type_name: str, max_bytes: int) -> Body | None:
    """
    The body for a value; None when there is no body (the value is undefined or null).

    Raises:
        DataError: The value does not fit the type.
        InvalidConfigurationError: There is no such type.
        MaxFileSizeExceededError: The body is longer than `max_bytes`.
    """
    encode = _ENCODERS.get(type_name)
    if encode is None:
        known = ", ".join(sorted(_ENCODERS))
        raise InvalidConfigurationError(f"type: '{type_name[:40]}' is no request type; known are {known}")
    if value is None or value is UNDEFINED:
        return None
    body = encode(value)
    if len(body.data) > max_bytes:
        raise MaxFileSizeExceededError(f"The request body has {len(body.data)} bytes; {max_bytes} are allowed.")
    return body


def _json(value: Any) -> Body:
    try:
        text = compact_json(value)
    except RecursionError:
        raise DataError("body is nested too deeply") from None
    return Body(text.encode("utf-8", "replace"), "application/json")


def _urlencoded(value: Any) -> Body:
    if not isinstance(value, dict):
        raise DataError("body must be a collection for the type urlencoded")
    return Body(encode_pairs(flatten(value, "a form")).encode("ascii"), "application/x-www-form-urlencoded")


def _text(value: Any) -> Body:
    return Body(_text_bytes(value))


def _text_bytes(value: Any) -> bytes:
    if isinstance(value, Buffer):
        return value.data
    text = compact_json(value) if isinstance(value, (dict, list)) else to_text(value)
    return text.encode("utf-8", "replace")


def _binary(value: Any) -> Body:
    if isinstance(value, Buffer):
        return Body(value.data)
    if isinstance(value, str):
        return Body(value.encode("utf-8", "replace"))
    raise DataError("body must be a buffer or a text for the type binary")


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    data: bytes
    filename: str | None = None
    content_type: str | None = None


def _multipart(value: Any) -> Body:
    if not isinstance(value, dict):
        raise DataError("body must be a collection for the type multipart/form-data")
    parts = [
        part
        for name, member in value.items()
        for item in (member if isinstance(member, list) else [member])
        if (part := _part(str(name), item)) is not None
    ]
    blocks: list[tuple[bytes, bytes]] = []
    digest = hashlib.sha256()
    for part in parts:
        head = _part_head(part)
        blocks.append((head, part.data))
        digest.update(head)
        digest.update(part.data)
    # Taken from the content, so that the same request always has the same bytes and the content cannot hold it.
    boundary = b"scenarist-" + digest.hexdigest()[:40].encode("ascii")
    pieces: list[bytes] = []
    for head, data in blocks:
        pieces += [b"--", boundary, b"\r\n", head, b"\r\n\r\n", data, b"\r\n"]
    pieces += [b"--", boundary, b"--\r\n"]
    size = sum(map(len, pieces))
    data = b"".join(pieces) if size <= WHOLE_BYTES else Pieces(tuple(pieces))
    return Body(data, f"multipart/form-data; boundary={boundary.decode('ascii')}", forced=True)


def _part(name: str, value: Any) -> _Part | None:
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, Buffer):
        return _file_part(name, value, {})
    if isinstance(value, dict):
        if "value" in value and value.keys() <= {"value", "options"}:
            options = value.get("options")
            return _file_part(name, value["value"], options if isinstance(options, dict) else {})
        if value.keys() <= {"options"} and value:
            # The file form whose value was undefined: its member is gone, and so is the part.
            return None
        return _Part(name, compact_json(value).encode("utf-8", "replace"))
    if isinstance(value, list):
        return _Part(name, compact_json(value).encode("utf-8", "replace"))
    return _Part(name, scalar_text(value, "a form").encode("utf-8", "replace"))


def _file_part(name: str, content: Any, options: dict[str, Any]) -> _Part | None:
    if content is None or content is UNDEFINED:
        return None
    given = options.get("filename")
    filename = to_text(given) if given is not None and given is not UNDEFINED else ""
    if isinstance(content, Buffer):
        data, filename = content.data, filename or content.name or name
    else:
        data = _text_bytes(content)
    given_type = options.get("contentType")
    content_type = to_text(given_type) if given_type is not None and given_type is not UNDEFINED else ""
    if not content_type and filename:
        content_type = _TYPES.guess_type(filename)[0] or "application/octet-stream"
    if _BREAKS.search(content_type):
        raise DataError("invalid contentType of a form part")
    return _Part(name, data, filename or None, content_type or None)


def _part_head(part: _Part) -> bytes:
    head = f'Content-Disposition: form-data; name="{part.name.translate(_QUOTED)}"'
    if part.filename is not None:
        head += f'; filename="{part.filename.translate(_QUOTED)}"'
    if part.content_type is not None:
        head += f"\r\nContent-Type: {part.content_type}"
    return head.encode("utf-8", "replace")


_ENCODERS: Final = {
    "json": _json,
    "urlencoded": _urlencoded,
    "multipart/form-data": _multipart,
    "text": _text,
    "string": _text,
    "raw": _text,
    "binary": _binary,
}
