"""
One value to the type of its field, with the type's own check (spec/modules.md 2.3, 2.5).

A plain table type -> function. Each function is given the field and a value that is not empty, and returns the value
that the module sees; a value that it cannot take raises `Refused` with the words for the error text. Collections,
arrays, selects and filters have content of their own and live in other files.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from runtime.coercion import CODE_PAGES, encode_text, parse_number_text, to_boolean, whole
from runtime.dates.text import parse_date_text
from runtime.dates.zones import from_local, to_local, zone
from runtime.errors import ImlError
from runtime.parameters.fields import Field
from runtime.parameters.json_schema import schema_fault
from runtime.values import Buffer, from_milliseconds, to_text

#: A bare number of this size or more in a `timestamp` is milliseconds, not seconds (2.5).
MILLISECONDS_FROM: Final = 10**11

_EMAIL: Final = re.compile(r"[^\s@<>]+@[^\s@<>.]+(?:\.[^\s@<>.]+)+")
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,3})?)?", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COLOR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_URL: Final = re.compile(r"(?:https?|ftps?|sftp|wss?)://[^/?#\s]", re.IGNORECASE)
_BAD_FILENAME: Final = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_TAG: Final = re.compile(r"<[^>]*>")
_PRIVATE_KEY: Final = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY")


class Refused(Exception):  # noqa: N818  an answer of the table below, turned into an error text by its caller
    """The value cannot be taken. `what` stands in `Invalid <what> in parameter 'x'.`; `detail` is for forms."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.detail = detail


def text(value: Any, what: str = "text") -> str:
    """
    A value as text: numbers, booleans, dates and lists of them by their text form, buffers with a text code page.

    Raises:
        Refused: A collection, or a buffer that is no text.
    """
    if isinstance(value, dict):
        raise Refused(what)
    if isinstance(value, Buffer):
        page = (value.codepage or "binary").lower()
        codec = CODE_PAGES.get(page)
        if codec is None or page == "binary":
            raise Refused(what)
        try:
            return value.data.decode(codec)
        except UnicodeDecodeError:
            raise Refused(what) from None
    if isinstance(value, list):
        return ", ".join([text(item, what) for item in value])
    return to_text(value)


def _texts(what: str, good: Callable[[str], bool]) -> Callable[[Field, Any, str], Any]:
    """A type whose value is a text that passes a test."""

    def coerce(field: Field, value: Any, timezone: str) -> str:
        del timezone
        found = text(value, what)
        if not field.validate.off and not good(found):
            raise Refused(what)
        return found

    return coerce


def _text_type(field: Field, value: Any, timezone: str) -> str:
    del timezone
    found = text(value)
    if field.tags in ("strip", "stripall"):
        # Up to the last `>` only: behind it no tag is closed, and each `<` would search to the end in vain.
        end = found.rfind(">") + 1
        stripped, rest = _TAG.sub("", found[:end]), found[end:]
        found = stripped + (rest.partition("<")[0] if field.tags == "stripall" else rest)
    elif field.tags == "escape":
        found = found.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return found


def number(value: Any) -> int | float:
    """
    A number, or the number that a text is.

    Raises:
        Refused: Anything else, NaN and infinities included.
    """
    if isinstance(value, str):
        found = parse_number_text(value)
        if found is None:
            raise Refused("number")
        value = found
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Refused("number")
    return value


def _number(field: Field, value: Any, timezone: str) -> int | float:
    del field, timezone
    return number(value)


def _whole(value: Any) -> int:
    found = whole(number(value))
    if isinstance(found, float):
        if not found.is_integer():
            raise Refused("integer")
        found = int(found)
    return found


def _integer(field: Field, value: Any, timezone: str) -> int | float:
    del timezone
    return number(value) if field.validate.off else _whole(value)


def _uinteger(field: Field, value: Any, timezone: str) -> int | float:
    found = _integer(field, value, timezone)
    if found < 0 and not field.validate.off:
        raise Refused("integer")
    return found


def _port(field: Field, value: Any, timezone: str) -> int | float:
    del timezone
    found = number(value)
    if field.validate.off:
        return found
    found = whole(found)
    if not isinstance(found, int) or not 1 <= found <= 65535:
        raise Refused("port")
    return found


def _boolean(field: Field, value: Any, timezone: str) -> bool:
    del field, timezone
    return to_boolean(value)


def _read_date(value: Any, timezone: str, what: str) -> datetime:
    if isinstance(value, str):
        found = parse_date_text(value, timezone)
        if found is not None:
            return found
    elif isinstance(value, datetime):
        return value
    raise Refused(what)


def _instant(value: float, what: str) -> datetime:
    try:
        return from_milliseconds(value)
    except (OverflowError, ValueError):
        raise Refused(what) from None


def _date(field: Field, value: Any, timezone: str) -> datetime:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = _instant(value, "date")
    else:
        found = _read_date(value, timezone, "date")
    if not field.time:
        try:
            local = to_local(found, timezone)
            found = from_local(local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None), timezone)
        except (OverflowError, ValueError):
            raise Refused("date") from None
    return found


