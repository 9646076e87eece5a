"""
Schedules as files and people write them: read strictly, with clear errors; written in one form; said in words.

The object is `{type, interval?, date?, days?, months?, time?, between?, restrict?}` (spec/scenarios.md 5.1), also as
JSON text. Keys that it does not have are left alone: exports carry some that mean nothing here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, cast

from runtime.errors import UsageError
from runtime.scenario.scheduling import Kind, Restriction, Schedule

#: Shortest and longest interval.
MIN_INTERVAL: Final = timedelta(seconds=60)
MAX_INTERVAL: Final = timedelta(days=366)
#: Entries of `restrict`; more say nothing that fewer could not.
MAX_RESTRICTIONS: Final = 50
#: What runs when neither a file nor a person says when (the editor's default).
DEFAULT: Final = Schedule(Kind.INDEFINITELY, timedelta(minutes=15))
#: Years of dates: beyond them a zone's rules mean nothing.
_YEARS: Final = range(1970, 3000)
_DAY_NAMES: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ALIASES: Final = {"interval": "indefinitely", "ondemand": "on-demand", "on_demand": "on-demand"}
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?")
_LAST_MOMENT: Final = time(23, 59, 59, 999000)


def read_schedule(value: object) -> Schedule:
    """
    A schedule from a scheduling object or its JSON text.

    Raises:
        UsageError: It is none; says which field is wrong and what would be right.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise UsageError(
                'The schedule is not JSON; write an object such as {"type": "indefinitely", "interval": 900}.'
            ) from None
    if not isinstance(value, Mapping):
        raise UsageError("The schedule has to be an object with the key type.")
    raw = cast("Mapping[str, Any]", value)
    kind = _kind(raw.get("type"))
    found = Schedule(kind, between=_between(raw.get("between")), restrict=_restrictions(raw.get("restrict")))
    if kind is Kind.INDEFINITELY:
        return replace(found, interval=_interval(raw.get("interval")))
    if kind is Kind.ONCE:
        return replace(found, date=_instant(raw.get("date"), "date", time.min))
    if not found.timed:
        return found
    at = _time(raw.get("time"), "time")
    if kind is Kind.DAILY:
        return replace(found, at=at)
    if kind is Kind.WEEKLY:
        return replace(found, at=at, days=_numbers(raw.get("days"), "days", 0, 6, "0 (Sunday) to 6 (Saturday)"))
    days = _numbers(raw.get("days"), "days", 1, 31, "days of the month, 1 to 31")
    if kind is Kind.MONTHLY:
        return replace(found, at=at, days=days)
    return replace(found, at=at, days=days, months=_numbers(raw.get("months"), "months", 1, 12, "months, 1 to 12"))


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """The scheduling object of a schedule; `read_schedule` gives the same schedule back."""
    made: dict[str, Any] = {"type": str(schedule.kind)}
    if schedule.kind is Kind.INDEFINITELY:
        made["interval"] = schedule.interval // timedelta(seconds=1)
    if schedule.date is not None:
        made["date"] = _text(schedule.date)
    for name, numbers in (("days", schedule.days), ("months", schedule.months)):
        if numbers:
            made[name] = sorted(numbers)
    if schedule.kind in (Kind.DAILY, Kind.WEEKLY, Kind.MONTHLY, Kind.YEARLY):
        made["time"] = _clock(schedule.at)
    if schedule.between != (None, None):
        made["between"] = [None if end is None else _text(end) for end in schedule.between]
    if schedule.restrict:
        made["restrict"] = [_restriction_json(entry) for entry in schedule.restrict]
    return made


def said(schedule: Schedule) -> str:
    """A schedule in words, such as `weekly on Mon, Fri at 08:00`."""
    weekly = schedule.kind is Kind.WEEKLY
    days = ", ".join(_DAY_NAMES[day] if weekly else str(day) for day in sorted(schedule.days))
    at = f"at {_clock(schedule.at)}"
    words = {
        Kind.INDEFINITELY: f"every {_length(schedule.interval)}",
        Kind.ONCE: f"once at {_text(schedule.date)}" if schedule.date else "once",
        Kind.DAILY: f"daily {at}",
        Kind.WEEKLY: f"weekly on {days} {at}",
        Kind.MONTHLY: f"monthly on {days} {at}",
        Kind.YEARLY: f"yearly on {days} of month {', '.join(map(str, sorted(schedule.months)))} {at}",
        Kind.IMMEDIATELY: "immediately, when events arrive",
        Kind.ON_DEMAND: "on demand",
    }[schedule.kind]
    first, last = schedule.between
    words += f", from {_text(first)}" if first else ""
    words += f", until {_text(last)}" if last else ""
    return words + (", restricted" if schedule.restrict else "")


def _kind(value: object) -> Kind:
    name = value.strip().lower() if isinstance(value, str) else ""
    try:
        return Kind(_ALIASES.get(name, name))
    except ValueError:
        raise _wrong("type", value, f"one of {', '.join(Kind)}") from None


