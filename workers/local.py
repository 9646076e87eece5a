"""Modules and connections that run in this process, without the ledger (design section 10.12)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from connections import authorize as authorize_connection
from connections.job import ConnectionJob
from connections.record import ConnectionRecord, Grant
from connections.scopes import asked_scopes
from connections.values import secret_texts
from modules import MODULE_TYPES
from modules.prepare import find_module, prepare_job
from runtime import codec
from runtime.app.specs import App, ConnectionSpec
from runtime.communication import Limits
from runtime.effects import HttpRequest, Recall, Remember, RenewConnection, Steps, drive
from runtime.errors import ModuleError, UnexpectedError, UsageError
from runtime.iml import Environment
from runtime.parameters import Field, parse_fields, secret_values
from runtime.sanitize import Secrets
from runtime.values import Bundle
from workers.performer import Performer, Send, no_renewal
from workers.views import ModuleReport

Result = TypeVar("Result")


@dataclass(slots=True)
class LocalPart:
    """The part of a run that there is without a run: bundles and state in memory."""

    state: dict[str, Any] | None = None
    record: ConnectionRecord | None = None
    bundles: list[Bundle] = field(default_factory=list[Bundle])
    #: Renews the connection, where that is stored.
    renewer: Callable[[], dict[str, Any]] | None = None

    def note_unsafe(self, request: HttpRequest) -> None:
        """Nothing to note: whoever started this sees whether it ended."""

    def emit(self, bundles: list[Bundle]) -> None:
        """Keep the bundles."""
        self.bundles += bundles

    def recall(self, effect: Recall) -> Any:
        """The state that was given."""
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


def environment(timezone: str) -> Environment:
    """The IML environment of this moment."""
    now = datetime.now(UTC)
    return Environment(now=now.replace(microsecond=now.microsecond // 1000 * 1000), timezone=timezone)


def run_module(
    app: App,
    module: str,
    parameters: Mapping[str, Any],
    *,
    data: dict[str, Any] | None,
    record: ConnectionRecord | None,
    state: Mapping[str, Any] | None,
    timezone: str,
    limits: Limits,
    send: Send,
    secrets: Secrets,
    exchanges: list[dict[str, Any]] | None = None,
    renewer: Callable[[], dict[str, Any]] | None = None,
    signing: Mapping[str, Any] | None = None,
) -> ModuleReport:
    """
    Run one module. `data` is its connection's collection, `renewer` renews that after a 401, `signing` are its OAuth 1
    keys. A module that fails gives a report with the error.

    Raises:
        UsageError: There is no such module, or its type cannot be run.
    """
    try:
        spec = find_module(app, module)
    except ModuleError as error:
        raise UsageError(error.message) from None
    run = MODULE_TYPES.get(spec.type)
    if run is None:
        raise UsageError(f"Modules of the type {spec.type} cannot be run. Known types: {', '.join(MODULE_TYPES)}.")
    static = {item.name for item in parse_fields(spec.static_params.value) if isinstance(item, Field)}
    part = LocalPart(dict(state) if state is not None else None, record, renewer=renewer)
    performer = Performer(part, send, secrets, threading.Event(), None, exchanges if exchanges is not None else [])
    failure: ModuleError | None = None
    try:
        prepared = prepare_job(
            app,
            module,
            environment=environment(timezone),
            static={name: value for name, value in parameters.items() if name in static},
            mapped={name: value for name, value in parameters.items() if name not in static},
            connection=data,
            connection_version=record.version if record else 0,
            renewable=renewer is not None,
            signing=signing,
            scenario={},
            state=part.state,
            state_known=True,
            limits=limits,
        )
        secrets.add_all(prepared.secrets)
        performer.warnings += [{"code": "parameters", "message": text} for text in prepared.warnings]
        drive(run(prepared.job), performer)
    except ModuleError as error:
        failure = error
    if exchanges is not None:
        # Once more, with what a renewal has brought meanwhile.
        exchanges[:] = [secrets.redact(entry) for entry in exchanges]
    return ModuleReport(
        tuple(secrets.redact(codec.mark(bundle)) for bundle in ([] if failure else part.bundles)),
        None if failure is None else secrets.redact(failure.to_json()),
        tuple(performer.exchanges),
        tuple(performer.warnings),
    )


def authorize(
    app: App,
    spec: ConnectionSpec,
    parameters: Mapping[str, Any],
    *,
    stored: ConnectionRecord | None = None,
    timezone: str,
    limits: Limits,
    send: Send,
    secrets: Secrets,
    common: Mapping[str, Any] | None = None,
    exchanges: list[dict[str, Any]] | None = None,
) -> Grant:
    """
    Authorize a connection from its parameters; its secrets are known to `secrets` from then on.

    Raises:
        ModuleError: The service refused, or a value does not fit.
        UsageError: It is authorized in a browser.
    """
    scope = asked_scopes(app, spec, stored=stored)
    job = ConnectionJob(app, spec, environment(timezone), parameters, stored, common or {}, scope=scope, limits=limits)
    return perform(authorize_connection(job), job, send=send, secrets=secrets, exchanges=exchanges)


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
