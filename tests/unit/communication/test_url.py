"""Addresses and queries (spec/communication.md 7 and 8)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.communication.url import build_target, flatten, parse_address
from runtime.errors import DataError, InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        pytest.param("/users", "http://S/v1/", "http://S/v1/users", id="one slash at the joint"),
        pytest.param("users", "http://S/v1", "http://S/v1/users", id="without a slash"),
        pytest.param("//host/x", "http://S", "http://S/host/x", id="two slashes are a path"),
        pytest.param("//a///b/", "http://S", "http://S/a/b/", id="slashes collapse"),
        pytest.param("http://T", "http://S/v1", "http://T/", id="absolute, without a path"),
        pytest.param("HTTPS://T/x#frag", "", "https://T/x", id="scheme and fragment"),
        pytest.param("/p/a%2Fb", "http://S", "http://S/p/a%252Fb", id="percent is encoded again"),
        pytest.param("/a b/é;,@", "http://S", "http://S/a%20b/%C3%A9;,@", id="blanks and letters"),
        pytest.param("/a?u=http://h//b", "http://S", "http://S/a?u=http://h//b", id="slashes in the query"),
        pytest.param("/a?x=1?y=2", "http://S", "http://S/a?x=1&y=2", id="second question mark"),
        pytest.param("/a?", "http://S", "http://S/a", id="nothing behind the question mark"),
        pytest.param('/a?f=a b"c', "http://S", "http://S/a?f=a%20b%22c", id="illegal in a query"),
        pytest.param("/a?p=100%", "http://S", "http://S/a?p=100%25", id="lone percent in a query"),
        pytest.param("/x", "http://S/v1?key=k", "http://S/v1/x?key=k", id="query of the base"),
        pytest.param("http://u:p@T/x", "", "http://T/x", id="credentials are no part of it"),
    ],
)
def test_addresses_are_joined_and_encoded(url, base, expected):
    """The path is encoded like encodeURI does, the query keeps its escapes, the joint has one slash."""
    address = parse_address(url, base)

    assert address.origin + build_target(address, [])[0] == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("/p/a%2Fb", "/p/a%2Fb", id="percent stays"),
        pytest.param("/a//b c", "/a//b%20c", id="slashes stay"),
        pytest.param("//a//b", "/a//b", id="one slash at the joint"),
    ],
)
def test_encode_url_false_sends_the_path_as_written(url, expected):
    """Only what is illegal in a request target is escaped."""
    assert parse_address(url, "http://S", encode=False).path == expected


@pytest.mark.parametrize(
    ("url", "base", "encode"),
    [
        pytest.param("", "http://S", True, id="empty"),
        pytest.param("/x", "", True, id="relative without a base"),
        pytest.param("ftp://S/x", "", True, id="another scheme"),
        pytest.param("http:///x", "", True, id="no host"),
        pytest.param("http://a b/x", "", True, id="blank in the host"),
        pytest.param("http://good\\@evil/", "", True, id="backslash in the host"),
        pytest.param("/x\r\nHost: y", "http://S", False, id="line break"),
        pytest.param("/x", "S/v1", True, id="base without a scheme"),
    ],
)
def test_unusable_addresses_are_refused(url, base, encode):
    """Nothing is sent to an address that cannot be meant."""
    with pytest.raises(InvalidConfigurationError):
        parse_address(url, base, encode=encode)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"n": None, "u": UNDEFINED, "e": ""}, [("e", "")], id="null and undefined are left out"),
        pytest.param({"b": True, "i": 0, "f": 1.5, "w": 2.0}, [("b", "true"), ("i", "0"), ("f", "1.5"), ("w", "2")]),
        pytest.param({"big": 1e21, "small": 1e-7}, [("big", "1" + "0" * 21), ("small", "0.0000001")], id="no exponent"),
        pytest.param({"d": datetime(2024, 1, 2, tzinfo=UTC)}, [("d", "2024-01-02T00:00:00.000Z")], id="date"),
        pytest.param({"l": ["a", None, "b"]}, [("l", "a"), ("l", "b")], id="array"),
        pytest.param({"l": []}, [], id="empty array"),
        pytest.param({"o": {"a": {"b": 1}}}, [("o[a][b]", "1")], id="collection"),
        pytest.param({"l": [{"a": 1}, {"a": 2}]}, [("l[0][a]", "1"), ("l[1][a]", "2")], id="array of collections"),
    ],
)
def test_values_become_pairs(value, expected):
    """Scalars, lists and collections of a query or form."""
    assert flatten(value, "a query") == expected


def test_lists_are_numbered_without_use_querystring():
    """`useQuerystring: false` writes list[0]=one."""
    assert flatten({"list": ["one", "two"]}, "a query", indexed=True) == [("list[0]", "one"), ("list[1]", "two")]


def test_a_buffer_in_a_query_is_a_data_error():
    """Bytes have no place in an address."""
    with pytest.raises(DataError):
        flatten({"b": Buffer(b"x")}, "a query")


@pytest.mark.parametrize(
    ("url", "layers", "over", "expected"),
    [
        pytest.param("/t?name=eq.A", [[("limit", "100")]], 0, "/t?name=eq.A&limit=100", id="merged"),
        pytest.param("/t?a=1&b=2", [[("a", "3")]], 0, "/t?b=2&a=3", id="qs wins"),
        pytest.param("/t?sig=a%2Fb%3D", [[("x", "a/b c")]], 0, "/t?sig=a%2Fb%3D&x=a%2Fb%20c", id="escapes survive"),
        pytest.param("/t?c=2", [[("c", "1"), ("k", "v")]], 1, "/t?c=2&k=v", id="a link wins over qs"),
        pytest.param("/t?c=2", [[("c", "1")], [("c", "3")]], 1, "/t?c=3", id="pagination.qs wins over a link"),
        pytest.param("/t", [[("a", "1"), ("b", "2")], [("a", "3"), ("c", "4")]], 0, "/t?a=3&b=2&c=4", id="its place"),
        pytest.param("/t", [[("list", "one"), ("list", "two")]], 0, "/t?list=one&list=two", id="repeated"),
    ],
)
def test_queries_are_merged(url, layers, over, expected):
    """The query of the url comes first; layers override by name and keep the place."""
    target, pairs = build_target(parse_address(url, "http://S"), *layers, url_over_layers=over)

    assert target == expected
    assert len(pairs) == target.count("=")
