"""Date tokens for output, English locale (spec/iml.md 8)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date as calendar_date
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

from runtime.dates.zones import abbreviation, offset_minutes, zone_or_utc
from runtime.values import milliseconds

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
#: Sunday first: the number of a day is its place here.
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

#: What the localized tokens stand for in the en-US locale.
LOCALIZED: Final = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
}
_LOCALIZED_PATTERN: Final = re.compile(r"(\[[^\[\]]*\])|(\\.)|(LTS|LT|L{1,4})", re.DOTALL)
#: Longest token first; a bracketed text and an escaped character are literal.
TOKEN_PATTERN: Final = re.compile(
    r"(\[[^\[\]]*\])|\\(.)|(YYYY|YY|Y|Qo|Q|MMMM|MMM|MM|Mo|M|DDDD|DDDo|DDD|DD|Do|D|dddd|ddd|dd|do|d|e|E"
    r"|ww|wo|w|WW|Wo|W|gggg|gg|GGGG|GG|HH|H|hh|h|kk|k|a|A|mm|m|ss|s|S{1,9}|ZZ|Z|zz|z|X|x)|(.)",
    re.DOTALL,
)
#: Longest format text; longer ones are a mistake or an attack on the caches.
MAX_FORMAT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as a zone sees it."""

    instant: datetime
    local: datetime
    timezone: str


