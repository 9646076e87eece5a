"""Reading answers (spec/communication.md 9 and 14)."""

from __future__ import annotations

import pytest

from runtime.communication.reading import choose_type, decode, parse_form, parse_json, read_body, read_headers
from runtime.errors import DataError, InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer

BY_STATUS = {"*": "json", "400-408": "text", "406": "xml"}


@pytest.mark.parametrize(
    ("declared", "status", "expected"),
    [
        (BY_STATUS, 406, "xml"),
        (BY_STATUS, 401, "text"),
        (BY_STATUS, 200, "json"),
        ({"400-599": "json"}, 200, "automatic"),
        ({"200-201": "json", "201-202": "text"}, 201, "text"),
        (None, 200, "automatic"),
        ("binary", 200, "binary"),
    ],
)
def test_the_type_is_chosen_by_status(declared, status, expected):
    """The narrowest range wins, of equally narrow ones the later; no match is automatic."""
    assert choose_type(declared, status) == expected


def test_an_unknown_type_is_a_configuration_error():
    """The known ones are listed."""
    with pytest.raises(InvalidConfigurationError, match="automatic, binary"):
        choose_type("yaml", 200)


@pytest.mark.parametrize(
    ("content_type", "data", "expected"),
    [
        ("application/json; charset=utf-8", b'{"a":1}', {"a": 1}),
        ("application/vnd.api+json", b"[1]", [1]),
        ("text/json", b"1", 1),
        ("text/plain", b'{"a":1}', '{"a":1}'),
        ("text/html", b"<p>", "<p>"),
        ("application/x-www-form-urlencoded", b"a=1&a=2&b=%C3%A9+x", {"a": ["1", "2"], "b": "é x"}),
        ("application/atom+xml", b"<a/>", {"a": ""}),
        ("", b'{"a":1}', {"a": 1}),
        ("", b"plain", "plain"),
        ("image/png", b"\x89", Buffer(b"\x89")),
    ],
)
def test_automatic_follows_the_content_type(content_type, data, expected):
    """Without a declared type the Content-Type decides; without that, JSON if it parses."""
    headers = {"content-type": content_type} if content_type else {}

    assert read_body(data, "automatic", headers, 200) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("json", UNDEFINED), ("xml", UNDEFINED), ("urlencoded", UNDEFINED), ("text", ""), ("binary", Buffer(b""))],
)
@pytest.mark.parametrize("status", [200, 204, 304])
def test_empty_bodies(kind, expected, status):
    """Nothing, or an empty value of the type."""
    assert read_body(b"", kind, {}, status) == expected


@pytest.mark.parametrize(
    ("content_type", "data", "expected"),
    [
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain", "é".encode("utf-8-sig"), "é"),
        ("text/plain", "é".encode("utf-16"), "é"),
        ("text/plain", b"a\xffb", "a\ufffdb"),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("text/plain; charset=base64", b"aGk=", "aGk="),
        ('text/plain; charset="windows-1250"', b"\x9e", "ž"),
    ],
)
def test_charsets(content_type, data, expected):
    """Content-Type, byte-order mark, else UTF-8; what cannot be decoded becomes U+FFFD."""
    assert decode(data, content_type) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"12345678901234567890123", 12345678901234567890123),
        (b'"\\ud800"', "\ud800"),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"1.0", 1.0),
    ],
)
def test_json_is_read_as_javascript_reads_it(data, expected):
    """The last key wins, integers are exact, lone surrogates are kept."""
    assert parse_json(data) == expected


@pytest.mark.parametrize("data", [b"{", b"NaN", b"[1,]", b"", b"{'a':1}", b"[" * 201 + b"]" * 201, b"[" * 100_000])
def test_bad_json_is_refused(data):
    """Malformed or too deep."""
    with pytest.raises(ValueError):
        parse_json(data)


def test_json_of_200_levels_is_read():
    """The limit itself is allowed, and brackets in texts do not count."""
    parse_json(b"[" * 200 + b"]" * 200)
    parse_json(b'["' + b"[" * 500 + b'"]')


def test_bad_json_on_success_is_a_data_error_with_the_place():
    """The message says where and quotes the start, not all of it."""
    with pytest.raises(DataError, match=r"not valid JSON: .*line 1 column 6") as caught:
        read_body(b'{"a":' + b"x" * 1000, "json", {}, 200)

    assert len(caught.value.message) < 400


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_bad_bodies_of_error_answers_are_text(kind):
    """Error handling goes on with the raw text."""
    assert read_body(b"<html>oops", kind, {}, 500) == "<html>oops"


def test_headers_of_an_answer():
    """Lower-case names, repeats joined, set-cookie a list, look-up in any case."""
    headers = read_headers([("X-A", "1"), ("x-a", "2"), ("Set-Cookie", "s=1"), ("Content-Type", "t")])

    assert headers == {"x-a": "1, 2", "set-cookie": ["s=1"], "content-type": "t"}
    assert headers.get("Content-TYPE") == "t"


def test_forms_keep_blanks_and_odd_pieces():
    """Pieces without a value and with more than one equals sign."""
    assert parse_form("a&b=&c=d=e&&") == {"a": "", "b": "", "c": "d=e"}
