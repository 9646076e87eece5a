"""
Schedules: when a scenario runs next (spec/scenarios.md 5.1).

Pure: an instant goes in, the next one comes out. All instants are aware datetimes in UTC; a calendar kind stands in the
zone of the scenario. A local time that a clock change leaves out runs at the next valid instant; one that comes twice
runs the first time only. `schedule_form` makes a `Schedule` out of what files and people write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

#: How far ahead a next run is looked for: a 29th of February on a given weekday comes at the latest after 40 years.
HORIZON_DAYS: Final = 41 * 366
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
#: Zones are at most this far from UTC, and clocks are never moved by more.
_WIDEST: Final = timedelta(days=2)


class Kind(StrEnum):
    """The kinds of schedules, by the names of files."""

    INDEFINITELY = "indefinitely"  #: every so many seconds, counted from activation
    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"
    IMMEDIATELY = "immediately"  #: when events arrive
    ON_DEMAND = "on-demand"  #: when somebody asks


#: Kinds that have instants of their own.
TIMED: Final = frozenset(Kind) - {Kind.IMMEDIATELY, Kind.ON_DEMAND}


@dataclass(frozen=True, slots=True)
class Restriction:
    """One entry of `restrict`: all of its fields have to match; an empty field matches always. 0 is a Sunday."""

    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    #: First and last moment of the day, both included; a first one after the last one goes over midnight.
    time: tuple[time, time] | None = None

    def on(self, day: date) -> bool:
        """True when this day matches."""
        if self.months and day.month not in self.months:
            return False
        return not self.days or weekday(day) in self.days

    def at(self, moment: time) -> bool:
        """True when this time of a day matches."""
        if self.time is None:
            return True
        first, last = self.time
        if first <= last:
            return first <= moment <= last
        return moment >= first or moment <= last


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    When a scenario runs. A local instant (`date`, `between`) is a naive datetime and stands in the scenario's zone.

    Args:
        kind: The kind; it decides which of the other fields count.
        interval: Of `indefinitely`.
        date: Of `once`.
        days: Days of the week (0 is a Sunday) of `weekly`, days of the month of `monthly` and `yearly`.
        months: Of `yearly`.
        at: Time of the day of the calendar kinds.
        between: First and last instant at which the scenario may run, both included; None has no such end.
        restrict: Runs only when one of these matches; empty: always.
    """

    kind: Kind
    interval: timedelta = timedelta(0)
    date: datetime | None = None
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    at: time = time.min
    between: tuple[datetime | None, datetime | None] = (None, None)
    restrict: tuple[Restriction, ...] = ()

    @property
    def timed(self) -> bool:
        """True when it has instants of its own."""
        return self.kind in TIMED

    def first(self, zone: ZoneInfo) -> datetime | None:
        """The first instant of its active range in UTC."""
        return _absolute(self.between[0], zone)

    def last(self, zone: ZoneInfo) -> datetime | None:
        """The last instant of its active range in UTC."""
        return _absolute(self.between[1], zone)

    def allows(self, instant: datetime, zone: ZoneInfo) -> bool:
        """True when the active range and the restrictions let it run at this instant."""
        first, last = self.first(zone), self.last(zone)
        if (first is not None and instant < first) or (last is not None and instant > last):
            return False
        return self.matches(instant.astimezone(zone))

    def matches(self, local: datetime) -> bool:
        """True when the restrictions let it run at this local instant."""
        if not self.restrict:
            return True
        day, moment = local.date(), local.time()
        return any(entry.on(day) and entry.at(moment) for entry in self.restrict)

    def on(self, day: date) -> bool:
        """True when a calendar kind runs on this day, restrictions apart."""
        if self.kind is Kind.DAILY:
            return True
        if self.kind is Kind.WEEKLY:
            return weekday(day) in self.days
        if self.kind is Kind.MONTHLY:
            return day.day in self.days
        return day.day in self.days and day.month in self.months


def weekday(day: date) -> int:
    """0 for a Sunday to 6 for a Saturday."""
    return day.isoweekday() % 7