def ordinal(number: int) -> str:
    """A number with its English ordinal suffix: `1st`, `12th`."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def week_of_year(day: calendar_date) -> tuple[int, int]:
    """Week year and week, where weeks start on Sunday and week 1 contains 1 January."""
    sunday = day - timedelta(days=day.isoweekday() % 7) if day.toordinal() > 7 else day
    saturday_year = (sunday + timedelta(days=6)).year if day.year < 9999 else day.year
    first = calendar_date(saturday_year, 1, 1)
    start = first.toordinal() - first.isoweekday() % 7
    return saturday_year, (day.toordinal() - start) // 7 + 1


def _offset(moment: Moment, separator: str) -> str:
    minutes = offset_minutes(moment.instant, moment.timezone)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{separator}{rest:02d}"


def _fraction(digits: int) -> Callable[[Moment], str]:
    return lambda m: f"{m.local.microsecond // 1000:03d}".ljust(digits, "0")[:digits]


def _hour12(m: Moment) -> int:
    return m.local.hour % 12 or 12


_Formatter: TypeAlias = "Callable[[Moment], str]"

TOKENS: Final[dict[str, _Formatter]] = {
    "YY": lambda m: f"{m.local.year % 100:02d}",
    "YYYY": lambda m: f"{m.local.year:04d}",
    "Y": lambda m: str(m.local.year),
    "Q": lambda m: str((m.local.month + 2) // 3),
    "Qo": lambda m: ordinal((m.local.month + 2) // 3),
    "M": lambda m: str(m.local.month),
    "Mo": lambda m: ordinal(m.local.month),
    "MM": lambda m: f"{m.local.month:02d}",
    "MMM": lambda m: MONTHS[m.local.month - 1][:3],
    "MMMM": lambda m: MONTHS[m.local.month - 1],
    "D": lambda m: str(m.local.day),
    "Do": lambda m: ordinal(m.local.day),
    "DD": lambda m: f"{m.local.day:02d}",
    "DDD": lambda m: str(m.local.timetuple().tm_yday),
    "DDDo": lambda m: ordinal(m.local.timetuple().tm_yday),
    "DDDD": lambda m: f"{m.local.timetuple().tm_yday:03d}",
    "d": lambda m: str(m.local.isoweekday() % 7),
    "do": lambda m: ordinal(m.local.isoweekday() % 7),
    "dd": lambda m: DAYS[m.local.isoweekday() % 7][:2],
    "ddd": lambda m: DAYS[m.local.isoweekday() % 7][:3],
    "dddd": lambda m: DAYS[m.local.isoweekday() % 7],
    "e": lambda m: str(m.local.isoweekday() % 7),
    "E": lambda m: str(m.local.isoweekday()),
    "w": lambda m: str(week_of_year(m.local.date())[1]),
    "wo": lambda m: ordinal(week_of_year(m.local.date())[1]),
    "ww": lambda m: f"{week_of_year(m.local.date())[1]:02d}",
    "W": lambda m: str(m.local.isocalendar().week),
    "Wo": lambda m: ordinal(m.local.isocalendar().week),
    "WW": lambda m: f"{m.local.isocalendar().week:02d}",
    "gg": lambda m: f"{week_of_year(m.local.date())[0] % 100:02d}",
    "gggg": lambda m: f"{week_of_year(m.local.date())[0]:04d}",
    "GG": lambda m: f"{m.local.isocalendar().year % 100:02d}",
    "GGGG": lambda m: f"{m.local.isocalendar().year:04d}",
    "H": lambda m: str(m.local.hour),
    "HH": lambda m: f"{m.local.hour:02d}",
    "h": lambda m: str(_hour12(m)),
    "hh": lambda m: f"{_hour12(m):02d}",
    "k": lambda m: str(m.local.hour or 24),
    "kk": lambda m: f"{m.local.hour or 24:02d}",
    "a": lambda m: "am" if m.local.hour < 12 else "pm",
    "A": lambda m: "AM" if m.local.hour < 12 else "PM",
    "m": lambda m: str(m.local.minute),
    "mm": lambda m: f"{m.local.minute:02d}",
    "s": lambda m: str(m.local.second),
    "ss": lambda m: f"{m.local.second:02d}",
    **{"S" * digits: _fraction(digits) for digits in range(1, 10)},
    "Z": lambda m: _offset(m, ":"),
    "ZZ": lambda m: _offset(m, ""),
    "z": lambda m: abbreviation(m.instant, m.timezone),
    "zz": lambda m: abbreviation(m.instant, m.timezone),
    "X": lambda m: str(milliseconds(m.instant) // 1000),
    "x": lambda m: str(milliseconds(m.instant)),
}

#: Tokens that are one field of the wall clock printed as a number: formats made of them alone need no calls a token.
_PLAIN: Final = {
    "YYYY": ("%04d", "year"),
    "MM": ("%02d", "month"),
    "DD": ("%02d", "day"),
    "HH": ("%02d", "hour"),
    "mm": ("%02d", "minute"),
    "ss": ("%02d", "second"),
    "Y": ("%d", "year"),
    "M": ("%d", "month"),
    "D": ("%d", "day"),
    "H": ("%d", "hour"),
    "m": ("%d", "minute"),
    "s": ("%d", "second"),
}


def expand_localized(text: str) -> str:
    """A format with `L`, `LL`, `LT`, ... replaced by what they stand for."""
    return _LOCALIZED_PATTERN.sub(lambda match: LOCALIZED[match[3]] if match[3] else match[0], text)


@lru_cache(maxsize=512)
def split_format(text: str) -> tuple[tuple[str, bool], ...]:
    """A format as (text, is a token) pieces; each literal character is a piece, a bracketed text is one."""
    pieces: list[tuple[str, bool]] = []
    for match in TOKEN_PATTERN.finditer(expand_localized(text)):
        bracketed, escaped, token, literal = match.groups()
        if token:
            pieces.append((token, True))
        else:
            pieces.append((bracketed[1:-1] if bracketed else escaped or literal, False))
    return tuple(pieces)


#: Formats that are the start of an ISO text, by far the most common ones: what stands between day and hour, and length.
_ISO: Final = {
    "YYYY-MM-DD": ("T", 10),
    "YYYY-MM-DDTHH:mm": ("T", 16),
    "YYYY-MM-DDTHH:mm:ss": ("T", 19),
    "YYYY-MM-DD HH:mm": (" ", 16),
    "YYYY-MM-DD HH:mm:ss": (" ", 19),
}


def _plain(pieces: tuple[tuple[str, bool], ...]) -> Callable[[datetime], str] | None:
    """A format made of `_PLAIN` tokens and literals as one printing of numbers; None when it has other tokens."""
    fields = [_PLAIN[piece][1] for piece, is_token in pieces if is_token and piece in _PLAIN]
    if not fields or any(is_token and piece not in _PLAIN for piece, is_token in pieces):
        return None
    pattern = "".join([_PLAIN[piece][0] if is_token else piece.replace("%", "%%") for piece, is_token in pieces])
    numbers = operator.attrgetter(*fields)
    return lambda there: pattern % numbers(there)


@lru_cache(maxsize=512)
def _compiled(text: str) -> tuple[Callable[[datetime], str] | None, tuple[str | _Formatter, ...]]:
    """The quick form of a format, where there is one, and the general form."""
    pieces = split_format(text)
    general = tuple(TOKENS[piece] if is_token else piece for piece, is_token in pieces)
    if text in _ISO:
        between, length = _ISO[text]
        return lambda there: there.isoformat(between)[:length], general
    return _plain(pieces), general


def format_date(date: datetime, text: str, timezone: str) -> str:
    """
    A date printed with format tokens, as `timezone` sees it.

    Raises:
        OverflowError: The local time is outside the years 1 to 9999.
        ValueError: The format is longer than `MAX_FORMAT`.
    """
    if len(text) > MAX_FORMAT:
        raise ValueError(f"A date format may have {MAX_FORMAT:,} characters")
    quick, pieces = _compiled(text)
    there = date.astimezone(zone_or_utc(timezone))
    if quick is not None:
        return quick(there)
    moment = Moment(date, there.replace(tzinfo=None, fold=0), timezone)
    return "".join([piece if isinstance(piece, str) else piece(moment) for piece in pieces])
