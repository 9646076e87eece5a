"""Modules, RPCs and connections that run in this process, without the ledger (design section 10.12)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from connections import authorize as authorize_connection
from connections.job import ConnectionJob
from connections.record import ConnectionRecord, Grant
from connections.scopes import asked_scopes
from connections.values import secret_texts
from modules import MODULE_TYPES
from modules.prepare import find_module, prepare_job
from modules.rpc import RpcJob, rows_of, run_rpc
from modules.rpc_lists import Caller, Lists, expand_lists, needs_expansion, rpc_parameters, split_url
from modules.trigger import list_start_points
from runtime import codec
from runtime.app.functions import app_environment
from runtime.app.specs import App, CodeFile, ConnectionSpec, ModuleSpec
from runtime.communication import Limits
from runtime.effects import HttpRequest, Recall, Remember, RenewConnection, SendMail, Steps, drive
from runtime.errors import InvalidConfigurationError, ModuleError, UnexpectedError, UsageError
from runtime.iml import Environment
from runtime.parameters import Field, parse_fields, resolve, secret_values
from runtime.sanitize import Secrets
from runtime.values import ERASE, FORCED_EMPTY, Bundle
from workers.interface import compare
from workers.performer import Performer, Send, no_renewal
from workers.rendering import place_of, rendered_request
from workers.views import ModuleReport

Result = TypeVar("Result")
#: The two keywords that a mapped value may be (spec/modules.md 8.1).
KEYWORDS: Final = {"{{erase}}": ERASE, "{{emptystring}}": FORCED_EMPTY}


@dataclass(frozen=True, slots=True)
class Account:
    """The connection that a module or RPC uses: its collection, and where it came from."""

    data: dict[str, Any] | None = None
    record: ConnectionRecord | None = None
    component: ConnectionSpec | None = None
    #: Renews the connection after a 401, where it is stored and its type can be renewed.
    renewer: Callable[[], dict[str, Any]] | None = None
    #: The keys of an OAuth 1 connection.
    signing: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """How one module is run: `state` and `start` are for a polling trigger, `limit` ends a search early."""

    state: dict[str, Any] | None = None
    start: dict[str, Any] | None = None
    limit: int | None = None
    #: The item of a webhook that an instant trigger is given.
    event: Any = None
    #: Give the list of start points instead of a poll.
    epoch: bool = False
    #: Stop before the first request and tell what it is.
    dry_run: bool = False
    #: Told of the number of bundles and requests so far.
    progress: Callable[[int, int], None] | None = None


class _Enough(Exception):  # noqa: N818  no error: there is what was asked for
    """Ends a module that has given what was asked for."""


@dataclass(slots=True)
class LocalPart:
    """The part of a run that there is without a run: bundles and state in memory."""

    state: dict[str, Any] | None = None
    record: ConnectionRecord | None = None
    limit: int | None = None
    bundles: list[Bundle] = field(default_factory=list[Bundle])
    told: Callable[[int], None] | None = None
    #: Renews the connection, where that is stored.
    renewer: Callable[[], dict[str, Any]] | None = None
    #: The item that an instant trigger gets as its event.
    event: Any = None

    def note_unsafe(self, request: HttpRequest | SendMail) -> None:
        """Nothing to note: whoever started this sees whether it ended."""

    def emit(self, bundles: list[Bundle]) -> None:
        """Keep the bundles; more than the limit are not asked for."""
        self.bundles += bundles
        if self.told is not None:
            self.told(len(self.bundles))
        if self.limit is not None and len(self.bundles) >= self.limit:
            del self.bundles[self.limit :]
            raise _Enough

    def recall(self, effect: Recall) -> Any:
        """The state that was given, and the event."""
        if effect.kind == "event" and self.event is not None:
            return {"payload": self.event, "webhook": {}, "parameters": {}}
        return self.state if effect.kind == "trigger" else None

    def remember(self, effect: Remember) -> None:
        """Keep a trigger's new state."""
        if effect.kind == "trigger":
            self.state = effect.value

    def renew(self, effect: RenewConnection) -> dict[str, Any]:  # noqa: ARG002  the shape of `RunPart`
        """The connection's new data; one that is not stored cannot be renewed."""
        if self.renewer is not None:
            return self.renewer()
        raise no_renewal(self.record.name if self.record else "")

    def lost(self) -> Exception:
        """Never happens: nobody sets the event."""
        return UnexpectedError("The run was lost.")


