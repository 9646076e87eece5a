"""
Marked JSON: any value of the value model as JSON, both ways and exactly (design section 10.1).

What JSON lacks is an object whose first key starts with `$`:

| value | form |
| --- | --- |
| date | `{"$date": "2016-06-20T17:26:44.356Z"}` |
| buffer | `{"$buffer": "<sha256>", "size": 3, "codepage": null, "name": null}`; its bytes go to `put_blob` |
| NaN, infinities | `{"$number": "NaN"}`, `"Infinity"`, `"-Infinity"` |
| a collection whose first key starts with `$` | `{"$": {...}}`, so that data can never forge one of these |

Undefined members are dropped (null in arrays), as everywhere in the value model. Integers stay exact at any size. A
lone surrogate stays as it is; two of them that form a pair come back as the one character that they mean.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import orjson

from runtime.errors import DataError
from runtime.values import ERASE, UNDEFINED, Buffer, date_text

#: Keeps a buffer's bytes and gives their SHA-256 in hex.
PutBlob: TypeAlias = Callable[[Buffer], str]
#: Gives the bytes with this SHA-256 and size back.
GetBlob: TypeAlias = Callable[[str, int], bytes]

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
#: More digits than every integer that fits 64 bits: orjson would read such a number as a float.
_LONG_INTEGER = re.compile(rb"\d{19}")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z")
_HASH = re.compile(r"[0-9a-f]{64}")
#: Longer integers cannot be read back: the interpreter refuses numbers of more than 4300 digits.
_MOST_BITS = 14_000


class CodecError(DataError):
    """Text that is no marked JSON, or a value that has no form in it."""


def blob_hash(buffer: Buffer) -> str:
    """SHA-256 of a buffer's bytes in hex: a `PutBlob` that keeps nothing, for printing."""
    return hashlib.sha256(buffer.data).hexdigest()


def no_blobs(digest: str, size: int) -> bytes:
    """A `GetBlob` for texts that come from outside: they cannot refer to bytes that are stored somewhere."""
    raise CodecError(f"the buffer {digest[:12]}… of {size} bytes is not stored here")


def unmark_given(data: Any) -> Any:
    """
    A value that somebody gives from outside, such as a parameter file. Besides the marked forms it may hold a buffer's
    bytes, `{"$buffer": "<base64>"}`, and `{"$undefined": true}` for a member without a value.

    Raises:
        CodecError: An object is no known mark, or a mark is malformed.
    """
    try:
        return unmark(_inlined(data))
    except RecursionError:
        raise CodecError("The data are nested too deep.") from None


class _Inline(dict[str, Any]):
    """A buffer on its way through `unmark`: the value itself, not its form."""


def _inlined(data: Any) -> Any:
    if isinstance(data, dict):
        members = cast("dict[str, Any]", data)
        if members.keys() == {"$buffer"} and isinstance(members["$buffer"], str):
            try:
                return _Inline(value=Buffer(base64.b64decode(members["$buffer"], validate=True)))
            except binascii.Error:
                raise CodecError('"$buffer" needs the bytes in base64.') from None
        return {key: _inlined(member) for key, member in members.items() if not _undefined(member)}
    if isinstance(data, list):
        return [None if _undefined(item) else _inlined(item) for item in cast("list[Any]", data)]
    return data


def _undefined(data: Any) -> bool:
    return isinstance(data, dict) and cast("dict[str, Any]", data).keys() == {"$undefined"}


def mark(value: Any, put_blob: PutBlob = blob_hash) -> Any:
    """
    A value as JSON data in the marked forms.

    Raises:
        CodecError: It is nested too deep or holds something that is no value.
    """
    try:
        return value if _plain(value) else _mark(value, put_blob)
    except RecursionError:
        raise CodecError("The data are nested too deep to be stored.") from None


def unmark(data: Any, get_blob: GetBlob = no_blobs) -> Any:
    """
    The value that `mark` wrote.

    Raises:
        CodecError: An object is no known mark, or a mark is malformed.
    """
    try:
        return _unmark(data, get_blob)
    except RecursionError:
        raise CodecError("The data are nested too deep.") from None


def dumps(value: Any, put_blob: PutBlob = blob_hash) -> bytes:
    """
    A value as marked JSON text, compact, UTF-8.

    Raises:
        CodecError: It is nested too deep or holds something that is no value.
    """
    data = mark(value, put_blob)
    try:
        return orjson.dumps(data)
    except TypeError:
        # Integers over 64 bits, lone surrogates and deep nesting: the standard library knows all three.
        try:
            return json.dumps(data, separators=(",", ":")).encode("ascii")
        except RecursionError:
            raise CodecError("The data are nested too deep to be stored.") from None
        except TypeError as error:
            raise CodecError(f"The data cannot be stored: {error}.") from None


