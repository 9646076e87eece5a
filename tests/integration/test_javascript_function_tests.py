"""Test scripts of custom functions, run in the real child process (spec/iml.md 10.1)."""

from __future__ import annotations

import pytest

from runtime.iml.javascript import TestReport, run_function_tests
from tests.integration.javascript_calls import SHORT

SOURCES: dict[str, str | None] = {
    "add": "function (a, b) { if (b === undefined) throw new TypeError('b is missing'); return a + b }",
    "zone": "function () { return this.timezone }",
    "broken": "() => {",
}


def run(script: str, name: str = "add") -> TestReport:
    """The report of a script."""
    return run_function_tests("tests", SOURCES, name, script, timezone="Asia/Tokyo")


def test_each_test_passes_or_fails_on_its_own():
    """
    A failing test does not stop those behind it; names and texts are in the report.
    """
    report = run("""
        it('adds', () => assert.strictEqual(add(1, 2), 3));
        it('is wrong', () => assert.equal(add(1, 2), 4));
        it('says why', () => { throw new Error('because') });
        it('goes on', () => { debug('here'); assert.ok(iml.add(1, 1) === 2) });
    """)

    assert [(test.name, test.passed) for test in report.tests] == [
        ("adds", True),
        ("is wrong", False),
        ("says why", False),
        ("goes on", True),
    ]
    assert report.tests[2].error == "because"
    assert (report.critical, report.log, report.passed) == (None, ("here",), False)
    assert report.text().endswith("add: 2 passed, 2 failed")


def test_the_zone_is_known():
    """
    `environment.timezone` and `this.timezone` of the function are the same zone.
    """
    assert run("it('zone', () => assert.equal(zone(), environment.timezone))", "zone").passed


@pytest.mark.parametrize(
    ("script", "critical"),
    [
        pytest.param("it('a', () => {}); nope()", "nope is not defined", id="exception outside"),
        pytest.param("it('a' () => {})", "Unexpected token", id="syntax"),
        pytest.param("require('assert')", "require is not defined", id="require"),
    ],
)
def test_an_error_outside_a_test_fails_the_run(script: str, critical: str):
    """
    That is a critical failure, whatever the tests before it did.
    """
    report = run(script)

    assert critical in (report.critical or "")
    assert not report.passed


def test_an_endless_script_is_stopped():
    """
    The time limit of the whole script ends it.
    """
    report = run_function_tests("tests", SOURCES, "add", "for (;;);", timeout=SHORT)

    assert report.critical == "Script execution timed out."


def test_a_function_that_cannot_be_parsed_fails_its_tests():
    """
    The error appears where the function is used.
    """
    report = run("it('a', () => broken())", "broken")

    assert [test.passed for test in report.tests] == [False]


def test_an_asynchronous_test_is_refused():
    """
    A test ends when its function returns; one that returns a promise cannot be judged.
    """
    [test] = run("it('a', async () => {})").tests

    assert "asynchronous" in (test.error or "")


def test_scripts_leave_nothing_behind():
    """
    The globals of one script are gone in the next.
    """
    run("leak = 1; it('a', () => { leak = 2 })")

    assert run("it('a', () => assert.equal(typeof leak, 'undefined'))").passed


PASSING = [
    "assert(1)",
    "assert.ok('x')",
    "assert.equal('1', 1)",
    "assert.notEqual(1, 2)",
    "assert.strictEqual(NaN, NaN)",
    "assert.notStrictEqual('1', 1)",
    "assert.deepEqual({a: [1, {b: '2'}]}, {a: [1, {b: 2}]})",
    "assert.deepStrictEqual({a: [1, {b: new Date(5)}], c: undefined}, {c: undefined, a: [1, {b: new Date(5)}]})",
    "assert.deepStrictEqual(Buffer.from('ab'), Buffer.from('ab'))",
    "assert.deepStrictEqual(new Map([[1, {a: 1}]]), new Map([[1, {a: 1}]]))",
    "assert.notDeepStrictEqual({a: 1}, {a: '1'})",
    "assert.notDeepEqual([1], [2])",
    "const a = {}; a.a = a; const b = {}; b.a = b; assert.deepStrictEqual(a, b)",
    "assert.throws(() => add(1))",
    "assert.throws(() => add(1), TypeError)",
    "assert.throws(() => add(1), /missing/)",
    "assert.throws(() => add(1), {name: 'TypeError', message: 'b is missing'})",
    "assert.throws(() => add(1), (error) => error.message.endsWith('missing'))",
    "assert.doesNotThrow(() => add(1, 2))",
    "assert.match('abc', /b/)",
    "assert.doesNotMatch('abc', /x/)",
    "assert.ifError(null)",
    "assert.strict.equal(1, 1)",
]
FAILING = [
    "assert(0)",
    "assert.ok('')",
    "assert.equal(1, 2)",
    "assert.notEqual(1, '1')",
    "assert.strictEqual(1, '1')",
    "assert.strictEqual(0, -0)",
    "assert.deepEqual({a: 1}, {a: 1, b: 2})",
    "assert.deepStrictEqual([1, 2], [1, '2'])",
    "assert.deepStrictEqual({a: undefined}, {})",
    "assert.deepStrictEqual(new Date(1), new Date(2))",
    "assert.deepStrictEqual([], {})",
    "assert.notDeepStrictEqual({a: 1}, {a: 1})",
    "assert.throws(() => 1)",
    "assert.throws(() => add(1), RangeError)",
    "assert.throws(() => add(1), /nothing/)",
    "assert.throws(() => add(1), {message: 'other'})",
    "assert.doesNotThrow(() => add(1))",
    "assert.match('abc', /x/)",
    "assert.fail('text')",
    "assert.ifError(new Error('x'))",
    "assert.strict.equal(1, '1')",
]


def test_assertions_that_hold_pass():
    """
    Each passes as it does with Node.js.
    """
    report = run("\n".join(f"it({line!r}, () => {{ {line} }});" for line in PASSING))

    assert [test.name for test in report.tests if not test.passed] == []
    assert len(report.tests) == len(PASSING)


def test_assertions_that_do_not_hold_fail():
    """
    Each fails as it does with Node.js, with an AssertionError or the given message.
    """
    report = run("\n".join(f"it({line!r}, () => {{ {line} }});" for line in FAILING))

    assert [test.name for test in report.tests if test.passed] == []
    assert len(report.tests) == len(FAILING)


def test_a_message_of_ones_own_is_shown():
    """
    The last argument of an assertion is its text.
    """
    [test] = run("it('a', () => assert.equal(1, 2, 'one is not two'))").tests

    assert test.error == "one is not two"
