"""
What the commands do: one class over settings, ledger, vault and the modules' seam.

The command line parses, calls one method here and prints what comes back. Methods raise `UsageError` for unknown names
and list the known ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from connections.record import ConnectionRecord
from connections.values import secret_texts
from connections.vault import Vault
from runtime.app.checker import check_app
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App, ConnectionSpec, ModuleSpec
from runtime.errors import BundleValidationError, ModuleError, UsageError
from runtime.http import HttpPerformer
from runtime.sanitize import Secrets
from workers import history, imports, local
from workers.authorizing import Waiting
from workers.connecting import with_common
from workers.connection_service import ConnectionCommands
from workers.keys import add_newest_key, load_keyring
from workers.leases import Leases
from workers.ledger.apps import AppState
from workers.ledger.authorizations import checked_common
from workers.ledger.bundles import ChunkReader
from workers.ledger.records import FenceLost, RunHeader, RunRequest
from workers.ledger.scenarios import ScenarioState
from workers.library import catalog_of, usable
from workers.policy import http_performer, limits_of
from workers.runner import SegmentRunner
from workers.server import Server, connect
from workers.settings import Settings
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
        """An app by folder (a path that exists) or registered name."""
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
        rotated = Vault(imports.records(runner), keyring).rotate().rotated + runner.common.rotate(keyring)
        return rotated + runner.runs.rotate(keyring)

    # -- scenarios -----------------------------------------------------------------------------------------------------

    def import_scenario(
        self,
        raw: bytes,
        *,
        name: str | None = None,
        bindings: Mapping[str, str] | None = None,
        choose: Callable[[imports.Open], str | None] | None = None,
    ) -> ScenarioImported:
        """
        Import a blueprint. `bindings` maps its connection ids (or app names) to names or ids of connections here; for
        what they leave open, the connection of the same name or the only one that fits is taken, else `choose` is asked
        for an id.

        Raises:
            UsageError: A binding names no connection here, or one that does not fit.
        """
        runner = self._ledger
        apps = runner.library.current_apps()
        imported = imports.read(raw, catalog_of(apps))
        if imported.blueprint is None:
            return ScenarioImported(None, tuple(imported.findings))
        bound = imports.bind(imported, catalog_of(apps), runner.vault, bindings or {})
        for item in imports.open_bindings(imported, catalog_of(apps), runner.vault, bound):
            obvious = item.obvious
            chosen = obvious.id if obvious is not None else choose(item) if choose and item.candidates else None
            if chosen is not None:
                bound[item.foreign] = chosen
        state = runner.library.scenarios.add(name or imported.name or "Scenario", raw, connections=bound)
        return ScenarioImported(self._scenario_row(state), tuple(imported.findings))

    def list_scenarios(self) -> list[ScenarioRow]:
        """All scenarios, oldest first."""
        return [self._scenario_row(state) for state in self._ledger.library.scenarios.list()]

    def show_scenario(self, scenario: str) -> ScenarioRow:
        """A scenario by id or unique name."""
        return self._scenario_row(self._ledger.library.scenarios.get(scenario))

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
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> RunReport:
        """
        Run in this process, through the ledger. `scenario` is an id, a name, or a blueprint file's bytes. What is
        refused before it begins gives a report with that error.
        """
        runner = self._ledger
        try:
            if isinstance(scenario, bytes):
                request = imports.file_request(runner, scenario, inputs, trigger_bundles, bindings or {})
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

    # -- without a ledger ----------------------------------------------------------------------------------------------

    def run_module(
        self,
        app: str,
        module: str,
        *,
        parameters: Mapping[str, Any],
        connection: str | None = None,
        connect_parameters: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> ModuleReport:
        """
        Run one module now, in this process (design section 10.12): with a stored connection, or with one that is
        authorized from `connect_parameters` for this call only.
        """
        found = usable(self.load_app(app))
        if self._runner is not None:
            found = with_common(found, self._runner.common.get(found.name))
        spec = found.module(module)
        record: ConnectionRecord | None = None
        exchanges: list[dict[str, Any]] = []
        data: dict[str, Any] | None = None
        if connection is not None:
            record = self._ledger.vault.find(connection, app=found.name)
            component = found.connection(record.component)
            if component is not None:
                self.secrets.add_all(secret_texts(found, component, record))
            record = self._ledger.renewals.before_use(found, record, self.secrets, exchanges=exchanges)
            self._ledger.renewals.usages.used(record.id)
            data = record.data
        elif connect_parameters is not None and spec is not None:
            component = self._connection_of(found, spec)
            try:
                grant = local.authorize(found, component, connect_parameters, exchanges=exchanges, **self._local())
            except ModuleError as error:
                return ModuleReport((), self.secrets.redact(error.to_json()), tuple(exchanges))
            data = grant.data
        renewer, signing = self._renewing(found, record, exchanges)
        return local.run_module(
            found, module, parameters, data=data, record=record, state=state, exchanges=exchanges, renewer=renewer,
            signing=signing, **self._local(),
        )  # fmt: skip

    def _renewing(
        self, app: App, record: ConnectionRecord | None, exchanges: list[dict[str, Any]]
    ) -> tuple[Callable[[], dict[str, Any]] | None, Mapping[str, Any] | None]:
        """What renews a stored connection after a 401, and the keys of an OAuth 1 one."""
        if self._runner is None or record is None:
            return None, None
        renewals, used = self._runner.renewals, [record]

        def renew() -> dict[str, Any]:
            used[0] = renewals.after_refusal(app, used[0], self.secrets, exchanges=exchanges)
            return used[0].data

        return renew if renewals.renewable(app, record) else None, renewals.signing(app, record)

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _ledger(self) -> SegmentRunner:
        if self._runner is None:
            raise UsageError("This command needs the ledger.")
        return self._runner

    def _local(self) -> dict[str, Any]:
        return {
            "timezone": self.settings.timezone,
            "limits": limits_of(self.settings),
            "send": self.http.send,
            "secrets": self.secrets,
        }

    def _connection_of(self, app: App, module: ModuleSpec) -> ConnectionSpec:
        spec = app.connection(module.connection) if module.connection else None
        if spec is None:
            raise UsageError(f'The module "{module.id}" needs no connection.')
        return spec

    def _scenario_row(self, state: ScenarioState) -> ScenarioRow:
        rows = imports.binding_rows(self._ledger, state)
        return ScenarioRow(state.id, state.name, state.active, state.blueprint, state.created_ms, tuple(rows))

    def _send(self, run: str, fence: int) -> None:
        # Celery takes a third of a second to import, so only commands that send a message pay for it.
        from workers.celery_app import make_app, send

        if self._server is not None:
            send(make_app(self.settings, self._server), self.settings, run, fence)


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
