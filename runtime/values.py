"""
The value model: what an expression, a parameter or a bundle may hold, and how each prints.

| Make value | Python |
| --- | --- |
| text, number, boolean, null | `str`, `int`/`float`, `bool` (test it before `int`), `None` |
| date | aware `datetime` in UTC, whole milliseconds |
| buffer | `Buffer` |
| array, collection | `list`, `dict` with text keys in order |
| undefined | the singleton `UNDEFINED`: never stored in a collection; in a list it is written as null |

Sources: spec/modules.md section 0, spec/iml.md sections 4 and 5.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias, final


@final
class Undefined:
    """The type of `UNDEFINED`: no value at all. Falsy, and equal only to itself."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __copy__(self) -> Undefined:
        return self

    def __deepcopy__(self, memo: object) -> Undefined:
        return self


@final
class Erase:
    """The type of `ERASE`: the lone keyword `erase` in a mapped field (spec/modules.md 8.1)."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "ERASE"


@final
class ForcedEmpty(str):
    """The type of `FORCED_EMPTY`: the lone keyword `emptystring` in a mapped field. It is `""` everywhere else."""

    __slots__ = ()


#: "No value": a missing path, argument or member.
UNDEFINED: Final = Undefined()
#: Clears its target. Lives only from the mapper to the parameter step; everywhere else the keyword is null.
ERASE: Final = Erase()
#: An empty text that counts as given. Lives only from the mapper to the parameter step.
FORCED_EMPTY: Final = ForcedEmpty("")


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes with an optional code page (`utf8`, `binary`, ...) and file name (spec/modules.md 8.3)."""

    data: bytes
    codepage: str | None = None
    name: str | None = None

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Buffer({len(self.data)} bytes)"


Scalar: TypeAlias = "str | int | float | bool | datetime | Buffer | Undefined | None"
#: Any value that an expression can see. `Any` stands for the recursion that the checker cannot follow.
Value: TypeAlias = "Scalar | list[Any] | dict[str, Any]"
Bundle: TypeAlias = "dict[str, Any]"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def truthy(value: object) -> bool:
    """JavaScript truthiness: false are undefined, null, false, 0, NaN and `""` (spec/iml.md 4)."""
    if value is None or value is UNDEFINED or value is False or value is ERASE:
        return False
    if isinstance(value, str):
        return value != ""
    if isinstance(value, (int, float)):
        return not (value == 0 or value != value)
    return True


def is_empty(value: object) -> bool:
    """Empty in the sense of `ifempty`: undefined, null or `""` (spec/iml.md 5.1)."""
    return value is None or value is UNDEFINED or value is ERASE or (isinstance(value, str) and value == "")


def milliseconds(date: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC of an aware date."""
    return (date - EPOCH) // _MILLISECOND


def from_milliseconds(value: float) -> datetime:
    """
    The date at so many milliseconds since 1970-01-01 UTC.

    Raises:
        OverflowError, ValueError: The number is no instant that a date can hold (years 1 to 9999).
    """
    return EPOCH + timedelta(milliseconds=math.floor(value))


def date_text(date: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, `2016-06-20T17:26:44.356Z`: how IML prints a date."""
    utc = date.astimezone(UTC)
    return f"{utc.year:04d}-{utc.month:02d}-{utc.day:02d}T{utc:%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def number_text(value: int | float) -> str:
    """A number as JavaScript prints it: `1`, `0.1`, `1e+21`, `NaN` (spec/iml.md 5.2, 13a). Integers stay exact."""
    if isinstance(value, int):
        return str(value)
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    if not value:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The decimal point stands before digit `point` of the significant digits.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    head, tail = digits[0], digits[1:]
    shown = f"{head}.{tail}" if tail else head
    return f"{sign}{shown}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def to_text(value: object) -> str:
    """Any value as text, as a template prints it (spec/iml.md 5.2)."""
    if isinstance(value, str):
        return str(value)
    if value is None or value is UNDEFINED or value is ERASE:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, Buffer):
        return value.data.decode("utf-8", "replace")
    if isinstance(value, list):
        return ", ".join([compact_json(item) if isinstance(item, (list, dict)) else to_text(item) for item in value])
    return compact_json(value)


