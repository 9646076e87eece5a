"""Custom webhooks: spec/scenarios.md 4.6."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.values import Buffer
from runtime.webhooks import Incoming, Verdict, custom
from runtime.webhooks.structure import learn

JSON = (("content-type", "application/json"),)


def post(body: bytes = b"", *, query: str = "", headers: tuple[tuple[str, str], ...] = JSON, **rest: Any) -> Incoming:
    return Incoming(rest.pop("method", "POST"), query, headers, body, **rest)


def received(incoming: Incoming, structure: Any = None, **options: Any) -> Verdict:
    return custom.receive(incoming, options, structure)


@pytest.mark.parametrize(
    ("incoming", "bundle"),
    [
        pytest.param(post(b'{"a": 1, "b": 2}', query="b=q&c=3"), {"b": 2, "c": "3", "a": 1}, id="the body wins"),
        pytest.param(post(b'[{"x": 1}]'), {"array": [{"x": 1}], "value": [{"x": 1}]}, id="array"),
        pytest.param(post(b"17"), {"value": "17"}, id="number"),
        pytest.param(post(b"null"), {"value": "null"}, id="null"),
        pytest.param(post(b'"hello"'), {"value": "hello"}, id="text"),
        pytest.param(post(b"{oops"), {"value": "{oops"}, id="unparsable"),
        pytest.param(post(b"hello", headers=(("content-type", "text/plain"),)), {"value": "hello"}, id="plain text"),
        pytest.param(post(b'{"a": 1}', headers=(("content-type", "text/plain"),)), {"a": 1}, id="JSON as plain text"),
        pytest.param(post(b'{"a": 1}', headers=()), {"a": 1}, id="JSON without a type"),
        pytest.param(post(b"\xff\x00", headers=()), {"value": Buffer(b"\xff\x00")}, id="bytes"),
        pytest.param(
            post(b"a=1&a=2", headers=(("content-type", "application/x-www-form-urlencoded"),)),
            {"a": ["1", "2"]},
            id="form",
        ),
        pytest.param(post(method="GET", query="a=1", headers=()), {"a": "1"}, id="query alone"),
        pytest.param(post(method="GET", headers=()), {}, id="ping"),
    ],
)
def test_a_request_is_one_bundle(incoming: Incoming, bundle: Any) -> None:
    """Fields of query and body in one collection."""
    assert received(incoming) == Verdict((bundle,))


def test_options_add_headers_and_method() -> None:
    """Header lines in order with lower-case names; the method as it came."""
    incoming = post(b'{"a": 1}', headers=(*JSON, ("x-a", "1"), ("x-a", "2")), method="PUT")

    assert received(incoming, headers=True, addMethod=True).items == (
        {
            "a": 1,
            "__IMTHEADERS__": [
                {"name": "content-type", "value": "application/json"},
                {"name": "x-a", "value": "1"},
                {"name": "x-a", "value": "2"},
            ],
            "__IMTMETHOD__": "PUT",
        },
    )


def test_stringify_passes_the_text_on() -> None:
    """The body is not read at all."""
    assert received(post(b'{"a": 1', query="q=1"), stringify=True).items == ({"q": "1", "value": '{"a": 1'},)


@pytest.mark.parametrize(
    ("options", "incoming", "status"),
    [
        pytest.param({"method": "GET"}, post(), 405, id="method"),
        pytest.param({"method": "post"}, post(), None, id="method in small letters"),
        pytest.param({"method": "any"}, post(), None, id="any method"),
        pytest.param({"ip": ["10.0.0.0/8"]}, post(remote="10.1.2.3"), None, id="network"),
        pytest.param({"ip": ["10.0.0.0/8"]}, post(remote="::ffff:10.1.2.3"), None, id="mapped address"),
        pytest.param({"ip": ["10.0.0.0/8", "2001:db8::/32"]}, post(remote="2001:db8::1"), None, id="IPv6"),
        pytest.param({"ip": ["10.0.0.0/8"]}, post(remote="11.1.2.3"), 403, id="other network"),
        pytest.param({"ip": ["nonsense"]}, post(remote="10.1.2.3"), 403, id="unreadable network"),
        pytest.param({"ip": ["10.0.0.0/8"]}, post(remote="unix"), 403, id="unreadable address"),
    ],
)
def test_who_may_call_how(options: dict[str, Any], incoming: Incoming, status: int | None) -> None:
    """405 with the allowed method, 403 outside of the networks."""
    verdict = custom.receive(incoming, options)

    assert (verdict.answer.status if verdict.answer else None) == status
    assert bool(verdict.items) == (status is None)
    if status == 405:
        assert verdict.answer is not None
        assert ("allow", "GET") in verdict.answer.headers


STRUCTURE = [
    {"name": "id", "type": "number", "required": True},
    {"name": "when", "type": "date"},
    {"name": "lines", "type": "array", "spec": [{"name": "sku", "type": "text", "required": True}]},
]


def test_a_structure_converts_and_refuses() -> None:
    """Values get their types, unknown keys stay; what does not fit is a 400 that says why."""
    good = received(post(b'{"id": "7", "lines": [{"sku": "a"}], "more": true}'), STRUCTURE)
    bad = received(post(b'{"id": "x", "lines": [{}]}'), STRUCTURE)

    assert good.items == ({"id": 7, "lines": [{"sku": "a"}], "more": True},)
    assert bad.items == ()
    assert bad.answer is not None
    assert bad.answer.status == 400
    assert bad.answer.body.decode().splitlines() == [
        "Validation failed for 2 parameter(s).",
        " - Invalid number in parameter 'id'.",
        " - Missing value of required parameter 'lines[0].sku'.",
    ]


def test_a_structure_is_learned() -> None:
    """Names and types of an event; the event fits its own structure."""
    event: dict[str, Any] = {
        "id": 7,
        "ok": True,
        "at": "2024-05-01",
        "none": None,
        "tags": ["a", "b"],
        "mixed": [1, "a"],
        "lines": [{"sku": "a", "qty": 1}, {"sku": "b", "price": 1.5}],
        "user": {"name": "Ann"},
        "file": {"name": "a.txt", "mime": "text/plain", "data": Buffer(b"x")},
        "__IMTHEADERS__": [],
    }

    learned = learn(event)

    assert [{key: value for key, value in item.items() if key != "label"} for item in learned] == [
        {"name": "id", "type": "number"},
        {"name": "ok", "type": "boolean"},
        {"name": "at", "type": "text"},
        {"name": "none", "type": "any"},
        {"name": "tags", "type": "array", "spec": {"type": "text"}},
        {"name": "mixed", "type": "array"},
        {
            "name": "lines",
            "type": "array",
            "spec": [
                {"name": "sku", "label": "sku", "type": "text"},
                {"name": "qty", "label": "qty", "type": "number"},
                {"name": "price", "label": "price", "type": "number"},
            ],
        },
        {"name": "user", "type": "collection", "spec": [{"name": "name", "label": "name", "type": "text"}]},
        {
            "name": "file",
            "type": "collection",
            "spec": [
                {"name": "name", "label": "name", "type": "text"},
                {"name": "mime", "label": "mime", "type": "text"},
                {"name": "data", "label": "data", "type": "buffer"},
            ],
        },
    ]
