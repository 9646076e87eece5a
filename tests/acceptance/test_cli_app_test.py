"""`scenarist app test` as a process: the tests beside an app's functions (spec/iml.md 10.1)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.helpdesk import APP
from tests.function_app import write_function_app
from tests.spine import Scenarist

GOOD = """
it('greets', () => { debug('called'); assert.strictEqual(greet('ada'), 'ADA from Prague') });
it('knows the zone', () => assert.equal(environment.timezone, 'Europe/Prague'));
"""
BAD = """
it('is seven', () => assert.equal(version(), 7));
it('goes on', () => assert.ok(iml.version() === 1));
"""


def with_tests(folder: Path) -> Path:
    """The app with tests: of `greet` beside its code, of `version` linked from the manifest."""
    write_function_app(folder, 1)
    (folder / "functions/greet.test.js").write_text(GOOD)
    (folder / "tests").mkdir()
    (folder / "tests/version.js").write_text(BAD)
    manifest = folder / "makecomapp.json"
    value = json.loads(manifest.read_text())
    value["components"]["function"]["version"]["codeFiles"]["test"] = "tests/version.js"
    manifest.write_text(json.dumps(value))
    return folder


def test_failing_tests_are_told_and_fail_the_command(cli: Scenarist, tmp_path: Path) -> None:
    """Each test by name, the error of one that failed, totals; exit code 1."""
    folder = str(with_tests(tmp_path / "app"))

    shown = cli("app", "test", folder, "--timezone", "Europe/Prague", exit_code=1)

    assert "ok    greets" in shown
    assert "FAIL  is seven" in shown
    assert "ok    goes on" in shown
    assert "debug: called" in shown
    assert "without tests: absent, city" in shown
    assert shown.rstrip().endswith("2 functions, 4 tests, 1 failed")


def test_functions_can_be_chosen(cli: Scenarist, tmp_path: Path) -> None:
    """Only the named functions are tested; programs get JSON; exit code 0 when all pass."""
    folder = str(with_tests(tmp_path / "app"))

    (report,) = cli.json("app", "test", folder, "greet", "--timezone", "Europe/Prague")

    assert report["function"] == "greet"
    assert report["passed"] is True
    assert [test["name"] for test in report["tests"]] == ["greets", "knows the zone"]
    assert report["log"] == ["called"]
    cli("app", "test", folder, "nope", exit_code=2)
    cli("app", "test", folder, "city", exit_code=2)
    cli("app", "test", str(tmp_path / "missing"), exit_code=2)


def test_an_error_outside_of_a_test_is_a_critical_failure(cli: Scenarist, tmp_path: Path) -> None:
    """A script that throws or never ends fails the command; the next script runs all the same."""
    folder = with_tests(tmp_path / "app")
    (folder / "functions/city.test.js").write_text("nope()")
    (folder / "functions/fails.test.js").write_text("it('throws', () => assert.throws(() => fails(), /no such/))")

    reports = {report["function"]: report for report in cli.json("app", "test", str(folder), exit_code=1)}

    assert reports["city"]["critical"] == "nope is not defined"
    assert reports["fails"]["passed"] is True


def test_an_app_without_tests_passes(cli: Scenarist) -> None:
    """Nothing to run is no failure."""
    assert cli.json("app", "test", str(APP)) == []