def next_run(schedule: Schedule, zone: ZoneInfo, after: datetime, activated: datetime) -> datetime | None:
    """
    The first instant after `after` at which a scenario runs; None when there is none, and for kinds without instants.

    Args:
        schedule: Its schedule.
        zone: Its time zone.
        after: The instant of the run before, or the one just before its activation.
        activated: From when intervals count; the first one runs then.
    """
    if not schedule.timed:
        return None
    first, last = schedule.first(zone), schedule.last(zone)
    if first is not None and after < first:
        # The range includes its first instant.
        after = first - timedelta(microseconds=1)
    if schedule.kind is Kind.ONCE:
        found = _absolute(schedule.date, zone)
        if found is not None and (found <= after or not schedule.allows(found, zone)):
            found = None
    elif schedule.kind is Kind.INDEFINITELY:
        found = _next_interval(schedule, zone, after, max(activated, first or activated), last)
    else:
        found = _next_day(schedule, zone, after, last)
    return None if found is None or (last is not None and found > last) else found


def upcoming(schedule: Schedule, zone: ZoneInfo, after: datetime, activated: datetime, count: int) -> list[datetime]:
    """The next runs after an instant, at most `count`."""
    return [found for found, _ in zip(_runs(schedule, zone, after, activated), range(count), strict=False)]


def _runs(schedule: Schedule, zone: ZoneInfo, after: datetime, activated: datetime) -> Iterator[datetime]:
    found = next_run(schedule, zone, after, activated)
    while found is not None:
        yield found
        found = next_run(schedule, zone, found, activated)


def _next_day(schedule: Schedule, zone: ZoneInfo, after: datetime, last: datetime | None) -> datetime | None:
    # A day that a zone leaves out runs at the next valid instant, so the day before counts too.
    day = (after - _WIDEST).astimezone(zone).date()
    for _ in range(HORIZON_DAYS):
        if schedule.on(day) and (not schedule.restrict or _near(schedule, day)):
            found = resolve(datetime.combine(day, schedule.at), zone)
            if last is not None and found > last:
                return None
            if found > after and schedule.allows(found, zone):
                return found
        if day >= date.max - _DAY:
            return None
        day += _DAY
    return None


def _near(schedule: Schedule, day: date) -> bool:
    """False when no restriction matches this day or the next one, where a clock change may take it."""
    return any(entry.on(day) or entry.on(day + _DAY) for entry in schedule.restrict)


def _next_interval(
    schedule: Schedule, zone: ZoneInfo, after: datetime, anchor: datetime, last: datetime | None
) -> datetime | None:
    found = _on_grid(anchor, schedule.interval, after + timedelta(microseconds=1))
    end = after + timedelta(days=HORIZON_DAYS)
    while found <= (last or end) and found <= end:
        local = found.astimezone(zone)
        if schedule.matches(local):
            return found
        found = _on_grid(anchor, schedule.interval, max(found + schedule.interval, _next_match(schedule, local, zone)))
    return None


def _next_match(schedule: Schedule, local: datetime, zone: ZoneInfo) -> datetime:
    """An instant after this local one, before which no restriction begins to match."""
    day, moment = local.date(), local.time()
    begins = [
        entry.time[0]
        for entry in schedule.restrict
        if entry.on(day) and entry.time is not None and entry.time[0] > moment
    ]
    wanted = datetime.combine(day, min(begins)) if begins else datetime.combine(day + _DAY, time.min)
    found = resolve(wanted, zone)
    # Where the clocks are moved before that, anything may come again: go on step by step.
    return found if found.astimezone(zone).utcoffset() == local.utcoffset() else local.astimezone(UTC)


def _on_grid(anchor: datetime, interval: timedelta, instant: datetime) -> datetime:
    """The first instant at or after this one that is a whole number of intervals after the anchor."""
    steps = max(0, -((anchor - instant) // interval))
    return anchor + steps * interval


def _absolute(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    if instant is None:
        return None
    return resolve(instant, zone) if instant.tzinfo is None else instant.astimezone(UTC)


def resolve(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which a zone's clocks show this local time, or the first later one that exists."""
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    # The clocks leave it out: the change lies between what the two offsets around it give.
    before, later = local.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    while later - before > _SECOND:
        middle = before + ((later - before) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            before = middle
        else:
            later = middle
    return later
