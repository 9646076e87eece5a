"""
All findings about an app that can be decided from its files (spec/app-format.md 6 and 7, connections.md 13).
"""

from __future__ import annotations

from dataclasses import replace

from runtime.app.checks.communications import check_communications
from runtime.app.checks.components import check_components
from runtime.app.checks.connections import check_connections
from runtime.app.checks.context import Check
from runtime.app.checks.expressions import check_expressions
from runtime.app.checks.fields import check_fields
from runtime.app.findings import Finding, sorted_findings
from runtime.app.loader import LoadedApp
from runtime.app.report import Report

#: The families of rules, in no order that matters.
RULES = (check_components, check_communications, check_connections, check_expressions, check_fields)


def check_app(loaded: LoadedApp, *, strict: bool = False) -> list[Finding]:
    """
    All findings about an app, those of the loader included, by file and line.

    Args:
        loaded: From `load_app`; an app that could not be loaded gives the loader's findings alone.
        strict: Also report what works and is not liked (M406, M409).
    """
    report = Report()
    report.extend(loaded.findings)
    if loaded.app is not None:
        check = Check(loaded.app, report, strict)
        for rule in RULES:
            rule(check)
    return sorted_findings([_named(finding) for finding in report.findings])


def _named(finding: Finding) -> Finding:
    """Findings of the app's own files have no component in their text."""
    return replace(finding, component="") if finding.component == "app" else finding