def _wrong(place: str, value: object, wanted: str) -> UsageError:
    shown = "missing" if value is None else f"{json.dumps(value, default=str)[:80]}, which is wrong"
    return UsageError(f"The schedule's {place} is {shown}; it needs {wanted}.")


def _whole(value: object) -> int | None:
    """A whole number, also as text: exports write both."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,12}\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _interval(value: object) -> timedelta:
    seconds = _whole(value)
    low, high = MIN_INTERVAL // timedelta(seconds=1), MAX_INTERVAL // timedelta(seconds=1)
    if seconds is None or not low <= seconds <= high:
        raise _wrong("interval", value, f"whole seconds, {low} to {high}")
    return timedelta(seconds=seconds)


def _numbers(value: object, place: str, low: int, high: int, wanted: str, *, empty: bool = False) -> frozenset[int]:
    if empty and (value is None or value == []):
        return frozenset()
    items = cast("list[object]", value) if isinstance(value, list) else None
    found = [_whole(item) for item in items or ()]
    if not found or not all(number is not None and low <= number <= high for number in found):
        raise _wrong(place, value, f"a list of {wanted}")
    return frozenset(number for number in found if number is not None)


def _time(value: object, place: str) -> time:
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        fits = minute < 60 and second < 60
        if match[4] is None and hour < 24 and fits:
            return time(hour, minute, second)
        if match[4] is not None and 1 <= hour <= 12 and fits:
            return time(hour % 12 + (12 if match[4] in "pP" else 0), minute, second)
    raise _wrong(place, value, "a time of the day such as 08:30")


def _instant(value: object, place: str, moment: time) -> datetime:
    """An ISO 8601 instant: aware in UTC, naive where it names no zone; `moment` completes a date alone."""
    if isinstance(value, str):
        text = value.strip()
        try:
            found = datetime.fromisoformat(text)
            if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
                found = datetime.combine(found.date(), moment)
            if found.year in _YEARS:
                found = found.replace(microsecond=found.microsecond // 1000 * 1000)
                return found if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise _wrong(place, value, "an ISO 8601 date of the years 1970 to 2999 such as 2026-03-01T08:30:00Z")


def _between(value: object) -> tuple[datetime | None, datetime | None]:
    if value is None or value == []:
        return (None, None)
    ends = cast("list[object]", value) if isinstance(value, list) else []
    if len(ends) != 2:
        raise _wrong("between", value, "the list [from, to] of two ISO 8601 dates (null: no such end)")
    first = None if ends[0] in (None, "") else _instant(ends[0], "between[0]", time.min)
    last = None if ends[1] in (None, "") else _instant(ends[1], "between[1]", _LAST_MOMENT)
    if first is not None and last is not None and (first.tzinfo is None) == (last.tzinfo is None) and last < first:
        raise _wrong("between", value, "its end after its start")
    return (first, last)


def _restrictions(value: object) -> tuple[Restriction, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_RESTRICTIONS:
        raise _wrong("restrict", value, f"a list of at most {MAX_RESTRICTIONS} objects with days, months or time")
    return tuple(_restriction(item, f"restrict[{i}]") for i, item in enumerate(cast("list[object]", value)))


def _restriction(value: object, place: str) -> Restriction:
    if not isinstance(value, Mapping):
        raise _wrong(place, value, "an object with days, months or time")
    raw = cast("Mapping[str, Any]", value)
    limits = raw.get("time")
    found: tuple[time, time] | None = None
    if limits not in (None, []):
        ends = cast("list[object]", limits) if isinstance(limits, list) else []
        if len(ends) != 2:
            raise _wrong(f"{place}.time", limits, "the list [from, to] of two times of the day")
        found = (_time(ends[0], f"{place}.time[0]"), _time(ends[1], f"{place}.time[1]"))
    return Restriction(
        _numbers(raw.get("days"), f"{place}.days", 0, 6, "0 (Sunday) to 6 (Saturday)", empty=True),
        _numbers(raw.get("months"), f"{place}.months", 1, 12, "months, 1 to 12", empty=True),
        found,
    )


def _restriction_json(entry: Restriction) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if entry.days:
        made["days"] = sorted(entry.days)
    if entry.months:
        made["months"] = sorted(entry.months)
    if entry.time is not None:
        made["time"] = [_clock(moment) for moment in entry.time]
    return made


def _clock(moment: time) -> str:
    return moment.strftime("%H:%M:%S") if moment.second else moment.strftime("%H:%M")


def _text(instant: datetime) -> str:
    text = instant.isoformat(timespec="milliseconds" if instant.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def _length(interval: timedelta) -> str:
    seconds = interval // timedelta(seconds=1)
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return word if seconds == size else f"{seconds // size} {word}s"
    return f"{seconds} seconds"
