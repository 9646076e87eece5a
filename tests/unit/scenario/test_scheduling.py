"""Schedules against a slow, obvious model that looks at each minute, over ten years of zones and clock changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.dates import zone
from runtime.scenario.schedule_form import DEFAULT, read_schedule, said, schedule_json
from runtime.scenario.scheduling import Kind, Restriction, Schedule, next_run, upcoming

#: Zones whose clocks move by an hour, by half an hour, at midnight, twice in a year for Ramadan, and never.
ZONES = (
    "Europe/Prague", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Africa/Casablanca",
    "Asia/Kathmandu", "Pacific/Chatham", "America/Asuncion", "UTC",
)  # fmt: skip
LONG = bool(os.environ.get("SCENARIST_LONG"))
MINUTE = timedelta(minutes=1)
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)


@cache
def changes(name: str) -> tuple[datetime, ...]:
    """The hours of the ten years in which a zone's clocks are moved."""
    place, hour, found = zone(name), BEGIN, []
    assert place is not None
    while hour < END:
        later = hour + timedelta(hours=1)
        if hour.astimezone(place).utcoffset() != later.astimezone(place).utcoffset():
            found.append(hour)
        hour = later
    return tuple(found)


def obvious(schedule: Schedule, name: str, begin: datetime, end: datetime, activated: datetime) -> Iterator[datetime]:
    """Every minute from `begin` on, `end` excluded, at which the schedule runs."""
    place = zone(name)
    first, last = (None if bound is None else absolute(bound, name) for bound in schedule.between)
    anchor = activated if first is None else max(activated, first)
    now, before = begin, (begin - MINUTE).astimezone(place).replace(tzinfo=None)
    while now < end:
        local = now.astimezone(place)
        shown = local.replace(tzinfo=None, fold=0)
        # The minutes that the clocks show now for the first time, those that they have left out included.
        fresh = [] if local.fold else [shown]
        while before + MINUTE < shown:
            before += MINUTE
            fresh.append(before)
        if schedule.kind is Kind.INDEFINITELY:
            due = now >= anchor and (now - anchor) % schedule.interval == timedelta(0)
        else:
            due = any(calendar_due(schedule, each) for each in fresh)
        inside = (first is None or now >= first) and (last is None or now <= last)
        if due and inside and (not schedule.restrict or any(matches(entry, shown) for entry in schedule.restrict)):
            yield now
        before, now = shown, now + MINUTE


def absolute(instant: datetime, name: str) -> datetime:
    """The first instant at which the clocks of a zone show at least this local time."""
    if instant.tzinfo is not None:
        return instant
    now = instant.replace(tzinfo=UTC) - timedelta(days=2)
    while now.astimezone(zone(name)).replace(tzinfo=None) < instant:
        now += MINUTE
    return now


def calendar_due(schedule: Schedule, local: datetime) -> bool:
    """Whether a calendar kind runs at this local minute."""
    sunday_first = (local.weekday() + 1) % 7
    if schedule.at != local.time():
        return False
    if schedule.kind is Kind.WEEKLY:
        return sunday_first in schedule.days
    if schedule.kind is Kind.MONTHLY:
        return local.day in schedule.days
    return schedule.kind is Kind.DAILY or (local.day in schedule.days and local.month in schedule.months)


def matches(entry: Restriction, local: datetime) -> bool:
    """Whether an entry of `restrict` lets a local minute pass."""
    day = not entry.days or (local.weekday() + 1) % 7 in entry.days
    month = not entry.months or local.month in entry.months
    if entry.time is None:
        return day and month
    first, last = entry.time
    inside = first <= local.time() <= last if first <= last else local.time() >= first or local.time() <= last
    return day and month and inside


def fast(schedule: Schedule, name: str, begin: datetime, end: datetime, activated: datetime) -> list[datetime]:
    """The same by `next_run`."""
    found: list[datetime] = []
    place, at = zone(name), begin - timedelta(milliseconds=1)
    assert place is not None
    while (following := next_run(schedule, place, at, activated)) is not None and following < end:
        found.append(following)
        at = following
    return found


