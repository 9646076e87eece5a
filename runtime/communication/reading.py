"""
Reading an answer: which type it has, and its body and headers as values. Pure.

Source: spec/communication.md sections 9 (response headers) and 14.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus

import orjson

from runtime.communication.xml import XmlError, parse_xml
from runtime.errors import DataError, InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer

#: Deeper JSON is refused: later steps follow values recursively (spec/communication.md 22).
MAX_JSON_DEPTH: Final = 200
#: How much of an unreadable body an error message may quote.
QUOTED_CHARACTERS: Final = 200
_EMPTY_STATUSES: Final = frozenset({204, 205, 304})
_TEXT_TYPES: Final = frozenset({"text", "string", "raw"})
_TYPES: Final = _TEXT_TYPES | {"automatic", "json", "urlencoded", "binary", "xml"}
_RANGE: Final = re.compile(r"\A\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?\s*\Z")
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_PROLOG: Final = re.compile(rb"""\A\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Every digit as `0` and everything else as a blank: a long number is then found by a plain search.
_DIGITS: Final = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
#: A number this long may not fit 64 bits, and orjson would round it.
_LONG_NUMBER: Final = b"0" * 19


class Headers(dict[str, Any]):
    """Response headers with lower-case names; expressions find them in any spelling."""

    __slots__ = ()

    def get(self, key: str, default: Any = None) -> Any:  # type: ignore[override]  # one signature is enough here
        """The header of this name in any spelling."""
        return super().get(key.lower(), default)


def read_headers(lines: Iterable[tuple[str, str]]) -> Headers:
    """Lower-case names; repeats joined with `, `, `set-cookie` always a list."""
    headers = Headers()
    for name, value in lines:
        key = name.lower()
        if key == "set-cookie":
            headers.setdefault(key, []).append(value)
        elif key in headers:
            headers[key] += f", {value}"
        else:
            headers[key] = value
    return headers


def choose_type(declared: Any, status: int) -> str:
    """
    The type by which a body is read: the declared one, or that of the narrowest range of a map that holds the status.

    Raises:
        InvalidConfigurationError: There is no such type.
    """
    chosen: Any = declared
    if isinstance(declared, dict):
        chosen, best = None, 1000
        for key, value in declared.items():
            width = _width(key, status)
            if width is not None and width <= best:
                chosen, best = value, width
    if chosen is None or chosen is UNDEFINED or chosen == "":
        return "automatic"
    name = chosen.strip() if isinstance(chosen, str) else ""
    if name not in _TYPES:
        raise InvalidConfigurationError(f"response.type: there is no such type; known are {', '.join(sorted(_TYPES))}")
    return name


def _width(key: str, status: int) -> int | None:
    """How many statuses a key of the map covers; None when this one is not among them."""
    if key.strip() == "*":
        return 999
    match = _RANGE.match(key)
    if not match:
        return None
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    return last - first + 1 if first <= status <= last else None


def read_body(data: bytes, type_name: str, headers: Mapping[str, Any], status: int) -> Any:
    """
    A body as a value. With an error status what cannot be read is its text, so that error handling goes on.

    Raises:
        DataError: The body of a good answer is malformed; the message has the place and the start of the body.
    """
    content_type = headers.get("content-type")
    content_type = content_type if isinstance(content_type, str) else ""
    media = content_type.partition(";")[0].strip().lower()
    if type_name == "automatic":
        guess = not media
        type_name = _automatic(media)
        if guess and data and status not in _EMPTY_STATUSES:
            return _guess(data, content_type)
    if not data or status in _EMPTY_STATUSES:
        if type_name in _TEXT_TYPES:
            return ""
        return Buffer(b"") if type_name == "binary" else UNDEFINED
    if type_name == "binary":
        return Buffer(data)
    if type_name in _TEXT_TYPES:
        return decode(data, content_type)
    if type_name == "urlencoded":
        return parse_form(decode(data, content_type))
    try:
        if type_name == "xml":
            return parse_xml(decode(data, content_type, xml=True))
        return parse_json(data, content_type)
    except (XmlError, ValueError) as error:
        text = decode(data, content_type)
        if status >= 400:
            return text
        kind = "XML" if type_name == "xml" else "JSON"
        start = text[:QUOTED_CHARACTERS]
        raise DataError(f"The response is not valid {kind}: {error}. It begins with: {start}") from error


