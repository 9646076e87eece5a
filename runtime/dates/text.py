"""The date texts that count as dates without a format (spec/iml.md 5.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from runtime.dates.zones import from_local

_DATE_TEXT: Final = re.compile(
    r"""\s*(?:
        (?P<y1>\d{4})-(?P<m1>\d\d?)-(?P<d1>\d\d?)
      | (?P<y2>\d{4})/(?P<m2>\d\d?)/(?P<d2>\d\d?)
      | (?P<m3>\d\d?)/(?P<d3>\d\d?)/(?P<y3>\d{4})
      | (?P<d4>\d\d?)\.(?P<m4>\d\d?)\.(?P<y4>\d{4})
    )
    (?:(?:[ ]+|[Tt])(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?
       (?:[ ]?(?P<half>[AaPp][Mm]))?)?
    (?:[ ]*(?:GMT|UTC)?[ ]?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)|[ ]*(?P<utc>GMT|UTC))?
    \s*""",
    re.VERBOSE | re.ASCII,
)


def hour_of(hour: int, half: str | None) -> int | None:
    """The hour of a day (0 to 24) from an hour and an optional `am`/`pm`; None when it is out of range."""
    if half is None:
        return hour if hour <= 24 else None
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if half[0] in "pP" else 0)


def offset_of(text: str) -> timedelta | None:
    """The offset that `Z`, `+hh`, `+hhmm` or `+hh:mm` means; None when it is no offset (25 hours)."""
    if text in "Zz":
        return timedelta(0)
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or "0")
    if hours > 23 or minutes > 59:
        return None
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


def milliseconds_of(fraction: str | None) -> int:
    """Milliseconds from the digits behind the decimal point of a second, truncated."""
    return int((fraction or "")[:3].ljust(3, "0"))


def parse_date_text(text: str, timezone: str) -> datetime | None:
    """
    The date that a text means, read in `timezone` when it carries no offset; None when it is no date.

    Accepts the list of spec/iml.md 5.4: four orders of day, month and year, optional time, optional zone.
    """
    match = _DATE_TEXT.fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    order = next(i for i in "1234" if found["y" + i])
    year, month, day = int(found["y" + order]), int(found["m" + order]), int(found["d" + order])
    hour = hour_of(int(found["hour"] or 0), found["half"])
    minute, second = int(found["minute"] or 0), int(found["second"] or 0)
    millisecond = milliseconds_of(found["fraction"])
    if hour is None or (hour == 24 and (minute or second or millisecond)):
        return None
    try:
        local = datetime(year, month, day, hour % 24, minute, second, millisecond * 1000)
        if hour == 24:
            local += timedelta(days=1)
        if found["utc"]:
            return local.replace(tzinfo=UTC)
        if found["zone"]:
            offset = offset_of(found["zone"])
            return None if offset is None else local.replace(tzinfo=UTC) - offset
        return from_local(local, timezone)
    except (ValueError, OverflowError):
        return None
