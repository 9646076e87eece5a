"""Custom functions in a real child process: values both ways, what a function sees, its errors."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.iml.javascript import FunctionHost, functions_for
from runtime.values import UNDEFINED, Buffer, equal
from tests.integration.javascript_calls import call, failure

DATE = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)
IDENTITY = "(value) => value"

texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=40).map(Buffer),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
        lambda date: date.replace(tzinfo=UTC, microsecond=date.microsecond // 1000 * 1000)
    ),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | st.sampled_from(["$", "__proto__", "toJSON"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_a_value_survives_the_way_through_javascript(value: Any):
    """
    What the identity function gets is what it returns, whatever the value holds.
    """
    assert equal(call(IDENTITY, value), value)


@given(st.lists(values, max_size=3))
@settings(max_examples=50, deadline=None)
def test_javascript_can_rebuild_every_value(args: list[Any]):
    """
    A deep copy made by the script is as good as the value itself: nothing depends on hidden marks.
    """
    copy = """(...args) => {
        const copied = (value) => {
            if (Array.isArray(value)) return value.map(copied);
            if (value instanceof Date) return new Date(value.getTime());
            if (Buffer.isBuffer(value)) return Buffer.from(value);
            if (value === null || typeof value !== 'object') return value;
            return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copied(member)]));
        };
        return copied(args);
    }"""

    assert equal(call(copy, *args), args)


@pytest.mark.parametrize(
    ("source", "args", "expected"),
    [
        pytest.param("(a) => typeof a", [UNDEFINED], "undefined", id="undefined comes in"),
        pytest.param("(a) => a === null", [None], True, id="null comes in"),
        pytest.param("(a) => a instanceof Date && a.toISOString()", [DATE], "2024-02-29T12:30:15.123Z", id="date"),
        pytest.param("(a) => Buffer.isBuffer(a) && a.toString('hex')", [Buffer(b"\x00\xff")], "00ff", id="buffer"),
        pytest.param("(a) => a.$[0]", [{"$": ["date", 0]}], "date", id="data is no mark"),
        pytest.param("(...a) => a.length", [1, UNDEFINED, 3], 3, id="number of arguments"),
        pytest.param("() => {}", [], UNDEFINED, id="nothing returned"),
        pytest.param("() => ({a: undefined, b: [undefined, , 1]})", [], {"b": [None, None, 1]}, id="undefined inside"),
        pytest.param("() => [new Uint8Array([1, 2]), new Uint16Array([258]).buffer]", [],
                     [Buffer(b"\x01\x02"), Buffer(b"\x02\x01")], id="binary types"),
        pytest.param("() => [Object('x'), Object(1), Object(false)]", [], ["x", 1, False], id="wrapper objects"),
        pytest.param("() => new Date(NaN)", [], None, id="invalid date"),
        pytest.param("() => new (class Point { x = 1; get y() { return 2 } })()", [], {"x": 1}, id="own members only"),
        pytest.param("() => ({get a() { return 5 }, [Symbol('s')]: 1})", [], {"a": 5}, id="getter, symbol key"),
        pytest.param("() => new Proxy({a: 1}, {})", [], {"a": 1}, id="proxy"),
        pytest.param("() => Object.assign(Object.create(null), {a: 1})", [], {"a": 1}, id="no prototype"),
        pytest.param("() => ({b: 1, 2: 1, 1: 1})", [], {"1": 1, "2": 1, "b": 1}, id="integer keys first"),
        pytest.param("() => ({toJSON: 'data'})", [], {"toJSON": "data"}, id="toJSON as data"),
        pytest.param("function (a) { a.push(2); return a }", [[1]], [1, 2], id="arguments may be changed"),
        pytest.param("function () { return this.timezone }", [], "Europe/Prague", id="this.timezone"),
        pytest.param("function () { return Object.keys(this) }", [], ["timezone"], id="nothing else in this"),
        pytest.param("// before\nfunction fac(n) { return n ? n * fac(n - 1) : 1 } // after", [5], 120, id="comments"),
        pytest.param("() => { counter = 1; counter += 1; return counter }", [], 2, id="undeclared variable"),
        pytest.param("() => new Date(2024, 0, 1).getTimezoneOffset()", [], 0, id="the host's zone is UTC"),
        pytest.param("() => '\\ud83d'", [], "\ud83d", id="lone surrogate"),
        pytest.param("() => 'x'.repeat(20000) + 'y'.repeat(20000)", [], "x" * 20000 + "y" * 20000, id="joined text"),
    ],
)  # fmt: skip
def test_a_function_sees_and_gives_values_of_the_language(source: str, args: list[Any], expected: Any):
    """
    Each type arrives as JavaScript's own and comes back the same way (spec/iml.md 10).
    """
    result = call(source, *args, timezone="Europe/Prague")

    assert (result, type(result)) == (expected, type(expected))


def test_nan_stays_a_number():
    """
    NaN goes in and comes out as NaN, alone and inside data.
    """
    alone, inside = call("(a) => [a, {b: 0 / 0}]", math.nan)

    assert math.isnan(alone)
    assert math.isnan(inside["b"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("() => { throw new Error('no such id') }", "no such id", id="error"),
        pytest.param("() => { throw 'plain text' }", "plain text", id="text"),
        pytest.param("() => { throw undefined }", "undefined", id="undefined"),
        pytest.param("() => { throw {message: 'like an error'} }", "like an error", id="object with a message"),
        pytest.param("() => { throw {get message() { throw 1 }} }",
                     "The function threw something that has no text.", id="getter"),
        pytest.param("() => nope()", "nope is not defined", id="unknown name"),
        pytest.param("async () => 1", "Function 'f' returned a Promise.", id="async"),
        pytest.param("() => Promise.resolve(1)", "Function 'f' returned a Promise.", id="promise"),
        pytest.param("() => [Promise.resolve(1)]", "Function 'f' returned a Promise.", id="promise inside"),
        pytest.param("() => new Map()", "A Map is no value that a function can return.", id="map"),
        pytest.param("() => ({a: new Set()})", "A Set is no value that a function can return.", id="set inside"),
        pytest.param("() => () => 1", "A function is no value that a function can return.", id="function"),
        pytest.param("() => [Symbol('s')]", "A symbol is no value that a function can return.", id="symbol"),
        pytest.param("() => 10n", "A bigint is no value that a function can return.", id="bigint"),
        pytest.param("() => { const a = []; a.push(a); return a }",
                     "The value is nested more than 200 levels deep, or contains itself.", id="circle"),
        pytest.param("() => new Date(8e15)", "A date is outside the years 1 to 9999.", id="date too late"),
        pytest.param("5", "The source is not a function.", id="no function"),
        pytest.param("class A {}", "class constructors must be invoked with 'new'", id="class"),
        pytest.param("(a) =>", "unexpected token in expression", id="syntax"),
        pytest.param("() => 1); globalThis.x = 1; (() => 2", "Unexpected token ')'", id="more than one expression"),
        pytest.param("'use strict'; () => 1", "Unexpected token ';'", id="statement before"),
    ],
)  # fmt: skip
def test_a_failure_has_a_text(source: str, message: str):
    """
    What was thrown, or why the result is no value, stands behind `finished with error!`.
    """
    assert message in failure(source)


def test_a_thrown_null_is_not_taken_for_a_lack_of_memory():
    """
    The engine throws null when its memory is over; a script that throws it is told apart.
    """
    host = FunctionHost(threads=1)
    try:
        message = failure("() => { throw null }", host=host)
    finally:
        host.close()

    assert message == "null"


def test_what_a_function_logs_reaches_the_caller():
    """
    Each `debug` is one line; values that are no text print as JSON; undefined is returned.
    """
    lines: list[str] = []

    result = call("(a) => debug('got', a, undefined, 1n, null)", {"x": [1]}, debug=lines.append)

    assert (result, lines) == (UNDEFINED, ['got {"x":[1]} undefined 1 null'])


def test_what_a_function_logs_is_cut_at_5000_characters():
    """
    A flood of output neither fails the call nor costs more than 5,000 characters.
    """
    lines: list[str] = []

    result = call(
        """() => {
            for (let i = 0; i < 100; i++) debug('x'.repeat(999));
            for (let i = 0; i < 9999; i++) debug();
            return 1;
        }""",
        debug=lines.append,
    )

    assert result == 1
    assert 4_900 < sum(map(len, lines)) <= 5_000


def test_the_log_of_a_failing_function_is_kept():
    """
    What was logged before an error or a time-out is what one wants to read then.
    """
    lines: list[str] = []

    failure("() => { debug('before'); throw 1 }", debug=lines.append)

    assert lines == ["before"]


def test_custom_functions_call_each_other_and_themselves():
    """
    `iml` holds every custom function; recursion works through it a thousand levels deep.
    """
    sources: dict[str, str | None] = {
        "f": "(n) => n === 0 ? iml.end() : iml.f(n - 1)",
        "end": "function () { return 'end in ' + this.timezone }",
    }

    assert call(sources, 1000) == "end in UTC"


def test_a_deep_recursion_is_an_error_of_the_script_not_of_the_process():
    """
    Endless recursion is caught by the script itself or becomes its error.
    """
    assert failure("function f() { return f() }") == "Maximum call stack size exceeded"
    assert call("() => { try { (function g() { g() })() } catch (e) { return e instanceof RangeError } }") is True


def test_functions_plug_into_an_environment():
    """
    `functions_for` gives plain callables by name that pass zone and log on.
    """
    lines: list[str] = []
    functions = functions_for(
        "plug",
        {"f": "function (a) { debug(a); return a + this.timezone }", "g": "(a) => iml.f(a)"},
        timezone="Asia/Tokyo",
        debug=lines.append,
    )

    assert functions["f"]("in ") == "in Asia/Tokyo"
    assert functions["g"]("via ") == "via Asia/Tokyo"
    assert lines == ["in ", "via "]


def test_a_mebibyte_goes_both_ways():
    """
    Whole request bodies, binary or JSON, are no special case.
    """
    rows = [{"id": number, "name": f"row {number}"} for number in range(25_000)]
    data = Buffer(bytes(range(256)) * 4096)

    assert call(IDENTITY, [rows, data]) == [rows, data]
