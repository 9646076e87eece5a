"""
Where a scenario's polling trigger stands and where it starts: its memory, the points to choose from, the choice.

A choice is written as the trigger's memory under a new version, so a run that is polling at that moment leaves it alone
(design section 10.5, spec/modules.md 1.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from connections.record import ConnectionRecord
from modules.trigger_state import START_MODES
from runtime import codec
from runtime.app.specs import App, ConnectionSpec, ModuleSpec
from runtime.errors import ModuleRuntimeError, UsageError
from runtime.scenario.blueprint import Module
from workers.connecting import Connections
from workers.library import AppCatalog, used_apps
from workers.local import Account, Choices, Local

if TYPE_CHECKING:
    from workers.ledger.scenarios import ScenarioState
    from workers.runner import SegmentRunner

#: Local calls for an app under the rules of this installation.
LocalOf: TypeAlias = Callable[[App], Local]
#: A stored connection as a local call uses it, renewed if that is due.
Stored: TypeAlias = Callable[[Local, ConnectionRecord, ConnectionSpec | None], Account]


@dataclass(frozen=True, slots=True)
class EpochView:
    """A polling trigger of a scenario: its memory, and the points where it can start (None: it offers none)."""

    scenario: str
    module: int
    name: str
    state: dict[str, Any] | None
    points: tuple[Any, ...] | None = None
    error: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """What the command prints."""
        shown: dict[str, Any] = {
            "scenario": self.scenario,
            "module": self.module,
            "app": self.name,
            "state": None if self.state is None else codec.mark(self.state),
        }
        if self.points is not None:
            shown["points"] = list(self.points)
        if self.error is not None:
            shown["error"] = self.error
        return shown


@dataclass(frozen=True, slots=True)
class _Trigger:
    app: App
    spec: ModuleSpec
    module: Module
    here: Local
    account: Account


def view(
    runner: SegmentRunner, local_of: LocalOf, stored: Stored, state: ScenarioState, module: int | None, *, points: bool
) -> EpochView:
    """
    The memory of a scenario's trigger; with `points` the service is asked where it can start.

    Raises:
        UsageError: The scenario does not start with a polling trigger, or `module` is none.
    """
    trigger = _trigger(runner, local_of, stored, state, module)
    memory, _ = runner.runs.trigger(state.id, str(trigger.module.id))
    shown = EpochView(state.id, trigger.module.id, trigger.module.name, memory)
    if not points or not trigger.spec.epoch.value:
        return shown
    report = _run(trigger, Choices(epoch=True))
    return replace(shown, points=report.bundles, error=report.error)


def choose(
    runner: SegmentRunner,
    local_of: LocalOf,
    stored: Stored,
    state: ScenarioState,
    module: int | None,
    choice: Mapping[str, Any],
) -> EpochView:
    """
    Start a scenario's trigger somewhere else: `choice` is one of the stored choices of spec/modules.md 1.6.

    Raises:
        UsageError: The choice has no known mode, or there is no such trigger.
        ModuleRuntimeError: "From now on" has to ask the service where that is, and the service failed.
    """
    if choice.get("mode") not in START_MODES:
        raise UsageError(f"A start needs one of the modes {', '.join(START_MODES)}.")
    trigger = _trigger(runner, local_of, stored, state, module)
    memory: dict[str, Any] = {"start": dict(choice)}
    if choice["mode"] == "now":
        # Now is this moment, not that of the next poll; for ids only the service knows where it is.
        report = _run(trigger, Choices(start={"mode": "now", "date": datetime.now(UTC)}))
        if report.error is not None:
            raise ModuleRuntimeError(f"The service could not say where now is: {report.error['message']}")
        memory = report.state or memory
    runner.runs.choose_start(state.id, str(trigger.module.id), memory)
    return EpochView(state.id, trigger.module.id, trigger.module.name, memory)


def _trigger(
    runner: SegmentRunner, local_of: LocalOf, stored: Stored, state: ScenarioState, module: int | None
) -> _Trigger:
    from workers import imports

    apps = runner.library.current_apps()
    imported = imports.read(runner.library.scenarios.blueprint(state.blueprint), imports.catalog_of(apps))
    if imported.blueprint is None:
        raise UsageError(f'The blueprint of "{state.name}" is refused; import it again.')
    compiled = runner.library.compiled(state.blueprint, used_apps(imported, apps))
    start = compiled.blueprint.flow[0]
    app = AppCatalog(compiled.apps).app(start.name.partition(":")[0])
    spec = app.module(start.name.partition(":")[2]) if app is not None else None
    if app is None or spec is None or spec.type != "trigger":
        raise UsageError(f'The scenario "{state.name}" does not start with a polling trigger of a custom app.')
    if module is not None and module != start.id:
        raise UsageError(f'The trigger of "{state.name}" is module {start.id}, not {module}.')
    info = AppCatalog(compiled.apps).lookup(start.name, None)
    here = local_of(app)
    record = Connections(runner.vault, state.connections, here.secrets).record(here.app, info, start.parameters)
    component = here.app.connection(record.component) if record is not None else None
    account = stored(here, record, component) if record is not None else Account()
    return _Trigger(app, spec, start, replace(here, timezone=state.timezone or here.timezone), account)


def _run(trigger: _Trigger, choices: Choices) -> Any:
    parameters = {name: value for name, value in trigger.module.parameters.items() if not name.startswith("__IMT")}
    return trigger.here.module(trigger.spec.id, parameters, trigger.account, choices)