@st.composite
def minutes(draw: st.DrawFn, name: str) -> datetime:
    """A minute of the ten years, mostly near a change of the clocks."""
    known = changes(name)
    if known and draw(st.integers(0, 3)):
        return draw(st.sampled_from(known)) + MINUTE * draw(st.integers(-1500, 1500))
    return BEGIN + MINUTE * draw(st.integers(5000, 5_000_000))


#: Times of a day; mostly those at which clocks are moved.
TIMES = st.one_of(
    st.builds(time, st.integers(0, 3), st.sampled_from([0, 10, 15, 30, 45, 59])),
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
)
DAYS = st.frozensets(st.integers(0, 6), max_size=4)
MONTHS = st.frozensets(st.integers(1, 12), max_size=6)


@st.composite
def schedules(draw: st.DrawFn, near: datetime) -> Schedule:
    """A schedule that can run within some days of an instant."""
    kind = draw(st.sampled_from([Kind.INDEFINITELY, Kind.DAILY, Kind.WEEKLY, Kind.MONTHLY, Kind.YEARLY]))
    interval = draw(st.sampled_from([1, 7, 15, 60, 61, 600, 1440, 1441])) * MINUTE
    entries = st.builds(Restriction, DAYS, MONTHS, st.one_of(st.none(), st.tuples(TIMES, TIMES)))
    bounds = st.one_of(st.none(), st.integers(-4000, 4000).map(lambda some: near + MINUTE * some))
    local = draw(st.booleans())
    between = [draw(bounds), draw(bounds)]
    ends = [None if each is None else each.replace(tzinfo=None) if local else each for each in between]
    if kind is Kind.WEEKLY:
        days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    else:
        days = draw(st.frozensets(st.integers(1, 31), min_size=1, max_size=8)) | {near.day}
    restrict = draw(st.lists(entries, max_size=3))
    return Schedule(
        kind, interval, None, days, draw(MONTHS) | {near.month}, draw(TIMES), (ends[0], ends[1]), tuple(restrict)
    )


@settings(max_examples=5000 if LONG else 150, deadline=None)
@given(st.data())
def test_next_run_is_what_a_look_at_each_minute_finds(data: st.DataObject) -> None:
    """Any schedule, zone and instant: the same runs as the obvious model, over three days, clock changes included."""
    name = data.draw(st.sampled_from(ZONES))
    begin = data.draw(minutes(name))
    schedule = data.draw(schedules(begin))
    activated = begin - MINUTE * data.draw(st.integers(-2000, 3000))
    end = begin + timedelta(days=3)

    assert fast(schedule, name, begin, end, activated) == list(obvious(schedule, name, begin, end, activated))


@pytest.mark.skipif(not LONG, reason="five minutes; make long")
@pytest.mark.parametrize("name", ZONES)
def test_ten_whole_years_of_a_zone(name: str) -> None:
    """Every minute of ten years, for schedules in and around the hours at which clocks are moved."""
    between = (datetime(2024, 2, 29), datetime(2033, 10, 31))
    for schedule in (
        Schedule(Kind.DAILY, at=time(2, 30), between=between),
        Schedule(Kind.WEEKLY, days=frozenset({0, 5}), at=time(0, 10)),
        Schedule(Kind.MONTHLY, days=frozenset({1, 29, 30, 31}), at=time(3)),
        Schedule(Kind.INDEFINITELY, timedelta(minutes=77), restrict=(Restriction(time=(time(23), time(2, 30))),)),
    ):
        assert fast(schedule, name, BEGIN, END, BEGIN) == list(obvious(schedule, name, BEGIN, END, BEGIN))


PRAGUE = zone("Europe/Prague")


