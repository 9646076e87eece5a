"""Queries, forms and bodies of incoming requests as values: spec/modules.md 5.4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.values import UNDEFINED, Buffer
from runtime.webhooks.bodies import read_body
from runtime.webhooks.forms import MAX_VALUES, parse_query
from runtime.webhooks.incoming import BadRequest, Incoming


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("a=1&b=2", {"a": "1", "b": "2"}, id="flat"),
        pytest.param("a=1&a=2&a=3", {"a": ["1", "2", "3"]}, id="repeated name"),
        pytest.param("a[b]=c&a[d]=e", {"a": {"b": "c", "d": "e"}}, id="nested"),
        pytest.param("a[b][c]=d", {"a": {"b": {"c": "d"}}}, id="nested twice"),
        pytest.param("a[]=1&a[]=2", {"a": ["1", "2"]}, id="array"),
        pytest.param("a[]=1", {"a": ["1"]}, id="array of one"),
        pytest.param("a[1]=y&a[0]=x", {"a": ["x", "y"]}, id="indexed"),
        pytest.param("a[100]=x", {"a": {"100": "x"}}, id="index over the limit"),
        pytest.param("a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}, id="array of collections"),
        pytest.param("a=1&a[b]=2", {"a": ["1", {"b": "2"}]}, id="value and nested"),
        pytest.param("a[x]=1&a[]=2", {"a": {"x": "1", "0": "2"}}, id="loose value in a collection"),
        pytest.param("a%5Bb%5D=c+d", {"a": {"b": "c d"}}, id="encoded"),
        pytest.param("a", {"a": ""}, id="no value"),
        pytest.param("=1&&", {"": "1"}, id="no name"),
        pytest.param("a[b=1&[c]=2&d]=3", {"a[b": "1", "c": "2", "d]": "3"}, id="brackets that do not pair"),
        pytest.param("a[1][2][3][4][5][6]=x", {"a": {"1": {"2": {"3": {"4": {"5": {"[6]": "x"}}}}}}}, id="too deep"),
        pytest.param("a=%ff%e4", {"a": "\ufffd\ufffd"}, id="no UTF-8"),
        pytest.param("__proto__[x]=1", {"__proto__": {"x": "1"}}, id="names mean nothing special"),
    ],
)
def test_a_query(query: str, expected: dict[str, Any]) -> None:
    """Indexes below the array limit are elements, everything else is a collection."""
    if query.startswith("a[1][2]"):
        # A lone index inside is an array of one; deeper than the limit the rest is one key.
        assert parse_query(query) == {"a": [[[[[{"[6]": "x"}]]]]]}
        return
    assert parse_query(query) == expected


def test_too_many_values_are_refused() -> None:
    """Nothing is dropped in silence."""
    assert len(parse_query("&".join(f"a{n}=1" for n in range(MAX_VALUES)))) == MAX_VALUES
    with pytest.raises(BadRequest) as refused:
        parse_query("&".join(["a=1"] * (MAX_VALUES + 1)))
    assert refused.value.status == 413


def incoming(body: bytes, content_type: str = "") -> Incoming:
    return Incoming("POST", headers=(("content-type", content_type),) if content_type else (), body=body)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        pytest.param("application/json", b'{"a": 1}', {"a": 1}, id="json"),
        pytest.param("application/vnd.x+json; charset=utf-8", b"[1]", [1], id="json suffix"),
        pytest.param("application/x-www-form-urlencoded", b"a=1&b[]=2", {"a": "1", "b": ["2"]}, id="form"),
        pytest.param("application/xml", b"<r><a>1</a></r>", {"r": {"a": ["1"]}}, id="xml"),
        pytest.param("text/plain; charset=latin-1", "ü".encode("latin-1"), "ü", id="text in its charset"),
        pytest.param("text/html", b"{}", "{}", id="text stays text"),
        pytest.param("", b' {"a": 1}', {"a": 1}, id="no type, an object"),
        pytest.param("", b"17", Buffer(b"17"), id="no type, a scalar"),
        pytest.param("image/png", b"\x89PNG", Buffer(b"\x89PNG"), id="bytes"),
        pytest.param("image/png", b"", UNDEFINED, id="empty"),
    ],
)
def test_a_body(content_type: str, body: bytes, expected: Any) -> None:
    """The Content-Type decides how a body is read."""
    assert read_body(incoming(body, content_type)) == expected


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("application/json", b"{", id="json"),
        pytest.param("application/json", b"NaN", id="a constant that JSON has not"),
        pytest.param("application/json", b"[" * 300 + b"]" * 300, id="too deep"),
        pytest.param("text/xml", b"<a>", id="xml"),
        pytest.param("text/xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', id="entities"),
        pytest.param("multipart/form-data", b"--x--", id="no boundary"),
        pytest.param("multipart/form-data; boundary=x", b"--y\r\n\r\n--y--", id="another boundary"),
        pytest.param("multipart/form-data; boundary=" + "x" * 300, b"--x--", id="boundary too long"),
        pytest.param("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\nc\r\n--x--\r\n", id="part without a name"),
    ],
)
def test_a_malformed_body_is_refused(content_type: str, body: bytes) -> None:
    """The sender learns what is wrong."""
    with pytest.raises(BadRequest) as refused:
        read_body(incoming(body, content_type))
    assert refused.value.status == 400
    assert refused.value.message


def multipart(*parts: tuple[str, bytes], end: bytes = b"--") -> bytes:
    blocks = [f"--xX\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts]
    return b"".join(blocks) + b"--xX" + end + b"\r\n"


def test_a_multipart_form() -> None:
    """Text fields as text, files with their name, type and bytes; repeated names are arrays."""
    body = multipart(
        ('Content-Disposition: form-data; name="title"', "Grüße".encode()),
        ('Content-Disposition: form-data; name="tag"', b"a"),
        ('Content-Disposition: form-data; name="tag"', b"b"),
        ('Content-Disposition: form-data; name="user[name]"', b"Ann"),
        (
            'content-disposition: form-data; name="file"; filename="räport.pdf"\r\nContent-Type: application/pdf',
            b"%PDF\r\n--xY",
        ),
        ('Content-Disposition: form-data; name="empty"; filename=""', b""),
    )

    assert read_body(incoming(body, 'multipart/form-data; boundary="xX"')) == {
        "title": "Grüße",
        "tag": ["a", "b"],
        "user": {"name": "Ann"},
        "file": {
            "name": "räport.pdf",
            "mime": "application/pdf",
            "data": Buffer(b"%PDF\r\n--xY", name="räport.pdf"),
        },
        "empty": {"name": "", "mime": "application/octet-stream", "data": Buffer(b"")},
    }


def test_a_multipart_form_is_bounded() -> None:
    """Cut off, too many parts, too many or too long headers: refused."""
    part = ('Content-Disposition: form-data; name="a"', b"1")
    for body, status in (
        (multipart(part)[:-6], 400),
        (multipart(*[part] * (MAX_VALUES + 1)), 413),
        (multipart((part[0] + "".join(f"\r\nX-{n}: 1" for n in range(30)), b"")), 400),
        (multipart((part[0] + "\r\nX: " + "y" * 10_000, b"")), 400),
    ):
        with pytest.raises(BadRequest) as refused:
            read_body(incoming(body, "multipart/form-data; boundary=xX"))
        assert refused.value.status == status
