"""What `module run` and `rpc run` do: one call in this process, with a stored connection or one for this call only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connections.record import ConnectionRecord
from connections.values import secret_texts
from runtime.app.specs import App, ConnectionSpec, ModuleSpec, RpcSpec
from runtime.errors import InvalidConfigurationError, ModuleError, UsageError
from workers import local
from workers.commands.apps import AppCommands
from workers.commands.context import Context
from workers.library import usable
from workers.policy import limits_of
from workers.rendering import place_of
from workers.views import ModuleReport


@dataclass(frozen=True, slots=True)
class LocalCommands:
    """The commands."""

    context: Context

    def module(
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
        found = usable(AppCommands(self.context).load(app))
        spec = found.module(module)
        here = self.of(found)
        try:
            account = self._account(here, spec, connection, connect_parameters)
        except ModuleError as error:
            return ModuleReport((), self.context.secrets.redact(error.to_json()), tuple(here.exchanges))
        return here.module(module, parameters, account, choices or local.Choices())

    def rpc(
        self,
        app: str,
        rpc: str,
        *,
        parameters: Mapping[str, Any],
        connection: str | None = None,
        connect_parameters: Mapping[str, Any] | None = None,
        choices: local.Choices | None = None,
    ) -> ModuleReport:
        """Call one RPC now, in this process, like `module`. The report's bundles are its rows."""
        found = usable(AppCommands(self.context).load(app))
        spec = found.rpc(rpc.removeprefix("rpc://").partition("?")[0])
        here = self.of(found)
        try:
            account = self._account(here, spec, connection, connect_parameters)
        except ModuleError as error:
            return ModuleReport((), self.context.secrets.redact(error.to_json()), tuple(here.exchanges))
        return here.rpc(rpc, parameters, account, choices or local.Choices())

    def of(self, app: App) -> local.Local:
        """Local calls for an app under the rules of this installation."""
        settings = self.context.settings
        return local.Local(
            AppCommands(self.context).with_common(app),
            settings.timezone,
            limits_of(settings),
            self.context.http.send,
            self.context.secrets,
        )

    def stored(self, here: local.Local, record: ConnectionRecord, component: ConnectionSpec | None) -> local.Account:
        """
        A stored connection as a local call uses it: renewed if that is due, and again after a 401.

        Raises:
            ModuleError: It cannot be used any more, or the service could not be reached.
        """
        renewals = self.context.runner.renewals
        used = [record]

        def renewed(ask: Callable[..., ConnectionRecord]) -> ConnectionRecord:
            made: list[dict[str, Any]] = []
            try:
                used[0] = ask(here.app, used[0], self.context.secrets, exchanges=made)
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
            record = self.context.runner.vault.find(connection, app=here.app.name)
            component = here.app.connection(record.component)
            if wanted and record.component not in [here.app.local_id("connection", name) for name in wanted]:
                message = f"step uses connection {record.name} of component {record.component}, expected "
                raise InvalidConfigurationError(message + " or ".join(wanted))
            if component is not None:
                self.context.secrets.add_all(secret_texts(here.app, component, record))
            return self.stored(here, record, component)
        if connect_parameters is not None and spec is not None:
            component = self._connection_of(here.app, spec)
            return local.Account(here.authorize(component, connect_parameters).data, None, component)
        if spec is not None and wanted:
            raise local.without_connection(f"{spec.kind} {spec.id}", wanted[0])
        return local.Account()

    def _connection_of(self, app: App, caller: ModuleSpec | RpcSpec) -> ConnectionSpec:
        spec = app.connection(caller.connection) if caller.connection else None
        if spec is None:
            raise UsageError(f'The {caller.kind} "{caller.id}" needs no connection.')
        return spec