def _automatic(media: str) -> str:
    if not media or media in ("application/json", "text/json") or media.endswith("+json"):
        return "json"
    if media == "application/x-www-form-urlencoded":
        return "urlencoded"
    if media in ("application/xml", "text/xml") or media.endswith("+xml"):
        return "xml"
    return "text" if media.startswith("text/") else "binary"


def _guess(data: bytes, content_type: str) -> Any:
    try:
        return parse_json(data, content_type)
    except ValueError:
        return decode(data, content_type)


def decode(data: bytes, content_type: str = "", *, xml: bool = False) -> str:
    """
    Bytes as text by the charset of the Content-Type, the byte-order mark, the prolog of XML, else UTF-8. What cannot
    be decoded becomes U+FFFD.
    """
    name = ""
    match = _CHARSET.search(content_type)
    if match:
        name = match[1]
    bom = next(((mark, charset) for mark, charset in _BOMS if data.startswith(mark)), None)
    if bom and (not name or name.lower().replace("_", "-").startswith(("utf-8", "utf8", "utf-16", "utf-32"))):
        data, name = data[len(bom[0]) :], bom[1]
    if not name and xml:
        prolog = _PROLOG.match(data[:200])
        name = prolog[1].decode("ascii") if prolog else ""
    try:
        info = codecs.lookup(name or "utf-8")
    except LookupError:
        return data.decode("utf-8", "replace")
    # Codecs such as `base64` or `rot13` are no charsets.
    charset = info.name if getattr(info, "_is_text_encoding", True) else "utf-8"
    return data.decode(charset, "replace")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def parse_json(data: bytes, content_type: str = "") -> Any:
    """
    The value of a JSON text: the last of equal keys wins, integers of any size are exact.

    Raises:
        ValueError: It is malformed (the text says where) or nested more than `MAX_JSON_DEPTH` deep.
    """
    value: Any = UNDEFINED
    if _LONG_NUMBER not in data.translate(_DIGITS):
        # The quick way reads UTF-8 only, and rounds what is longer than 64 bits.
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            value = UNDEFINED
    if value is UNDEFINED:
        try:
            value = json.loads(decode(data, content_type), parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep") from None
    if data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH and _deeper_than(value, MAX_JSON_DEPTH):
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
    return value


def _nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


@lru_cache(maxsize=1)
def _spare_levels() -> int:
    """How many levels orjson writes beyond `MAX_JSON_DEPTH`; below zero when it writes fewer."""
    for depth in range(MAX_JSON_DEPTH, 1100):
        try:
            orjson.dumps(_nested(None, depth + 1))
        except orjson.JSONEncodeError:
            return depth - MAX_JSON_DEPTH
    return -1


def _deeper_than(value: Any, limit: int) -> bool:
    # Writing stops at a fixed depth and is some ten times as fast as a walk; lists around the value put that depth
    # at our limit. What it refuses for any reason is walked.
    if limit == MAX_JSON_DEPTH and (spare := _spare_levels()) >= 0:
        try:
            orjson.dumps(_nested(value, spare))
        except orjson.JSONEncodeError:
            pass
        else:
            return False
    level: list[Any] = [value]
    for _ in range(limit):
        below: list[Any] = []
        for container in level:
            members = container.values() if type(container) is dict else container if type(container) is list else ()
            below += [member for member in members if type(member) is dict or type(member) is list]
        if not below:
            return False
        level = below
    return True


def parse_form(text: str) -> dict[str, Any]:
    """`a=1&b=2&b=3` as `{a: "1", b: ["2", "3"]}`."""
    form: dict[str, Any] = {}
    for piece in text.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        key, decoded = unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace")
        if key not in form:
            form[key] = decoded
        elif isinstance(form[key], list):
            form[key].append(decoded)
        else:
            form[key] = [form[key], decoded]
    return form