@pytest.mark.parametrize(
    ("raw", "after", "expected"),
    [
        pytest.param({"type": "daily", "time": "02:30"}, "2026-03-28T12:00Z", "2026-03-29T01:00Z", id="left out"),
        pytest.param({"type": "daily", "time": "02:30"}, "2026-10-24T12:00Z", "2026-10-25T00:30Z", id="twice"),
        pytest.param({"type": "daily", "time": "02:30"}, "2026-10-25T00:30Z", "2026-10-26T01:30Z", id="once only"),
        pytest.param({"type": "monthly", "days": [31], "time": "06:10 PM"}, "2026-01-31T18:00Z", "2026-03-31T16:10Z",
                     id="a day that a month lacks is left out"),
        pytest.param({"type": "yearly", "days": [29], "months": [2], "time": "08:00"}, "2024-03-01T00:00Z",
                     "2028-02-29T07:00Z", id="leap day"),
        pytest.param({"type": "yearly", "days": [29], "months": [2], "time": "08:00", "restrict": [{"days": [0]}]},
                     "2033-01-01T00:00Z", "2032-02-29T07:00Z", id="leap day on a Sunday"),
        pytest.param({"type": "once", "date": "2026-05-01T08:00:00"}, "2026-01-01T00:00Z", "2026-05-01T06:00Z",
                     id="a date without a zone is local"),
        pytest.param({"type": "weekly", "days": [0], "time": "08:00"}, "2026-06-06T00:00Z", "2026-06-07T06:00Z",
                     id="0 is a Sunday"),
    ],
)  # fmt: skip
def test_calendar_in_a_zone(raw: dict[str, object], after: str, expected: str) -> None:
    """The documented rules, one by one (spec/scenarios.md 5.1)."""
    start, wanted = datetime.fromisoformat(after), datetime.fromisoformat(expected)
    assert PRAGUE is not None
    if wanted < start:
        wanted = datetime.fromisoformat("2060-02-29T07:00Z")

    assert next_run(read_schedule(raw), PRAGUE, start, start) == wanted


def test_interval_begins_at_once_and_counts_from_activation() -> None:
    """The first run is at the activation, the others whole intervals later."""
    activated = datetime(2026, 1, 1, 10, 7, 3, tzinfo=UTC)
    assert PRAGUE is not None

    found = upcoming(DEFAULT, PRAGUE, activated - timedelta(microseconds=1), activated, 3)

    assert found == [activated, activated + timedelta(minutes=15), activated + timedelta(minutes=30)]


def test_interval_begins_with_its_active_range() -> None:
    """With a start in the future, the first run is there, and intervals count from it."""
    activated = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = read_schedule(
        {"type": "indefinitely", "interval": 3600, "between": ["2026-02-01T00:20:00Z", "2026-02-01T02:00:00Z"]}
    )
    assert PRAGUE is not None

    assert upcoming(schedule, PRAGUE, activated, activated, 9) == [
        datetime(2026, 2, 1, 0, 20, tzinfo=UTC),
        datetime(2026, 2, 1, 1, 20, tzinfo=UTC),
    ]


