"""What the commands get back from the service: plain frozen rows and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connections.record import ConnectionRecord
from connections.vault import public_view
from workers.ledger.authorizations import Usage
from workers.ledger.records import RunHeader


@dataclass(frozen=True, slots=True)
class AppRow:
    """One registered app: its current state. Instants are UTC milliseconds."""

    name: str
    version: int
    label: str
    hash: str
    added_ms: int


@dataclass(frozen=True, slots=True)
class AppAdded:
    """Result of `app add`: `row` is None when errors among `findings` refused it."""

    row: AppRow | None
    changed: bool
    findings: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class BindingRow:
    """One foreign id of a blueprint and what it is bound to here (None: not bound)."""

    kind: str
    foreign: str
    label: str
    bound: str | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A scenario's schedule. Instants are UTC milliseconds."""

    #: `immediately`, `timed` or `on-demand`; empty before the first activation.
    mode: str = ""
    schedule: dict[str, Any] | None = None
    #: The schedule in words.
    text: str = ""
    next_ms: tuple[int, ...] = ()
    #: When the whole scenario is tried again after a failure, and how many of these tries came in a row.
    again_ms: int | None = None
    backoffs: int = 0
    #: Why its schedule switched it off.
    finished: str = ""
    #: Most runs for events at a time; None: the setting.
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One scenario. Instants are UTC milliseconds."""

    id: str
    name: str
    active: bool
    blueprint: str
    created_ms: int
    bindings: tuple[BindingRow, ...] = ()
    on_unknown: str = "stop"
    timezone: str | None = None
    #: Runs in a row that failed, and why the scenario was switched off by itself.
    errors: int = 0
    stop_reason: str = ""
    #: Incomplete executions that are open.
    incomplete: int = 0
    #: Content hashes of all its blueprints, oldest first.
    versions: tuple[str, ...] = ()
    schedule: ScheduleView = ScheduleView()


@dataclass(frozen=True, slots=True)
class ScenarioImported:
    """Result of `scenario import`: `row` is None when errors among `findings` refused it."""

    row: ScenarioRow | None
    findings: tuple[Any, ...]
    #: What each module needs (`runtime.scenario.support`); also of a file that is refused.
    modules: tuple[Any, ...] = ()
    #: A scenario of this name was there and got a new version.
    updated: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection without its secrets."""

    record: ConnectionRecord = field(repr=False)
    usage: Usage = field(default_factory=Usage)
    #: Names of the scenarios that are bound to it.
    scenarios: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.record.name

    def to_json(self) -> dict[str, Any]:
        """What lists and `show` print."""
        return public_view(self.record) | {
            "lastUsed": self.usage.used_ms,
            "lastError": self.usage.error or None,
            "lastErrorAt": self.usage.error_ms,
            "scenarios": list(self.scenarios),
        }


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run with its steps; `to_json` is the object of design section 8. Everything in it is redacted, marked JSON."""

    header: RunHeader | None
    status: str
    steps: tuple[dict[str, Any], ...] = ()
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    error: dict[str, Any] | None = None
    #: The data stores that were given for this run only, as they are at its end.
    stores: dict[str, Any] | None = None
    #: For each step what a tree needs (`history.details`).
    details: tuple[dict[str, Any], ...] = ()

    def to_json(self, *, meta: bool = False) -> dict[str, Any]:
        """The printed object; `meta` keeps the keys of output bundles that start with `__IMT`."""
        header = self.header
        printed = {
            "run": header.id if header else None,
            "scenario": header.scenario if header else None,
            "status": self.status,
            "operations": header.operations if header else 0,
            "cycles": header.cycles if header else 0,
            "error": self.error,
            "steps": [_shown_step(step, meta=meta) for step in self.steps],
            "outputs": self.outputs,
        }
        return printed if self.stores is None else printed | {"stores": self.stores}


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """Result of one module run in this process; `to_json` is the object of `module run --json`."""

    bundles: tuple[Any, ...]
    error: dict[str, Any] | None = None
    exchanges: tuple[dict[str, Any], ...] = ()
    warnings: tuple[dict[str, str], ...] = ()
    #: What would have been sent, for a dry run: the redacted request, with `curl` as a shell command.
    requests: tuple[dict[str, Any], ...] = ()
    #: A polling trigger's memory after the run; None when there is none.
    state: dict[str, Any] | None = None
    #: Fields of the bundles that the interface does not name, and declared ones that no bundle has.
    undeclared: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    #: What custom functions logged.
    debug: tuple[str, ...] = ()

    def to_json(self, *, meta: bool = False, trace: bool = False) -> dict[str, Any]:
        """The printed object; `meta` keeps `__IMT` keys, `trace` adds the exchanges and what functions logged."""
        shown: dict[str, Any] = {"bundles": [_shown(bundle, meta=meta) for bundle in self.bundles], "error": self.error}
        if trace:
            shown["exchanges"] = list(self.exchanges)
            shown["warnings"] = list(self.warnings)
            if self.debug:
                shown["debug"] = list(self.debug)
        return shown


def _shown_step(step: dict[str, Any], *, meta: bool) -> dict[str, Any]:
    return step | {"output": [_shown(bundle, meta=meta) for bundle in step["output"]]}


def _shown(bundle: dict[str, Any], *, meta: bool) -> dict[str, Any]:
    if meta or not isinstance(bundle, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  data of apps
        return bundle
    return {key: value for key, value in bundle.items() if not key.startswith("__IMT")}


@dataclass(frozen=True, slots=True)
class HookView:
    """
    A webhook as it may be shown. Its address is a secret of its owner: it is shown where a person has to use it, for an
    attached one only when it is asked for.
    """

    id: str
    name: str
    kind: str
    app: str
    component: str
    connection: str | None
    scenario: str | None
    state: str
    url: str = field(repr=False)
    parameters: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    waiting: int = 0
    created_ms: int = 0

    def to_json(self, *, url: bool | None = None) -> dict[str, Any]:
        """Everything as plain data; `url` None shows the address only of a webhook that is not attached."""
        shown = self.state == "manual" if url is None else url
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "app": self.app,
            "component": self.component,
            "connection": self.connection,
            "scenario": self.scenario,
            "state": self.state,
            "url": self.url if shown else None,
            "parameters": self.parameters,
            "options": self.options,
            "waiting": self.waiting,
            "created": self.created_ms,
        }