def jsonable(value: object) -> Any:
    """
    A value as plain JSON data: undefined members dropped (null in arrays), dates as ISO text, buffers as base64,
    NaN and infinities null (spec/iml.md 5.2). Integers stay exact.
    """
    if isinstance(value, dict):
        return {key: jsonable(member) for key, member in value.items() if member is not UNDEFINED}
    if isinstance(value, list):
        return [jsonable(item) for item in value]
    if isinstance(value, (str, int)):
        return str(value) if isinstance(value, ForcedEmpty) else value
    if isinstance(value, float):
        if value != value or value in (math.inf, -math.inf):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, Buffer):
        return base64.b64encode(value.data).decode("ascii")
    return None


def _write_json(value: object, write: Callable[[str], object]) -> None:
    if isinstance(value, str):
        write(encode_basestring(value))
    elif value is True:
        write("true")
    elif value is False:
        write("false")
    elif isinstance(value, (int, float)):
        finite = isinstance(value, int) or value - value == 0
        write(number_text(value) if finite else "null")
    elif isinstance(value, dict):
        separator = "{"
        for key, member in value.items():
            if member is not UNDEFINED:
                write(separator + encode_basestring(key) + ":")
                _write_json(member, write)
                separator = ","
        write("{}" if separator == "{" else "}")
    elif isinstance(value, list):
        separator = "["
        for item in value:
            write(separator)
            _write_json(item, write)
            separator = ","
        write("[]" if separator == "[" else "]")
    elif isinstance(value, datetime):
        write(f'"{date_text(value)}"')
    elif isinstance(value, Buffer):
        write(f'"{base64.b64encode(value.data).decode("ascii")}"')
    else:
        write("null")


def compact_json(value: object) -> str:
    """
    Compact JSON text as `JSON.stringify` writes it: no spaces, keys in order, undefined members dropped (null in
    arrays), dates as ISO text, buffers as base64, NaN and infinities null, non-ASCII unescaped, lone surrogates
    escaped (spec/iml.md 5.2).

    Raises:
        RecursionError: The value is nested deeper than the interpreter can follow.
    """
    parts: list[str] = []
    _write_json(value, parts.append)
    text = "".join(parts)
    if _SURROGATE.search(text):
        return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def type_name(value: object) -> str:
    """The name that error texts use for a value's type: `String`, `Number`, `Date`, `Array`, `Object`, ..."""
    if isinstance(value, str):
        return "String"
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, (int, float)):
        return "Number"
    if isinstance(value, datetime):
        return "Date"
    if isinstance(value, Buffer):
        return "Buffer"
    if isinstance(value, list):
        return "Array"
    if isinstance(value, dict):
        return "Object"
    return "Undefined" if value is UNDEFINED else "Null"


def shown(value: object) -> str:
    """A value inside an error text: text for primitives, `{object}`, `{buffer}`, `[1,2]` (spec/iml.md 5.4)."""
    if isinstance(value, dict):
        return "{object}"
    if isinstance(value, Buffer):
        return "{buffer}"
    if isinstance(value, list):
        return f"[{','.join([shown(item) for item in value])}]"
    return to_text(value)


def equal(left: object, right: object) -> bool:
    """Operator `=`: strict, deep, no conversion between types; undefined equals null (spec/iml.md 4)."""
    if left is None or left is UNDEFINED or left is ERASE:
        return right is None or right is UNDEFINED or right is ERASE
    if isinstance(left, str):
        return isinstance(right, str) and str(left) == str(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)):
        return isinstance(right, (int, float)) and left == right
    if isinstance(left, datetime):
        return isinstance(right, datetime) and left == right
    if isinstance(left, Buffer):
        return isinstance(right, Buffer) and left.data == right.data
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        ours = {key: member for key, member in left.items() if member is not UNDEFINED}
        theirs = {key: member for key, member in right.items() if member is not UNDEFINED}
        return ours.keys() == theirs.keys() and all(equal(member, theirs[key]) for key, member in ours.items())
    return False
