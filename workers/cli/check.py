"""`scenarist check`: what is wrong with an app folder or a blueprint, by file, line and column. Needs no server."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app

if TYPE_CHECKING:
    from runtime.app.findings import Finding, Severity
    from runtime.app.loader import LoadedApp

app = new_app()


#: What a code may be set to in `scenarist.toml`.
SEVERITIES = ("error", "warning", "info", "off")


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The `[check]` table of a `scenarist.toml` beside a manifest: the only thing that is read from an app's folder."""

    strict: bool = False
    ignore: frozenset[str] = frozenset()
    #: Code -> the severity that it has in this app.
    severity: Mapping[str, Severity] = field(default_factory=dict[str, "Severity"])

    def applied(self, findings: Iterable[Finding], *, loaded: bool) -> list[Finding]:
        """The findings that count. Why an app cannot be loaded is always said."""
        kept: list[Finding] = []
        for item in findings:
            if item.severity == "error" and not loaded:
                kept.append(item)
            elif item.code not in self.ignore:
                kept.append(replace(item, severity=self.severity.get(item.code, item.severity)))
        return kept


@app.command(
    epilog=example("scenarist check apps/helpdesk blueprint.json --strict"),
)
def check(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="App folders and blueprint files.")],
    form: Annotated[
        Format, typer.Option("--format", metavar="text|json|github", help="How to print what is found.")
    ] = Format.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Say more, and let warnings fail the check.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Check app folders and blueprints.

    Exit code 0: no error. 1: an error, or a warning with --strict. 2: no such path.
    """
    form = Format.JSON if as_json else form
    for path in paths:
        if not path or not Path(path).exists():
            raise UsageError(f"{path}: no such file or folder")
    roots: dict[str, Path] = {}
    blueprints: list[Path] = []
    for path in map(Path, paths):
        if _is_blueprint(path):
            blueprints.append(path)
        else:
            root = app_root(path) or path
            roots[str(root)] = root
    findings: list[Finding] = []
    failed = False
    apps: list[LoadedApp] = []
    for root in roots.values():
        loaded, found, limits = _check_app(root, strict=strict)
        apps.append(loaded)
        findings += found
        failed |= fails(found, strict=limits.strict)
    for blueprint in blueprints:
        found = _check_blueprint(blueprint, apps)
        findings += found
        failed |= fails(found, strict=strict)
    show(findings, form, checked=len(roots) + len(blueprints))
    return 1 if failed else 0


def fails(findings: Iterable[Finding], *, strict: bool) -> bool:
    """True when these findings fail a check (spec/app-format.md 7)."""
    return any(item.severity == "error" or (strict and item.severity == "warning") for item in findings)


def show(findings: list[Finding], form: Format, *, checked: int) -> None:
    """Print findings; in text form with one line of counts at the end."""
    if form is Format.JSON:
        output.print_json([item.to_json() for item in findings])
        return
    for item in findings:
        output.say(item.text() if form is Format.TEXT else github_line(item))
        if form is Format.TEXT and item.excerpt is not None:
            from runtime.iml import caret

            for line in caret(*item.excerpt):
                output.say(f"    {line}")
    if form is Format.TEXT:
        output.say(_counts(findings, checked))


def _counts(findings: list[Finding], checked: int) -> str:
    parts: list[str] = []
    for severity, one, many in (
        ("error", "error", "errors"),
        ("warning", "warning", "warnings"),
        ("info", "hint", "hints"),
    ):
        number = sum(item.severity == severity for item in findings)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
    return f"{', '.join(parts) or 'nothing found'} ({checked} checked)"


def github_line(finding: Finding) -> str:
    """A finding as a workflow command: `::error file=...,line=...,col=...,title=...::text`."""

    def value(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def attribute(text: str) -> str:
        return value(text).replace(":", "%3A").replace(",", "%2C")

    level = {"error": "error", "warning": "warning"}.get(finding.severity, "notice")
    attributes = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.code}
    listed = ",".join(f"{name}={attribute(str(item))}" for name, item in attributes.items() if item)
    component = f"{finding.component}: " if finding.component else ""
    hint = f" — {finding.hint}" if finding.hint else ""
    return f"::{level} {listed}::{value(component + finding.message + hint)}"


def _is_blueprint(path: Path) -> bool:
    """By content, since a blueprint may lie inside of an app's repository; else a file that lies in no app."""
    if not path.is_file() or path.name in ("makecomapp.json", "metadata.json") or path.suffix.lower() == ".zip":
        return False
    try:
        value: Any = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        value = None
    known = ("flow", "blueprint", "response", "subflows")
    return (isinstance(value, dict) and any(key in value for key in known)) or app_root(path) is None


def app_root(path: Path) -> Path | None:
    """The root of the app at or around a path, None when there is none."""
    from runtime.app.layout import find_root, is_root
    from runtime.app.source import FolderSource

    root = find_root(path)
    return root if isinstance(root, Path) and is_root(FolderSource(root)) else None


def _check_app(root: Path, *, strict: bool) -> tuple[LoadedApp, list[Finding], CheckSettings]:
    from runtime.app.checker import check_app
    from runtime.app.loader import load_app

    table = read_check_table(root)
    limits = replace(table, strict=table.strict or strict)
    loaded = load_app(root)
    every = check_app(loaded, strict=limits.strict, wanted=limits.severity)
    found = limits.applied(every, loaded=loaded.app is not None)
    return loaded, [replace(item, file=_shown(root, item.file)) for item in found], limits


def _shown(root: Path, file: str) -> str:
    # As seen from the current folder, so that an editor or a terminal can open it.
    # A folder that is no app is named by its label, which is no file in it.
    path = root / file if file and (root / file).exists() else root
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def read_check_table(root: Path) -> CheckSettings:
    """
    The `[check]` table beside a manifest: `strict` (boolean), `ignore` (codes of findings to leave out) and `severity`
    (a table: code -> error, warning, info, or off for one to leave out).

    Raises:
        UsageError: The file is no TOML, or the table holds something else.
    """
    file = root / "scenarist.toml"
    if not file.is_file():
        return CheckSettings()
    try:
        table: Any = tomllib.loads(file.read_text("utf-8")).get("check", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as TOML: {error}") from None
    known: dict[str, Any] = table if isinstance(table, dict) else {"": table}
    strict, ignore, severity = known.get("strict", False), known.get("ignore", []), known.get("severity", {})
    if (
        not isinstance(strict, bool)
        or not isinstance(ignore, list)
        or not isinstance(severity, dict)
        or not all(level in SEVERITIES for level in severity.values())
        or set(known) - {"strict", "ignore", "severity"}
    ):
        raise UsageError(
            f'{file}: the table [check] takes strict = true or false, ignore = ["CODE", ...], '
            f"and severity = {{CODE = {', '.join(SEVERITIES)}}}"
        )
    return CheckSettings(
        strict=strict,
        ignore=frozenset([*map(str, ignore), *[code for code, level in severity.items() if level == "off"]]),
        severity={code: level for code, level in severity.items() if level != "off"},
    )


def _check_blueprint(path: Path, apps: list[LoadedApp]) -> list[Finding]:
    from workers.cli.blueprints import check_blueprint

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return check_blueprint(raw, file=_shown(path, ""), apps=[loaded.app for loaded in apps if loaded.app is not None])