def _timestamp(field: Field, value: Any, timezone: str) -> datetime:
    del field
    if isinstance(value, str):
        bare = parse_number_text(value)
        value = value if bare is None else bare
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise Refused("timestamp")
        return _instant(value if abs(value) >= MILLISECONDS_FROM else value * 1000, "timestamp")
    return _read_date(value, timezone, "timestamp")


def _time(field: Field, value: Any, timezone: str) -> str | datetime:
    del timezone
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and (field.validate.off or _TIME.fullmatch(value)):
        return str(value)
    raise Refused("time")


def _buffer(field: Field, value: Any, timezone: str) -> Buffer:
    del timezone
    wanted = field.codepage.lower()
    if isinstance(value, Buffer):
        if wanted in ("", "binary") or wanted == (value.codepage or "").lower():
            return value
        value = text(value, "buffer")
    if not isinstance(value, (str, int, float, datetime)):
        raise Refused("buffer")
    data = encode_text(to_text(value), wanted or "utf8")
    if data is None:
        raise Refused("buffer")
    return Buffer(data, codepage=wanted or "utf8")


def _json(field: Field, value: Any, timezone: str) -> Any:
    """A text that is JSON, or a collection or array; as it came, but judged by `schema` in its parsed form."""
    del timezone
    parsed: Any = value
    if isinstance(value, str):
        if field.validate.off:
            return str(value)
        try:
            parsed = json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused("JSON") from None
        value = str(value)
    elif isinstance(value, (datetime, Buffer)):
        raise Refused("JSON")
    fault = None if field.validate.off else schema_fault(_schema(field), parsed)
    if fault:
        raise Refused("JSON", fault)
    return value


def _schema(field: Field) -> Any:
    """The schema of a json field: an object, or a text that holds one; true where there is none."""
    raw = field.raw.get("schema", True)
    if isinstance(raw, str):
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return True
    return raw


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _filename(field: Field, value: Any, timezone: str) -> str:
    del timezone
    found = text(value, "filename")
    if field.validate.off:
        return found
    if _BAD_FILENAME.search(found):
        raise Refused("filename")
    if field.extension and not found.lower().endswith(tuple([f".{ending}" for ending in field.extension])):
        raise Refused("filename")
    return found


def _pem(what: str, names: tuple[str, ...]) -> Callable[[Field, Any, str], str]:
    def coerce(field: Field, value: Any, timezone: str) -> str:
        del timezone
        found = text(value, what).replace("\r\n", "\n").replace("\r", "\n")
        if "\n" not in found.strip():
            # Out of a JSON file or typed at a prompt of one line: the breaks are written out.
            found = found.replace("\\r", "").replace("\\n", "\n")
        good = any(f"-----BEGIN {name}-----" in found and f"-----END {name}-----" in found for name in names)
        if not good and not field.validate.off:
            raise Refused(what)
        return found

    return coerce


def _path(field: Field, value: Any, timezone: str) -> str:
    """`file` and `folder`: syntax only (2.8); no RPC is called at run time."""
    del timezone
    found = text(value, field.type)
    if field.validate.off:
        return found
    inner = found.removeprefix("/") if field.options.show_root else found
    bad = field.options.show_root and not found.startswith("/")
    bad = bad or (field.type == "file" and (inner == "" or inner.endswith("/")))
    if bad or (field.options.single_level and "/" in inner):
        raise Refused(field.type)
    return found


def _is_url(found: str) -> bool:
    if not _URL.match(found):
        return False
    try:
        return bool(urlsplit(found).hostname)
    except ValueError:
        return False


def _same(field: Field, value: Any, timezone: str) -> Any:
    del field, timezone
    return value


#: Type -> coercion. Types with content (array, collection, select, filter) are not here.
COERCIONS: Final[dict[str, Callable[[Field, Any, str], Any]]] = {
    "any": _same,
    "boolean": _boolean,
    "buffer": _buffer,
    "cert": _pem("certificate", ("CERTIFICATE",)),
    "color": _texts("color", lambda found: _COLOR.fullmatch(found) is not None),
    "date": _date,
    "email": _texts("email address", lambda found: _EMAIL.fullmatch(found) is not None),
    "file": _path,
    "filename": _filename,
    "folder": _path,
    "hidden": _same,
    "integer": _integer,
    "json": _json,
    "number": _number,
    "password": _texts("password", lambda _: True),
    "path": _texts("path", lambda found: found != ""),
    "pkey": _pem("private key", _PRIVATE_KEY),
    "port": _port,
    "text": _text_type,
    "time": _time,
    "timestamp": _timestamp,
    "timezone": _texts("time zone", lambda found: zone(found) is not None),
    "udt": _same,
    "uinteger": _uinteger,
    "url": _texts("URL", _is_url),
    "uuid": _texts("UUID", lambda found: _UUID.fullmatch(found) is not None),
}


def coerce(field: Field, value: Any, timezone: str) -> Any:
    """
    A non-empty value as the type of its field.

    Raises:
        Refused: The value cannot be taken.
    """
    try:
        return COERCIONS.get(field.type, _same)(field, value, timezone)
    except (ImlError, RecursionError):
        raise Refused(field.type) from None
