"""
Calendar arithmetic in a zone: change wall-clock fields, then find the instant again (spec/iml.md 7.4).

Every function may raise OverflowError or ValueError when the result is outside the years 1 to 9999.
"""

from __future__ import annotations

import calendar
import math
from datetime import datetime, timedelta
from typing import Final

from runtime.dates.zones import from_local, to_local
from runtime.values import from_milliseconds, milliseconds

#: Length in milliseconds of the units that have a fixed length.
FIXED_UNITS: Final = {"milliseconds": 1, "seconds": 1000, "minutes": 60_000, "hours": 3_600_000}
#: Months in the units that are counted by months.
MONTH_UNITS: Final = {"months": 1, "quarters": 3, "years": 12}
_CALENDAR_DAYS: Final = {"days": 1, "weeks": 7}
UNITS: Final = (*FIXED_UNITS, *_CALENDAR_DAYS, *MONTH_UNITS)


def half_away(number: float) -> int:
    """A number rounded to a whole one, halves away from zero."""
    return int(math.copysign(math.floor(abs(number) + 0.5), number))


def _plus_months(local: datetime, months: int) -> datetime:
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("the year is outside 1 to 9999")
    return local.replace(year=year, month=month + 1, day=min(local.day, calendar.monthrange(year, month + 1)[1]))


def add_time(date: datetime, amount: float, unit: str) -> datetime:
    """A date plus an amount of seconds, minutes or hours of exact time."""
    return from_milliseconds(milliseconds(date) + half_away(amount * FIXED_UNITS[unit]))


def add_calendar(date: datetime, amount: float, unit: str, timezone: str) -> datetime:
    """A date plus days, weeks, months or years by a zone's calendar: local hour kept, month ends clamped."""
    count, local = half_away(amount), to_local(date, timezone)
    if unit in _CALENDAR_DAYS:
        return from_local(local + timedelta(days=count * _CALENDAR_DAYS[unit]), timezone)
    return from_local(_plus_months(local, count * MONTH_UNITS[unit]), timezone)


def set_field(date: datetime, field: str, number: int, timezone: str) -> datetime:
    """
    A date with one local field (`second minute hour date month year`) replaced.

    A number out of range rolls over into the next larger unit; for month and year the day is clamped.
    """
    local = to_local(date, timezone)
    if field == "second":
        changed = local.replace(second=0) + timedelta(seconds=number)
    elif field == "minute":
        changed = local.replace(minute=0) + timedelta(minutes=number)
    elif field == "hour":
        changed = local.replace(hour=0) + timedelta(hours=number)
    elif field == "date":
        changed = local.replace(day=1) + timedelta(days=number - 1)
    elif field == "month":
        changed = _plus_months(local, number - local.month)
    else:
        changed = _plus_months(local, (number - local.year) * 12)
    return from_local(changed, timezone)


def set_weekday(date: datetime, number: int, timezone: str) -> datetime:
    """A date moved to a day of its local Sunday-to-Saturday week, Sunday = 1; other numbers reach other weeks."""
    local = to_local(date, timezone)
    return from_local(local + timedelta(days=number - 1 - local.isoweekday() % 7), timezone)


def _months_between(later: datetime, earlier: datetime) -> int:
    whole = (later.year - earlier.year) * 12 + later.month - earlier.month
    return whole - 1 if _plus_months(earlier, whole) > later else whole


def difference(left: datetime, right: datetime, unit: str, timezone: str) -> int:
    """
    `left - right` in whole units, truncated toward zero; days and larger by the zone's calendar.

    Raises:
        KeyError: The unit is none of `UNITS`.
    """
    if left < right:
        return -difference(right, left, unit, timezone)
    if unit in FIXED_UNITS:
        return (milliseconds(left) - milliseconds(right)) // FIXED_UNITS[unit]
    later, earlier = to_local(left, timezone), to_local(right, timezone)
    if unit in _CALENDAR_DAYS:
        return max(0, (later - earlier) // timedelta(days=_CALENDAR_DAYS[unit]))
    return max(0, _months_between(later, earlier)) // MONTH_UNITS[unit]
