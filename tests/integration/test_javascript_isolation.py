"""
What a custom function cannot do: reach anything outside, or leave anything behind for a later call.

Every attempt is made in a context of its own app; after it a probe function of the same app must find everything as
it was, in the same child process or in a fresh one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ImlFunctionError
from runtime.iml.javascript import function_host
from tests.integration.javascript_calls import SHORT, call
from tests.integration.test_javascript_limits import ENDLESS, GREEDY, REFUSED
from tests.paths import ROOT

#: What a script can look at that an earlier call could have changed.
PROBE = """function () {
    const own = Reflect.ownKeys(globalThis).map(String).sort();
    const sum = [1, 2, 3].map((n) => n * 2).filter((n) => n > 2).reduce((a, b) => a + b);
    return {
        globals: own.length,
        leak: [typeof leak, typeof Object.prototype.leak, typeof [].leak, typeof iml.leak, typeof Buffer.leak],
        texts: [String({}), String([1, 2]), JSON.stringify({a: [new Date(0)]}), 'aXa'.replace('X', '-'), `${sum}`],
        buffer: Buffer.from('\u017elu\u0165').toString('base64'),
        timezone: this.timezone,
        frozen: [Object, Array, Object.prototype, Array.prototype, Function.prototype, iml, Buffer, debug, JSON, Math,
                 Object.getPrototypeOf(function* () {}), Object.getPrototypeOf([].values())].every(Object.isFrozen),
        error: (() => { try { null.x } catch (e) { return e instanceof TypeError && e.stack.includes('at ') } })(),
    };
}"""

EXPECTED: dict[str, Any] = {
    "leak": ["undefined"] * 5,
    "texts": ["[object Object]", "1,2", '{"a":["1970-01-01T00:00:00.000Z"]}', "a-a", "10"],
    "buffer": "xb5sdcWl",
    "timezone": "UTC",
    "frozen": True,
    "error": True,
}

#: Ways to keep state for the next call.
LEAKS = {
    "undeclared variable": "() => { leak = 1 }",
    "global property": "() => { globalThis.leak = 1 }",
    "this of a plain function": "() => { (function () { this.leak = 1 })() }",
    "var in indirect eval": "() => { (0, eval)('var leak = 1; function leak2() {}') }",
    "let in indirect eval": "() => { (0, eval)('let leak = 1; class Leak {}') }",
    "Function constructor": "() => { new Function('leak = 1')() }",
    "locked global property": "() => { Object.defineProperty(globalThis, 'leak', {value: 1}) }",
    "global getter": "() => { Object.defineProperty(globalThis, 'leak', {get() { return 1 }, configurable: true}) }",
    "symbol on the global object": "() => { globalThis[Symbol.for('leak')] = 1 }",
    "frozen global object": "() => { leak = 1; Object.freeze(globalThis) }",
    "closed global object": "() => { Object.preventExtensions(globalThis) }",
    "prototype of the global object": "() => { Object.setPrototypeOf(globalThis, {leak: 1}) }",
    "Object.prototype": "() => { Object.prototype.leak = 1; ({}).__proto__.leak = 1 }",
    "Object.prototype by defineProperty": "() => { Object.defineProperty(Object.prototype, 'leak', {value: 1}) }",
    "Array.prototype": "() => { Array.prototype.leak = 1; Array.prototype.map = () => [] }",
    "String.prototype.replace": "() => { String.prototype.replace = () => 'evil' }",
    "Object.prototype.toString": "() => { Object.prototype.toString = () => 'evil' }",
    "Date.prototype.toJSON": "() => { Date.prototype.toJSON = () => 'evil' }",
    "Array.prototype.toString": "() => { Array.prototype.toString = () => 'evil' }",
    "JSON.stringify": "() => { JSON.stringify = () => 'evil' }",
    "a replaced built-in": "() => { JSON = {stringify: () => 'evil'}; Object = null; undefined = 1 }",
    "a deleted built-in": "() => { delete globalThis.Object; delete globalThis.Buffer; delete globalThis.iml }",
    "a redefined built-in": "() => { Object.defineProperty(globalThis, 'JSON', {value: {}}) }",
    "Buffer": "() => { Buffer.leak = 1; Buffer.from = () => 'evil'; Buffer.prototype.toString = () => 'evil' }",
    "iml": "() => { iml.leak = 1; iml.f = () => 'evil'; iml.probe = () => 'evil'; delete iml.probe }",
    "prototype of iml": "() => { Object.setPrototypeOf(iml, {leak: 1}); iml.__proto__.leak = 1 }",
    "debug": "() => { debug.leak = 1; debug = () => 'evil' }",
    "iterator prototypes": "() => { [].values().__proto__.next = () => ({done: true});"
        " Array.prototype[Symbol.iterator] = null }",
    "generator prototypes": "() => { (function* () {}).constructor.prototype.leak = 1; (function* ()"
        " {})().__proto__.leak = 1 }",
    "async prototypes": "() => { (async () => {}).constructor.prototype.leak = 1; Promise.prototype.then = null }",
    "typed array prototype": "() => { Object.getPrototypeOf(Uint8Array).leak = 1; Uint8Array.prototype.__proto__.set ="
        " null }",
    "regular expression statics": "() => { /(leak)/.exec('leak'); RegExp.prototype.exec = () => null }",
    "stack traces": "() => { Error.prepareStackTrace = () => 'evil'; Error.stackTraceLimit = 0; null.x }",
    "setter of stack traces": "() => { Reflect.set(Error, 'prepareStackTrace', () => 'evil') }",
    "pending job": "() => { Promise.resolve().then(() => { leak = 1 }); (async () => { await 0; leak = 1 })() }",
    "finalizer": "() => { new FinalizationRegistry(() => { leak = 1 }).register({}, 1) }",
    "a counter in a closure": "(() => { let n = 0; return () => ++n })()",
    "a property of itself": "function me() { me.count = (me.count || 0) + 1; iml.f.count = 1; return me.count }",
    "tagged template": "() => { const tag = (s) => { try { s.leak = 1 } catch {} return s.leak }; return tag`x` }",
    "symbol registry": "() => { Symbol.for('leak').leak = 1; Symbol.prototype.leak = 1 }",
    "species": "() => { Array[Symbol.species] = null; Object.defineProperty(Array, Symbol.species, {value: null}) }",
    "timezone": "function () { this.timezone = 'leak'; delete this.timezone; Object.freeze(this) }",
}  # fmt: skip

#: Ways out of the sandbox. The result, if there is one, must not be more than a plain answer.
ESCAPES = {
    "require": "() => require('fs').readFileSync('/etc/passwd', 'utf8')",
    "process": "() => process.env",
    "constructor of a constructor": "() => (() => {}).constructor('return process')()",
    "constructor of this": "function () { return this.constructor.constructor('return process.env')() }",
    "constructor of iml": "() => iml.constructor.constructor('return process')().exit()",
    "constructor of a built-in": "() => iml.upper.constructor('return __host')()",
    "constructor of debug": "() => debug.constructor('return __log')()",
    "engine globals": "() => [typeof std, typeof os, typeof bjson, typeof print, typeof console, typeof __host,"
                      " typeof __log, typeof window,"
                      " typeof setTimeout, typeof queueMicrotask, typeof performance, typeof fetch, typeof moment,"
                      " typeof global, typeof module, typeof XMLHttpRequest, typeof Worker, typeof navigator]",
    "engine modules": "() => { import('os').then((os) => { leak = os }); return typeof leak }",
    "file module": "() => { import('/etc/passwd').catch((e) => { leak = e }); return typeof leak }",
    "import in a new function": "() => new Function(\"return import('std')\")()",
    "static import": "() => (0, eval)(\"import * as std from 'std'; std\")",
    "load script": "() => __loadScript('/etc/passwd')",
    "arguments of callers": "function f() { return [typeof f.caller, typeof f.arguments, typeof"
        " arguments.callee.caller] }",
    "call sites": "() => { Error.prepareStackTrace = (e, sites) => sites.map((s) => s.getFunction()); return"
        " new Error().stack }",
    "prelude through errors": "() => { try { iml.f.call() } catch (e) { return e.constructor.constructor('return"
        " host')() } }",
    "names of the prelude": "() => [typeof host, typeof log, typeof sources, typeof factories, typeof evaluate, typeof"
        " swept]",
    "python attributes": "() => [typeof iml.__class__, typeof debug.__globals__, typeof Buffer.__init__, typeof"
        " this.__class__]",
    "unknown built-in": "() => iml.system('id')",
    "built-in by prototype": "() => typeof iml.__proto__.constructor('return 1')",
    "shared memory": "() => { const a = new Int32Array(new SharedArrayBuffer(4)); return Atomics.load(a, 0) }",
    "weak reference": "() => typeof new WeakRef({}).deref()",
    "forged mark": "() => ({$: ['buffer', 'not base64']})",
    "forged mark of a date": "() => JSON.parse('{\"$\":[\"date\",\"x\"]}')",
    "forged answer": "() => '\"}+=1' + String.fromCharCode(0, 10, 13)",
    "toJSON": "() => ({toJSON: 1, a: {toJSON: 'x'}})",
    "inherited toJSON": "() => new (class { toJSON() { return 'evil' } })()",
    "getter that throws": "() => ({get a() { throw new Error('no') }})",
    "proxy that throws": "() => new Proxy({}, {ownKeys() { throw new Error('no') }})",
    "proxy of an endless array": "() => new Proxy([], {get: (t, k) => k === 'length' ? 3 : k})",
    "proxy as prototype": "() => Object.create(new Proxy({}, {getPrototypeOf() { throw new Error('no') }}))",
    "lying instanceof": "() => Object.create(Date.prototype)",
    "lying promise": "() => Object.create(Promise.prototype)",
    "lying buffer": "() => Object.setPrototypeOf({}, Uint8Array.prototype)",
    "revoked proxy": "() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy }",
    "detached buffer": "() => { const b = new ArrayBuffer(8); const v = new Uint8Array(b); b.transfer(); return v }",
    "error with an endless message": "() => { throw {get message() { throw this }} }",
    "thrown proxy": "() => { throw new Proxy({}, {get() { throw 1 }, has() { throw 2 }}) }",
    "thrown symbol": "() => { throw Symbol('s') }",
    "debug with hostile values": "() => { debug({toJSON() { throw 1 }}, {toString() { throw 1 }}, Symbol('s'),"
                                 " new Proxy({}, {get() { throw 1 }})) }",
    "source that closes the wrapper": "() => 1\n]; }); leak = 1; (function () { return [1",
    "source with a comment left open": "() => 1 /*",
}  # fmt: skip

#: Attempts that look at what there is: nothing.
NOTHING_THERE = {"engine globals", "names of the prelude", "python attributes"}


def attempt(source: str) -> tuple[Any, dict[str, Any]]:
    """Make one attempt, then probe the same context; gives the attempt's result or error and the probe's finding."""
    # One app, so one context: `f` runs the attempt or the probe.
    sources: dict[str, str | None] = {
        "f": "function (what) { return what === 'probe' ? iml.probe() : iml.attempt() }",
        "attempt": source,
        "probe": PROBE,
    }
    call(sources, "probe")
    try:
        result = call(sources, "attempt")
    except ImlFunctionError as error:
        result = error
    return result, call(sources, "probe")


@pytest.fixture(scope="module")
def clean() -> dict[str, Any]:
    """What the probe finds where nothing has happened."""
    return attempt("() => 1")[1]


def test_there_are_many_attempts():
    """
    The collections of attempts do not shrink unnoticed; those that exhaust something are in `test_javascript_limits`.
    """
    assert len(LEAKS) + len(ESCAPES) > 80
    assert len(ENDLESS) + len(GREEDY) + len(REFUSED) > 50


def test_the_probe_sees_what_it_should(clean: dict[str, Any]):
    """
    The probe itself finds a frozen realm with the documented globals only.
    """
    assert {key: clean[key] for key in EXPECTED} == EXPECTED


@pytest.mark.parametrize("name", LEAKS)
def test_nothing_stays_for_the_next_call(name: str, clean: dict[str, Any]):
    """
    After each attempt to keep state, the next call of the same app finds everything as before.
    """
    first, after = attempt(LEAKS[name])

    assert after == clean
    again, _ = attempt(LEAKS[name])
    assert str(again) == str(first)


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_outside_is_reached(name: str, clean: dict[str, Any]):
    """
    Each attempt ends in an error or in plain data without a trace of the host, and the app works on.
    """
    result, after = attempt(ESCAPES[name])

    shown = str(result)
    assert "root:" not in shown
    assert str(ROOT) not in shown
    if name in NOTHING_THERE:
        assert set(result) == {"undefined"}
    assert after == clean


def test_only_the_documented_globals_exist():
    """
    The ECMAScript built-ins, Buffer, iml and debug: nothing of the engine's own additions.
    """
    names = call("() => Reflect.ownKeys(globalThis).filter((key) => typeof key === 'string')")

    assert {"Buffer", "iml", "debug", "Object", "Proxy", "Intl"} & set(names) == {
        "Buffer",
        "iml",
        "debug",
        "Object",
        "Proxy",
    }
    assert not set(names) & {
        "console",
        "performance",
        "queueMicrotask",
        "btoa",
        "atob",
        "DOMException",
        "navigator",
        "f",
    }


def test_everything_that_a_script_can_reach_is_frozen():
    """
    From the global object and from values of every kind of syntax, no object that outlives a call can be changed.
    """
    source = """() => {
        const names = Reflect.ownKeys(globalThis).filter((key) => key !== 'globalThis');
        const roots = names.map((key) => globalThis[key]);
        const syntax = [
            function* () {}, async () => {}, async function* () {}, class {}, /x/, [], {}, 'x', 1, true, 1n,
            Symbol.iterator, new Error(), new Date(), Promise.resolve(), new Proxy({}, {}), Buffer.from('x'),
            new WeakRef({}), new DataView(new ArrayBuffer(1)), new Uint8Array(1).values(), new Map().entries(),
            new Set().values(), [].keys(), ''[Symbol.iterator](), 'x'.matchAll(/x/g), Iterator.from({next() {}}),
            [].values().map((x) => x), [].values().flatMap((x) => [x]),
            Object.getPrototypeOf((function* () {})()), Object.getPrototypeOf((async function* () {})()),
        ];
        const seen = new Set(), open = [], path = new Map();
        const waiting = [...roots, ...syntax.map((value) => Object.getPrototypeOf(value))];
        while (waiting.length > 0) {
            const value = waiting.pop();
            if (Object(value) !== value || seen.has(value)) continue;
            seen.add(value);
            if (!Object.isFrozen(value)) open.push(String(path.get(value)));
            for (const key of Reflect.ownKeys(value)) {
                const {value: member, get, set} = Object.getOwnPropertyDescriptor(value, key);
                for (const next of [member, get, set, Object.getPrototypeOf(value)]) {
                    if (!path.has(next)) path.set(next, `${path.get(value)}.${String(key)}`);
                    waiting.push(next);
                }
            }
        }
        return [seen.size > 800, open];
    }"""

    assert call(source) == [True, []]


def test_frozen_built_ins_do_not_forbid_own_properties():
    """
    Assigning a property that a frozen prototype also has works on one's own objects, as everywhere else.
    """
    source = """() => {
        'use strict';
        class NotFound extends Error {
            constructor(id) { super(id); this.name = 'NotFound'; this.message = 'no ' + id }
        }
        const row = {}; row.toString = () => 'mine'; row.constructor = 1; row.hasOwnProperty = 2;
        const list = []; list.toString = () => 'list';
        function Old() {} Old.prototype.toString = function () { return 'old' };
        const copy = Object.assign({}, {valueOf: 1, toString: () => 'copy'});
        return [String(new NotFound(7)), String(row), row.constructor, String(list), String(new Old()), String(copy)];
    }"""

    assert call(source) == ["NotFound: no 7", "mine", 1, "list", "old", "copy"]


def test_two_apps_share_nothing():
    """
    A function sees the functions of its own app only.
    """
    call({"f": "() => iml.secret()", "secret": "() => 'theirs'"})

    assert call({"f": "() => [typeof iml.secret, Object.keys(iml).includes('f')]"}) == ["undefined", True]


def test_arguments_are_copies():
    """
    What a function does to its arguments does not reach the caller.
    """
    bundle = {"items": [1, {"a": 2}]}

    call("(b) => { b.items[1].a = 3; b.items.push(4); delete b.items }", bundle)

    assert bundle == {"items": [1, {"a": 2}]}


def test_a_child_has_no_environment_no_files_and_a_session_of_its_own():
    """
    The process holds its two pipes and nothing else, so there is nothing to find for whoever breaks the engine.
    """
    call("() => 1")

    for pid in function_host().pool.pids():
        process = Path(f"/proc/{pid}")
        links = {str(descriptor.readlink()).split(":")[0] for descriptor in (process / "fd").iterdir()}
        lines = (process / "limits").read_text().splitlines()
        limits = {line[:25].strip(): line[25:].split()[:2] for line in lines}

        assert (process / "environ").read_bytes().strip(b"\0") == b""
        assert links <= {"pipe", "/dev/null"}
        assert os.getsid(pid) == pid
        assert (process / "cwd").readlink() == Path("/")
        assert limits["Max address space"] == ["600000000", "600000000"]
        assert limits["Max file size"] == limits["Max processes"] == limits["Max core file size"] == ["0", "0"]
        assert limits["Max open files"] == ["16", "16"]


def test_a_time_out_leaves_no_state():
    """
    A call that is killed changes nothing for the next one of the same app.
    """
    sources: dict[str, str | None] = {"f": "(loop) => { if (loop) { leak = 1; for (;;); } return typeof leak }"}

    with pytest.raises(ImlFunctionError, match="timed out"):
        call(sources, True, timeout=SHORT)

    assert call(sources, False) == "undefined"
