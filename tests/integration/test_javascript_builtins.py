"""`iml.*` and Buffer inside custom functions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.iml.functions import FUNCTIONS
from runtime.iml.javascript import function_host
from runtime.values import Buffer
from tests.integration.javascript_calls import call, failure


def test_every_built_in_function_is_there():
    """
    `iml` holds each function of the table under its name.
    """
    assert set(call("() => Object.keys(iml)")) == {*FUNCTIONS, "f"}


@pytest.mark.parametrize(
    ("source", "args", "expected"),
    [
        pytest.param("(t) => iml.upper(t)", ["žluť \ud83d\ude00"], "ŽLUŤ 😀", id="text"),
        pytest.param("() => iml.length('\\ud83d')", [], 1, id="lone surrogate"),
        pytest.param("(d) => iml.formatDate(d, 'YYYY-MM-DD HH:mm')", [datetime(2024, 7, 1, 22, tzinfo=UTC)],
                     "2024-07-02 00:00", id="date in the zone of the scenario"),
        pytest.param("() => iml.parseDate('2024-07-01', 'YYYY-MM-DD') instanceof Date", [], True, id="date out"),
        pytest.param("() => iml.toBinary('é').toString('hex')", [], "c3a9", id="buffer out"),
        pytest.param("(b) => iml.toString(b)", [Buffer("é".encode())], "é", id="buffer in"),
        pytest.param("() => iml.get({a: [{b: 7}]}, 'a[1].b')", [], 7, id="path"),
        pytest.param("() => iml.get({$: {x: 7}}, '$.x')", [], 7, id="data that looks like a mark"),
        pytest.param("() => typeof iml.get({}, 'a.b')", [], "undefined", id="undefined out"),
        pytest.param("() => iml.ifempty(undefined, 'else')", [], "else", id="undefined in"),
        pytest.param("() => iml.if(true, 1, 2)", [], 1, id="a name that is a keyword"),
        pytest.param("() => iml.switch(2, 1, 'a', 2, 'b', 'c')", [], "b", id="lazy function, called eagerly"),
        pytest.param("() => iml.map([{a: 1}, {a: 2}], 'a')", [], [1, 2], id="array"),
        pytest.param("() => iml.sha256('x').slice(0, 8)", [], "2d711642", id="digest"),
        pytest.param("() => ['b', 'a'].map(iml.upper)", [], ["B", "A"], id="as a callback"),
        pytest.param("() => { const {upper} = iml; return upper('x') }", [], "X", id="taken out of iml"),
    ],
)  # fmt: skip
def test_a_built_in_function_works_on_values_of_javascript(source: str, args: list[Any], expected: Any):
    """
    Arguments and results cross as JavaScript's own values; dates use the scenario's zone.
    """
    assert call(source, *args, timezone="Europe/Prague") == expected


def test_an_error_of_a_built_in_function_can_be_caught():
    """
    It is a JavaScript Error whose message names the function.
    """
    source = "() => { try { iml.keys(5) } catch (error) { return [error instanceof Error, error.message] } }"

    is_error, message = call(source)

    assert is_error is True
    assert message.startswith("Function 'keys' finished with error! ")


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("() => iml.parseDate('nonsense', 'YYYY')", "'nonsense' is not a valid date"),
        ("() => iml.nope()", "not a function"),
        ("() => iml.length(() => 1)", "A function is no value"),
        ("() => iml.length(new Map())", "A Map is no value"),
        ("() => iml.join(new Array(100).fill('x'.repeat(400000)), '')", ""),
    ],
)
def test_an_uncaught_error_of_a_built_in_function_is_the_functions_own(source: str, fragment: str):
    """
    The engine survives whatever its callback meets.
    """
    assert fragment in failure(source)
    assert call("() => iml.upper('x')") == "X"


def test_a_custom_function_wins_over_a_built_in_one():
    """
    In its app a custom function with the name of a built-in one takes its place.
    """
    assert call({"f": "() => iml.upper('x')", "upper": "(t) => 'custom ' + t"}) == "custom x"


#: Node.js's own results, by hand.
BUFFER = [
    ("Buffer.from('žluť €\\u{1f600}').toString()", "žluť €😀"),
    ("Buffer.from('a\\ud800b').toString('hex')", "61efbfbd62"),
    ("Buffer.from([0xc3, 0x28, 0xe2, 0x82, 0xf0, 0x9f, 0x98, 0xed, 0xa0, 0x80]).toString()", "\ufffd(" + "\ufffd" * 5),
    ("Buffer.from('\\ufeffx').toString()", "\ufeffx"),
    ("Buffer.from('0aFf0', 'hex').toJSON()", {"type": "Buffer", "data": [10, 255]}),
    ("Buffer.from('12zz34', 'hex').length", 1),
    ("Buffer.from('aGk', 'base64').toString()", "hi"),
    ("Buffer.from(' a-_v =ignored', 'base64').toString('hex')", "6befef"),
    ("Buffer.from('fb ff', 'hex').length", 1),
    ("Buffer.from([251, 255, 254]).toString('base64')", "+//+"),
    ("Buffer.from([251, 255]).toString('base64url')", "-_8"),
    ("Buffer.from('é€', 'latin1').toString('hex')", "e9ac"),
    ("Buffer.from([233, 128]).toString('latin1')", "é\x80"),
    ("Buffer.from([233, 65]).toString('ascii')", "iA"),
    ("Buffer.from('é', 'binary').length", 1),
    ("Buffer.from('hé', 'utf16le').toString('hex')", "6800e900"),
    ("Buffer.from('6800e900', 'hex').toString('ucs2')", "hé"),
    ("Buffer.from('abcdef').toString('utf8', 1, 3)", "bc"),
    ("Buffer.alloc(3).toString('hex')", "000000"),
    ("Buffer.alloc(5, 'ab').toString()", "ababa"),
    ("Buffer.alloc(2, 255).toString('hex')", "ffff"),
    ("Buffer.concat([Buffer.from('a'), new Uint8Array([98]), Buffer.from('c')]).toString()", "abc"),
    ("Buffer.concat([Buffer.from('abc'), Buffer.from('def')], 4).toString()", "abcd"),
    ("Buffer.concat([Buffer.from('abc')], 5).toString('hex')", "6162630000"),
    ("Buffer.byteLength('€')", 3),
    ("Buffer.byteLength('aGk=', 'base64')", 2),
    ("[Buffer.from(''), new Uint8Array(1), null].map(Buffer.isBuffer)", [True, False, False]),
    ("[Buffer.isEncoding('UTF-8'), Buffer.isEncoding('nope')]", [True, False]),
    ("Buffer.from('a').equals(Buffer.from('a')) && !Buffer.from('a').equals(Buffer.from('b'))", True),
    ("[Buffer.compare(Buffer.from('a'), Buffer.from('b')), Buffer.from('b').compare(Buffer.from('a'))]", [-1, 1]),
    ("Buffer.from('abcdef').slice(1, -1).toString()", "bcde"),
    ("(() => { const b = Buffer.from('abc'); b.slice(1)[0] = 120; return b.toString() })()", "axc"),
    ("(() => { const b = Buffer.from('abc'); Buffer.from(b)[0] = 120; return b.toString() })()", "abc"),
    ("Buffer.from('abcabc').indexOf('ca')", 2),
    ("Buffer.from('abcabc').indexOf('a', 1)", 3),
    ("Buffer.from('abcabc').lastIndexOf('a')", 3),
    ("[Buffer.from('abc').includes('bc'), Buffer.from('abc').includes(100)]", [True, False]),
    ("Buffer.from('abc')[1]", 98),
    ("(() => { const b = Buffer.alloc(4); b.write('hi', 1); return b.toString('hex') })()", "00686900"),
    ("(() => { const b = Buffer.alloc(4); return [Buffer.from('hello').copy(b, 1, 1), b.toString('latin1')] })()",
     [3, "\0ell"]),
    ("(() => { const b = Buffer.alloc(6); b.writeUInt32BE(0xdeadbeef, 0); b.writeInt16LE(-2, 4); return b })()",
     Buffer(b"\xde\xad\xbe\xef\xfe\xff")),
    ("(() => { const b = Buffer.from('deadbeef', 'hex');"
     " return [b.readUInt32BE(), b.readInt8(1), b.readUint16LE()] })()",
     [3735928559, -83, 44510]),
    ("[...Buffer.from('ab')]", [97, 98]),
    ("JSON.stringify({b: Buffer.from('a')})", '{"b":{"type":"Buffer","data":[97]}}'),
    ("Buffer.from(JSON.parse(JSON.stringify(Buffer.from('abc')))).toString()", "abc"),
    ("'' + Buffer.from('abc')", "abc"),
    ("Buffer.from(new Uint8Array([1, 2, 3]).buffer, 1, 1).toString('hex')", "02"),
    ("Buffer.from(new String('abc')).toString()", "abc"),
    ("new Buffer('abc').toString() + Buffer('def').toString()", "abcdef"),
    ("Buffer.from('abc').map((byte) => byte + 1).toString()", "bcd"),
    ("Buffer.from('abc').subarray(1) instanceof Buffer && Buffer.from('a') instanceof Uint8Array", True),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), BUFFER, ids=[row[0][:60] for row in BUFFER])
def test_buffer_does_what_it_does_in_node(expression: str, expected: Any):
    """
    The part of Buffer that functions use gives Node.js's results.
    """
    assert call(f"() => {expression}") == expected


@pytest.mark.parametrize(
    "expression", ["Buffer.from(5)", "Buffer.from(null)", "Buffer.alloc(-1)", "Buffer.from('a', 'nope')"]
)
def test_buffer_refuses_what_it_refuses_in_node(expression: str):
    """
    Wrong arguments are errors, not empty buffers.
    """
    assert failure(f"() => {expression}")


def test_a_regular_expression_of_a_built_in_function_stays_in_the_child():
    """
    What a script calls through `iml` starts no process of its own, whatever the pattern needs.
    """
    before = len(function_host().pool.pids())

    assert call("() => iml.replace('2024-05', '/(\\\\d+)-(\\\\d+)/', '$2/$1')") == "05/2024"
    assert len(function_host().pool.pids()) <= max(before, 3)


def test_a_pattern_for_the_engine_is_evaluated_in_the_same_child():
    """
    `iml.replace` inside of a function may need the JavaScript engine: its own child has it, and none is started for it.
    """
    assert call("(t) => iml.replace(t, '/(?:(a)|b)+/', '[$1]') + iml.replace(t, '/b/', '-')", "ab") == "[]a-"
    assert "took too long" in failure(r"(t) => iml.replace(t, '/(?:(a)|\\1|a?)*(?:a?a?a?a?)*c/', '')", "a" * 60)
    for pid in function_host().pool.pids():
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
    assert call("(t) => iml.upper(t)", "x") == "X"
