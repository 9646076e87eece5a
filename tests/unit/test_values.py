"""The value model: printing, equality, truthiness."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.values import (
    ERASE,
    FORCED_EMPTY,
    UNDEFINED,
    Buffer,
    compact_json,
    equal,
    is_empty,
    jsonable,
    number_text,
    shown,
    to_text,
    truthy,
    type_name,
)

DATE = datetime(2016, 6, 20, 17, 26, 44, 356_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "expect"),
    [
        (1, "1"), (1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1.5, "1.5"), (100.0, "100"), (1e21, "1e+21"),
        (1.5e21, "1.5e+21"), (123456789012345680000.0, "123456789012345680000"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (0.000123, "0.000123"),
        (1e20, "1" + "0" * 20),
        (12345678901234567890, "12345678901234567890"),
    ],
)  # fmt: skip
def test_numbers_print_as_javascript_prints_them(number: float, expect: str) -> None:
    """Shortest round-trip digits, no zero padding of exponents."""
    assert number_text(number) == expect


@pytest.mark.parametrize(
    ("value", "expect"),
    [
        (UNDEFINED, ""), (None, ""), (ERASE, ""), (FORCED_EMPTY, ""), (True, "true"),
        (DATE, "2016-06-20T17:26:44.356Z"),
        (Buffer(b"h\xffi"), "h\ufffdi"), ([1, "a", None, True], "1, a, , true"), ([[1, 2], {"a": 1}], '[1,2], {"a":1}'),
        ({"a": UNDEFINED, "b": [UNDEFINED], "d": DATE, "x": Buffer(b"hi")},
         '{"b":[null],"d":"2016-06-20T17:26:44.356Z","x":"aGk="}'),
        ({"ž": '"\\\n\u0001', "n": math.nan}, '{"ž":"\\"\\\\\\n\\u0001","n":null}'),
        ({"s": "\ud800"}, '{"s":"\\ud800"}'),
    ],
)  # fmt: skip
def test_values_print(value: Any, expect: str) -> None:
    """As a template prints them; collections as compact JSON."""
    assert to_text(value) == expect


def test_truth_and_emptiness_differ() -> None:
    """Zero is false but not empty; an empty array is neither."""
    assert [truthy(v) for v in (0, "", None, UNDEFINED, math.nan, False)] == [False] * 6
    assert [truthy(v) for v in ("0", "false", [], {}, Buffer(b""), DATE, -1)] == [True] * 7
    assert [is_empty(v) for v in ("", None, UNDEFINED, FORCED_EMPTY, ERASE)] == [True] * 5
    assert [is_empty(v) for v in (0, False, [], {}, " ")] == [False] * 5


def test_equality_is_strict_and_deep() -> None:
    """No conversion between types; undefined equals null; key order does not matter."""
    assert equal(UNDEFINED, None)
    assert equal(1, 1.0)
    assert equal({"a": [1, {"b": None}], "c": 2}, {"c": 2, "a": [1.0, {"b": None}]})
    assert equal({"a": 1, "u": UNDEFINED}, {"a": 1})
    for left, right in (
        (1, "1"),
        (True, 1),
        (0, False),
        (DATE, "2016-06-20T17:26:44.356Z"),
        ([], {}),
        (math.nan, math.nan),
    ):
        assert not equal(left, right)
        assert not equal(right, left)


def test_error_texts_show_values_briefly() -> None:
    """Collections and buffers are named, never printed."""
    assert shown([1, {"secret": 1}, Buffer(b"x")]) == "[1,{object},{buffer}]"
    assert [type_name(v) for v in ("", 1, True, None, UNDEFINED, [], {}, DATE, Buffer(b""))] == [
        "String",
        "Number",
        "Boolean",
        "Null",
        "Undefined",
        "Array",
        "Object",
        "Date",
        "Buffer",
    ]


def test_plain_json_data() -> None:
    """Values that JSON has not are written as JavaScript writes them."""
    assert jsonable({"a": 1.0, "b": UNDEFINED, "c": [UNDEFINED, math.inf], "d": FORCED_EMPTY}) == {
        "a": 1,
        "c": [None, None],
        "d": "",
    }
    assert compact_json(1.0) == "1"
