"""
What the commands do: one class over settings, ledger, vault and the modules' seam.

The command line parses, calls one method here and prints what comes back. Methods raise `UsageError` for unknown names
and list the known ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from connections.record import ConnectionRecord
from connections.values import secret_texts
from connections.vault import Vault
from modules.builtin.connections import APPS
from runtime import codec
from runtime.app.checker import check_app
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App, ConnectionSpec, ModuleSpec, RpcSpec
from runtime.dates import zone
from runtime.errors import BundleValidationError, InvalidConfigurationError, ModuleError, UsageError
from runtime.http import HttpPerformer
from runtime.sanitize import Secrets
from runtime.scenario.bindings import BindingKind
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.incomplete import Status
from runtime.scenario.support import support
from workers import epochs, history, imports, local, repeating
from workers.authorizing import Waiting
from workers.connecting import with_common
from workers.connection_service import ConnectionCommands
from workers.keys import add_newest_key, load_keyring
from workers.leases import Leases
from workers.ledger.apps import AppState
from workers.ledger.authorizations import checked_common
from workers.ledger.bundles import ChunkReader
from workers.ledger.incompletes import IncompleteRow
from workers.ledger.notifications import Notifications
from workers.ledger.records import FenceLost, RunHeader, RunRequest
from workers.ledger.scenarios import ScenarioState
from workers.ledger.states import RunState
from workers.ledger.stores import StoreRow
from workers.library import catalog_of, usable
from workers.policy import http_performer, limits_of
from workers.rendering import place_of
from workers.retries import Retries
from workers.runner import SegmentRunner
from workers.schedule_service import ScheduleCommands
from workers.server import Server, connect
from workers.settings import Settings
from workers.stores import local_stores
from workers.views import (
    AppAdded,
    AppRow,
    BindingRow,
    ConnectionView,
    ModuleReport,
    RunReport,
    ScenarioImported,
    ScenarioRow,
)

__all__ = [
    "AppAdded",
    "AppRow",
    "BindingRow",
    "ConnectionView",
    "ModuleReport",
    "RunReport",
    "ScenarioImported",
    "ScenarioRow",
    "Service",
    "open_service",
]


@dataclass(slots=True)
class Service:
    """The commands. Use `open_service`."""

    settings: Settings
    secrets: Secrets
    http: HttpPerformer
    _runner: SegmentRunner | None = None
    _server: Server | None = field(default=None, repr=False)

    # -- apps ----------------------------------------------------------------------------------------------------------

    def add_app(self, folder: Path) -> AppAdded:
        """Check and register an app folder's current state."""
        loaded = load_app(folder)
        findings = tuple(check_app(loaded))
        if loaded.app is None or any(finding.severity == "error" for finding in findings):
            return AppAdded(None, changed=False, findings=findings)
        app, registry = loaded.app, self._ledger.library.registry
        changed = registry.add(app.name, loaded.files, content=app.hash, label=app.label, version=app.version)
        return AppAdded(_app_row(registry.get(app.name)), changed, findings)

    def list_apps(self) -> list[AppRow]:
        """All registered apps by name."""
        return [_app_row(state) for state in self._ledger.library.registry.list()]

    def show_app(self, name: str) -> tuple[AppRow, list[tuple[str, int]]]:
        """An app and its history: (hash, instant in UTC milliseconds), newest first."""
        state = self._ledger.library.registry.get(name)
        return _app_row(state), list(state.history)

    def remove_app(self, name: str) -> None:
        """Forget an app. Raises UsageError while a scenario uses it."""
        library = self._ledger.library
        library.registry.get(name)
        users = [
            state.name for state in library.scenarios.list() if name in imports.apps_named(library, state.blueprint)
        ]
        if users:
            raise UsageError(f'The app "{name}" is used by: {", ".join(users)}. Remove these scenarios first.')
        library.registry.remove(name)

    def load_app(self, app: str) -> LoadedApp:
        """An app by folder (a path that exists), registered name, or name of a built-in app with connections."""
        if app in APPS:
            return load_app(MemorySource(APPS[app], label=app))
        path = Path(app)
        if path.exists():
            return load_app(path)
        if self._runner is None:
            raise UsageError(f'There is no folder "{app}".')
        registry = self._runner.library.registry
        return load_app(MemorySource(registry.files(registry.get(app).content), label=app))

    # -- connections ---------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> ConnectionCommands:
        """What is done with connections."""
        return ConnectionCommands(self._ledger, self.secrets, self.load_app)

    @property
    def schedules(self) -> ScheduleCommands:
        """What is done with schedules."""
        return ScheduleCommands(self._ledger)

    @property
    def notifications(self) -> Notifications:
        """What people were told."""
        return Notifications(self._ledger.runs.client, self._ledger.runs.keys)

    def activate_scenario(self, scenario: str, **wanted: Any) -> ScenarioRow:
        """Let a scenario run by itself: see `ScheduleCommands.activate`."""
        return self._scenario_row(self.schedules.activate(scenario, **wanted))

    def deactivate_scenario(self, scenario: str) -> ScenarioRow:
        """Switch a scenario off by hand."""
        return self._scenario_row(self.schedules.deactivate(scenario))

    def add_connection(self, app: str, component: str, *, name: str, parameters: Mapping[str, Any]) -> ConnectionView:
        """
        Authorize a connection that needs no browser, and store it encrypted.

        Raises:
            ModuleError: The service refused; nothing is stored.
            UsageError: It is authorized in a browser.
        """
        begun = self.connections.begin(app, component, name=name, parameters=parameters)
        if isinstance(begun, Waiting):
            raise UsageError(f'The connection "{component}" is authorized in a browser: scenarist connection add.')
        return begun

    def app_common(self, app: str) -> dict[str, Any]:
        """The operator's common data of an app; they may be shown to nobody."""
        return self._ledger.common.get(usable(self.load_app(app)).name)

    def set_app_common(self, app: str, values: Mapping[str, Any]) -> str:
        """Replace the operator's common data of an app, encrypted; gives the app's name."""
        name = usable(self.load_app(app)).name
        self._ledger.common.put(name, checked_common(dict(values)))
        return name

    def rotate_keys(self) -> int:
        """Encrypt all secrets with the newest key, a new one where the ring is our own file; gives their number."""
        keyring = add_newest_key(self.settings)
        runner = self._ledger
        rotated = Vault(imports.records(runner), keyring).rotate().rotated
        rotated += runner.common.rotate(keyring) + runner.stores.rotate(keyring)
        rotated += runner.runs.rotate(keyring) + runner.incompletes.rotate(keyring)
        return rotated + runner.library.registry.contents.rotate(keyring)

    # -- data stores ---------------------------------------------------------------------------------------------------

    def list_stores(self) -> list[StoreRow]:
        """All data stores by name."""
        return self._ledger.stores.list()

    def show_store(self, name: str) -> StoreRow:
        """One data store, without its records."""
        return self._ledger.stores.show(name)

    def import_store(self, name: str, records: Mapping[str, Mapping[str, Any]]) -> StoreRow:
        """Put these records (key -> record) in place of a data store's old ones; makes it where there is none."""
        stores = self._ledger.stores
        stores.replace(name, records)
        return stores.show(name)

    def export_store(self, name: str) -> dict[str, Any]:
        """All records of a data store by key, in order of insertion, as marked JSON data."""
        return {key: codec.mark(record) for key, record in self._ledger.stores.records(name)}

    # -- scenarios -----------------------------------------------------------------------------------------------------

    def import_scenario(
        self,
        raw: bytes,
        *,
        name: str | None = None,
        bindings: Mapping[str, str] | None = None,
        stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        on_unknown: str | None = None,
        new: bool = False,
        choose: Callable[[imports.Open], str | None] | None = None,
    ) -> ScenarioImported:
        """
        Import a blueprint. `bindings` maps its connection ids (or app names) to names or ids of connections here; for
        what they and a former version leave open, the connection of the same name or the only one that fits is taken,
        else `choose` is asked for an id. The scenario of this name gets it as its new version, with its former
        bindings; `new` makes another scenario.

        Raises:
            UsageError: A binding names no connection here or one that does not fit, or several scenarios have the name.
        """
        runner = self._ledger
        apps = runner.library.current_apps()
        catalog, kept = catalog_of(apps), runner.library.scenarios
        imported = imports.read(raw, catalog)
        modules = tuple(support(raw, catalog))
        if imported.blueprint is None:
            return ScenarioImported(None, tuple(imported.findings), modules)
        bound = imports.bind(imported, catalog, runner.vault, bindings or {})
        held = imports.bind_things(imported, BindingKind.DATA_STORE, imports.known_stores(runner), stores or {})
        called = imports.bind_things(imported, BindingKind.SCENARIO, imports.known_scenarios(runner), scenarios or {})
        name = name or imported.name or "Scenario"
        known = [] if new else kept.named(name)
        if len(known) > 1:
            ids = ", ".join(state.id for state in known)
            raise UsageError(f'Several scenarios are named "{name}" ({ids}); import it with another --name or --new.')
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
                on_unknown=on_unknown,
            )
            state = self.schedules.refresh(state)
        else:
            state = kept.add(
                name, raw, connections=bound, stores=held, scenarios=called, on_unknown=on_unknown or "stop"
            )
        return ScenarioImported(self._scenario_row(state), tuple(imported.findings), modules, bool(known))

    def export_scenario(self, scenario: str, *, version: str | None = None) -> bytes:
        """
        The file that a scenario was imported from, byte for byte; `version` is the (first part of the) hash of an older
        one.

        Raises:
            UsageError: There is no such scenario, or no such version of it is kept.
        """
        scenarios = self._ledger.library.scenarios
        state = scenarios.get(scenario)
        if version is None:
            return scenarios.blueprint(state.blueprint)
        found = [content for content in state.versions if content.startswith(version)]
        if len(found) != 1:
            known = ", ".join(content[:12] for content in state.versions)
            raise UsageError(f'The scenario "{state.name}" has the versions {known}; there is no {version}.')
        return scenarios.blueprint(found[0])

    def set_scenario(self, scenario: str, *, on_unknown: str | None = None, timezone: str | None = None) -> ScenarioRow:
        """Change options of a scenario; None leaves one as it is. Raises UsageError for an unknown zone."""
        if timezone is not None and zone(timezone) is None:
            raise UsageError(f'"{timezone}" is no time zone; give one such as UTC or Europe/Prague.')
        scenarios = self._ledger.library.scenarios
        state = scenarios.get(scenario)
        changed = scenarios.change(state, on_unknown=on_unknown, timezone=timezone)
        return self._scenario_row(self.schedules.refresh(changed) if timezone is not None else changed)

    def scenario_blueprint(self, scenario: str) -> Blueprint | None:
        """A scenario's blueprint, to draw it; None when this installation cannot read it any more."""
        library = self._ledger.library
        raw = library.scenarios.blueprint(library.scenarios.get(scenario).blueprint)
        return imports.read(raw, catalog_of(library.current_apps())).blueprint

    def list_scenarios(self) -> list[ScenarioRow]:
        """All scenarios, oldest first."""
        return [self._scenario_row(state) for state in self._ledger.library.scenarios.list()]

    def show_scenario(self, scenario: str) -> ScenarioRow:
        """A scenario by id or unique name."""
        return self._scenario_row(self._ledger.library.scenarios.get(scenario))

    def show_epoch(self, scenario: str, module: int | None = None, *, points: bool = True) -> epochs.EpochView:
        """The memory of a scenario's polling trigger, and with `points` where it can start."""
        state = self._ledger.library.scenarios.get(scenario)
        return epochs.view(self._ledger, self._local, self._stored, state, module, points=points)

    def choose_epoch(self, scenario: str, choice: Mapping[str, Any], module: int | None = None) -> epochs.EpochView:
        """Let a scenario's polling trigger start somewhere else. Raises UsageError for an unknown choice."""
        state = self._ledger.library.scenarios.get(scenario)
        return epochs.choose(self._ledger, self._local, self._stored, state, module, choice)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def enqueue_run(
        self,
        scenario: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        trigger_bundles: Sequence[Mapping[str, Any]] | None = None,
    ) -> RunHeader:
        """
        Accept a run: written to disk first, then its message is sent.

        Raises:
            UsageError: A connection is not bound, or an input is refused.
        """
        state = self._ledger.library.scenarios.get(scenario)
        try:
            request = imports.scenario_request(self._ledger, state, inputs, trigger_bundles)
        except BundleValidationError as error:
            raise UsageError(error.message) from None
        header = self._ledger.runs.create(request)
        self._send(header.id, header.fence)
        return header

    def run_inline(
        self,
        scenario: str | bytes,
        *,
        inputs: Mapping[str, Any] | None = None,
        trigger_bundles: Sequence[Mapping[str, Any]] | None = None,
        bindings: Mapping[str, str] | None = None,
        bound_stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        stores: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> RunReport:
        """
        Run in this process, through the ledger. `scenario` is an id, a name, or a blueprint file's bytes. What is
        refused before it begins gives a report with that error. For a file, `bindings`, `bound_stores` and `scenarios`
        name our connections, data stores and scenarios for its ids; `stores` are data stores
        (by id or label) for this run only.
        """
        if stores is not None:
            with local_stores(self._ledger.stores, stores) as given:
                report = self._run_inline(
                    scenario, inputs, trigger_bundles, bindings, bound_stores, scenarios, given, on_step
                )
                ended = {name: self.export_store(place) for name, place in given.items()}
                return replace(report, stores=ended)
        return self._run_inline(scenario, inputs, trigger_bundles, bindings, bound_stores, scenarios, {}, on_step)

    def _run_inline(
        self,
        scenario: str | bytes,
        inputs: Mapping[str, Any] | None,
        trigger_bundles: Sequence[Mapping[str, Any]] | None,
        bindings: Mapping[str, str] | None,
        bound_stores: Mapping[str, str] | None,
        scenarios: Mapping[str, str] | None,
        given: Mapping[str, str],
        on_step: Callable[[dict[str, Any]], None] | None,
    ) -> RunReport:
        runner = self._ledger
        try:
            if isinstance(scenario, bytes):
                request = imports.file_request(
                    runner, scenario, inputs, trigger_bundles, bindings or {}, bound_stores, given, scenarios
                )
            else:
                state = runner.library.scenarios.get(scenario)
                request = imports.scenario_request(runner, state, inputs, trigger_bundles)
        except imports.Refusal as refusal:
            return history.refused(refusal.code, refusal.message, refusal.module)
        except BundleValidationError as error:
            return history.refused(error.name, error.message)
        return self._run_here(request, on_step)

    def _run_here(self, request: RunRequest, on_step: Callable[[dict[str, Any]], None] | None) -> RunReport:
        runner = self._ledger
        header = runner.runs.create(request)
        claim = runner.runs.claim(header.id, header.fence)
        if claim is None and request.sequential and runner.runs.cancel(header.id) is RunState.CANCELLED:
            raise UsageError(
                f"Run {header.id} was not started: the scenario is sequential, and another run of it has not ended, or "
                "incomplete executions of it are open (scenarist incomplete list). Without --inline a run waits."
            )
        if claim is not None:

            def tell(record: dict[str, Any], reader: ChunkReader) -> None:
                if on_step is not None:
                    on_step(history.step_json(record, reader, self.secrets))

            with Leases(runner.runs) as leases:
                runner.leases = leases
                try:
                    runner.take(claim, park=False, on_step=tell)
                except FenceLost:
                    return self.wait_run(header.id)
                finally:
                    runner.leases = None
        return self.show_run(header.id)

    def list_runs(self, *, scenario: str | None = None, limit: int = 50) -> list[RunHeader]:
        """Runs, newest first."""
        runner = self._ledger
        wanted = None if scenario is None else runner.library.scenarios.get(scenario).id
        return runner.runs.list(scenario=wanted, limit=limit)

    def show_run(self, run: str) -> RunReport:
        """A run with its steps so far."""
        runner = self._ledger
        return history.report(runner.runs, runner.library, runner.vault, run, self.secrets)

    def watch_run(self, run: str, *, timeout: timedelta | None = None) -> Iterator[RunHeader | dict[str, Any]]:
        """
        Yield each step of a run as it happens and the header whenever its state changes; ends when the run rests.

        Raises:
            UsageError: There is no such run, or it has not ended within `timeout`.
        """
        runner = self._ledger
        return history.watch(runner.runs, runner.library, runner.vault, run, self.secrets, timeout)

    def wait_run(self, run: str, *, timeout: timedelta | None = None) -> RunReport:
        """Wait until a run ends or waits for a decision. Raises UsageError at the timeout."""
        for _ in self.watch_run(run, timeout=timeout):
            pass
        return self.show_run(run)

    def cancel_run(self, run: str) -> RunHeader:
        """Ask a run to stop; one that no worker holds stops at once."""
        self._ledger.runs.cancel(run)
        return self._ledger.runs.header(run)

    def retry_run(self, run: str) -> RunHeader:
        """Let a run of status `incomplete` go on: the step of unknown outcome is done again."""
        self._send(run, self._ledger.runs.retry(run))
        return self._ledger.runs.header(run)

    def repeat_run(
        self, run: str, operation: int, *, edit: Mapping[str, Any] | None = None, current: bool = False
    ) -> RunHeader:
        """
        Accept a run that repeats an ended one from an operation on, by the versions that it recorded; `current` takes
        the scenario as it is today, with the bundles of the old start module. `edit` is the bundle that comes in.

        Raises:
            UsageError: There is no such operation, or what it needs is not kept any more.
        """
        runner = self._ledger
        past = repeating.past(runner.runs, run)
        if current:
            state = runner.library.scenarios.get(past.request.scenario)
            plan = runner.library.compiled(past.request.blueprint, past.request.apps).plan
            first = past.operation(operation)["module"] == plan.start.id
            bundles = repeating.start_bundles(past, operation, is_start=first)
            given = bundles if edit is None else (edit,)
            request = imports.scenario_request(runner, state, past.request.inputs, given)
            header = runner.runs.create(replace(request, kind="replay", source=run))
        else:
            request, start = repeating.from_operation(past, runner.library, operation, edit)
            header = runner.runs.create(request, start=start)
        self._send(header.id, header.fence)
        return header

    # -- incomplete executions -----------------------------------------------------------------------------------------

    def list_incompletes(self, *, scenario: str | None = None, resolved: bool = False) -> list[IncompleteRow]:
        """Incomplete executions, oldest first; `resolved` adds those that are done with."""
        wanted = None if scenario is None else self._scenario_id(scenario)
        return self._ledger.incompletes.list(scenario=wanted, resolved=resolved)

    def show_incomplete(self, record: str) -> tuple[IncompleteRow, dict[str, Any]]:
        """A record, and what can be mapped at its failed module: module id -> bundle, marked and redacted."""
        runner = self._ledger
        row = runner.incompletes.get(record)
        if row.status is Status.RESOLVED:
            return row, {}
        request, start = runner.incompletes.load(record)
        with self.secrets.scope() as scope:
            history.run_secrets(scope, runner.vault, runner.library, request)
            return row, history.visible_bundles(start, scope)

    def retry_incomplete(self, record: str) -> tuple[IncompleteRow, RunHeader | None]:
        """
        Retry a record now; the run is None when others of its scenario have to end first: then the scheduler starts it.
        """
        runner = self._ledger
        runner.incompletes.wish(record)
        started = Retries(runner.incompletes, runner.runs, self._send).start(record)
        return runner.incompletes.get(record), started

    def resolve_incomplete(self, record: str) -> IncompleteRow:
        """Call a record done by hand; its data go."""
        self._ledger.incompletes.resolve(record)
        return self._ledger.incompletes.get(record)

    def drop_incomplete(self, record: str) -> None:
        """Delete a record with its data."""
        self._ledger.incompletes.drop(record)

    def _scenario_id(self, scenario: str) -> str:
        # A blueprint file that was run here is no stored scenario, but it has runs and records.
        return scenario if scenario.startswith("file-") else self._ledger.library.scenarios.get(scenario).id

    # -- without a ledger ----------------------------------------------------------------------------------------------

    def run_module(
        self,
        app: str,
        module: str,
        *,
        parameters: Mapping[str, Any],
        connection: str | None = None,
        connect_parameters: Mapping[str, Any] | None = None,
        choices: local.Choices | None = None,
    ) -> ModuleReport:
        """
        Run one module now, in this process (design section 10.12): with a stored connection, or with one that is
        authorized from `connect_parameters` for this call only.
        """
        found = usable(self.load_app(app))
        spec = found.module(module)
        here = self._local(found)
        try:
            account = self._account(here, spec, connection, connect_parameters)
        except ModuleError as error:
            return ModuleReport((), self.secrets.redact(error.to_json()), tuple(here.exchanges))
        return here.module(module, parameters, account, choices or local.Choices())

    def run_rpc(
        self,
        app: str,
        rpc: str,
        *,
        parameters: Mapping[str, Any],
        connection: str | None = None,
        connect_parameters: Mapping[str, Any] | None = None,
        choices: local.Choices | None = None,
    ) -> ModuleReport:
        """Call one RPC now, in this process, like `run_module`. The report's bundles are its rows."""
        found = usable(self.load_app(app))
        spec = found.rpc(rpc.removeprefix("rpc://").partition("?")[0])
        here = self._local(found)
        try:
            account = self._account(here, spec, connection, connect_parameters)
        except ModuleError as error:
            return ModuleReport((), self.secrets.redact(error.to_json()), tuple(here.exchanges))
        return here.rpc(rpc, parameters, account, choices or local.Choices())

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _ledger(self) -> SegmentRunner:
        if self._runner is None:
            raise UsageError("This command needs the ledger.")
        return self._runner

    def _local(self, app: App) -> local.Local:
        settings = self.settings
        return local.Local(self._with_common(app), settings.timezone, limits_of(settings), self.http.send, self.secrets)

    def _account(
        self,
        here: local.Local,
        spec: ModuleSpec | RpcSpec | None,
        connection: str | None,
        connect_parameters: Mapping[str, Any] | None,
    ) -> local.Account:
        """
        The connection of a local call.

        Raises:
            ModuleError: It cannot be authorized, or is missing or of another component than the caller needs.
        """
        wanted = [name for name in (spec.connection, spec.alt_connection) if name] if spec is not None else []
        if connection is not None:
            record = self._ledger.vault.find(connection, app=here.app.name)
            component = here.app.connection(record.component)
            if wanted and record.component not in [here.app.local_id("connection", name) for name in wanted]:
                message = f"step uses connection {record.name} of component {record.component}, expected "
                raise InvalidConfigurationError(message + " or ".join(wanted))
            if component is not None:
                self.secrets.add_all(secret_texts(here.app, component, record))
            return self._stored(here, record, component)
        if connect_parameters is not None and spec is not None:
            component = self._connection_of(here.app, spec)
            return local.Account(here.authorize(component, connect_parameters).data, None, component)
        if spec is not None and wanted:
            raise local.without_connection(f"{spec.kind} {spec.id}", wanted[0])
        return local.Account()

    def _stored(self, here: local.Local, record: ConnectionRecord, component: ConnectionSpec | None) -> local.Account:
        """
        A stored connection as a local call uses it: renewed if that is due, and again after a 401.

        Raises:
            ModuleError: It cannot be used any more, or the service could not be reached.
        """
        renewals = self._ledger.renewals
        used = [record]

        def renewed(ask: Callable[..., ConnectionRecord]) -> ConnectionRecord:
            made: list[dict[str, Any]] = []
            try:
                used[0] = ask(here.app, used[0], self.secrets, exchanges=made)
            finally:
                if component is not None:
                    place_of(made, component.communication)
                here.exchanges += made
            return used[0]

        record = renewed(renewals.before_use)
        renewals.usages.used(record.id)
        return local.Account(
            record.data,
            record,
            component,
            (lambda: renewed(renewals.after_refusal).data) if renewals.renewable(here.app, record) else None,
            renewals.signing(here.app, record),
        )

    def _with_common(self, app: App) -> App:
        """The app with the operator's common data over its own, where there is a ledger."""
        if self._runner is None:
            return app
        values = self._runner.common.get(app.name)
        self.secrets.add_all([dict(values)])
        return with_common(app, values)

    def _connection_of(self, app: App, caller: ModuleSpec | RpcSpec) -> ConnectionSpec:
        spec = app.connection(caller.connection) if caller.connection else None
        if spec is None:
            raise UsageError(f'The {caller.kind} "{caller.id}" needs no connection.')
        return spec

    def _scenario_row(self, state: ScenarioState) -> ScenarioRow:
        rows = imports.binding_rows(self._ledger, state)
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
            self._ledger.incompletes.count(state.id),
            state.versions,
            self.schedules.view(state),
        )

    def _send(self, run: str, fence: int) -> bool:
        # Celery takes a third of a second to import, so only commands that send a message pay for it.
        from workers.celery_app import make_app, send

        return self._server is not None and send(make_app(self.settings, self._server), self.settings, run, fence)


def _app_row(state: AppState) -> AppRow:
    return AppRow(state.name, state.version, state.label, state.content, state.history[0][1])


@contextmanager
def open_service(settings: Settings, *, ledger: bool = True, secrets: Secrets | None = None) -> Generator[Service]:
    """
    The commands' service; `ledger=False` starts no server. `secrets` is the registry of the process, if it has one.

    Raises:
        SettingsError: The server or the key ring cannot be used.
    """
    known = secrets if secrets is not None else Secrets()
    with ExitStack() as stack:
        if not ledger:
            yield Service(settings, known, stack.enter_context(http_performer(settings)))
            return
        # First the keys: a ring that cannot be read is said before a server is started.
        load_keyring(settings)
        server = stack.enter_context(connect(settings))
        runner = stack.enter_context(SegmentRunner.open(settings, server, known))
        yield Service(settings, known, runner.http, runner, server)
