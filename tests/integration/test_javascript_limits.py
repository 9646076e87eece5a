"""
Exhaustion: scripts that try to use up time, memory, stack or output.

Each ends in an error of its function within its limits, and the pool serves the next call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.iml.javascript import FunctionHost
from runtime.values import Buffer
from tests.integration.javascript_calls import PATIENT, SHORT, call, failure

TIMED_OUT = "Script execution timed out."
MEMORY = "The function needs more memory than the limit of 64 MiB."

#: Ends at the deadline, since the engine cannot be interrupted in the middle of these.
ENDLESS = {
    "loop": "() => { for (;;); }",
    "loop that catches everything": "() => { for (;;) try { for (;;) null.x } catch {} finally { continue } }",
    "loop in a getter of the result": "() => ({get a() { for (;;); }})",
    "loop in a proxy": "() => new Proxy({}, {ownKeys() { for (;;); }})",
    "loop in the text of an error": "() => { throw {get message() { for (;;); }} }",
    "loop in toJSON while logging": "() => { debug({toJSON() { for (;;); }}) }",
    "endless generator": "() => [...(function* () { for (;;) yield* [] })()]",
    "endless iterator into a set": "() => new Set({[Symbol.iterator]: () => ({next: () => ({value: 1})})})",
    "regular expression": "() => /^(a+)+$/.test('a'.repeat(50) + 'b')",
    "regular expression over alternatives": "() => /(x|x|x)*y/.test('x'.repeat(60))",
    "join of a huge sparse array": "() => new Array(2e9) + ''",
    "index in a huge sparse array": "() => new Array(4294967295).indexOf(1)",
    "sort with a comparison that never ends": "() => [3, 2, 1].sort(() => { for (;;); })",
    "power of big integers": "() => { let n = 3n; for (;;) n = (n * n) % (1n << 100000n) }",
    "big integer as text": "() => { const n = 7n ** 150000n; for (;;) String(n) }",
    "symbols": "() => { for (let i = 0; ; i++) Symbol.for('s' + 'x'.repeat(1000) + i) }",
    "recursion that catches its own end": "function f() { for (;;) try { f() } catch {} }",
    "proxy array without end": "() => new Proxy([], {get: (t, k) => k === 'length' ? 1e15 : undefined})",
    "callbacks without end": "() => { for (;;) try { iml.upper('x') } catch {} }",
    "output without end": "() => { for (;;) debug('x'.repeat(100)) }",
}

#: Meets the memory limit of the context.
GREEDY = {
    "text that doubles": "() => { let s = 'x'; for (;;) s += s }",
    "list of texts": "() => { const a = []; for (let i = 0; ; i++) a.push('x'.repeat(1000) + i) }",
    "list of lists": "() => { const a = []; for (;;) a.push(new Array(1000).fill(1)) }",
    "repeat": "() => 'x'.repeat(2 ** 29)",
    "padding": "() => 'x'.padStart(2 ** 29)",
    "typed array": "() => new Uint8Array(2 ** 30)",
    "buffers": "() => { const a = []; for (;;) a.push(Buffer.alloc(1 << 20)) }",
    "concat of buffers": "() => Buffer.concat(new Array(1000).fill(Buffer.alloc(1 << 20)))",
    "shared memory": "() => { const a = []; for (;;) a.push(new SharedArrayBuffer(1 << 20)) }",
    "objects": "() => { let o = {}; for (;;) o = {o} }",
    "map": "() => { const m = new Map(); for (let i = 0; ; i++) m.set(i, {}) }",
    "closures": "() => { const a = []; for (;;) { const n = a.length; a.push(() => n) } }",
    "promises": "() => { for (;;) Promise.resolve([1]).then(() => 1) }",
    "JSON": "() => { const a = new Array(999).fill('x'.repeat(9999)); return JSON.stringify(new Array(999).fill(a)) }",
    "replace": "() => 'x'.repeat(1e6).replace(/x/g, 'y'.repeat(1000))",
    "split": "() => { const a = []; for (;;) a.push('x'.repeat(1e6).split('')) }",
    "array from length": "() => Array.from({length: 1e9}, () => ({}))",
    "spread": "() => { let a = [1]; for (;;) a = [...a, ...a] }",
    "source text": "() => { for (let n = 1e6; ; n *= 2) new Function('return ' + '[],'.repeat(n) + '1') }",
    "result": "() => new Array(3e6).fill('xxxxxxxxxxxxxxxxxxxx')",
}  # fmt: skip

#: Ends by itself in an error of the engine.
REFUSED = {
    "recursion": ("function f() { f() }", "Maximum call stack size exceeded"),
    "recursion through iml": ("() => iml.f()", "Maximum call stack size exceeded"),
    "recursion in a getter": ("() => { const o = {get a() { return o.a }}; return o.a }", "call stack"),
    "recursion in a proxy": ("() => { const p = new Proxy({}, {get: (t, k, r) => r[k]}); return p.x }", "call stack"),
    "recursion in toString": ("() => { const o = {toString: () => '' + o}; return '' + o }", "call stack"),
    "recursion in sort": ("() => { const s = () => [2, 1].sort(s); s() }", "call stack"),
    "recursion in replace": ("() => { const r = () => 'x'.replace(/x/, r); r() }", "call stack"),
    "big integer": ("() => 2n ** (2n ** 40n)", "BigInt is too large"),
    "nested JSON": ("() => JSON.parse('['.repeat(1e6))", "call stack"),
    "nested source": ("() => (0, eval)('('.repeat(1e6))", "call stack"),
    "nested pattern": ("() => new RegExp('(?:'.repeat(1e6))", "stack overflow"),
    "atomic wait": ("() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", "cannot block"),
    "deep result": (
        "() => { let o = {}; for (let i = 0; i < 1e5; i++) o = {o}; return o }",
        "nested more than 200 levels",
    ),
    "deep error": ("() => { let e = 1; for (let i = 0; i < 1e5; i++) e = [e]; throw e }", ""),
    "array length": ("() => new Array(-1)", "nvalid array length"),
}


@pytest.fixture(scope="module")
def host() -> Iterator[FunctionHost]:
    """A pool for these tests, with one child at work at a time."""
    host = FunctionHost(threads=1)
    yield host
    host.close()


@pytest.mark.parametrize("name", ENDLESS)
def test_a_function_without_end_is_stopped(name: str, host: FunctionHost):
    """
    At its deadline the call fails; the next one is served.
    """
    assert failure(ENDLESS[name], host=host, timeout=SHORT) == TIMED_OUT
    assert call("() => 1", host=host) == 1


@pytest.mark.parametrize("name", GREEDY)
def test_a_function_that_wants_all_memory_is_stopped(name: str, host: FunctionHost):
    """
    The context's limit ends it; the child stays far below what would hurt the host, and serves the next call.
    """
    # A promise may swallow the engine's error; then the script goes on within its memory until its time is over.
    assert failure(GREEDY[name], host=host, timeout=3 * SHORT if name == "promises" else PATIENT) in (
        {MEMORY, TIMED_OUT} if name == "promises" else {MEMORY}
    )
    assert call("() => 1", host=host) == 1
    for pid in host.pool.pids():
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert peak is not None
        assert int(peak[1]) < 300_000


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_that_overdoes_it_gets_an_error(name: str, host: FunctionHost):
    """
    What the engine itself refuses is an error of the function; the same child serves the next call.
    """
    source, message = REFUSED[name]
    call("() => 1", host=host)
    before = set(host.pool.pids())

    assert message in failure(source, host=host)
    assert call("() => 1", host=host) == 1
    assert before <= set(host.pool.pids())


def test_a_caught_lack_of_memory_does_not_spoil_later_calls(host: FunctionHost):
    """
    A script may catch the engine's error; the next call of its app works.
    """
    sources: dict[str, str | None] = {
        "f": """(greedy) => {
            if (!greedy) return 'fine';
            try { const list = []; for (;;) list.push([1]) } catch { return 'caught' }
        }"""
    }

    assert call(sources, True, host=host) == "caught"
    assert call(sources, False, host=host) == "fine"


def test_what_earlier_calls_left_does_not_count_against_a_later_one(host: FunctionHost):
    """
    Memory that calls leave behind (jobs that never run) costs a new context, not an error.
    """
    source = "() => { const data = new Uint8Array(9 << 20); Promise.resolve().then(() => data); return data.length }"

    assert [call(source, host=host) for _ in range(30)] == [9 << 20] * 30


def test_a_result_beyond_32_mebibytes_is_refused(host: FunctionHost):
    """
    What a function returns has to fit into a text of the language.
    """
    source = "(n) => 'x'.repeat(n)"

    assert len(call(source, 31 << 20, host=host, memory_bytes=256 << 20)) == 31 << 20
    assert failure(source, 33 << 20, host=host, memory_bytes=256 << 20) == "The result is larger than 32 MiB."


def test_the_memory_limit_is_a_setting(host: FunctionHost):
    """
    The same function passes with more memory.
    """
    source = "() => new Uint8Array(80 << 20).length"

    assert failure(source, host=host) == MEMORY
    assert call(source, host=host, memory_bytes=128 << 20) == 80 << 20


def test_a_limit_below_what_a_context_needs_is_an_error(host: FunctionHost):
    """
    Neither too little memory nor sources that fill it break the process.
    """
    assert "limit of 0 MiB" in failure("() => 1", host=host, memory_bytes=200_000)
    assert failure({"f": "() => 1", "g": "() => '" + "x" * (70 << 20) + "'"}, host=host) == MEMORY
    assert call("() => 1", host=host) == 1


def test_arguments_that_do_not_fit_are_an_error(host: FunctionHost):
    """
    Arguments larger than a context are refused, by the context or before they are sent.
    """
    data = Buffer(bytes(30 << 20))

    assert failure("(a) => 1", data, host=host, timeout=PATIENT) == MEMORY
    assert failure("(a) => 1", [data, data], host=host) == "The arguments are larger than 64 MiB."
    assert call("() => 1", host=host) == 1
