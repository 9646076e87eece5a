"""Modules and connections that run in this process, without the ledger (design section 10.12)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connections import CONNECTION_TYPES
from connections.job import ConnectionJob
from connections.record import ConnectionRecord, Grant
from connections.values import secret_texts
from modules import MODULE_TYPES
from modules.prepare import find_module, prepare_job
from runtime import codec
from runtime.app.functions import app_environment
from runtime.app.specs import App, ConnectionSpec
from runtime.communication import Limits
from runtime.effects import HttpRequest, Recall, Remember, RenewConnection, drive
from runtime.errors import ModuleError, UnexpectedError, UsageError
from runtime.iml import Environment
from runtime.parameters import Field, parse_fields, secret_values
from runtime.sanitize import Secrets
from runtime.values import Bundle
from workers.performer import Performer, Send, no_renewal
from workers.views import ModuleReport


@dataclass(slots=True)
class LocalPart:
    """The part of a run that there is without a run: bundles and state in memory."""

    state: dict[str, Any] | None = None
    record: ConnectionRecord | None = None
    bundles: list[Bundle] = field(default_factory=list[Bundle])

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
        """Nothing can renew the connection here."""
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
) -> ModuleReport:
    """
    Run one module. `data` is its connection's collection. A module that fails gives a report with the error.

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
    part = LocalPart(dict(state) if state is not None else None, record)
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
            scenario={},
            state=part.state,
            state_known=True,
            limits=limits,
            debug=performer.log_debug,
        )
        secrets.add_all(prepared.secrets)
        performer.warnings += [{"code": "parameters", "message": text} for text in prepared.warnings]
        drive(run(prepared.job), performer)
    except ModuleError as error:
        failure = error
    return ModuleReport(
        tuple(secrets.redact(codec.mark(bundle)) for bundle in ([] if failure else part.bundles)),
        None if failure is None else secrets.redact(failure.to_json()),
        tuple(performer.exchanges),
        tuple(performer.warnings),
        tuple(performer.debug),
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
    exchanges: list[dict[str, Any]] | None = None,
) -> Grant:
    """
    Authorize a connection from its parameters; its secrets are known to `secrets` from then on.

    Raises:
        ModuleError: The service refused, or a value does not fit.
        UsageError: Connections of this type cannot be authorized here.
    """
    flow = CONNECTION_TYPES.get(spec.type)
    if flow is None:
        known = ", ".join(CONNECTION_TYPES)
        raise UsageError(f"Connections of the type {spec.type} cannot be authorized here. Known types: {known}.")
    fields = parse_fields(spec.params.value, where=spec.title)
    secrets.add_all(secret_values(fields, parameters))
    secrets.add_all(secret_texts(app, spec, stored if stored is not None else parameters))
    performer = Performer(
        LocalPart(record=stored), send, secrets, threading.Event(), None, exchanges if exchanges is not None else []
    )
    known = app_environment(environment(timezone), app, limits=limits.functions, debug=performer.log_debug)
    job = ConnectionJob(app, spec, known, parameters, stored, limits=limits)
    grant = drive(flow(job), performer)
    secrets.add_all(secret_texts(app, spec, grant.data))
    return grant
