"""From a blueprint to a run: import, bind connections, check inputs (spec/scenarios.md 1.7, 5.6)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connections.record import ConnectionRecord
from connections.vault import Vault
from runtime.app.specs import App
from runtime.errors import BundleValidationError, UsageError
from runtime.parameters import parse_fields, resolve
from runtime.scenario.bindings import BindingKind
from runtime.scenario.blueprint import Blueprint, Module
from runtime.scenario.catalog import Catalog, Role, app_part
from runtime.scenario.importer import Imported, import_blueprint
from runtime.scenario.structures import Structure
from runtime.values import to_text
from workers.connecting import binding_key, foreign_id, keychains
from workers.hook_binding import bound_hook, start_hook
from workers.ledger.records import RunRequest
from workers.ledger.scenarios import ScenarioState
from workers.library import CUSTOM_PREFIX, Library, catalog_of, used_apps
from workers.runner import SegmentRunner
from workers.views import BindingRow

#: What a connection of this installation may be bound to.
CONNECTED = frozenset({BindingKind.CONNECTION, BindingKind.KEYCHAIN})


class Refusal(UsageError):  # noqa: N818  what happened, not what failed
    """A run is refused before it begins. `code` is that of the finding (spec/scenarios.md 1.7)."""

    def __init__(self, code: str, message: str, module: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.module = module


def read(raw: bytes, catalog: Catalog) -> Imported:
    """Import a blueprint's bytes against this catalog."""
    return import_blueprint(raw, catalog)


def apps_named(library: Library, content: str) -> set[str]:
    """Names of the registered apps that a stored blueprint uses."""
    apps = library.current_apps()
    return set(used_apps(read(library.scenarios.blueprint(content), catalog_of(apps)), apps))


def bind(imported: Imported, catalog: Catalog, vault: Vault, wanted: Mapping[str, str]) -> dict[str, str]:
    """
    Foreign connection id -> connection id here, from names that a person gave by foreign id or app name.

    Raises:
        UsageError: A name is no connection here, does not fit a module, or belongs to nothing in the blueprint.
    """
    bound: dict[str, str] = {}
    used: set[str] = set()
    for module, foreign, components in _connected(imported.blueprint, catalog):
        app = app_part(module.name).removeprefix(CUSTOM_PREFIX)
        key = next((key for key in (foreign, app, *components) if key in wanted), None)
        if key is None:
            continue
        used.add(key)
        record = vault.find(wanted[key], app=app)
        if record.component not in components:
            raise UsageError(
                f'The connection "{record.name}" is of the kind {record.component}; module {module.id} '
                f"({module.name}) needs {' or '.join(components)}."
            )
        bound[foreign] = record.id
    for key in wanted.keys() - used:
        known = ", ".join(dict.fromkeys(foreign for _, foreign, _ in _connected(imported.blueprint, catalog))) or "none"
        raise UsageError(f'The blueprint names no connection "{key}". It names: {known}.')
    return bound


@dataclass(frozen=True, slots=True)
class Open:
    """
    A foreign connection id that is not bound: what it was called, whose app it is, and the connections here that every
    module that names it accepts, by name.
    """

    foreign: str
    label: str
    app: str
    candidates: tuple[ConnectionRecord, ...]

    @property
    def obvious(self) -> ConnectionRecord | None:
        """The one that bears the label of the blueprint, else the only one there is."""
        named = [record for record in self.candidates if self.label in (record.name, record.label)]
        found = named or list(self.candidates)
        return found[0] if len(found) == 1 else None


def open_bindings(imported: Imported, catalog: Catalog, vault: Vault, bound: Mapping[str, str]) -> list[Open]:
    """The foreign connection ids of a blueprint that are not bound, in order, with what fits (design section 10.8)."""
    accepted: dict[str, tuple[str, set[str]]] = {}
    for module, foreign, components in _connected(imported.blueprint, catalog):
        app = app_part(module.name).removeprefix(CUSTOM_PREFIX)
        before = accepted.get(foreign)
        if before is not None and before[0] != app:
            # One id under two apps: no connection here can serve both.
            accepted[foreign] = (app, set())
        else:
            accepted[foreign] = (app, set(components) if before is None else before[1] & set(components))
    labels = {to_text(item.foreign_id): item.label for item in imported.bindings if item.label}
    known = vault.list() if accepted.keys() - bound.keys() else []
    return [
        Open(
            foreign,
            labels.get(foreign, ""),
            app,
            tuple(record for record in known if record.app == app and record.component in components),
        )
        for foreign, (app, components) in accepted.items()
        if foreign not in bound
    ]


