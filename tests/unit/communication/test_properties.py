"""What holds for any input: nothing leaves malformed, nothing that comes in crashes."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.communication.body import encode_body
from runtime.communication.headers import header_lines
from runtime.communication.reading import choose_type, read_body, read_headers
from runtime.communication.url import build_target, flatten, parse_address
from runtime.errors import ModuleError
from runtime.values import Buffer

TARGET = re.compile(r"/[!-~]*\Z")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary().map(Buffer)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


@given(st.text(), st.booleans(), st.booleans(), OBJECTS)
def test_request_targets_are_printable_ascii(url: str, encode: bool, link: bool, qs: dict[str, Any]) -> None:
    """Whatever is in url and qs, the target is one word without control characters, blanks or a fragment."""
    try:
        address = parse_address("/" + url, "http://s.test/v1", encode=encode, link=link)
        target, _ = build_target(address, flatten(qs, "a query"))
    except ModuleError:
        return

    assert TARGET.match(target), target
    assert "#" not in target


@given(st.text(min_size=1))
def test_origins_are_scheme_and_host(url: str) -> None:
    """An address either names http or https and a host, or is refused."""
    try:
        origin = parse_address(url, "").origin
    except ModuleError:
        return

    assert re.match(r"https?://[^\s/?#\\@]+\Z", origin), origin


@given(OBJECTS)
def test_headers_cannot_be_injected(headers: dict[str, Any]) -> None:
    """No name or value holds a control character."""
    try:
        lines = header_lines(headers)
    except ModuleError:
        return

    assert not any(re.search("[\x00-\x08\x0a-\x1f\x7f]", name + value) for name, value in lines)
    assert all(re.match(r"[!-9;-~]+\Z", name) for name, _ in lines)


@given(VALUES, st.sampled_from(["json", "urlencoded", "multipart/form-data", "text", "raw", "binary"]))
def test_bodies_are_bytes_or_a_module_error(value: Any, kind: str) -> None:
    """Building a body never crashes."""
    try:
        body = encode_body(value, kind, 10**6)
    except ModuleError:
        return

    assert body is None or isinstance(body.data, bytes)


@given(
    st.binary(),
    st.sampled_from(["automatic", "json", "urlencoded", "text", "binary", "xml"]),
    st.sampled_from([200, 204, 400, 500]),
    st.text(max_size=40),
)
def test_answers_are_read_or_a_data_error(data: bytes, kind: str, status: int, content_type: str) -> None:
    """Reading an answer never crashes, and an error answer is always read."""
    headers = read_headers([("Content-Type", content_type)])
    try:
        read_body(data, choose_type(kind, status), headers, status)
    except ModuleError:
        assert status < 400
