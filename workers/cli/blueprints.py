"""The part of `scenarist check` that looks at a blueprint; known are the built-ins and the apps in the same call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.app.findings import Finding
    from runtime.app.specs import App


def check_blueprint(raw: bytes, *, file: str, apps: Sequence[App]) -> list[Finding]:
    """Findings about a blueprint file, in order of the file, with line and column where the file shows them."""
    from runtime.app.jsonc import parse_jsonc
    from runtime.scenario.importer import import_blueprint
    from workers.library import catalog_of

    found = import_blueprint(raw, catalog_of({app.name: app for app in apps})).findings
    if not found:
        return []
    prefix = inner_pointer(raw)
    document = None if prefix is None else parse_jsonc(raw, file)
    findings: list[Finding] = []
    for item in found:
        line, column = (0, 0) if document is None else document.locate(f"{prefix}{item.pointer}")
        finding = item.finding(file, line, column)
        if item.code == "E-UNKNOWN-APP":
            finding = replace(finding, hint="name its folder in the same command: scenarist check FOLDER BLUEPRINT")
        findings.append(finding)
    return findings


def inner_pointer(raw: bytes) -> str | None:
    """
    Where the blueprint begins inside its file (spec/scenarios.md 1.1); None when it is text inside of text, so that
    no line of the file shows it.
    """
    try:
        value: Any = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    pointer = ""
    for key in ("response", "blueprint"):
        if isinstance(value, dict) and "flow" not in value and key in value:
            value = value[key]
            pointer += f"/{key}"
    return pointer if isinstance(value, dict) and "flow" in value else None