@dataclass(slots=True)
class Local:
    """What all local calls share: an app, the operator's rules, the way out, and the secrets of the process."""

    app: App
    timezone: str
    limits: Limits
    send: Send
    secrets: Secrets
    exchanges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    # -- modules -------------------------------------------------------------------------------------------------------

    def module(self, name: str, parameters: Mapping[str, Any], account: Account, choices: Choices) -> ModuleReport:
        """
        Run one module. A module that fails gives a report with the error.

        Raises:
            UsageError: There is no such module, its type cannot be run, or a choice does not fit it.
        """
        try:
            spec = find_module(self.app, name)
        except ModuleError as error:
            raise UsageError(error.message) from None
        if spec.type not in MODULE_TYPES:
            raise UsageError(f"Modules of the type {spec.type} cannot be run. Known types: {', '.join(MODULE_TYPES)}.")
        trigger = spec.type == "trigger"
        if not trigger and (choices.epoch or choices.state is not None or choices.start is not None):
            raise UsageError(f"The module {spec.id} is no polling trigger: it has no memory and no start.")
        instant = spec.type == "instant_trigger"
        if instant and choices.event is None:
            raise UsageError(f"The module {spec.id} starts with an item of its webhook: give one with --event FILE.")
        if not instant and choices.event is not None:
            raise UsageError(f"The module {spec.id} is no instant trigger: it takes no --event.")
        state = choices.state
        if choices.start is not None:
            state = {**(state or {}), "start": choices.start}
        part = LocalPart(state, account.record, choices.limit if spec.type == "search" else None)
        part.renewer = account.renewer
        part.event = choices.event
        performer = self._performer(part, choices)
        shown = self._declared(account)
        steps = self._steps(spec, parameters, account, choices, performer, shown, state)
        failure = self._drive(steps, performer)
        bundles = [] if failure else part.bundles
        if spec.type == "search":
            bundles = [
                {**bundle, "__IMTINDEX__": index, "__IMTLENGTH__": len(bundles)}
                for index, bundle in enumerate(bundles, 1)
            ]
        undeclared, missing = compare(spec.interface.value, bundles)
        return self._report(spec.communication, bundles, failure, performer, shown, part, undeclared, missing)

    def _steps(
        self,
        spec: ModuleSpec,
        parameters: Mapping[str, Any],
        account: Account,
        choices: Choices,
        performer: _Watched,
        shown: Secrets,
        state: dict[str, Any] | None,
    ) -> Steps[None]:
        now = environment(self.timezone)
        lists: Lists | None = None
        if not choices.dry_run and needs_expansion(spec):
            lists = yield from expand_lists(spec, self._caller(parameters, account, now))
        prepared = prepare_job(
            self.app,
            spec.id,
            environment=now,
            static=parameters,
            mapped=_mapped(spec, parameters),
            connection=account.data,
            connection_version=account.record.version if account.record else 0,
            renewable=account.renewer is not None,
            signing=account.signing,
            scenario={},
            state=state,
            state_known=True,
            limits=self.limits,
            lists=lists,
            debug=performer.inner.log_debug,
        )
        self.secrets.add_all(prepared.secrets)
        shown.add_all(prepared.declared)
        performer.inner.warnings += [{"code": "parameters", "message": text} for text in prepared.warnings]
        if choices.epoch:
            rows = yield from list_start_points(prepared.job)
            performer.inner.part.emit(rows)
        else:
            yield from MODULE_TYPES[spec.type](prepared.job)

    def _caller(self, values: Mapping[str, Any], account: Account, now: Environment) -> Caller:
        record = account.record
        return Caller(
            self.app,
            values,
            now,
            account.data,
            account.component.id if account.component else None,
            f"{record.id}:{record.version}" if record else "",
            self.limits,
            signing=account.signing,
        )

    # -- RPCs ----------------------------------------------------------------------------------------------------------

    def rpc(self, url: str, parameters: Mapping[str, Any], account: Account, choices: Choices) -> ModuleReport:
        """
        Call one RPC by its name, to which a query may be added. The report's bundles are its rows.

        Raises:
            UsageError: There is no such RPC.
        """
        name, query = split_url(url)
        spec = self.app.rpc(name)
        if spec is None:
            known = ", ".join(sorted(self.app.rpcs)) or "none"
            raise UsageError(f'The app "{self.app.name}" has no RPC "{name}". Known RPCs: {known}.')
        part = LocalPart(record=account.record)
        performer = self._performer(part, choices)
        shown = self._declared(account)
        fields = parse_fields(spec.params.value, where=spec.title)
        self.secrets.add_all([*secret_values(fields, parameters), *secret_texts_of(self.app)])
        shown.add_all(secret_values(fields, parameters))
        rows: list[Any] = []

        def steps() -> Steps[None]:
            now = environment(self.timezone)
            resolved = resolve(fields, parameters, timezone=self.timezone, mode="form", rpc_unresolved=True)
            values = rpc_parameters({**parameters, **resolved.values}, query, now)
            data = account.data
            job = RpcJob(
                self.app, spec, values, now, data, self.app.common_values, limits=self.limits, signing=account.signing
            )
            rows.extend(rows_of((yield from run_rpc(job))))

        failure = self._drive(steps(), performer)
        return self._report(spec.communication, [] if failure else rows, failure, performer, shown, part)

    # -- connections ---------------------------------------------------------------------------------------------------

    def authorize(
        self, spec: ConnectionSpec, parameters: Mapping[str, Any], *, stored: ConnectionRecord | None = None
    ) -> Grant:
        """
        Authorize a connection from its parameters; its secrets are known to the process from then on.

        Raises:
            ModuleError: The service refused, or a value does not fit.
            UsageError: It is authorized in a browser.
        """
        job = ConnectionJob(
            self.app,
            spec,
            connection_environment(self.app, self.timezone, self.limits),
            parameters,
            stored,
            scope=asked_scopes(self.app, spec, stored=stored),
            limits=self.limits,
        )
        made: list[dict[str, Any]] = []
        try:
            grant = perform(authorize_connection(job), job, send=self.send, secrets=self.secrets, exchanges=made)
        finally:
            place_of(made, spec.communication)
            self.exchanges += made
        self.secrets.add_all(secret_texts(self.app, spec, grant.data))
        return grant

    # -- inside --------------------------------------------------------------------------------------------------------

    def _performer(self, part: LocalPart, choices: Choices) -> _Watched:
        inner = Performer(part, self.send, self.secrets, threading.Event(), None, self.exchanges)
        return _Watched(inner, choices)

    def _declared(self, account: Account) -> Secrets:
        """
        What is kept out of shown bundles. They are the user's data, so only values that the app declares as secret
        count, not everything that a connection holds.
        """
        shown = Secrets()
        if account.component is not None:
            fields = parse_fields(account.component.params.value)
            for values in (account.data, account.record.parameters if account.record else None):
                if values is not None:
                    shown.add_all(secret_values(fields, values))
        return shown

    def _drive(self, steps: Steps[None], performer: _Watched) -> ModuleError | None:
        try:
            drive(steps, performer)
        except ModuleError as error:
            return error
        except _Enough:
            return None
        return None

    def _report(
        self,
        code: CodeFile,
        bundles: list[Any],
        failure: ModuleError | None,
        performer: _Watched,
        shown: Secrets,
        part: LocalPart,
        undeclared: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
    ) -> ModuleReport:
        # Once more, with what a renewal has brought meanwhile.
        self.exchanges[:] = [self.secrets.redact(entry) for entry in self.exchanges]
        place_of(self.exchanges, code)
        stopped = performer.stopped
        return ModuleReport(
            tuple(shown.redact(codec.mark(bundle)) for bundle in bundles),
            None if failure is None else self.secrets.redact(failure.to_json()),
            tuple(self.exchanges),
            tuple(performer.inner.warnings),
            () if stopped is None else (rendered_request(stopped, code, self.secrets),),
            part.state,
            undeclared,
            missing,
            tuple(performer.inner.debug),
        )


