"""Date functions (spec/iml.md 7.4). Calendar fields are those of the scenario's time zone."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from runtime import dates
from runtime.coercion import invalid, to_date, to_number_argument
from runtime.dates.arithmetic import UNITS
from runtime.dates.formatting import DAYS, MAX_FORMAT, MONTHS
from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.registry import Example, Family
from runtime.values import UNDEFINED, date_text, is_empty, shown, to_text

DATE: Final = Family("date")


def _zone(evaluation: Evaluation, name: Any) -> str:
    """The zone argument when it names a zone, else the scenario's zone."""
    if not is_empty(name) and dates.zone(to_text(name)) is not None:
        return to_text(name)
    return evaluation.timezone


_RANGE: Final = "The date is outside the years 1 to 9999."


def _format(text: Any) -> str:
    shown_format = to_text(text)
    if len(shown_format) > MAX_FORMAT:
        raise FunctionFailed(f"A date format may have {MAX_FORMAT:,} characters.")
    return shown_format


def _in_range(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (OverflowError, ValueError):
        raise FunctionFailed(_RANGE) from None


@DATE.function(
    "formatDate",
    "date: date; [format]; [timezone]",
    "A date as text.",
    Example(
        '{{formatDate(d; "DD.MM.YYYY HH:mm")}}', "01.10.2018 09:32", {"d": "2018-10-01T07:32:05Z"}, "Europe/Prague"
    ),
    Example('{{formatDate("2018-10-01"; "dddd, MMMM Do YYYY")}}', "Monday, October 1st 2018"),
    needs_evaluation=True,
)
def format_date(evaluation: Evaluation, date: Any, text: Any, timezone: Any) -> Any:
    if date is UNDEFINED:
        return UNDEFINED
    if (type(text) is not str or not text) and is_empty(text):
        return date_text(date)
    zone = evaluation.timezone if timezone is UNDEFINED else _zone(evaluation, timezone)
    try:
        return dates.format_date(date, text if type(text) is str else to_text(text), zone)
    except (OverflowError, ValueError) as error:
        raise FunctionFailed(_RANGE if isinstance(error, OverflowError) else f"{error}.") from None


@DATE.function(
    "parseDate",
    "text; [format]; [timezone]",
    "The date that a text means.",
    Example(
        '{{parseDate("1.10.2018 9:32"; "D.M.YYYY H:mm")}}',
        datetime(2018, 10, 1, 7, 32, tzinfo=UTC),
        {},
        "Europe/Prague",
    ),
    Example('{{parseDate("2018-10-01T09:32:00+02:00")}}', datetime(2018, 10, 1, 7, 32, tzinfo=UTC)),
    Example('{{parseDate("x"; "YYYY")}}', error="'x' is not a valid date or does not match the date format."),
    needs_evaluation=True,
    pure=False,
)
def parse_date(evaluation: Evaluation, text: Any, format_text: Any, timezone: Any) -> Any:
    if isinstance(text, datetime):
        return text
    if text is UNDEFINED or text is None:
        return UNDEFINED
    zone, source = _zone(evaluation, timezone), to_text(text)
    if is_empty(format_text):
        if isinstance(text, (int, float)) and not isinstance(text, bool):
            return to_date(text, zone)
        date = dates.parse_date_text(source, zone)
    else:
        date = dates.parse_date(source, _format(format_text), zone, evaluation.environment.now)
    if date is None:
        raise FunctionFailed(f"'{shown(text)}' is not a valid date or does not match the date format.")
    return date


def _finite(number: Any) -> float:
    if not math.isfinite(number):
        raise invalid(number, "number")
    return number


def _declare_adders() -> None:
    def declare(name: str, unit: str, added: int, expect: datetime, *, exact: bool) -> None:
        def run(evaluation: Evaluation, date: Any, number: Any) -> Any:
            if date is UNDEFINED:
                return UNDEFINED
            amount = 0 if number is UNDEFINED else _finite(number)
            if exact:
                return _in_range(lambda: dates.add_time(date, amount, unit))
            return _in_range(lambda: dates.add_calendar(date, amount, unit, evaluation.timezone))

        example = Example(f'{{{{{name}("2020-01-31 10:00"; {added})}}}}', expect)
        DATE.function(
            name, "date: date; number: number", f"A date plus so many {unit}.", example, needs_evaluation=True
        )(run)

    declare("addSeconds", "seconds", 90, datetime(2020, 1, 31, 10, 1, 30, tzinfo=UTC), exact=True)
    declare("addMinutes", "minutes", -10, datetime(2020, 1, 31, 9, 50, tzinfo=UTC), exact=True)
    declare("addHours", "hours", 24, datetime(2020, 2, 1, 10, tzinfo=UTC), exact=True)
    declare("addDays", "days", -31, datetime(2019, 12, 31, 10, tzinfo=UTC), exact=False)
    declare("addMonths", "months", 1, datetime(2020, 2, 29, 10, tzinfo=UTC), exact=False)
    declare("addYears", "years", 1, datetime(2021, 1, 31, 10, tzinfo=UTC), exact=False)


_declare_adders()


def _named(value: Any, names: tuple[str, ...]) -> int | None:
    """The 1-based place of an English name or its first three letters."""
    if not isinstance(value, str):
        return None
    lowered = value.strip().lower()
    return next((i for i, name in enumerate(names, 1) if lowered in (name.lower(), name[:3].lower())), None)


def _set_number(value: Any, names: tuple[str, ...] | None, kind: str) -> int:
    if names is not None:
        named = _named(value, names)
        if named is not None:
            return named
        if isinstance(value, str) and not any(c.isdigit() for c in value):
            raise FunctionFailed(f"'{value}' is not a valid {kind} name.")
    return int(_finite(to_number_argument(value)))


def _declare_setters() -> None:
    def declare(
        name: str, field: str, doc: str, to: int | str, expect: datetime, names: tuple[str, ...] | None = None
    ) -> None:
        def run(evaluation: Evaluation, date: Any, number: Any) -> Any:
            if date is UNDEFINED or is_empty(number):
                return date
            wanted = _set_number(number, names, field)
            if field == "day":
                return _in_range(lambda: dates.set_weekday(date, wanted, evaluation.timezone))
            return _in_range(lambda: dates.set_field(date, field, wanted, evaluation.timezone))

        given = f'"{to}"' if isinstance(to, str) else to
        example = Example(f'{{{{{name}("2020-02-05 10:00:00"; {given})}}}}', expect)
        DATE.function(name, "date: date; number", doc, example, needs_evaluation=True)(run)

    declare("setSecond", "second", "A date with another second.", 61, datetime(2020, 2, 5, 10, 1, 1, tzinfo=UTC))
    declare("setMinute", "minute", "A date with another minute.", 30, datetime(2020, 2, 5, 10, 30, tzinfo=UTC))
    declare("setHour", "hour", "A date with another hour.", -6, datetime(2020, 2, 4, 18, tzinfo=UTC))
    declare("setDate", "date", "A date with another day of the month.", 0, datetime(2020, 1, 31, 10, tzinfo=UTC))
    declare("setYear", "year", "A date with another year.", 2021, datetime(2021, 2, 5, 10, tzinfo=UTC))
    doc = "A date moved to a day of its week: Sunday = 1, or an English name."
    declare("setDay", "day", doc, "monday", datetime(2020, 2, 3, 10, tzinfo=UTC), DAYS)
    doc = "A date with another month: 1 to 12, or an English name."
    declare("setMonth", "month", doc, 12, datetime(2020, 12, 5, 10, tzinfo=UTC), MONTHS)


_declare_setters()


@DATE.function(
    "dateDifference",
    "left: date; right: date; [unit]",
    "How many whole units lie between two dates, left minus right.",
    Example('{{dateDifference("2020-03-01"; "2020-02-01"; "days")}}', 29),
    Example('{{dateDifference("2020-03-01"; "2020-02-01"; "moons")}}', error="'moons' is not a valid unit."),
    needs_evaluation=True,
)
def date_difference(evaluation: Evaluation, left: Any, right: Any, unit: Any) -> Any:
    name = "milliseconds" if is_empty(unit) else to_text(unit)
    plural = name if name in UNITS else f"{name}s"
    if plural not in UNITS:
        raise FunctionFailed(f"'{name}' is not a valid unit. Units: {', '.join(UNITS)}.")
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    return _in_range(lambda: dates.difference(left, right, plural, evaluation.timezone))
