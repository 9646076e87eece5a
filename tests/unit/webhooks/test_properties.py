"""Whatever comes in ends in a verdict: generated requests over generated and fixed webhooks."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import codec
from runtime.webhooks import Answer, Incoming, Verdict, compile_receiving, custom, receiving
from runtime.webhooks.forms import parse_query
from runtime.webhooks.structure import learn
from tests.unit.webhooks.test_receiving import ENVIRONMENT, HOOK, SHARED, VERIFICATION, spec

TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b',
        "multipart/form-data",
        "text/plain; charset=utf-16",
        "text/plain; charset=base64",
        "text/xml",
        "application/octet-stream",
        "",
    ]
) | st.text(max_size=40)
PARTS = st.lists(
    st.sampled_from([b"--b", b"\r\n", b"--", b'Content-Disposition: form-data; name="a"', b"; filename=", b"x", b"\n",
                     b":", b"{", b"}", b"[", b'"', b"<a>", b"</a>", b"&", b"=", b"%", b"\xff", b"\x00", b"1e999"]),
    max_size=30,
).map(b"".join)  # fmt: skip
BODIES = st.binary(max_size=200) | PARTS
QUERIES = st.text(max_size=100) | st.text("ab[]=&%+01", max_size=60)
INCOMING = st.builds(
    lambda method, query, kind, body, remote: Incoming(method, query, (("content-type", kind),), body, remote),
    st.sampled_from(["GET", "POST", "", "\u00e9"]),
    QUERIES,
    TYPES,
    BODIES,
    st.sampled_from(["127.0.0.1", "::1%eth0", "", "x"]),
)
STRUCTURE = [{"name": "a", "type": "number"}, {"name": "b", "type": "array", "spec": [{"name": "c"}]}]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.booleans(),
        "addMethod": st.booleans(),
        "stringify": st.booleans(),
        "method": st.sampled_from(["any", "GET", True, None, 5]),
        "ip": st.sampled_from([None, [], ["127.0.0.0/8"], ["x"], "127.0.0.1", [None]]),
    },
)
PLANS = [
    compile_receiving(spec(communication))
    for communication in (
        {},
        VERIFICATION,
        SHARED,
        {"iterate": "{{body}}", "output": {"v": "{{item.a}}"}, "respond": {"body": "{{body}}", "type": "urlencoded"}},
        {"iterate": {"container": "{{query.a}}"}, "respond": {"status": "{{query.b}}", "headers": "{{query}}"}},
        {"output": "{{parseJSON(request.rawBody)}}", "respond": {"body": "{{request.rawBody}}", "type": "text"}},
        {"condition": "{{body.a.b[1] > query.a}}", "output": "{{headers}}"},
        {"verification": {"respond": {"type": "{{query.a}}", "headers": {"{{query.b}}": "{{query.a}}"}}}},
    )
]


def good(answer: Answer | None) -> bool:
    """Whether a server can send it."""
    if answer is None:
        return True
    lines = [name.encode("ascii") + value.encode("latin-1") for name, value in answer.headers]
    return 100 <= answer.status <= 999 and not any(byte in line for line in lines for byte in b"\r\n\0")


def accepted(verdict: Verdict) -> None:
    assert good(verdict.answer)
    assert not (verdict.refused and verdict.items)
    assert verdict.answer is not None or verdict.items
    for item in verdict.items:
        # It can be stored.
        codec.dumps(codec.mark(item, lambda buffer: f"{len(buffer)}"))


@settings(max_examples=300, deadline=None)
@given(INCOMING, OPTIONS, st.booleans())
def test_any_request_to_a_custom_webhook(incoming: Incoming, options: dict[str, Any], structured: bool) -> None:
    """A verdict that can be stored and sent; what is accepted can be learned from."""
    verdict = custom.receive(incoming, options, STRUCTURE if structured else None)

    accepted(verdict)
    assert not verdict.refused.startswith("crashed")
    for item in verdict.items:
        assert all(field["name"] for field in learn(item))


@settings(max_examples=400, deadline=None)
@given(INCOMING, st.sampled_from(PLANS))
def test_any_request_to_the_webhook_of_an_app(incoming: Incoming, plan: Any) -> None:
    """The same for every directive."""
    verdict = receiving.receive(plan, incoming, HOOK, ENVIRONMENT)
    shared = receiving.open_shared(plan, incoming, {}, ENVIRONMENT)

    accepted(verdict)
    assert not verdict.refused.startswith("crashed")
    if shared.verdict is None:
        accepted(receiving.deliver(plan, shared, HOOK, ENVIRONMENT))
    else:
        accepted(shared.verdict)


@given(st.dictionaries(st.text("abc", min_size=1), st.text(min_size=1), max_size=8))
def test_flat_queries_come_back(values: dict[str, str]) -> None:
    """What a form has encoded is read as it was."""
    expected = {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}
    assert parse_query(urlencode(values, errors="replace")) == expected


def test_hostile_sizes_are_quick() -> None:
    """Five megabytes of anything are read in seconds at most; the bound is generous, the shapes are quadratic traps."""
    traps = [
        ("application/x-www-form-urlencoded", b"a" + b"[a]" * 1_600_000 + b"=1"),
        ("application/x-www-form-urlencoded", b"a[" * 2_500_000),
        ("application/x-www-form-urlencoded", b"&" * 5_000_000),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n" + b"\r\n--" * 1_250_000),
        ("multipart/form-data; boundary=b", b"\r" * 5_000_000),
        ("application/json", b"[" * 5_000_000),
        ("application/json", b"[" + b"[]," * 1_600_000 + b"[]]"),
        ("text/xml", b"<a>" * 1_600_000),
    ]
    for content_type, body in traps:
        started = time.process_time()
        custom.receive(Incoming("POST", "", (("content-type", content_type),), body), {})
        assert time.process_time() - started < 20, content_type
