"""The child's side of the protocol, over byte streams instead of pipes."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from runtime.iml.javascript import child

OPEN = {"op": "open", "key": "app", "memory": 64 << 20, "sources": {"f": "(n) => n + 1"}, "builtins": []}
CALL = {"op": "call", "key": "app", "name": "f", "timezone": "UTC"}


def serve(*requests: tuple[dict[str, Any], str]) -> list[tuple[dict[str, Any], str]]:
    """What a child answers to these requests, its greeting left out."""
    source = BytesIO()
    for meta, body in requests:
        head = json.dumps(meta).encode()
        source.write(child.HEADER.pack(len(head), len(body)) + head + body.encode("ascii"))
    source.seek(0)
    sink = BytesIO()
    child.Server(source, sink).serve()
    sink.seek(0)
    answers: list[tuple[dict[str, Any], str]] = []
    while header := sink.read(child.HEADER.size):
        meta_length, body_length = child.HEADER.unpack(header)
        answers.append((json.loads(sink.read(meta_length)), sink.read(body_length).decode()))
    assert answers[0] == ({"ready": True}, "")
    return answers[1:]


def test_a_context_is_opened_and_called():
    """
    After `open`, calls are answered with the JSON text of their results.
    """
    assert serve((OPEN, ""), (CALL, "[1]"), (CALL, "[2]")) == [({}, ""), ({}, "2"), ({}, "3")]


def test_an_unknown_context_is_asked_for():
    """
    A call without its context is answered with `missing`, so that the parent opens it and calls again.
    """
    assert serve((CALL, "[1]")) == [({"missing": True}, "")]


def test_the_oldest_context_goes_first(monkeypatch: pytest.MonkeyPatch):
    """
    Beyond the number of contexts that are kept, the one unused for longest is dropped.
    """
    monkeypatch.setattr(child, "MAX_CONTEXTS", 2)
    opens = [({**OPEN, "key": key}, "") for key in "ab"]

    answers = serve(
        *opens,
        ({**CALL, "key": "a"}, "[1]"),
        ({**OPEN, "key": "c"}, ""),
        *[({**CALL, "key": key}, "[1]") for key in "abc"],
    )

    assert [answer[0] for answer in answers[4:]] == [{}, {"missing": True}, {}]


def test_a_child_ends_after_its_number_of_requests(monkeypatch: pytest.MonkeyPatch):
    """
    The last answer says so, and later requests are not read.
    """
    monkeypatch.setattr(child, "MAX_REQUESTS", 2)

    assert serve((OPEN, ""), (CALL, "[1]"), (CALL, "[2]")) == [({}, ""), ({"last": True}, "2")]


def test_a_child_ends_after_a_lack_of_memory():
    """
    What used up a context may have used up more: the process starts anew.
    """
    greedy = {**OPEN, "sources": {"f": "() => new Uint8Array(2 ** 30)"}}

    answers = serve((greedy, ""), (CALL, "[]"), (CALL, "[]"))

    assert answers[1:] == [({"kind": "memory", "error": "out of memory", "last": True}, "")]


def test_a_lack_of_memory_after_earlier_calls_is_tried_in_a_new_context():
    """
    A context that is not fresh is thrown away first, since earlier calls may have filled it.
    """
    source = {**OPEN, "sources": {"f": "(n) => new Uint8Array(n).length"}}

    answers = serve((source, ""), (CALL, "[1]"), (CALL, "[1073741824]"))

    assert answers[1:] == [({}, "1"), ({"missing": True}, "")]


def test_a_truncated_request_ends_the_child():
    """
    When the parent is gone in the middle of a header, so is the child.
    """
    sink = BytesIO()

    child.Server(BytesIO(b"\0\0"), sink).serve()

    assert len(sink.getvalue()) == child.HEADER.size + len('{"ready": true}')


def test_regular_expressions_are_stopped_by_the_engine():
    """
    The time limit of an expression leaves the child usable.
    """
    match = {"op": "match", "flags": "", "limit": None, "seconds": 0.05}

    answers = serve(
        ({**match, "pattern": '"^(a+)+$"'}, json.dumps("a" * 40 + "b")), ({**match, "pattern": '"a"'}, '"a"')
    )

    assert answers == [({"kind": "time", "error": "interrupted"}, ""), ({}, '[[0,"a",[],[]]]')]
