"""
Time zones by their tz database name, from the data of the tzdata package.

`zoneinfo` itself looks at the host first; two hosts with data of different age would disagree about the same run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    listed = resources.files("tzdata").joinpath("zones").read_text("ascii")
    return {name.lower(): name for name in listed.split()}


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    path = resources.files("tzdata").joinpath("zoneinfo")
    for part in name.split("/"):
        path = path.joinpath(part)
    with path.open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def zone(name: str) -> ZoneInfo | None:
    """The zone of a tz database name, case ignored (`europe/prague`); None when there is none (spec/iml.md 7.4)."""
    known = _names().get(name.strip().lower())
    return None if known is None else _load(known)


@lru_cache(maxsize=1024)
def zone_or_utc(name: str) -> ZoneInfo:
    """The zone of a name; UTC for a name that no zone has, which is how Make ignores unknown zones."""
    return zone(name) or _load("UTC")


def to_local(date: datetime, timezone: str) -> datetime:
    """
    Wall-clock time in a zone, as a naive datetime.

    Raises:
        OverflowError: The local year is outside 1 to 9999.
    """
    return date.astimezone(zone_or_utc(timezone)).replace(tzinfo=None, fold=0)


def from_local(local: datetime, timezone: str) -> datetime:
    """
    The instant of a naive wall-clock time in a zone, in UTC.

    A time inside the spring gap moves forward by the gap; an ambiguous one takes the first offset (spec/iml.md 8).

    Raises:
        OverflowError: The instant is outside the years 1 to 9999.
    """
    # With fold=0 zoneinfo applies the offset before the transition: exactly both rules.
    return local.replace(tzinfo=zone_or_utc(timezone), fold=0).astimezone(UTC)


def offset_minutes(date: datetime, timezone: str) -> int:
    """Offset from UTC of an instant in a zone, in whole minutes."""
    local = date.astimezone(zone_or_utc(timezone)).replace(tzinfo=UTC)
    seconds = (local - date).total_seconds()
    return int(seconds // 60)


def abbreviation(date: datetime, timezone: str) -> str:
    """The zone's abbreviation at an instant: `CET`, `CEST`, `UTC`."""
    return date.astimezone(zone_or_utc(timezone)).tzname() or ""
