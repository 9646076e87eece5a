"""
Conversions between types: of operands, of function arguments and of parameter values (spec/iml.md 4 and 5.4).

Every `to_*` for arguments raises `ImlTypeError` with the sentence `'<shown>' is not a valid <type>.`; callers put their
own name in front. What an empty value means is the caller's business, except where a docstring says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import datetime
from typing import Any, Final

from runtime.dates.text import parse_date_text
from runtime.errors import ImlTypeError
from runtime.values import ERASE, UNDEFINED, Buffer, from_milliseconds, milliseconds, shown, to_text

#: White space in the sense of ECMAScript's trim, which is a little more than Python's.
SPACES: Final = (
    " \t\n\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
#: Beyond this a double no longer holds every integer (2**53).
SAFE_INTEGER: Final = 9007199254740992

_NUMBER: Final = re.compile(r"([+-]?\d{1,300})|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]{1,256}")
_BASE64_NOISE: Final = re.compile(r"[^A-Za-z0-9+/]")
#: Code pages that a text may be encoded with; the names are Make's.
CODE_PAGES: Final = {
    "utf8": "utf-8",
    "utf-8": "utf-8",
    "binary": "latin-1",
    "latin1": "latin-1",
    "ascii": "ascii",
    "utf16le": "utf-16-le",
    "ucs2": "utf-16-le",
}


def parse_number_text(text: str) -> int | float | None:
    """
    The number of a trimmed decimal literal (`" -1.5e3 "`); None when the text is no number.

    Integers keep all their digits. An exponent too large gives an infinity.
    """
    return number_of_literal(text.strip(SPACES))


def number_of_literal(text: str) -> int | float | None:
    """The same for a text that is known to have no white space around it."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return whole(float(text)) if match[1] is None else int(text)


def whole(number: int | float) -> int | float:
    """A number as `int` when it is a whole one that a double holds exactly; `-0` stays as it is."""
    if isinstance(number, float) and number.is_integer() and -SAFE_INTEGER <= number <= SAFE_INTEGER:
        return int(number) if number or math.copysign(1.0, number) > 0 else number
    return number


def to_number(value: object) -> int | float:
    """
    Operator conversion to a number; NaN when there is none (spec/iml.md 4). Never raises.

    undefined and null are 0, booleans 0 and 1, dates their milliseconds, texts decimal or `0x` literals.
    """
    if value is None or value is UNDEFINED or value is ERASE:
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, datetime):
        return milliseconds(value)
    if isinstance(value, str):
        text = value.strip(SPACES)
        if not text:
            return 0
        if _HEXADECIMAL.fullmatch(text):
            return int(text, 16)
        number = parse_number_text(text)
        return math.nan if number is None else number
    return math.nan


def invalid(value: object, kind: str) -> ImlTypeError:
    """The error of a failed conversion: `'<shown>' is not a valid <kind>.` (spec/iml.md 5.4)."""
    return ImlTypeError(f"'{shown(value)}' is not a valid {kind}.")


def to_number_argument(value: object) -> int | float:
    """
    A function argument as a number: text as decimal literal, boolean 0 or 1, date its milliseconds.

    Raises:
        ImlTypeError: Anything else, empty values included.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        number = parse_number_text(value)
        if number is not None:
            return number
    if isinstance(value, datetime):
        return milliseconds(value)
    raise invalid(value, "number")


def to_date(value: object, timezone: str) -> datetime:
    """
    A value as a date: text by the list of spec/iml.md 5.4 (in `timezone` when it has no offset), number as
    milliseconds.

    Raises:
        ImlTypeError: Anything else, empty values included.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        date = parse_date_text(value, timezone)
        if date is not None:
            return date
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return from_milliseconds(value)
        except (OverflowError, ValueError):
            raise invalid(value, "date") from None
    raise invalid(value, "date")


def to_boolean(value: object) -> bool:
    """
    A value as a boolean: numbers are true (even 0), the texts `false` (any case) and `""` false, null and undefined
    false, everything else true (spec/iml.md 5.4).
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value != "" and value.lower() != "false"
    return not (value is None or value is UNDEFINED or value is ERASE)


def to_array(value: object) -> list[Any]:
    """
    A function argument as an array; undefined, null and `""` count as an empty one.

    Raises:
        ImlTypeError: Anything else.
    """
    if isinstance(value, list):
        return value
    if value is None or value is UNDEFINED or value is ERASE or value == "":
        return []
    raise invalid(value, "array")


def to_collection(value: object) -> dict[str, Any]:
    """
    A function argument as a collection; undefined and null count as an empty one.

    Raises:
        ImlTypeError: Anything else.
    """
    if isinstance(value, dict):
        return value
    if value is None or value is UNDEFINED or value is ERASE:
        return {}
    raise invalid(value, "collection")


def utf8(text: str) -> bytes:
    """UTF-8 bytes of a text; half of a surrogate pair becomes U+FFFD as in JavaScript, two halves join."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def base64_bytes(text: str) -> bytes:
    """Bytes of a base64 text, as lenient as Node: both alphabets, white space and missing padding are accepted."""
    cleaned = _BASE64_NOISE.sub("", text.split("=", 1)[0].replace("-", "+").replace("_", "/"))
    if len(cleaned) % 4 == 1:
        cleaned = cleaned[:-1]
    return base64.b64decode(cleaned + "=" * (-len(cleaned) % 4))


def hex_bytes(text: str) -> bytes:
    """Bytes of a hexadecimal text, as lenient as Node: it ends at the first pair that is not hexadecimal."""
    match = re.match(r"(?:[0-9a-fA-F]{2})*", text)
    try:
        return binascii.unhexlify(match[0] if match else "")
    except binascii.Error:  # pragma: no cover - the pattern admits pairs of hexadecimal digits only
        return b""


def encode_text(text: str, encoding: str) -> bytes | None:
    """The bytes that a text stands for in an encoding (`utf8`, `hex`, `base64`, ...); None: unknown encoding."""
    name = encoding.lower()
    if name == "hex":
        return hex_bytes(text)
    if name in ("base64", "base64url"):
        return base64_bytes(text)
    codec = CODE_PAGES.get(name)
    if codec is None:
        return None
    if codec == "utf-8":
        return utf8(text)
    units = text.encode("utf-16-le", "surrogatepass")
    # Node keeps the low byte of every UTF-16 unit for the one-byte encodings.
    return units if codec == "utf-16-le" else units[::2]


def decode_buffer(buffer: Buffer) -> str:
    """The text of a buffer in its code page, UTF-8 when it has none; malformed bytes become U+FFFD."""
    codec = CODE_PAGES.get((buffer.codepage or "utf8").lower(), "utf-8")
    return buffer.data.decode(codec, "replace")


def to_buffer(value: object, encoding: str = "utf8") -> Buffer:
    """
    A value as a buffer: texts in `encoding`, booleans, numbers and dates by their text form.

    Raises:
        ImlTypeError: An array, a collection, an empty value or an unknown encoding.
    """
    if isinstance(value, Buffer):
        return value
    if isinstance(value, (str, int, float, datetime)):
        data = encode_text(to_text(value), encoding)
        if data is None:
            raise ImlTypeError(f"Unknown encoding: {encoding}")
        return Buffer(data, codepage=encoding if encoding.lower() in CODE_PAGES else None)
    raise invalid(value, "buffer")