@dataclass(slots=True)
class _Watched:
    """The performer of a local call: tells of progress, and stops a dry run before its first request."""

    inner: Performer
    choices: Choices
    requests: int = 0
    stopped: HttpRequest | None = None

    def __post_init__(self) -> None:
        part = self.inner.part
        if isinstance(part, LocalPart) and self.choices.progress is not None:
            part.told = self._tell

    def _tell(self, bundles: int) -> None:
        if self.choices.progress is not None:
            self.choices.progress(bundles, self.requests)

    def __call__(self, effect: Any) -> Any:
        if isinstance(effect, HttpRequest):
            if self.choices.dry_run:
                self.stopped = effect
                raise _Enough
            self.requests += 1
        return self.inner(effect)


def _mapped(spec: ModuleSpec, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    Given parameters as mapped values: the two keywords count, and a JSON `null` for a field of type `any` is meant as
    the value that it is. For every other type it is no value, as in a blueprint.
    """
    fields = parse_fields(spec.mappable_params.value)
    untyped = {item.name for item in fields if isinstance(item, Field) and item.type == "any"}
    return {name: ERASE if value is None and name in untyped else keyword(value) for name, value in parameters.items()}


def keyword(value: Any) -> Any:
    """A mapped value in which the texts `{{erase}}` and `{{emptystring}}` are the two keywords of the mapper."""
    if isinstance(value, str):
        return KEYWORDS.get(value.strip(), value)
    if isinstance(value, list):
        return [keyword(item) for item in value]
    if isinstance(value, dict):
        return {name: keyword(member) for name, member in value.items()}
    return value


def environment(timezone: str) -> Environment:
    """The IML environment of this moment."""
    now = datetime.now(UTC)
    return Environment(now=now.replace(microsecond=now.microsecond // 1000 * 1000), timezone=timezone)


def connection_environment(app: App, timezone: str, limits: Limits, *, ahead: timedelta = timedelta(0)) -> Environment:
    """The environment of a connection's expressions, with the app's functions; `ahead` moves its clock forward."""
    now = environment(timezone)
    return app_environment(replace(now, now=now.now + ahead), app, limits=limits.functions)


def perform(
    steps: Steps[Result],
    job: ConnectionJob,
    *,
    send: Send,
    secrets: Secrets,
    exchanges: list[dict[str, Any]] | None = None,
) -> Result:
    """
    Perform the steps of a connection. Its secrets are known to `secrets` before anything is sent, and those that an
    answer brings before its record is handed out.

    Raises:
        ModuleError: The service refused, or a value does not fit.
    """
    fields = parse_fields(job.spec.params.value, where=job.spec.title)
    secrets.add_all(secret_values(fields, job.parameters))
    secrets.add_all([dict(job.common)])
    secrets.add_all(secret_texts(job.app, job.spec, job.stored if job.stored is not None else job.parameters))
    made: list[dict[str, Any]] = []
    performer = Performer(LocalPart(record=job.stored), send, secrets, threading.Event(), None, made)
    try:
        return drive(steps, performer)
    finally:
        if exchanges is not None:
            exchanges += [secrets.redact(entry) for entry in made]


def secret_texts_of(app: App) -> list[Any]:
    """The app's common data, which is secret as a whole."""
    return [value for key, value in app.common_values.items() if not key.startswith("max") and key != "timeout"]


def without_connection(name: str, connection: str) -> ModuleError:
    """The error of a module or RPC that needs a connection and got none (spec/communication.md 15)."""
    return InvalidConfigurationError(
        f"The {name} needs a connection ({connection}): give --connection NAME or --connect."
    )


__all__ = ["Account", "Choices", "Local", "environment", "without_connection"]