def loads(text: bytes, get_blob: GetBlob = no_blobs) -> Any:
    """
    The value in a marked JSON text.

    Raises:
        CodecError: The text is no JSON, or a mark in it is unknown or malformed.
    """
    data = parse_json(text)
    # Compact text can hold a mark only where an object begins with such a key; inside strings quotes are escaped.
    if b'{"$' in text or b"{ " in text or b"{\n" in text or b"{\t" in text or b"{\r" in text or b"\\u0024" in text:
        return unmark(data, get_blob)
    return data


def parse_json(text: bytes) -> Any:
    """
    Plain JSON text with exact integers and lone surrogates.

    Raises:
        CodecError: The text is no JSON.
    """
    if not _LONG_INTEGER.search(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # Lone surrogates and numbers out of range are read below; what is no JSON fails there too.
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise CodecError("The data are nested too deep.") from None
    except ValueError as error:
        raise CodecError(f"The text is not valid JSON: {error}.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _plain(value: Any) -> bool:
    """True when `value` needs no mark anywhere, so that it can be written as it is."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -(1 << 63) <= value < 1 << 63
    if kind is float:
        return value - value == 0
    if kind is dict:
        first = True
        for key, member in value.items():
            if type(key) is not str or (first and key[:1] == "$"):
                return False
            first = False
            if type(member) is not str and not _plain(member):
                return False
        return True
    if kind is list:
        return all(map(_plain, value))
    return False


def _mark(value: Any, put_blob: PutBlob) -> Any:
    if isinstance(value, dict):
        marked: dict[str, Any] = {}
        for key, member in cast("dict[object, Any]", value).items():
            if not isinstance(key, str):
                raise CodecError(f"A collection has a key that is no text: {key!r}.")
            if member is not UNDEFINED:
                marked[key] = _mark(member, put_blob)
        return {"$": marked} if next(iter(marked), "")[:1] == "$" else marked
    if isinstance(value, list):
        return [_mark(item, put_blob) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        return str(value)
    if value is None or value is UNDEFINED or value is ERASE:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() <= _MOST_BITS:
            return value
        return {"$number": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, float):
        if value - value == 0:
            return value
        return {"$number": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, datetime):
        return {"$date": date_text(value)}
    if isinstance(value, Buffer):
        return {"$buffer": put_blob(value), "size": len(value.data), "codepage": value.codepage, "name": value.name}
    raise CodecError(f"A value of type {type(value).__name__} cannot be stored.")


def _unmark(data: Any, get_blob: GetBlob) -> Any:
    if isinstance(data, dict):
        members = cast("dict[str, Any]", data)
        if isinstance(data, _Inline):
            return members["value"]
        first = next(iter(members), "")
        if first[:1] != "$":
            return {key: _unmark(member, get_blob) for key, member in members.items()}
        return _read_mark(first, members, get_blob)
    if isinstance(data, list):
        return [_unmark(item, get_blob) for item in cast("list[Any]", data)]
    return data


def _read_mark(kind: str, members: dict[str, Any], get_blob: GetBlob) -> Any:
    content = members[kind]
    if kind == "$" and isinstance(content, dict) and len(members) == 1:
        return {key: _unmark(member, get_blob) for key, member in cast("dict[str, Any]", content).items()}
    if kind == "$date" and isinstance(content, str) and len(members) == 1:
        return _read_date(content)
    if kind == "$number" and isinstance(content, str) and content in _NUMBERS and len(members) == 1:
        return _NUMBERS[content]
    if kind == "$buffer" and isinstance(content, str) and _HASH.fullmatch(content):
        size, codepage, name = members.get("size"), members.get("codepage"), members.get("name")
        if (
            type(size) is int
            and isinstance(codepage, str | None)
            and isinstance(name, str | None)
            and members.keys() <= {"$buffer", "size", "codepage", "name"}
        ):
            return Buffer(get_blob(content, size), codepage, name)
    raise CodecError(
        f'An object begins with the key "{kind}", which is no valid mark. '
        'Wrap a collection whose first key starts with "$" as {"$": {...}}.'
    )


def _read_date(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    try:
        if match is not None:
            year, month, day, hour, minute, second, milli = map(int, match.groups())
            return datetime(year, month, day, hour, minute, second, milli * 1000, UTC)
    except ValueError:
        pass  # A day or hour that does not exist: refused below like any other text.
    raise CodecError(f'"{text}" is not a date in the form 2016-06-20T17:26:44.356Z.')
