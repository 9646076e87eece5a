"""`scenarist app test`: the tests that lie beside an app's custom functions (spec/iml.md 10.1). Needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import DefinitionError, UsageError
from workers.cli import output

if TYPE_CHECKING:
    from runtime.app.source import AppSource
    from runtime.app.specs import App, FunctionSpec
    from runtime.iml.javascript import TestReport


def run_tests(path: str, names: Sequence[str], *, timezone: str, as_json: bool) -> int:
    """
    Run the tests of these functions (all that have some without names), print what came of them, give the exit code.

    Raises:
        UsageError: There is no app at the path, no such function, or no such time zone.
        DefinitionError: The app cannot be loaded.
    """
    from runtime.app.functions import context_key, sources_of
    from runtime.app.loader import load_app
    from runtime.app.source import FolderSource
    from runtime.dates import zone
    from runtime.iml.javascript import run_function_tests
    from workers.cli.check import app_root

    if zone(timezone) is None:
        raise UsageError(f"--timezone: {timezone!r} is no time zone; use a name such as Europe/Prague")
    root = app_root(Path(path)) if path and Path(path).exists() else None
    if root is None:
        raise UsageError(f"{path}: there is no app here; give the folder of an app")
    source = FolderSource(root)
    loaded = load_app(source)
    if loaded.app is None:
        raise DefinitionError(f"{path}: the app cannot be loaded", loaded.errors)
    app, sources = loaded.app, sources_of(loaded.app)
    reports: list[TestReport] = []
    for spec in _wanted(app, names):
        script = _script(source, spec)
        if script is None:
            if names:
                raise UsageError(f"the function {spec.id!r} has no tests; its file would be {_beside(spec)}")
            continue
        reports.append(run_function_tests(context_key(app, sources), sources, spec.id, script, timezone=timezone))
    untested = [] if names else sorted(app.functions.keys() - {report.function for report in reports})
    if as_json:
        output.print_json([_json(report) for report in reports])
    else:
        _show(reports, untested)
    return 0 if all(report.passed for report in reports) else 1


def _wanted(app: App, names: Sequence[str]) -> list[FunctionSpec]:
    unknown = [name for name in names if name not in app.functions]
    if unknown:
        known = ", ".join(app.functions) or "none"
        raise UsageError(f"the app {app.name} has no function {unknown[0]!r}; known: {known}")
    return [app.functions[name] for name in dict.fromkeys(names or app.functions)]


def _script(source: AppSource, spec: FunctionSpec) -> str | None:
    """The text of a function's tests: the linked file, else the one beside its code; None when there is neither."""
    from runtime.app.source import SourceError, clean_path

    for path in filter(None, (spec.test_file, _beside(spec))):
        try:
            return source.read(clean_path(path)).decode("utf-8-sig")
        except SourceError as error:
            if error.trouble != "missing":
                raise UsageError(f"{path}: {error.message}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path}: the tests are no UTF-8 text") from None
    return None


def _beside(spec: FunctionSpec) -> str:
    stem = spec.file.removesuffix(".js").removesuffix(".code")
    return f"{stem or spec.id}.test.js"


def _show(reports: Sequence[TestReport], untested: Sequence[str]) -> None:
    for report in reports:
        output.say(report.text())
        for line in report.log:
            output.say(f"  debug: {line}")
    tests = [test for report in reports for test in report.tests]
    failed = sum(not test.passed for test in tests) + sum(report.critical is not None for report in reports)
    if untested:
        output.say(f"without tests: {', '.join(untested)}")
    output.say(f"{len(reports)} functions, {len(tests)} tests, {failed} failed")


def _json(report: TestReport) -> dict[str, Any]:
    return {
        "function": report.function,
        "passed": report.passed,
        "tests": [{"name": test.name, "passed": test.passed, "error": test.error} for test in report.tests],
        "critical": report.critical,
        "log": list(report.log),
    }
