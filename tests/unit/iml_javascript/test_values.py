"""Values as JSON text with marks: what goes in comes out, and data cannot forge a mark."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.iml.javascript.values import MalformedValue, decode, decode_arguments, encode
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer

DATE = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param(True, id="boolean"),
        pytest.param("žluťoučký \ud800 \0 \U0001f600", id="text with a lone surrogate and NUL"),
        pytest.param(-1.5e-7, id="number"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(DATE, id="date"),
        pytest.param(Buffer(bytes(range(256))), id="buffer"),
        pytest.param(Buffer(b""), id="empty buffer"),
        pytest.param(UNDEFINED, id="undefined"),
        pytest.param({"a": [1, {"b": DATE}], "__proto__": {"x": 1}}, id="nested"),
        pytest.param({"$": ["date", 0]}, id="data that looks like a mark"),
        pytest.param({"$": 1, "x": {"$": ["object", {"$": 2}]}}, id="marks within marks"),
    ],
)
def test_a_value_survives_the_way_through_json(value: object):
    """
    Encoding and decoding gives an equal value of the same type.
    """
    result = decode(encode(value))

    assert (result, type(result)) == (value, type(value))


def test_the_text_is_ascii_and_holds_no_bare_nan():
    """
    What goes into the engine is ASCII JSON, whatever characters and numbers the value holds.
    """
    text = encode({"é": float("nan"), "s": "\udfff"})

    assert text == '{"\\u00e9":{"$":["number","NaN"]},"s":"\\udfff"}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(2**53 + 1, float(2**53), id="beyond the exact integers"),
        pytest.param(10**400, float("inf"), id="beyond the doubles"),
        pytest.param(-(10**5000), float("-inf"), id="longer than the interpreter prints"),
        pytest.param(ERASE, None, id="erase"),
        pytest.param(FORCED_EMPTY, "", id="emptystring"),
        pytest.param([UNDEFINED, 1], [None, 1], id="undefined in a list"),
        pytest.param({"a": UNDEFINED, "b": 1}, {"b": 1}, id="undefined in a collection"),
    ],
)
def test_what_javascript_does_not_have_becomes_what_it_has(value: object, expected: object):
    """
    Numbers become doubles, marks of the mapper lose their meaning, undefined vanishes inside data.
    """
    assert decode(encode(value)) == expected


def test_an_undefined_argument_stays_undefined():
    """
    Arguments are told apart from members of a list.
    """
    assert decode_arguments('[{"$":["undefined"]},null,[{"$":["undefined"]}]]') == [UNDEFINED, None, [None]]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"$":["date","x"]}', id="date without a number"),
        pytest.param('{"$":["date",1e300]}', id="date out of range"),
        pytest.param('{"$":["buffer","!"]}', id="no base64"),
        pytest.param('{"$":["nope"]}', id="unknown mark"),
        pytest.param('{"$":1}', id="mark without a list"),
        pytest.param("[" * 100_000, id="nested for ever"),
        pytest.param("1" * 5000, id="number of 5000 digits"),
    ],
)
def test_a_text_that_is_no_value_is_refused(text: str):
    """
    A child that sends nonsense cannot do more than fail its call.
    """
    with pytest.raises(MalformedValue):
        decode(text)
