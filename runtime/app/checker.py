"""
All findings about an app that can be decided from its files (spec/app-format.md 6 and 7, connections.md 13).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from runtime.app.checks.communications import check_communications
from runtime.app.checks.components import check_components
from runtime.app.checks.connections import check_connections
from runtime.app.checks.context import Check
from runtime.app.checks.expressions import check_expressions
from runtime.app.checks.fields import check_fields
from runtime.app.checks.outputs import check_outputs
from runtime.app.checks.practices import check_practices
from runtime.app.checks.secrecy import check_secrecy
from runtime.app.checks.shapes import check_shapes
from runtime.app.findings import Finding, sorted_findings
from runtime.app.loader import LoadedApp
from runtime.app.report import Report

#: The families of rules, in no order that matters.
RULES = (
    check_components,
    check_shapes,
    check_communications,
    check_connections,
    check_secrecy,
    check_expressions,
    check_fields,
    check_outputs,
    check_practices,
)


def check_app(loaded: LoadedApp, *, strict: bool = False, wanted: Collection[str] = ()) -> list[Finding]:
    """
    All findings about an app, those of the loader included, by file and line.

    Args:
        loaded: From `load_app`; an app that could not be loaded gives the loader's findings alone.
        strict: Also report what works and is not liked (M406, M409) and good practice (B7xx).
        wanted: Codes of such findings that are reported without `strict` too.
    """
    report = Report()
    report.extend(loaded.findings)
    if loaded.app is not None:
        check = Check(loaded.app, report, strict, frozenset(wanted))
        for rule in RULES:
            rule(check)
    return sorted_findings([_named(finding) for finding in report.findings])


def _named(finding: Finding) -> Finding:
    """Findings of the app's own files have no component in their text."""
    return replace(finding, component="") if finding.component == "app" else finding
