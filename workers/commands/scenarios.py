"""What the `scenario` commands do: import, export, show and change scenarios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.dates import zone
from runtime.errors import UsageError
from runtime.scenario.bindings import BindingKind
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.structures import Structure
from runtime.scenario.support import support
from workers import imports
from workers.commands.context import Context
from workers.commands.schedules import ScheduleCommands
from workers.hook_binding import choose_hook, free_name, start_hook
from workers.ledger.hooks import HookRecord
from workers.ledger.scenarios import ScenarioState
from workers.library import catalog_of
from workers.views import ScenarioImported, ScenarioRow


@dataclass(frozen=True, slots=True)
class ScenarioCommands:
    """The commands."""

    context: Context

    def import_(
        self,
        raw: bytes,
        *,
        name: str | None = None,
        bindings: Mapping[str, str] | None = None,
        stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        hooks: Mapping[str, str] | None = None,
        new_hook: bool = False,
        structures: Mapping[str, Structure] | None = None,
        on_unknown: str | None = None,
        new: bool = False,
        choose: Callable[[imports.Open], str | None] | None = None,
    ) -> ScenarioImported:
        """
        Import a blueprint. `bindings` maps its connection ids (or app names) to names or ids of connections here; for
        what they and a former version leave open, the connection of the same name or the only one that fits is taken,
        else `choose` is asked for an id. The scenario of this name gets it as its new version, with its former
        bindings; `new` makes another scenario.

        `hooks` maps the id of the webhook that it starts with to the name or id of one here; `new_hook` makes a custom
        one where none is bound. `structures` are its data structures by id or label; None keeps those of the former
        version.

        Raises:
            UsageError: A binding names no connection here or one that does not fit, or several scenarios have the name.
        """
        runner = self.context.runner
        apps = runner.library.current_apps()
        catalog, kept = catalog_of(apps), runner.scenarios
        imported = imports.read(raw, catalog)
        modules = tuple(support(raw, catalog))
        if imported.blueprint is None:
            return ScenarioImported(None, tuple(imported.findings), modules)
        bound = imports.bind(imported, catalog, runner.vault, bindings or {})
        held = imports.bind_things(imported, BindingKind.DATA_STORE, imports.known_stores(runner), stores or {})
        called = imports.bind_things(imported, BindingKind.SCENARIO, imports.known_scenarios(runner), scenarios or {})
        imports.known_structures(imported, structures or {})
        name = name or imported.name or "Scenario"
        known = [] if new else kept.named(name)
        if len(known) > 1:
            ids = ", ".join(state.id for state in known)
            raise UsageError(f'Several scenarios are named "{name}" ({ids}); import it with another --name or --new.')
        start = start_hook(imported, catalog, runner.library)
        hook = choose_hook(runner.hooks, start, hooks or {}, former=known[0].id if known else "")
        if new_hook and hook is None and (start is None or not start.custom):
            needed = "no webhook" if start is None else f"{start.shown}: scenarist hook add"
            raise UsageError(f"--new-hook makes a custom webhook; this blueprint starts with {needed}.")
        bound = {**known[0].connections, **bound} if known else bound
        for item in imports.open_bindings(imported, catalog, runner.vault, bound):
            obvious = item.obvious
            chosen = obvious.id if obvious is not None else choose(item) if choose and item.candidates else None
            if chosen is not None:
                bound[item.foreign] = chosen
        if known:
            former = known[0]
            state = kept.update(
                former,
                raw,
                connections=bound,
                stores={**former.stores, **held},
                scenarios={**former.scenarios, **called},
                structures=structures,
                on_unknown=on_unknown,
            )
            state = ScheduleCommands(self.context).refresh(state)
        else:
            state = kept.add(
                name, raw, connections=bound, stores=held, scenarios=called, structures=structures,
                on_unknown=on_unknown or "stop",
            )  # fmt: skip
        if hook is None and new_hook and start is not None:
            hook = runner.hooks.add(HookRecord("", "custom", free_name(runner.hooks, start.label or state.name)))
        if hook is not None and hook.scenario != state.id:
            runner.hooks.bind(hook.id, state.id)
        return ScenarioImported(self._row(state), tuple(imported.findings), modules, bool(known))

    def export(self, scenario: str, *, version: str | None = None) -> bytes:
        """
        The file that a scenario was imported from, byte for byte; `version` is the (first part of the) hash of an older
        one.

        Raises:
            UsageError: There is no such scenario, or no such version of it is kept.
        """
        scenarios = self.context.runner.scenarios
        state = scenarios.get(scenario)
        if version is None:
            return scenarios.blueprint(state.blueprint)
        found = [content for content in state.versions if content.startswith(version)]
        if len(found) != 1:
            known = ", ".join(content[:12] for content in state.versions)
            raise UsageError(f'The scenario "{state.name}" has the versions {known}; there is no {version}.')
        return scenarios.blueprint(found[0])

    def change(self, scenario: str, *, on_unknown: str | None = None, timezone: str | None = None) -> ScenarioRow:
        """Change options of a scenario; None leaves one as it is. Raises UsageError for an unknown zone."""
        if timezone is not None and zone(timezone) is None:
            raise UsageError(f'"{timezone}" is no time zone; give one such as UTC or Europe/Prague.')
        scenarios = self.context.runner.scenarios
        state = scenarios.get(scenario)
        changed = scenarios.change(state, on_unknown=on_unknown, timezone=timezone)
        return self._row(ScheduleCommands(self.context).refresh(changed) if timezone is not None else changed)

    def blueprint(self, scenario: str) -> Blueprint | None:
        """A scenario's blueprint, to draw it; None when this installation cannot read it any more."""
        library = self.context.runner.library
        raw = library.scenarios.blueprint(library.scenarios.get(scenario).blueprint)
        return imports.read(raw, catalog_of(library.current_apps())).blueprint

    def list(self) -> list[ScenarioRow]:
        """All scenarios, oldest first."""
        return [self._row(state) for state in self.context.runner.scenarios.list()]

    def show(self, scenario: str) -> ScenarioRow:
        """A scenario by id or unique name."""
        return self._row(self.context.runner.scenarios.get(scenario))

    def _row(self, state: ScenarioState) -> ScenarioRow:
        rows = imports.binding_rows(self.context.runner, state)
        return ScenarioRow(
            state.id,
            state.name,
            state.active,
            state.blueprint,
            state.created_ms,
            tuple(rows),
            state.on_unknown,
            state.timezone,
            state.errors,
            state.stop_reason,
            self.context.runner.incompletes.count(state.id),
            state.versions,
            ScheduleCommands(self.context).view(state),
        )