def _connected(blueprint: Blueprint | None, catalog: Catalog) -> list[tuple[Module, str, tuple[str, ...]]]:
    """Modules that need a connection: (module, foreign id, components that fit)."""
    found: list[tuple[Module, str, tuple[str, ...]]] = []
    for module in blueprint.modules() if blueprint else ():
        info = catalog.lookup(module.name, module.version)
        # An instant trigger may have the connection of its webhook.
        if info.connections and not (info.role is Role.INSTANT and foreign_id(module.parameters) is None):
            app = app_part(module.name).removeprefix(CUSTOM_PREFIX)
            found.append((module, binding_key(app, module.parameters), info.connections))
        found += [
            (module, foreign, components) for foreign, components in keychains(info, module.parameters, module.mapper)
        ]
    return found


def bind_things(
    imported: Imported, kind: BindingKind, known: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """
    Foreign data store or scenario id -> what it means here, from names that a person gave by foreign id or its label.

    Args:
        known: Name -> id here.

    Raises:
        UsageError: A name is not known, or belongs to nothing in the blueprint.
    """
    word = {BindingKind.DATA_STORE: "data store"}.get(kind, str(kind))
    bound: dict[str, str] = {}
    used: set[str] = set()
    for binding in imported.bindings:
        foreign = to_text(binding.foreign_id)
        key = next((key for key in (foreign, binding.label) if key in wanted), None)
        if binding.kind is not kind or key is None:
            continue
        used.add(key)
        if wanted[key] not in known:
            raise UsageError(f'There is no {word} "{wanted[key]}". Known: {", ".join(sorted(known)) or "none"}.')
        bound[foreign] = known[wanted[key]]
    for key in wanted.keys() - used:
        named = [to_text(binding.foreign_id) for binding in imported.bindings if binding.kind is kind]
        names = ", ".join(dict.fromkeys(named)) or "none"
        raise UsageError(f'The blueprint names no {word} "{key}". It names: {names}.')
    return bound


def known_stores(runner: SegmentRunner) -> dict[str, str]:
    """Data stores by the name that a person gives."""
    return {row.name: row.name for row in runner.stores.list()}


def known_scenarios(runner: SegmentRunner) -> dict[str, str]:
    """Ids of scenarios by id and by name."""
    states = runner.library.scenarios.list()
    return {state.name: state.id for state in states} | {state.id: state.id for state in states}


def binding_rows(runner: SegmentRunner, state: ScenarioState) -> list[BindingRow]:
    """The binding table of a scenario; a blueprint that cannot be read any more has none."""
    apps = runner.library.current_apps()
    catalog = catalog_of(apps)
    imported = read(runner.library.scenarios.blueprint(state.blueprint), catalog)
    names = {record.id: record.name for record in runner.vault.list()}
    start = start_hook(imported, catalog, runner.library)
    hook = bound_hook(runner.hooks, state.id) if start is not None else None
    rows: dict[tuple[str, str], BindingRow] = {}
    structures = chosen_structures(imported, runner.library.scenarios.structures(state))
    for binding in imported.bindings:
        foreign = to_text(binding.foreign_id)
        bound = state.connections.get(foreign) if binding.kind in CONNECTED else None
        shown = names.get(bound) if bound else None
        if binding.kind is BindingKind.DATA_STORE:
            shown = state.stores.get(foreign)
        elif binding.kind is BindingKind.SCENARIO:
            shown = state.scenarios.get(foreign)
        elif binding.kind is BindingKind.DATA_STRUCTURE:
            shown = _said_structure(structures.get(foreign))
        elif binding.kind is BindingKind.HOOK and start is not None and foreign == start.foreign:
            shown = hook.name if hook is not None else None
        rows.setdefault((binding.kind, foreign), BindingRow(str(binding.kind), foreign, binding.label, shown))
    if start is not None:
        kind = BindingKind.HOOK
        shown = hook.name if hook is not None else None
        rows.setdefault((kind, start.foreign), BindingRow(str(kind), start.foreign, start.label or start.shown, shown))
    for _, foreign, components in _connected(imported.blueprint, catalog):
        bound = state.connections.get(foreign)
        shown = names.get(bound) if bound else None
        kind = BindingKind.CONNECTION
        rows.setdefault((kind, foreign), BindingRow(str(kind), foreign, " or ".join(components), shown))
    return list(rows.values())


def _said_structure(structure: Structure | None) -> str | None:
    if structure is None:
        return None
    return f"{'strict, ' if structure['strict'] else ''}{len(structure['spec'])} field(s)"


#: Read blueprints that a process keeps for the runs of schedules.
KEPT_BLUEPRINTS = 512


@dataclass(slots=True)
class Prepared:
    """Blueprints that are read against today's apps; for one who makes many runs. `forget_apps` looks at those anew."""

    runner: SegmentRunner
    _apps: dict[str, App] | None = None
    _read: dict[tuple[str, str], Imported] = field(default_factory=dict[tuple[str, str], Imported])

    def forget_apps(self) -> None:
        """Ask for today's apps with the next blueprint."""
        self._apps = None

    def blueprint(self, content: str) -> tuple[dict[str, App], Catalog, Imported]:
        """Today's apps, their catalog, and a stored blueprint read against it."""
        if self._apps is None:
            self._apps = self.runner.library.current_apps()
        apps, catalog = self._apps, catalog_of(self._apps)
        key = (content, " ".join(sorted(app.hash for app in apps.values())))
        if key not in self._read:
            while len(self._read) >= KEPT_BLUEPRINTS:
                self._read.pop(next(iter(self._read)))
            self._read[key] = read(self.runner.library.scenarios.blueprint(content), catalog)
        return apps, catalog, self._read[key]


def scenario_request(
    runner: SegmentRunner,
    state: ScenarioState,
    inputs: Mapping[str, Any] | None,
    trigger_bundles: Sequence[Mapping[str, Any]] | None,
    *,
    only_on_demand: bool = False,
    kind: str = "manual",
    prepared: Prepared | None = None,
) -> RunRequest:
    """
    The request for a run of a stored scenario, with today's states of its apps.

    Raises:
        Refusal: The blueprint is refused, a connection is not bound, or it must be on demand and is not.
        BundleValidationError: An input is missing or does not fit.
    """
    apps, catalog, imported = (prepared or Prepared(runner)).blueprint(state.blueprint)
    made = _request(
        runner, apps, catalog, imported, state.blueprint, state.id, state.name, state.connections, inputs,
        trigger_bundles, stores=state.stores, scenarios=state.scenarios, only_on_demand=only_on_demand,
        mode=state.live.mode if state.active else "", timezone=state.timezone, on_unknown=state.on_unknown, kind=kind,
    )  # fmt: skip
    if not state.structures:
        return made
    return replace(made, structures=chosen_structures(imported, runner.library.scenarios.structures(state)))


def chosen_structures(imported: Imported, given: Mapping[str, Structure]) -> dict[str, Structure]:
    """Foreign data structure id of the blueprint -> the structure that was given for it, by id or label."""
    chosen: dict[str, Structure] = {}
    for binding in imported.bindings:
        foreign = to_text(binding.foreign_id)
        found = given.get(foreign) or given.get(binding.label)
        if binding.kind is BindingKind.DATA_STRUCTURE and found is not None:
            chosen[foreign] = found
    return chosen


def known_structures(imported: Imported, given: Mapping[str, Structure]) -> None:
    """Look that the blueprint names every structure that was given. Raises UsageError when it does not."""
    names = {
        text: None
        for binding in imported.bindings
        if binding.kind is BindingKind.DATA_STRUCTURE
        for text in (to_text(binding.foreign_id), binding.label)
        if text
    }
    for name in given:
        if name not in names:
            raise UsageError(f'The blueprint names no data structure "{name}". It names: {", ".join(names) or "none"}.')


def file_request(
    runner: SegmentRunner,
    raw: bytes,
    inputs: Mapping[str, Any] | None,
    trigger_bundles: Sequence[Mapping[str, Any]] | None,
    bindings: Mapping[str, str],
    stores: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    scenarios: Mapping[str, str] | None = None,
    structures: Mapping[str, Structure] | None = None,
) -> RunRequest:
    """
    The request for a run of a blueprint file that is no scenario. `stores` binds stores of the installation,
    `given` those of this run only, which the blueprint need not name; `structures` are data structures by id or label.

    Raises:
        Refusal: The file is refused, or a connection is not bound.
        UsageError: A binding names no connection here.
        BundleValidationError: An input is missing or does not fit.
    """
    apps = runner.library.current_apps()
    catalog = catalog_of(apps)
    imported = read(raw, catalog)
    _refuse_errors(imported)
    bound = bind(imported, catalog, runner.vault, bindings)
    bound_stores = bind_things(imported, BindingKind.DATA_STORE, known_stores(runner), stores or {})
    called = bind_things(imported, BindingKind.SCENARIO, known_scenarios(runner), scenarios or {})
    known_structures(imported, structures or {})
    for binding in imported.bindings:
        if binding.kind is BindingKind.DATA_STORE and given:
            foreign = to_text(binding.foreign_id)
            name = given.get(foreign) or given.get(binding.label)
            bound_stores |= {foreign: name} if name else {}
    content = runner.library.scenarios.put_blueprint(raw)
    scenario = f"file-{content[:12]}"
    made = _request(
        runner, apps, catalog, imported, content, scenario, imported.name, bound, inputs, trigger_bundles,
        stores=bound_stores, scenarios=called,
    )  # fmt: skip
    return replace(made, structures=chosen_structures(imported, structures)) if structures else made


def ready(
    catalog: Catalog,
    imported: Imported,
    connections: Mapping[str, str],
    *,
    stores: Mapping[str, str],
    scenarios: Mapping[str, str],
) -> Blueprint:
    """A blueprint that can run with these bindings. Raises Refusal when it is refused or something is not bound."""
    blueprint = _refuse_errors(imported)
    for module, foreign, components in _connected(blueprint, catalog):
        if foreign not in connections:
            message = (
                f"Module {module.id} ({module.name}) needs a connection ({' or '.join(components)}); bind {foreign}."
            )
            raise Refusal("E-BIND", message, module.id)
    bound = {BindingKind.DATA_STORE: ("data store", stores), BindingKind.SCENARIO: ("scenario", scenarios)}
    for binding in imported.bindings:
        word, known = bound.get(binding.kind, ("", {}))
        if word and to_text(binding.foreign_id) not in known:
            message = f"Module {binding.module} needs the {word} {binding.foreign_id}; bind one to it."
            raise Refusal("E-BIND", message, binding.module)
    return blueprint


def _request(
    runner: SegmentRunner,
    apps: Mapping[str, App],
    catalog: Catalog,
    imported: Imported,
    content: str,
    scenario: str,
    name: str,
    connections: Mapping[str, str],
    inputs: Mapping[str, Any] | None,
    trigger_bundles: Sequence[Mapping[str, Any]] | None,
    *,
    stores: Mapping[str, str],
    scenarios: Mapping[str, str],
    only_on_demand: bool = False,
    mode: str = "",
    timezone: str | None = None,
    on_unknown: str = "stop",
    kind: str = "manual",
) -> RunRequest:
    blueprint = ready(catalog, imported, connections, stores=stores, scenarios=scenarios)
    schedule = mode or (blueprint.scheduling or {}).get("type")
    if only_on_demand and schedule not in (None, "on-demand"):
        raise Refusal("E-IO", f'The scenario "{name}" runs by its schedule, not on demand.')
    zone = timezone or runner.settings.timezone
    return RunRequest(
        scenario=scenario,
        blueprint=content,
        apps=used_apps(imported, apps),
        name=name,
        kind=kind,
        inputs=checked_inputs(blueprint, inputs or {}, zone),
        trigger_bundles=None if trigger_bundles is None else tuple(dict(bundle) for bundle in trigger_bundles),
        connections=dict(connections),
        stores=dict(stores),
        scenarios=dict(scenarios),
        timezone=zone,
        on_unknown=on_unknown,
        confidential=blueprint.settings.confidential,
        sequential=blueprint.settings.sequential,
    )


def _refuse_errors(imported: Imported) -> Blueprint:
    if imported.blueprint is None:
        error = imported.error
        if error is None:
            raise Refusal("E-JSON", "The blueprint cannot be read.")
        raise Refusal(error.code, error.message, error.module)
    return imported.blueprint


def checked_inputs(blueprint: Blueprint, inputs: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """
    The inputs of a run, converted to their declared types, with defaults (spec/scenarios.md 5.6).

    Raises:
        BundleValidationError: One is missing or does not fit.
    """
    if not blueprint.inputs:
        return dict(inputs)
    fields = parse_fields(list(blueprint.inputs), where="inputs")
    declared = {item["name"]: item for item in blueprint.inputs if isinstance(item, dict) and "name" in item}
    given: dict[str, Any] = {}
    for key, value in inputs.items():
        kind = declared.get(key, {}).get("type")
        given[key] = value
        # On the command line an array or a collection is JSON text.
        if isinstance(value, str) and kind in ("array", "collection"):
            try:
                given[key] = json.loads(value)
            except ValueError:
                raise BundleValidationError(
                    "Validation failed for 1 parameter(s).", suberrors=(f"Invalid {kind} in parameter '{key}'.",)
                ) from None
    return resolve(fields, given, timezone=timezone).values
