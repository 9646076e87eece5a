"""Request bodies (spec/communication.md 10)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.communication.body import encode_body
from runtime.errors import DataError, InvalidConfigurationError, MaxFileSizeExceededError
from runtime.values import UNDEFINED, Buffer

LIMIT = 1000
DATE = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "data", "content_type"),
    [
        pytest.param("json", {"a": UNDEFINED, "b": None, "c": ""}, b'{"b":null,"c":""}', "application/json"),
        pytest.param("json", "text", b'"text"', "application/json", id="json of a text"),
        pytest.param(
            "json",
            [DATE, Buffer(b"abc"), "ž", 2**70],
            '["2024-01-02T00:00:00.000Z","YWJj","ž",1180591620717411303424]'.encode(),
            "application/json",
            id="json values",
        ),
        pytest.param("json", {"o": {"a": UNDEFINED}}, b'{"o":{}}', "application/json", id="emptied collection"),
        pytest.param("urlencoded", {"a": UNDEFINED, "b": None, "c": ""}, b"c=", "application/x-www-form-urlencoded"),
        pytest.param(
            "urlencoded",
            {"l": [1, 2], "o": {"a": "x y"}},
            b"l=1&l=2&o%5Ba%5D=x%20y",
            "application/x-www-form-urlencoded",
            id="form of lists",
        ),
        pytest.param("text", "as is", b"as is", None),
        pytest.param("string", 5, b"5", None),
        pytest.param("raw", {"a": [1, 2]}, b'{"a":[1,2]}', None),
        pytest.param("text", [1, {"a": 2}], b'[1,{"a":2}]', None, id="text of a list"),
        pytest.param("text", Buffer(b"\xff"), b"\xff", None, id="text of a buffer"),
        pytest.param("binary", Buffer(b"\x00\xff"), b"\x00\xff", None),
        pytest.param("binary", "ž", "ž".encode(), None, id="binary of a text"),
    ],
)
def test_values_become_bytes(kind, value, data, content_type):
    """Each type with its bytes and default Content-Type."""
    body = encode_body(value, kind, LIMIT)

    assert body is not None
    assert (body.data, body.content_type) == (data, content_type)


@pytest.mark.parametrize("kind", ["json", "urlencoded", "multipart/form-data", "text", "binary"])
@pytest.mark.parametrize("value", [None, UNDEFINED])
def test_nothing_has_no_body(kind, value):
    """A whole body that is undefined or null is none, whatever the type."""
    assert encode_body(value, kind, LIMIT) is None


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        pytest.param("urlencoded", "a=b", DataError, id="form of a text"),
        pytest.param("multipart/form-data", [1], DataError, id="multipart of a list"),
        pytest.param("binary", 5, DataError, id="binary of a number"),
        pytest.param("urlencoded", {"a": Buffer(b"x")}, DataError, id="buffer in a form"),
        pytest.param("xml", "<a/>", InvalidConfigurationError, id="no xml type"),
        pytest.param("xml", None, InvalidConfigurationError, id="unknown type without a body"),
        pytest.param("text", "x" * 1001, MaxFileSizeExceededError, id="too large"),
    ],
)
def test_what_does_not_fit_is_refused(kind, value, error):
    """A value that does not fit its type, an unknown type, a body over the limit."""
    with pytest.raises(error):
        encode_body(value, kind, LIMIT)


def test_deep_json_is_a_data_error():
    """A value nested deeper than the interpreter follows is refused, not a crash."""
    value: list = []
    for _ in range(5000):
        value = [value]

    with pytest.raises(DataError):
        encode_body(value, "json", LIMIT)


def parts_of(value):
    body = encode_body(value, "multipart/form-data", LIMIT * 10)
    assert body is not None
    assert body.forced
    boundary = body.content_type.partition("boundary=")[2].encode()
    blocks = body.data.split(b"--" + boundary)
    assert blocks[0] == b""
    assert blocks[-1] == b"--\r\n"
    return [tuple(block.strip(b"\r\n").split(b"\r\n\r\n", 1)) for block in blocks[1:-1]]


def disposition(text: str) -> bytes:
    return b"Content-Disposition: form-data; " + text.encode()


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        pytest.param("v", [(disposition('name="k"'), b"v")], id="text"),
        pytest.param([1, "2"], [(disposition('name="k"'), b"1"), (disposition('name="k"'), b"2")], id="array"),
        pytest.param(None, [], id="null"),
        pytest.param({"a": 1}, [(disposition('name="k"'), b'{"a":1}')], id="another object is JSON"),
        pytest.param(
            Buffer(b"x"),
            [(disposition('name="k"; filename="k"\r\nContent-Type: application/octet-stream'), b"x")],
            id="buffer",
        ),
        pytest.param(
            {"value": Buffer(b"x"), "options": {"filename": "a.png"}},
            [(disposition('name="k"; filename="a.png"\r\nContent-Type: image/png'), b"x")],
            id="type by extension",
        ),
        pytest.param(
            {"value": "t", "options": {"filename": 'é".txt', "contentType": "text/x"}},
            [(disposition('name="k"; filename="é%22.txt"\r\nContent-Type: text/x'), b"t")],
            id="text file",
        ),
        pytest.param({"value": "t"}, [(disposition('name="k"'), b"t")], id="text without a file name"),
        pytest.param({"value": UNDEFINED, "options": {"filename": "a"}}, [], id="no value"),
        pytest.param({"options": {"filename": "a"}}, [], id="value that was dropped"),
        pytest.param({"value": 1, "x": 2}, [(disposition('name="k"'), b'{"value":1,"x":2}')], id="a key too much"),
    ],
)
def test_multipart_parts(member, expected):
    """Every key is a part, the file form and its defaults."""
    assert parts_of({"k": member}) == expected


def test_a_line_break_in_a_content_type_is_refused():
    """A part's header cannot be made to hold another one."""
    with pytest.raises(DataError):
        encode_body({"k": {"value": "x", "options": {"contentType": "a\r\nb"}}}, "multipart/form-data", LIMIT)


def test_the_same_multipart_body_has_the_same_bytes():
    """Building is pure: the boundary comes from the content."""
    value = {"k": {"value": Buffer(b"x"), "options": {"filename": "a"}}}

    assert encode_body(value, "multipart/form-data", LIMIT) == encode_body(value, "multipart/form-data", LIMIT)
