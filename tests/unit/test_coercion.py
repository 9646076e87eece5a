"""Conversions between types."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime import coercion
from runtime.errors import ImlTypeError
from runtime.values import UNDEFINED, Buffer

DATE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("5", 5), (" -5 ", -5), ("+1.5", 1.5), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("1E-2", 0.01), ("007", 7),
        ("12345678901234567890", 12345678901234567890), ("\u00a05\ufeff", 5), ("1e999", math.inf),
        ("", None), ("-", None), ("0x10", None), ("1,5", None), ("1_0", None), ("nan", None), ("Infinity", None),
        ("٣", None), ("5 5", None), ("1e", None),
    ],
)  # fmt: skip
def test_number_texts(text: str, expect: float | None) -> None:
    """Decimal literals only; digits stay exact."""
    assert coercion.parse_number_text(text) == expect


def test_long_digits_do_not_hang() -> None:
    """Thousands of digits become a double."""
    assert coercion.parse_number_text("9" * 5000) == math.inf


@pytest.mark.parametrize(
    ("value", "expect"),
    [(None, 0), (UNDEFINED, 0), (True, 1), (1.5, 1.5), (DATE, 1577836800000), ("", 0), (" 0x1F ", 31), ("5", 5)],
)
def test_operands_become_numbers(value: Any, expect: float) -> None:
    """Operators never raise: what is no number is NaN."""
    assert coercion.to_number(value) == expect
    assert math.isnan(coercion.to_number("x"))
    assert math.isnan(coercion.to_number([]))


@pytest.mark.parametrize(
    ("run", "value", "message"),
    [
        (coercion.to_number_argument, "x", "'x' is not a valid number."),
        (coercion.to_number_argument, [1, 2], "'[1,2]' is not a valid number."),
        (coercion.to_number_argument, UNDEFINED, "'' is not a valid number."),
        (coercion.to_array, {"a": 1}, "'{object}' is not a valid array."),
        (coercion.to_array, 5, "'5' is not a valid array."),
        (coercion.to_collection, [{}], "'[{object}]' is not a valid collection."),
        (coercion.to_collection, "", "'' is not a valid collection."),
        (coercion.to_buffer, {}, "'{object}' is not a valid buffer."),
        (lambda v: coercion.to_date(v, "UTC"), "soon", "'soon' is not a valid date."),
        (lambda v: coercion.to_date(v, "UTC"), True, "'true' is not a valid date."),
        (lambda v: coercion.to_date(v, "UTC"), 1e300, "'1e+300' is not a valid date."),
    ],
)
def test_failed_conversions_say_what_was_given(run: Callable[[Any], Any], value: Any, message: str) -> None:
    """One sentence for all: `'<shown>' is not a valid <type>.`"""
    with pytest.raises(ImlTypeError) as caught:
        run(value)

    assert str(caught.value) == message


def test_accepted_conversions() -> None:
    """What counts as the other type."""
    assert coercion.to_number_argument(True) == 1
    assert coercion.to_number_argument(DATE) == 1577836800000
    assert coercion.to_array(None) == coercion.to_array("") == coercion.to_array(UNDEFINED) == []
    assert coercion.to_collection(UNDEFINED) == {}
    assert coercion.to_date(1577836800000, "UTC") == DATE
    assert coercion.to_date("2020-01-01", "UTC") == DATE
    assert [coercion.to_boolean(v) for v in (0, "False", "", "no", None, UNDEFINED, [], True)] == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "encoding", "expect"),
    [
        ("ž", "utf8", b"\xc5\xbe"), ("é", "latin1", b"\xe9"), ("é", "binary", b"\xe9"), ("ž", "ascii", b"\x7e"),
        ("6d61zz", "hex", b"ma"), ("abc", "hex", b"\xab"), ("_-8", "base64", b"\xff\xef"), ("TQ", "base64", b"M"),
        ("T", "base64", b""), ("a b", "utf16le", b"a\0 \0b\0"), ("\ud800x", "utf8", b"\xef\xbf\xbdx"),
    ],
)  # fmt: skip
def test_encodings_are_as_lenient_as_node(text: str, encoding: str, expect: bytes) -> None:
    """Texts as bytes, in every encoding that a function or a parameter may name."""
    assert coercion.encode_text(text, encoding) == expect
    assert coercion.encode_text(text, "pickle") is None


def test_buffers_decode_with_their_code_page() -> None:
    """UTF-8 unless the buffer says otherwise; malformed bytes show as U+FFFD."""
    assert coercion.decode_buffer(Buffer(b"\xe9", codepage="latin1")) == "é"
    assert coercion.decode_buffer(Buffer(b"\xe9a")) == "\ufffda"
