"""
Edits a stored incomplete execution before its retry: its blueprint, and the module that it begins at (spec 3.5, 6.3).

The record keeps its bundles, variables and the states of the apps that it knows. The edited blueprint is checked like
an import, and the path that the failed bundle came must still lead to the module (`runtime.scenario.moving`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.errors import UsageError
from runtime.scenario.blueprint import Module
from runtime.scenario.cursor import Cursor
from runtime.scenario.importer import Imported
from runtime.scenario.moving import moved
from runtime.scenario.plan import compile_plan
from workers import imports
from workers.ledger.incompletes import MOST_BYTES
from workers.ledger.records import RunRequest
from workers.library import catalog_of, used_apps
from workers.runner import SegmentRunner


@dataclass(frozen=True, slots=True)
class Edit:
    """What is changed. `fields`: values of the mapper or the parameters of the module that the retry begins at."""

    blueprint: bytes | None = None
    module: int | None = None
    fields: Mapping[str, Any] | None = None


def edit(runner: SegmentRunner, record: str, change: Edit) -> None:
    """
    Change a record.

    Raises:
        UsageError: It is resolved or in progress, the blueprint is refused or names what is not bound, or the failed
            bundle cannot go on there.
    """
    row = runner.incompletes.get(record)
    request, start = runner.incompletes.load(record)
    module = row.module if change.module is None else change.module
    old = runner.library.compiled(request.blueprint, request.apps).plan
    apps = runner.library.current_apps()
    apps |= {name: runner.library.app(name, content) for name, content in request.apps.items()}
    catalog = catalog_of(apps)
    raw = runner.library.scenarios.blueprint(request.blueprint) if change.blueprint is None else change.blueprint
    imported = _checked(imports.read(raw, catalog))
    if change.fields:
        raw = _with_fields(imported, module, change.fields)
        imported = _checked(imports.read(raw, catalog))
    blueprint = imported.blueprint
    if blueprint is None:
        raise UsageError("The blueprint cannot be read.")
    plan = compile_plan(blueprint, catalog)
    cursor = moved(Cursor.from_json(start.cursor), old, plan, row.module, module)
    bound = _with_bindings(runner, request)
    imports.ready(catalog, imported, bound.connections, stores=bound.stores, scenarios=bound.scenarios)
    content = runner.library.scenarios.put_blueprint(raw)
    edited = replace(bound, blueprint=content, apps=used_apps(imported, apps))
    needed = cursor.reachable()
    bundles = {number: items for number, items in start.bundles.items() if number in needed}
    runner.incompletes.edit(
        record,
        edited,
        replace(start, cursor=cursor.to_json(), bundles=bundles),
        module=module,
        app=plan.nodes[module].name,
        most_bytes=runner.settings.option("incomplete_max_bytes", MOST_BYTES),
    )


def _checked(imported: Imported) -> Imported:
    errors = [finding.text() for finding in imported.findings if finding.severity == "error"]
    if imported.blueprint is None or errors:
        raise UsageError("The blueprint is refused: " + ("; ".join(errors[:5]) or "it cannot be read"))
    return imported


def _with_fields(imported: Imported, module: int, fields: Mapping[str, Any]) -> bytes:
    """The blueprint with other values in one module: in its parameters where they have the field, else its mapper."""
    blueprint = imported.blueprint
    found: Module | None = (
        next((item for item in blueprint.modules() if item.id == module), None) if blueprint else None
    )
    if blueprint is None or found is None:
        raise UsageError(f"The blueprint has no module {module}.")
    raw = copy.deepcopy(blueprint.raw)
    place: Any = raw
    for part in found.pointer.split("/")[1:]:
        place = place[int(part)] if isinstance(place, list) else place[part]
    for name, value in fields.items():
        parameters, mapper = place.get("parameters"), place.get("mapper")
        static = isinstance(parameters, dict) and name in parameters
        if static and not (isinstance(mapper, dict) and name in mapper):
            parameters[name] = value
        else:
            place["mapper"] = {**(mapper if isinstance(mapper, dict) else {}), name: value}
    return json.dumps(raw, ensure_ascii=False).encode()


def _with_bindings(runner: SegmentRunner, request: RunRequest) -> RunRequest:
    """The record's bindings, and for ids that it does not know those that the scenario has today."""
    try:
        state = runner.library.scenarios.get(request.scenario)
    except UsageError:
        return request
    return replace(
        request,
        connections={**state.connections, **request.connections},
        stores={**state.stores, **request.stores},
        scenarios={**state.scenarios, **request.scenarios},
    )
