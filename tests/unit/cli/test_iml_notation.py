"""The notation of `scenarist iml` (spec/iml.md 15): what is written is read back as the same value."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.errors import UsageError
from runtime.values import UNDEFINED, Buffer
from workers.cli.iml_notation import read, write


@pytest.mark.parametrize(
    ("value", "data"),
    [
        pytest.param(UNDEFINED, {"$undefined": True}, id="undefined"),
        pytest.param(Buffer(b"\x00\xff"), {"$buffer": "AP8="}, id="buffer"),
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, 6000, UTC), {"$date": "2026-01-02T03:04:05.006Z"}, id="date"),
        pytest.param(-math.inf, {"$number": "-Infinity"}, id="infinity"),
        pytest.param([UNDEFINED, None, True, 1.5, "x"], [{"$undefined": True}, None, True, 1.5, "x"], id="array"),
        pytest.param({"a": {"$other": 1}}, {"a": {"$other": 1}}, id="no mark"),
    ],
)
def test_a_value_is_written_and_read_back(value: Any, data: Any) -> None:
    """`write` gives the JSON data and `read` the value."""
    assert write(value) == data
    assert read(data) == value


def test_an_undefined_member_is_dropped() -> None:
    """A collection never holds undefined."""
    assert write({"a": UNDEFINED, "b": 1}) == {"b": 1}


def test_not_a_number_is_written_by_name() -> None:
    """NaN has no JSON form of its own."""
    assert write(math.nan) == {"$number": "NaN"}
    assert math.isnan(read({"$number": "NaN"}))


@pytest.mark.parametrize("data", [{"$date": "yesterday-ish"}, {"$date": 5}, {"$buffer": "?"}, {"$buffer": 5}])
def test_a_malformed_mark_is_wrong_use(data: Any) -> None:
    """The message says what the mark takes."""
    with pytest.raises(UsageError):
        read(data)
