"""
Filter operators: what `{a, o, b}` of a blueprint means (spec/scenarios.md 2.6).

Both sides come as evaluated values and are converted by the operator's family. A side that cannot be converted makes
the condition false, for `notequal` true; that is never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from runtime.coercion import parse_number_text
from runtime.dates import parse_date_text, zone
from runtime.iml.evaluation import FunctionFailed
from runtime.iml.javascript.regex import RegexTimedOut, js_matches
from runtime.iml.regexps import TIME_LIMIT, compile_literal, to_units
from runtime.values import Buffer, from_milliseconds, is_empty, to_text

#: (a, b, time zone) -> result.
Operator: TypeAlias = Callable[[Any, Any, str], bool]
_Convert: TypeAlias = Callable[[Any, str], Any]

_TIME: Final = re.compile(r"\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?\s*")
_SEMVER: Final = re.compile(
    r"\s*[vV]?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?\s*"
)

#: Names seen in generated files -> the real one; the importer rewrites them with W-OFF-OPERATOR.
ALIASES: Final[dict[str, str]] = {
    "exists": "exist",
    "notexists": "notexist",
    "startswith": "startwith",
    "endswith": "endwith",
    "notstartswith": "notstartwith",
    "notendswith": "notendwith",
    "contains": "contain",
    "notcontains": "notcontain",
    "equals": "equal",
    "notequals": "notequal",
    "greaterthan": "greater",
    "lessthan": "less",
    "greaterthanorequal": "greaterorequal",
    "lessthanorequal": "lessorequal",
}


def canonical(name: str) -> str | None:
    """The operator that this name means, aliases followed; None when there is none."""
    if name in OPERATORS:
        return name
    family, colon, rest = name.partition(":")
    if not colon:
        family, rest = "", family
    if family == "string":
        family = "text"
    operator, mark, flag = rest.partition(":")
    operator = operator.lower()
    if family == "date":
        operator = {"before": "less", "after": "greater"}.get(operator, operator)
    operator = ALIASES.get(operator, operator)
    found = f"{family}{colon}{operator}{mark}{flag}"
    return found if found in OPERATORS else None


def exists(value: Any) -> bool:
    """Not undefined, not null, not the empty text; an empty array or collection exists."""
    return not is_empty(value)


def _number(value: Any, _timezone: str) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value if value == value else None
    return parse_number_text(value) if isinstance(value, str) else None


def _date(value: Any, timezone: str) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return parse_date_text(value, timezone)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return from_milliseconds(value)
        except (OverflowError, ValueError):
            return None
    return None


def _time(value: Any, timezone: str) -> int | None:
    """Time of day in milliseconds."""
    if isinstance(value, datetime):
        local = value.astimezone(zone(timezone))
        return ((local.hour * 60 + local.minute) * 60 + local.second) * 1000 + local.microsecond // 1000
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1000 + int((match[4] or "0").ljust(3, "0"))


def _version(value: Any, _timezone: str) -> tuple[Any, ...] | None:
    """A version as something that compares as Semantic Versioning 2.0 orders it."""
    match = _SEMVER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    # Numeric parts come before texts; a pre-release comes before its release; a longer list after its beginning.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")] if match[4] else []
    return int(match[1]), int(match[2]), int(match[3]), 0 if parts else 1, parts


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.lower() not in ("", "false")
    return not is_empty(value)


def _elements(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if is_empty(value) else [value]


def _compare(
    convert: _Convert, test: Callable[[Any, Any], bool], negative: bool, a: Any, b: Any, timezone: str
) -> bool:
    left, right = convert(a, timezone), convert(b, timezone)
    if left is None or right is None:
        return negative
    return test(left, right)


def _compare_length(test: Callable[[Any, Any], bool], negative: bool, a: Any, b: Any, timezone: str) -> bool:
    right = _number(b, timezone)
    return negative if right is None else test(len(_elements(a)), right)


def _text(test: Callable[[str, str], bool], fold: bool, wanted: bool, a: Any, b: Any, _timezone: str) -> bool:
    left, right = to_text(a), to_text(b)
    if fold:
        left, right = left.lower(), right.lower()
    return test(left, right) is wanted


def _pattern(fold: bool, wanted: bool, a: Any, b: Any, _timezone: str) -> bool:
    return _search(to_text(b), to_text(a), "i" if fold else "") is wanted


def _search(pattern: str, text: str, flags: str) -> bool:
    """
    Whether an ECMAScript pattern occurs in a text; patterns without an exact translation go to the JavaScript child.

    Raises:
        ImlError: The pattern is invalid, which is a fault of the filter and no failed conversion, or it takes too long.
    """
    try:
        compiled = compile_literal(pattern, flags)
    except FunctionFailed:
        return bool(js_matches(text, pattern, flags, limit=1))
    try:
        return compiled.pattern.search(to_units(text), timeout=TIME_LIMIT) is not None
    except TimeoutError:
        raise RegexTimedOut("The regular expression took too long.") from None


def _contains(fold: bool, wanted: bool, a: Any, b: Any, _timezone: str) -> bool:
    needle = to_text(b)
    texts = [to_text(element) for element in _elements(a)]
    if fold:
        needle, texts = needle.lower(), [text.lower() for text in texts]
    return (needle in texts) is wanted


def _equal_booleans(a: Any, b: Any, _timezone: str) -> bool:
    return _boolean(a) is _boolean(b)


def _unequal_booleans(a: Any, b: Any, _timezone: str) -> bool:
    return _boolean(a) is not _boolean(b)


def _exist(a: Any, _b: Any, _timezone: str) -> bool:
    return exists(a)


def _not_exist(a: Any, _b: Any, _timezone: str) -> bool:
    return not exists(a)


_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equal": lambda left, right: left == right,
    "notequal": lambda left, right: left != right,
    "less": lambda left, right: left < right,
    "greater": lambda left, right: left > right,
    "lessorequal": lambda left, right: left <= right,
    "greaterorequal": lambda left, right: left >= right,
}
_TEXT_TESTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "equal": lambda left, right: left == right,
    "contain": lambda left, right: right in left,
    "startwith": lambda left, right: left.startswith(right),
    "endwith": lambda left, right: left.endswith(right),
}
_FAMILIES: Final[dict[str, _Convert]] = {"number": _number, "date": _date, "time": _time, "semver": _version}


def _operators() -> dict[str, Operator]:
    table: dict[str, Operator] = {
        "exist": _exist,
        "notexist": _not_exist,
        "boolean:equal": _equal_booleans,
        "boolean:notequal": _unequal_booleans,
    }
    for name, test in _TESTS.items():
        negative = name == "notequal"
        for family, convert in _FAMILIES.items():
            table[f"{family}:{name}"] = partial(_compare, convert, test, negative)
        table[f"array:{name}"] = partial(_compare_length, test, negative)
    for mark, fold in (("", False), (":ci", True)):
        for prefix, wanted in (("", True), ("not", False)):
            for name, compare in _TEXT_TESTS.items():
                table[f"text:{prefix}{name}{mark}"] = partial(_text, compare, fold, wanted)
            table[f"text:{prefix}pattern{mark}"] = partial(_pattern, fold, wanted)
            table[f"array:{prefix}contain{mark}"] = partial(_contains, fold, wanted)
    return table


#: Every filter operator by its name in a blueprint.
OPERATORS: Final[dict[str, Operator]] = _operators()


def shown_side(value: Any) -> Any:
    """A side of a condition as the journal shows it: buffers only by size."""
    return f"{{buffer of {len(value)} bytes}}" if isinstance(value, Buffer) else value
