"""Zones, date texts, tokens, the lenient parser and calendar arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime import dates
from runtime.values import date_text

DATE = datetime(2018, 10, 1, 7, 32, 5, 46_000, tzinfo=UTC)
NOW = datetime(2026, 3, 15, 22, 30, tzinfo=UTC)


def iso(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_zones_are_found_by_name_in_any_case() -> None:
    """Names match without regard to case; unknown ones and paths are none."""
    found = dates.zone("europe/PRAGUE")

    assert found is not None
    assert found.key == "Europe/Prague"
    for name in ("bogus", "", "../../etc/passwd", "/etc/localtime", "Europe", "tzdata.zi"):
        assert dates.zone(name) is None


def test_zone_data_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's zone files are never read."""
    monkeypatch.setattr("zoneinfo.TZPATH", ("/nonexistent",), raising=False)

    assert dates.to_local(datetime(2020, 7, 1, tzinfo=UTC), "Asia/Tokyo") == datetime(2020, 7, 1, 9)


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("2016-06-20", "2016-06-19T22:00:00Z"),
        ("2016/6/20 5:07", "2016-06-20T03:07:00Z"),
        ("06/20/2016", "2016-06-19T22:00:00Z"),
        ("20.6.2016 17:26:44", "2016-06-20T15:26:44Z"),
        ("2016-06-20T17:26:44.3569Z", "2016-06-20T17:26:44.356Z"),
        ("2016-06-20 05:26 PM", "2016-06-20T15:26:00Z"),
        ("2016-06-20 12:00 AM +0100", "2016-06-19T23:00:00Z"),
        ("2016-06-20 12:00:00 GMT+02", "2016-06-20T10:00:00Z"),
        ("2016-06-20 12:00 UTC", "2016-06-20T12:00:00Z"),
        (" 2016-06-20T24:00 ", "2016-06-20T22:00:00Z"),
        ("2016-02-30", None),
        ("2016-13-01", None),
        ("2016-06-20 25:00", None),
        ("2016-06-20 13:00 PM", None),
        ("2016-06", None),
        ("1466443604", None),
        ("0000-01-01", None),
        ("2016-06-20T12:00+99:00", None),
        ("٢016-06-20", None),
        ("", None),
    ],
)
def test_date_texts(text: str, expect: str | None) -> None:
    """The accepted list, read in Prague when there is no offset."""
    assert dates.parse_date_text(text, "Europe/Prague") == iso(expect)


TOKENS = {
    "YY": "18", "YYYY": "2018", "Y": "2018", "Q": "4", "Qo": "4th", "M": "10", "Mo": "10th", "MM": "10", "MMM": "Oct",
    "MMMM": "October", "D": "1", "Do": "1st", "DD": "01", "DDD": "274", "DDDo": "274th", "DDDD": "274", "d": "1",
    "do": "1st", "dd": "Mo", "ddd": "Mon", "dddd": "Monday", "e": "1", "E": "1", "w": "40", "wo": "40th", "ww": "40",
    "W": "40", "Wo": "40th", "WW": "40", "gg": "18", "gggg": "2018", "GG": "18", "GGGG": "2018", "H": "9", "HH": "09",
    "h": "9", "hh": "09", "k": "9", "kk": "09", "A": "AM", "a": "am", "m": "32", "mm": "32", "s": "5", "ss": "05",
    "S": "0", "SS": "04", "SSS": "046", "SSSSSS": "046000", "Z": "+02:00", "ZZ": "+0200", "X": "1538379125",
    "x": "1538379125046", "z": "CEST", "L": "10/01/2018", "LLL": "October 1, 2018 9:32 AM", "LTS": "9:32:05 AM",
    "[YYYY] T\\D%": "YYYY TD%", "YYYY-MM-DDTHH:mm:ssZ": "2018-10-01T09:32:05+02:00", "DD. MM. %Y": "01. 10. %2018",
}  # fmt: skip


@pytest.mark.parametrize(("token", "expect"), TOKENS.items())
def test_tokens(token: str, expect: str) -> None:
    """Each token prints what the table says, in the zone."""
    assert dates.format_date(DATE, token, "Europe/Prague") == expect


@pytest.mark.parametrize(
    ("text", "weeks"),
    [
        ("2020-12-31", "2021-1 2020-53"),
        ("2021-01-01", "2021-1 2020-53"),
        ("2021-01-03", "2021-2 2020-53"),
        ("2022-01-01", "2022-1 2021-52"),
        ("2016-01-02", "2016-1 2015-53"),
        ("0001-01-01", "0001-1 0001-1"),
        ("9999-12-31", "9999-53 9999-52"),
    ],
)
def test_weeks_at_the_turn_of_the_year(text: str, weeks: str) -> None:
    """American weeks contain 1 January, ISO weeks the first Thursday."""
    date = dates.parse_date_text(text, "UTC")

    assert date is not None
    assert dates.format_date(date, "gggg-w GGGG-W", "UTC") == weeks


