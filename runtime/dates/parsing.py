"""
The lenient date parser: a text read by format tokens (spec/iml.md 8).

For each piece of the format, in order, the first match of its pattern in the rest of the text is taken and everything
up to its end is consumed; a piece that does not match consumes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import date as calendar_date
from functools import lru_cache
from typing import Final

from runtime.dates.formatting import DAYS, MAX_FORMAT, MONTHS, split_format
from runtime.dates.text import offset_of
from runtime.dates.zones import from_local, to_local
from runtime.values import from_milliseconds


def _names(names: tuple[str, ...]) -> str:
    return "|".join([*names, *(name[:3] for name in names)])


_ONE_TWO: Final = r"\d\d?"
_SOURCES: Final = {
    **dict.fromkeys(
        ["M", "MM", "D", "DD", "H", "HH", "h", "hh", "k", "kk", "m", "mm", "s", "ss", "W", "WW", "YY", "GG"], _ONE_TWO
    ),
    "YYYY": r"\d{1,4}",
    "GGGG": r"\d{1,4}",
    "Y": r"[+-]?\d{1,6}",
    "DDD": r"\d{1,3}",
    "DDDD": r"\d{1,3}",
    "Q": r"\d",
    "E": r"\d",
    "S": r"\d",
    "SS": _ONE_TWO,
    "SSS": r"\d{1,3}",
    "Do": r"(\d\d?)(?:st|nd|rd|th)?",
    "MMM": _names(MONTHS),
    "MMMM": _names(MONTHS),
    "ddd": _names(DAYS),
    "dddd": _names(DAYS),
    "a": r"[ap]\.?m?\.?",
    "A": r"[ap]\.?m?\.?",
    "Z": r"Z|[+-]\d\d:?\d\d",
    "ZZ": r"Z|[+-]\d\d:?\d\d",
    "X": r"[+-]?\d{1,20}(?:\.\d{1,3})?",
    "x": r"[+-]?\d{1,20}",
}
_PATTERNS: Final = {token: re.compile(source, re.IGNORECASE | re.ASCII) for token, source in _SOURCES.items()}
#: A token without one of these names makes the whole text invalid.
_NAME_TOKENS: Final = frozenset({"MMM", "MMMM", "ddd", "dddd"})
#: Which field each token stores.
_FIELDS: Final = {
    **dict.fromkeys(("YYYY", "YY", "Y"), "year"),
    **dict.fromkeys(("M", "MM", "MMM", "MMMM"), "month"),
    **dict.fromkeys(("D", "DD", "Do"), "day"),
    **dict.fromkeys(("DDD", "DDDD"), "yearday"),
    **dict.fromkeys(("H", "HH", "h", "hh", "k", "kk"), "hour"),
    **dict.fromkeys(("m", "mm"), "minute"),
    **dict.fromkeys(("s", "ss"), "second"),
    **dict.fromkeys(("GGGG", "GG"), "weekyear"),
    **dict.fromkeys(("W", "WW"), "week"),
    "Q": "quarter",
    "E": "weekday",
}


@dataclass(slots=True)
class _Found:
    """What the tokens have stored so far."""

    fields: dict[str, int] = field(default_factory=dict[str, int])
    weekday_name: int | None = None
    half: str | None = None
    millisecond: int = 0
    offset: timedelta | None = None
    instant: datetime | None = None
    stored: bool = False


@lru_cache(maxsize=512)
def _pieces(text: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (piece, _PATTERNS[piece]) if is_token and piece in _PATTERNS else ("", re.compile(re.escape(piece)))
        for piece, is_token in split_format(text)
    )


def full_year(digits: str) -> int:
    """A year from its digits; two digits mean 1969 to 2068."""
    year = int(digits)
    return year if len(digits) != 2 else year + (2000 if year <= 68 else 1900)


def _index(names: tuple[str, ...], text: str) -> int:
    return next(i for i, name in enumerate(names) if name[:3].lower() == text[:3].lower())


def _store(found: _Found, token: str, text: str, match: re.Match[str]) -> bool:
    """Store what a token matched; False when that makes the whole text invalid."""
    if token in ("YYYY", "YY", "GGGG", "GG"):
        found.fields[_FIELDS[token]] = full_year(text)
    elif token in ("MMM", "MMMM"):
        found.fields["month"] = _index(MONTHS, text) + 1
    elif token in ("ddd", "dddd"):
        found.weekday_name = _index(DAYS, text)
    elif token == "Do":  # noqa: S105  a date token, no password
        found.fields["day"] = int(match[1])
    elif token in _FIELDS:
        number = int(text)
        if token in ("k", "kk") and number == 24:
            number = 0
        found.fields[_FIELDS[token]] = number
    elif token in ("S", "SS", "SSS"):
        found.millisecond = int(text.ljust(3, "0"))
    elif token in ("a", "A"):
        found.half = text.lower()
    elif token in ("Z", "ZZ"):
        found.offset = offset_of(text)
        return found.offset is not None
    else:
        number = float(text) * 1000 if token == "X" else float(text)  # noqa: S105  a date token, no password
        try:
            found.instant = from_milliseconds(round(number))
        except (OverflowError, ValueError):
            return False
    return True


def _scan(text: str, format_text: str) -> _Found | None:
    found, position = _Found(), 0
    for token, pattern in _pieces(format_text):
        match = pattern.search(text, position)
        if match is None:
            if token in _NAME_TOKENS:
                return None
            continue
        position = match.end()
        if token:
            found.stored = True
            if not _store(found, token, match[0], match):
                return None
    return found if found.stored else None


def _day(found: _Found, today: datetime) -> calendar_date | None:
    fields = found.fields
    if "quarter" in fields and "month" not in fields:
        if not 1 <= fields["quarter"] <= 4:
            return None
        fields["month"] = fields["quarter"] * 3 - 2
    year = fields.get("year", today.year)
    if "month" not in fields and "day" not in fields:
        if any(name in fields for name in ("weekyear", "week", "weekday")):
            iso_year = fields.get("weekyear", fields.get("year", today.isocalendar().year))
            return calendar_date.fromisocalendar(iso_year, fields.get("week", 1), fields.get("weekday", 1))
        if found.weekday_name is not None:
            anchor = today.date() if "year" not in fields else calendar_date(year, today.month, min(today.day, 28))
            return anchor + timedelta(days=found.weekday_name - anchor.isoweekday() % 7)
    if "yearday" in fields:
        day = calendar_date(year, 1, 1) + timedelta(days=fields["yearday"] - 1)
        return day if day.year == year else None
    month = fields.get("month", 1 if "year" in fields else today.month)
    smallest = "year" in fields or "month" in fields
    only_time = not smallest and "day" not in fields
    return calendar_date(year, month, fields.get("day", today.day if only_time else 1))


def _hour(found: _Found) -> int | None:
    hour = found.fields.get("hour", 0)
    if found.half is not None:
        if found.half.startswith("p") and hour < 12:
            return hour + 12
        if found.half.startswith("a") and hour == 12:
            return 0
    return hour if hour <= 24 else None


def parse_date(text: str, format_text: str, timezone: str, now: datetime) -> datetime | None:
    """
    The instant that a text means by a format, None when it does not match or a field is out of range.

    Missing fields come from `now` in the zone when no larger unit is given, otherwise they take their minimum.

    Raises:
        ValueError: The format is longer than `MAX_FORMAT`.
    """
    if len(format_text) > MAX_FORMAT:
        raise ValueError(f"a date format may have {MAX_FORMAT:,} characters")
    found = _scan(text, format_text)
    if found is None:
        return None
    if found.instant is not None:
        return found.instant
    try:
        # An offset in the text decides the zone, so it also decides what day "today" is.
        today = to_local(now, timezone) if found.offset is None else now.replace(tzinfo=None) + found.offset
        day, hour = _day(found, today), _hour(found)
        minute, second = found.fields.get("minute", 0), found.fields.get("second", 0)
        if day is None or hour is None or (hour == 24 and (minute or second or found.millisecond)):
            return None
        local = datetime(day.year, day.month, day.day, hour % 24, minute, second, found.millisecond * 1000)
        if hour == 24:
            local += timedelta(days=1)
        return from_local(local, timezone) if found.offset is None else local.replace(tzinfo=UTC) - found.offset
    except (ValueError, OverflowError):
        return None
