"""Rendering of answers: spec/modules.md 5.5."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import ScenaristError
from runtime.values import UNDEFINED, Buffer
from runtime.webhooks.answers import JSON, TEXT, remembered, render


@pytest.mark.parametrize(
    ("type_", "body", "expected", "content_type"),
    [
        pytest.param(UNDEFINED, {"a": 1}, b'{"a":1}', JSON, id="collection"),
        pytest.param(UNDEFINED, "text", b"text", TEXT, id="text as it is"),
        pytest.param("json", "text", b'"text"', JSON, id="text as JSON when that is asked for"),
        pytest.param(UNDEFINED, 5, b"5", JSON, id="number"),
        pytest.param("text", {"a": [1]}, b'{"a":[1]}', TEXT, id="collection as text"),
        pytest.param("text", 1.5, b"1.5", TEXT, id="number as text"),
        pytest.param(
            "urlencoded", {"a": {"b": "c d"}, "e": [1, 2]}, b"a%5Bb%5D=c%20d&e=1&e=2",
            "application/x-www-form-urlencoded", id="form",
        ),
        pytest.param("json", Buffer(b"\xff"), b"\xff", "application/octet-stream", id="bytes"),
        pytest.param("json", UNDEFINED, b"", None, id="no body"),
    ],
)  # fmt: skip
def test_bodies(type_: Any, body: Any, expected: bytes, content_type: str | None) -> None:
    """The type decides how a value is written and what it is called."""
    answer = render(UNDEFINED, UNDEFINED, body, type_)

    assert (answer.status, answer.body, dict(answer.headers).get("content-type")) == (200, expected, content_type)


def test_headers() -> None:
    """Arrays repeat a header, nothing leaves it out, the author's type wins, framing belongs to the server."""
    answer = render(
        "201",
        {"X-A": ["1", 2], "X-B": UNDEFINED, "X-C": None, "Content-Type": "text/csv", "Content-Length": 1, "X-D": "ü"},
        "a,b",
    )

    assert answer.status == 201
    assert answer.headers == (("x-a", "1"), ("x-a", "2"), ("content-type", "text/csv"), ("x-d", "Ã¼"))


def test_statuses_without_a_body_have_none() -> None:
    """A body behind them would be read as the next answer."""
    assert render(204, UNDEFINED, "text").body == b""
    assert render(304, {"etag": "x"}, "text").headers == (("etag", "x"),)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((99,), id="status below 100"),
        pytest.param((1000,), id="status over 999"),
        pytest.param((200.5,), id="status with a fraction"),
        pytest.param(("ok",), id="status as a word"),
        pytest.param((True,), id="status as a boolean"),
        pytest.param((float("nan"),), id="no number"),
        pytest.param((200, "x"), id="headers as text"),
        pytest.param((200, {"a": {"b": 1}}), id="nested header"),
        pytest.param((200, {"a": "1\n"}), id="line break"),
        pytest.param((200, {}, "x", "yaml"), id="unknown type"),
        pytest.param((200, {}, "x", "urlencoded"), id="text as a form"),
        pytest.param((200, {}, "x" * (6 * 1024 * 1024)), id="too long"),
    ],
)
def test_what_cannot_be_sent_is_said(values: tuple[Any, ...]) -> None:
    """With a sentence, and without the value."""
    with pytest.raises(ScenaristError) as refused:
        render(*values)
    assert refused.value.message


def test_an_answer_is_remembered_as_text_or_buffer() -> None:
    """What a module hands to its run."""
    assert remembered(render(200, {"x-a": "1"}, "ü")) == {
        "status": 200,
        "headers": [["content-type", TEXT], ["x-a", "1"]],
        "body": "ü",
    }
    assert remembered(render(200, UNDEFINED, Buffer(b"\xff")))["body"] == Buffer(b"\xff")