@pytest.mark.parametrize(
    ("text", "format_text", "expect"),
    [
        ("2020-02-03T17:43:09+0000", "YYYY.MM.DD hh:mm:ss", "2020-02-03T16:43:09Z"),
        ("2020-02-03T17:43:09-0200", "YYYY-MM-DDTHH:mm:ssZ", "2020-02-03T19:43:09Z"),
        ("10:30", "HH:mm", "2026-03-15T09:30:00Z"),
        ("7", "M", "2026-06-30T22:00:00Z"),
        ("9", "D", "2026-03-08T23:00:00Z"),
        ("68 69", "YY", "2067-12-31T23:00:00Z"),
        ("69", "YYYY", "1968-12-31T23:00:00Z"),
        ("5 jan 2020 3 pm", "D MMM YYYY h a", "2020-01-05T14:00:00Z"),
        ("12 am 2020-01-05", "h a YYYY-M-D", "2020-01-04T23:00:00Z"),
        ("2020-W10-2", "GGGG-[W]WW-E", "2020-03-02T23:00:00Z"),
        ("2020 60", "YYYY DDD", "2020-02-28T23:00:00Z"),
        ("2020 Q3", "YYYY [Q]Q", "2020-06-30T22:00:00Z"),
        ("1482940986.5", "X", "2016-12-28T16:03:06.500Z"),
        ("1482940986123", "x", "2016-12-28T16:03:06.123Z"),
        ("Friday", "dddd", "2026-03-19T23:00:00Z"),
        ("2020-01-01 24:00", "YYYY-MM-DD HH:mm", "2020-01-01T23:00:00Z"),
        ("1st of May 2020", "Do MMMM YYYY", "2020-04-30T22:00:00Z"),
        ("2020-13-01", "YYYY-MM-DD", None),
        ("2020-02-30", "YYYY-MM-DD", None),
        ("25:00", "HH:mm", None),
        ("2021 366", "YYYY DDD", None),
        ("x", "YYYY", None),
        ("1 foo 2020", "D MMM YYYY", None),
        ("2020-01-01 10:00 +9999", "YYYY-MM-DD HH:mm ZZ", None),
        ("", "", None),
    ],
)
def test_lenient_parser(text: str, format_text: str, expect: str | None) -> None:
    """Separators need not match, missing fields are filled in, fields out of range are refused."""
    assert dates.parse_date(text, format_text, "Europe/Prague", NOW) == iso(expect)


def test_parsing_reads_what_formatting_prints() -> None:
    """Through every hour of a year with both transitions."""
    pattern = "YYYY-MM-DDTHH:mm:ss.SSSZ"
    for hour in range(0, 365 * 24, 7):
        date = dates.add_time(DATE, hour, "hours")

        assert dates.parse_date(dates.format_date(date, pattern, "America/New_York"), pattern, "UTC", NOW) == date


@pytest.mark.parametrize(
    ("local", "expect"),
    [
        ("2020-03-29T02:30", "2020-03-29T01:30:00.000Z"),
        ("2020-10-25T02:30", "2020-10-25T00:30:00.000Z"),
        ("2020-10-25T03:00", "2020-10-25T02:00:00.000Z"),
    ],
)
def test_gaps_move_forward_and_overlaps_take_the_first(local: str, expect: str) -> None:
    """Wall-clock times that do not exist or exist twice."""
    assert date_text(dates.from_local(datetime.fromisoformat(local), "Europe/Prague")) == expect


def test_arithmetic_keeps_the_local_hour_and_clamps_months() -> None:
    """Days and months follow the calendar, hours exact time; fields roll over."""
    start = datetime(2020, 3, 28, 11, tzinfo=UTC)

    assert dates.add_calendar(start, 1, "days", "Europe/Prague") == datetime(2020, 3, 29, 10, tzinfo=UTC)
    assert dates.add_time(start, 24, "hours") == datetime(2020, 3, 29, 11, tzinfo=UTC)
    january = datetime(2020, 1, 31, tzinfo=UTC)
    assert dates.add_calendar(january, 1, "months", "UTC") == datetime(2020, 2, 29, tzinfo=UTC)
    assert dates.add_calendar(january, -1.5, "months", "UTC") == datetime(2019, 11, 30, tzinfo=UTC)
    assert dates.set_field(january, "second", 61, "UTC") == datetime(2020, 1, 31, 0, 1, 1, tzinfo=UTC)
    assert dates.set_field(january, "date", 0, "UTC") == datetime(2019, 12, 31, tzinfo=UTC)
    assert dates.set_field(january, "month", 14, "UTC") == datetime(2021, 2, 28, tzinfo=UTC)
    assert dates.set_field(datetime(2020, 2, 29, tzinfo=UTC), "year", 2021, "UTC") == datetime(2021, 2, 28, tzinfo=UTC)
    assert dates.set_weekday(january, 1, "UTC") == datetime(2020, 1, 26, tzinfo=UTC)
    with pytest.raises(OverflowError):
        dates.add_calendar(january, 9000, "years", "UTC")


@pytest.mark.parametrize(
    ("left", "right", "unit", "expect"),
    [
        ("2021-03-30", "2021-02-28", "months", 1),
        ("2021-02-28", "2021-01-31", "months", 1),
        ("2021-01-30", "2021-02-28", "months", -1),
        ("2021-01-28", "2021-02-28", "months", -1),
        ("2020-03-30", "2020-03-28", "days", 2),
        ("2020-03-30", "2020-03-28", "hours", 47),
        ("2020-03-15", "2020-03-01", "weeks", 2),
        ("2022-01-01", "2020-01-02", "years", 1),
        ("2020-07-01", "2020-01-01", "quarters", 2),
    ],
)
def test_differences(left: str, right: str, unit: str, expect: int) -> None:
    """Whole units toward zero; days and larger by the calendar of the zone."""
    first, second = dates.parse_date_text(left, "Europe/Prague"), dates.parse_date_text(right, "Europe/Prague")

    assert first is not None
    assert second is not None
    assert dates.difference(first, second, unit, "Europe/Prague") == expect


def test_long_formats_are_refused() -> None:
    """A format of megabytes is no format."""
    with pytest.raises(ValueError, match="10,000"):
        dates.format_date(DATE, "D" * 10_001, "UTC")
    with pytest.raises(ValueError, match="10,000"):
        dates.parse_date("1", "D" * 10_001, "UTC", NOW)
