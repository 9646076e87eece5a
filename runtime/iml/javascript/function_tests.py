"""
Tests of custom functions: `<function>.test.js` beside the function (spec/iml.md 10.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from runtime.iml.javascript.host import MEMORY_BYTES, FunctionHost, function_host, reason
from runtime.iml.javascript.pool import ChildFailed, ChildTimedOut
from runtime.iml.javascript.values import MalformedValue, decode, encode

#: Wall clock of a whole test script (spec/iml.md 10.1).
SCRIPT_TIMEOUT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class FunctionTest:
    """One `it(name, fn)`; `error` is the text of what it threw, None when it passed."""

    name: str
    error: str | None = None

    @property
    def passed(self) -> bool:
        """True when the test threw nothing."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class TestReport:
    """What one test script did. `critical` is the error that ended the script itself, `log` what it logged."""

    __test__ = False  # pytest: not a test class

    function: str
    tests: tuple[FunctionTest, ...] = ()
    critical: str | None = None
    log: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing failed."""
        return self.critical is None and all(test.passed for test in self.tests)

    def text(self) -> str:
        """The report for a person: one line a test, then the totals."""
        lines = [f"ok    {test.name}" if test.passed else f"FAIL  {test.name}: {test.error}" for test in self.tests]
        if self.critical is not None:
            lines.append(f"critical failure: {self.critical}")
        failed = sum(not test.passed for test in self.tests)
        return "\n".join([*lines, f"{self.function}: {len(self.tests) - failed} passed, {failed} failed"])


def run_function_tests(
    app_hash: str,
    sources: Mapping[str, str | None],
    name: str,
    script: str,
    *,
    timezone: str = "UTC",
    timeout: timedelta = SCRIPT_TIMEOUT,
    memory_bytes: int = MEMORY_BYTES,
    host: FunctionHost | None = None,
) -> TestReport:
    """
    Run the test script of one custom function.

    Args:
        app_hash, sources: As `FunctionHost.call`.
        name: The function under test, which the script sees under this name.
        script: Source text of the tests. It sees `it`, `assert`, `iml`, `debug`, `Buffer` and `environment.timezone`.
        timezone: What `environment.timezone` is.
        timeout: Wall clock of the whole script.

    Never raises for what a script does: that is in the report.
    """
    pool = (host or function_host()).pool
    log: list[str] = []
    try:
        answer = pool.call_app(
            (app_hash, memory_bytes),
            sources,
            {"op": "test", "name": name, "timezone": timezone},
            encode(script).encode("ascii"),
            timeout=timeout,
            debug=log.append,
        )
    except ChildTimedOut:
        return TestReport(name, critical="Script execution timed out.", log=tuple(log))
    except ChildFailed as error:
        return TestReport(name, critical=str(error), log=tuple(log))
    if "error" in answer.meta:
        text = reason(answer.meta, name=name, memory_bytes=memory_bytes)
        return TestReport(name, critical=text, log=tuple(log))
    try:
        report = decode(answer.body)
        tests = tuple(
            FunctionTest(str(title), None if error is None else str(error)) for title, error in report["tests"]
        )
        return TestReport(name, tests, report["critical"], tuple(log))
    except (MalformedValue, TypeError, ValueError, KeyError):
        return TestReport(name, critical="The report cannot be read.", log=tuple(log))
