"""
Imports a blueprint: any bytes in, a checked model with its binding table or findings out; never raises on bad input.

Sources: spec/scenarios.md 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from runtime.scenario.bindings import Binding, bindings
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.catalog import Catalog, Role
from runtime.scenario.checks import Checker
from runtime.scenario.findings import BlueprintFinding
from runtime.scenario.reader import Reader, whole
from runtime.scenario.unwrap import unwrap


@dataclass(frozen=True, slots=True)
class Imported:
    """
    The result of an import.

    Args:
        blueprint: The model; None when any finding is an error, so that nothing half can be stored.
        name: The scenario's name, as far as the file tells one.
        findings: In order of the file; errors refuse the file.
        bindings: References that need something local; empty when refused.
    """

    blueprint: Blueprint | None
    name: str
    findings: list[BlueprintFinding] = field(default_factory=list[BlueprintFinding])
    bindings: list[Binding] = field(default_factory=list[Binding])

    @property
    def error(self) -> BlueprintFinding | None:
        """The first error in the order of the file: what a refused run prints (spec/scenarios.md 1.7)."""
        return next((finding for finding in self.findings if finding.severity == "error"), None)


def import_blueprint(raw: bytes | str, catalog: Catalog) -> Imported:
    """
    Read, unwrap and check a blueprint file.

    Args:
        raw: The file, in any wrapping of spec/scenarios.md 1.1.
        catalog: The modules that exist here.
    """
    unwrapped = unwrap(raw)
    findings = list(unwrapped.findings)
    if unwrapped.blueprint is None:
        return Imported(None, "", findings)
    inner = unwrapped.blueprint
    reader = Reader()
    blueprint = reader.read(inner, unwrapped.scheduling)
    findings += reader.findings
    checker = Checker(blueprint, catalog, _orphans(inner, findings))
    findings += checker.check()
    findings += _whole_file(blueprint, inner, catalog)
    findings = _in_file_order(findings, inner)
    refused = any(finding.severity == "error" for finding in findings)
    if refused:
        return Imported(None, blueprint.name, findings)
    return Imported(blueprint, blueprint.name, findings, bindings(blueprint))


def _orphans(inner: dict[str, Any], findings: list[BlueprintFinding]) -> frozenset[int]:
    """Ids of modules that are drawn but not connected. They are never executed."""
    metadata = inner.get("metadata")
    designer = metadata.get("designer") if isinstance(metadata, dict) else None
    orphans = designer.get("orphans") if isinstance(designer, dict) else None
    if not isinstance(orphans, list) or not orphans:
        return frozenset()
    message = f"{len(orphans)} unconnected flow(s) are never executed"
    findings.append(BlueprintFinding("warning", "W-ORPHANS", message, pointer="/metadata/designer/orphans"))
    reader = Reader()
    for index, flow in enumerate(cast("list[Any]", orphans)):
        reader.flow(flow, f"/metadata/designer/orphans/{index}", 0)
    ids: set[int] = set()
    pending: list[Any] = list(orphans)
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            number = whole(item.get("id"))
            if number is not None and "module" in item:
                ids.add(number)
            pending.extend(value for value in item.values() if isinstance(value, (list, dict)))
    return frozenset(ids)


def _whole_file(blueprint: Blueprint, inner: dict[str, Any], catalog: Catalog) -> list[BlueprintFinding]:
    findings: list[BlueprintFinding] = []
    metadata = inner.get("metadata")
    instant = metadata.get("instant") if isinstance(metadata, dict) else None
    if blueprint.flow and isinstance(instant, bool):
        try:
            role = catalog.lookup(blueprint.flow[0].name, blueprint.flow[0].version).role
        except LookupError:
            role = None
        if role is not None and instant is not (role is Role.INSTANT):
            message = f"metadata.instant is {str(instant).lower()}, but the start module says otherwise; it is trusted"
            findings.append(BlueprintFinding("warning", "W-INSTANT", message, pointer="/metadata/instant"))
    kind = blueprint.scheduling.get("type") if blueprint.scheduling else None
    if kind not in (None, "on-demand"):
        for item in blueprint.inputs:
            if isinstance(item, dict) and item.get("required") is True:
                message = f"the required input {item.get('name')!r} needs the schedule on-demand"
                findings.append(BlueprintFinding("error", "E-IO", message, pointer="/interface"))
    return findings


def _in_file_order(findings: list[BlueprintFinding], inner: dict[str, Any]) -> list[BlueprintFinding]:
    """Sort by place: top-level keys as they stand in the file, inside the flow by module."""
    keys = {key: index for index, key in enumerate(inner)}

    def rank(finding: BlueprintFinding) -> tuple[int, tuple[int, ...]]:
        parts = finding.pointer.split("/")[1:]
        if not parts:
            return -1, ()
        return keys.get(parts[0], len(keys)), tuple(int(part) for part in parts if part.isdigit())

    return sorted(dict.fromkeys(findings), key=rank)