@pytest.mark.parametrize("kind", ["immediately", "on-demand"])
def test_kinds_without_instants(kind: str) -> None:
    """Nothing of them is ever due."""
    assert PRAGUE is not None
    assert next_run(read_schedule({"type": kind}), PRAGUE, BEGIN, BEGIN) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('{"type": "indefinitely", "interval": 900}', "every 15 minutes"),
        ({"type": "interval", "interval": "3600"}, "every hour"),
        ({"type": "daily", "time": "06:10 PM"}, "daily at 18:10"),
        ({"type": "weekly", "days": [1, 5], "time": "08:00:00"}, "weekly on Mon, Fri at 08:00"),
        ({"type": "monthly", "days": ["1", 15], "time": "8:05"}, "monthly on 1, 15 at 08:05"),
        ({"type": "yearly", "days": [24], "months": [12], "time": "12:00 AM"}, "yearly on 24 of month 12 at 00:00"),
        ({"type": "once", "date": "2026-05-01T08:00:00+02:00"}, "once at 2026-05-01T06:00:00Z"),
        ({"type": "on-demand", "interval": 900}, "on demand"),
        ({"type": "immediately", "between": ["2026-01-01", "2026-01-02"]},
         "immediately, when events arrive, from 2026-01-01T00:00:00, until 2026-01-02T23:59:59.999"),
        ({"type": "daily", "time": "08:00", "restrict": [{"days": [1], "time": ["08:00", "18:00"]}]},
         "daily at 08:00, restricted"),
    ],
)  # fmt: skip
def test_schedule_is_read_and_said(raw: object, text: str) -> None:
    """What files and people write is read, said in words, and written so that it is read again."""
    schedule = read_schedule(raw)

    assert said(schedule) == text
    assert read_schedule(schedule_json(schedule)) == schedule


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("nonsense", "not JSON"),
        ([], "an object"),
        ({}, "type is missing"),
        ({"type": "cron"}, 'type is "cron"'),
        ({"type": ["daily"]}, "type is"),
        ({"type": "indefinitely"}, "interval is missing"),
        ({"type": "indefinitely", "interval": 59}, "interval is 59"),
        ({"type": "indefinitely", "interval": True}, "interval is true"),
        ({"type": "indefinitely", "interval": 10**15}, "interval is"),
        ({"type": "once"}, "date is missing"),
        ({"type": "once", "date": "soon"}, 'date is "soon"'),
        ({"type": "once", "date": "0001-01-01"}, "years 1970"),
        ({"type": "daily"}, "time is missing"),
        ({"type": "daily", "time": "24:00"}, 'time is "24:00"'),
        ({"type": "daily", "time": "13:00 PM"}, "time is"),
        ({"type": "weekly", "time": "08:00"}, "days is missing"),
        ({"type": "weekly", "days": [7], "time": "08:00"}, "days is [7]"),
        ({"type": "weekly", "days": "1", "time": "08:00"}, "days is"),
        ({"type": "monthly", "days": [], "time": "08:00"}, "days is []"),
        ({"type": "monthly", "days": [0], "time": "08:00"}, "days is [0]"),
        ({"type": "yearly", "days": [1], "time": "08:00"}, "months is missing"),
        ({"type": "daily", "time": "08:00", "between": ["2026-01-02"]}, "between is"),
        ({"type": "daily", "time": "08:00", "between": ["2026-01-02", "2026-01-01"]}, "its end after its start"),
        ({"type": "daily", "time": "08:00", "between": ["2026-01-02", {}]}, "between[1] is"),
        ({"type": "daily", "time": "08:00", "restrict": {}}, "restrict is"),
        ({"type": "daily", "time": "08:00", "restrict": [{}] * 51}, "at most 50"),
        ({"type": "daily", "time": "08:00", "restrict": [7]}, "restrict[0] is 7"),
        ({"type": "daily", "time": "08:00", "restrict": [{"time": ["08:00"]}]}, "restrict[0].time is"),
        ({"type": "daily", "time": "08:00", "restrict": [{"time": ["08:00", 9]}]}, "restrict[0].time[1] is 9"),
        ({"type": "daily", "time": "08:00", "restrict": [{"months": [13]}]}, "restrict[0].months is [13]"),
    ],
)  # fmt: skip
def test_bad_schedule_says_what_is_wrong(raw: object, place: str) -> None:
    """A wrong schedule names the field, the value and what it needs."""
    from runtime.errors import UsageError

    with pytest.raises(UsageError) as caught:
        read_schedule(raw)

    assert place in caught.value.message


def test_schedule_that_never_matches_is_found_out_quickly() -> None:
    """A restriction that no interval meets ends in None, not in an endless search."""
    schedule = read_schedule({"type": "indefinitely", "interval": 60, "restrict": [{"time": ["00:00:30", "00:00:40"]}]})
    assert PRAGUE is not None

    assert next_run(schedule, PRAGUE, BEGIN, BEGIN) is None
