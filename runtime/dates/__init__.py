"""
Dates: zones, the date texts that Make accepts, format tokens and calendar arithmetic.

Everything takes and gives aware datetimes in UTC with whole milliseconds; a zone is given by its name. Zone data comes
from the tzdata package, never from the host, so that every machine computes the same. Sources: spec/iml.md 5.4, 7.4, 8.
"""

from runtime.dates.arithmetic import add_calendar, add_time, difference, set_field, set_weekday
from runtime.dates.formatting import format_date
from runtime.dates.parsing import parse_date
from runtime.dates.text import parse_date_text
from runtime.dates.zones import from_local, to_local, zone, zone_or_utc

__all__ = [
    "add_calendar",
    "add_time",
    "difference",
    "format_date",
    "from_local",
    "parse_date",
    "parse_date_text",
    "set_field",
    "set_weekday",
    "to_local",
    "zone",
    "zone_or_utc",
]
