"""Request headers (spec/communication.md 9)."""

from __future__ import annotations

import pytest

from runtime.communication.headers import header_lines, title_case
from runtime.errors import DataError
from runtime.values import UNDEFINED, Buffer


@pytest.mark.parametrize(
    ("name", "expected"),
    [("tEsT", "Test"), ("tESt-wiTh-dAsh", "Test-With-Dash"), ("x-api_key", "X-Api_key"), ("ETag", "Etag")],
)
def test_names_are_sent_in_title_case(name, expected):
    """One capital a dash part, whatever the author wrote."""
    assert title_case(name) == expected


def test_values_become_lines():
    """Null and undefined are left out, empty text is sent, arrays are several lines, other scalars are text."""
    lines = header_lines({"a": None, "b": UNDEFINED, "c": "", "d": ["1", None, 2], "e": True, "f": 1.0})

    assert lines == [("C", ""), ("D", "1"), ("D", "2"), ("E", "true"), ("F", "1")]


def test_the_later_spelling_wins_at_the_earlier_place():
    """Names are one whatever their case; a later layer overrides, null takes a header away."""
    assert header_lines({"X-A": "1", "y": "2", "x-a": "3"}) == [("X-A", "3"), ("Y", "2")]
    assert header_lines({"x-a": "1", "x-b": "2"}, {"X-B": None, "X-A": "9"}) == [("X-A", "9")]


def test_framing_headers_belong_to_the_engine():
    """A length written by hand would break the exchange."""
    assert header_lines({"content-length": "5", "Transfer-Encoding": "chunked", "host": "h"}) == [("Host", "h")]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "a\x0bb", {"a": 1}, [["a"]], Buffer(b"x")])
def test_values_that_cannot_be_sent_are_data_errors(value):
    """Control characters are never sent; collections and buffers have no text form here."""
    with pytest.raises(DataError):
        header_lines({"X-A": value})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\r\nb"])
def test_names_that_are_none_are_data_errors(name):
    """A header name is a token."""
    with pytest.raises(DataError, match="invalid header name"):
        header_lines({name: "1"})
