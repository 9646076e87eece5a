"""Marked JSON gives every value back exactly, and data can never forge a mark."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import CodecError, blob_hash, dumps, loads, mark, parse_json, unmark
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer


class Blobs(dict[str, bytes]):
    """A blob store in memory."""

    def put(self, buffer: Buffer) -> str:
        digest = blob_hash(buffer)
        self[digest] = buffer.data
        return digest

    def get(self, digest: str, size: int) -> bytes:
        assert len(self[digest]) == size
        return self[digest]


texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(["$", "$date", "$buffer", "$number", "\udc80", "\x00"])
dates = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda date: date.replace(microsecond=date.microsecond // 1000 * 1000, fold=0)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**53, max_value=2**200)
    | st.floats(allow_nan=False)
    | texts
    | dates
    | st.builds(Buffer, st.binary(max_size=20), st.none() | st.just("utf8"), st.none() | texts)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)


@given(values)
def test_every_value_comes_back_exactly(value: Any) -> None:
    """What is written is read back equal, of the same types and with keys in the same order."""
    blobs = Blobs()

    assert repr(loads(dumps(value, blobs.put), blobs.get)) == repr(value)
    assert loads(dumps(value, blobs.put), blobs.get) == value


@given(st.recursive(
    st.none() | texts | st.integers(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["$", "$date", "$buffer", "$number", "size", "a"]), inner, max_size=3),
    max_leaves=12,
))  # fmt: skip
def test_data_cannot_forge_a_mark(value: Any) -> None:
    """JSON data of an API that look like marks stay plain collections and texts."""

    def only_json(data: Any) -> bool:
        if isinstance(data, dict):
            return all(map(only_json, data.values()))
        if isinstance(data, list):
            return all(map(only_json, data))
        return data is None or isinstance(data, str | int)

    back = loads(dumps(value))

    assert back == value
    assert only_json(back)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            datetime(2016, 6, 20, 17, 26, 44, 356789, UTC), b'{"$date":"2016-06-20T17:26:44.356Z"}', id="date"
        ),
        pytest.param(math.inf, b'{"$number":"Infinity"}', id="infinity"),
        pytest.param(math.nan, b'{"$number":"NaN"}', id="not a number"),
        pytest.param({"$date": "x"}, b'{"$":{"$date":"x"}}', id="forged date"),
        pytest.param({"a": 1, "$b": 2}, b'{"a":1,"$b":2}', id="only the first key counts"),
        pytest.param({"a": UNDEFINED, "$b": 2}, b'{"$":{"$b":2}}', id="first key after dropping undefined"),
        pytest.param([UNDEFINED, ERASE, FORCED_EMPTY], b'[null,null,""]', id="marks of the mapper"),
        pytest.param(2**64, b"18446744073709551616", id="beyond 64 bits"),
        pytest.param({"a": "\ud800"}, b'{"a":"\\ud800"}', id="lone surrogate"),
    ],
)
def test_stored_form(value: Any, text: bytes) -> None:
    """The stored text is the one that the design fixes."""
    assert dumps(value) == text


def test_buffer_form_carries_no_bytes() -> None:
    """A buffer is written by hash, size, code page and name only."""
    marked = mark({"f": Buffer(b"secret", "utf8", "a.txt")})

    assert marked == {
        "f": {
            "$buffer": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
            "size": 6,
            "codepage": "utf8",
            "name": "a.txt",
        }
    }


@pytest.mark.parametrize(
    "data",
    [
        {"$date": "yesterday"},
        {"$date": "2016-13-01T00:00:00.000Z"},
        {"$number": "1"},
        {"$buffer": "zz", "size": 1},
        {"$buffer": "0" * 64, "size": True},
        {"$buffer": "0" * 64, "size": 1, "path": "/etc/passwd"},
        {"$": []},
        {"$": {}, "a": 1},
        {"$other": 1},
    ],
)
def test_malformed_mark_is_refused(data: Any) -> None:
    """An object that begins like a mark and is none is an error, never data."""
    with pytest.raises(CodecError):
        unmark(data)


def test_text_with_spaces_is_read_too() -> None:
    """Marks are found in JSON that people wrote, with spaces and escapes."""
    assert loads(b'{ "$number" : "NaN" }') != loads(b'{ "$number" : "NaN" }')
    assert loads(b'[{\n"$": {"$date": 1}}]') == [{"$date": 1}]
    assert loads(b'{"\\u0024number":"Infinity"}') == math.inf


def test_outside_text_cannot_name_a_blob() -> None:
    """Bytes come only from the store that the reader was given."""
    with pytest.raises(CodecError, match="not stored here"):
        loads(b'{"$buffer":"' + b"0" * 64 + b'","size":1}')


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"[1,]", b"\xff", b'{"a":Infinity}'])
def test_no_json_is_refused(text: bytes) -> None:
    """What is no JSON gives one clear error."""
    with pytest.raises(CodecError, match="not valid JSON"):
        parse_json(text)


def test_deep_data_give_an_error() -> None:
    """Nesting beyond the interpreter's reach is an error of the data, not a crash."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(CodecError, match="too deep"):
        dumps(deep)
    with pytest.raises(CodecError, match="too deep"):
        loads(b"[" * 100_000 + b"]" * 100_000)

    # Taken apart step by step: freeing such a list at once would itself run deep.
    while isinstance(deep, list):
        deep = deep[0]
