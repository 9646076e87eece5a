"""Connections as modules see them: decrypted once a segment, checked before the first step (spec/scenarios.md 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from connections.phases import kind_of
from connections.record import USABLE, ConnectionRecord
from connections.scopes import missing_scopes
from connections.values import secret_texts
from connections.vault import Vault
from runtime.app.specs import App
from runtime.errors import (
    AccountValidationError,
    InvalidConfigurationError,
    ScenaristError,
)
from runtime.sanitize import Secrets
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.catalog import ModuleInfo, Role, app_part
from runtime.values import to_text
from workers.ledger.authorizations import Usages
from workers.library import builtin_app
from workers.renewing import EXPIRED, unusable_text

#: Keys of `parameters` that hold the foreign id of a module's connection, the usual one first.
CONNECTION_KEYS = ("__IMTCONN__", "account", "oAuthAccount", "makeConnectionId")


def foreign_id(parameters: Mapping[str, Any]) -> str | None:
    """The foreign connection id in a module's static parameters, None when there is none."""
    for key in CONNECTION_KEYS:
        value = parameters.get(key)
        if value not in (None, "") and not isinstance(value, (dict, list, bool)):
            return to_text(value)
    return None


#: Components that an `authenticationType` of the http app uses.
_AUTHENTICATION: Final[dict[str, tuple[str, ...]]] = {
    "apiKey": ("apikeyauth",),
    "basicAuth": ("basicauth",),
    "oAuth": ("oauth2", "oauth2client"),
}
#: The component of a client certificate; also its foreign id where a module says that it uses one and names none.
CERTIFICATE: Final = "clientcertauth"


def keychains(
    info: ModuleInfo, parameters: Mapping[str, Any], mapper: Mapping[str, Any]
) -> list[tuple[str, tuple[str, ...]]]:
    """(foreign id, components that fit) of each connection that a built-in module names and uses."""
    kind = parameters.get("authenticationType")
    used = _AUTHENTICATION.get(kind, ()) if isinstance(kind, str) else None
    mutual = parameters.get("tlsType") == "mTls" or mapper.get("useMtls") is True
    found: dict[str, tuple[str, ...]] = {}
    for key, component in info.keychains:
        value = parameters.get(key)
        if value in (None, "") or isinstance(value, (dict, list, bool)):
            continue
        if (mutual or used is None) if component == CERTIFICATE else used is None or component in used:
            foreign = to_text(value)
            found[foreign] = (*found.get(foreign, ()), component)
    named = any(CERTIFICATE in components for components in found.values())
    if mutual and not named and any(component == CERTIFICATE for _, component in info.keychains):
        found[CERTIFICATE] = (CERTIFICATE,)
    return list(found.items())


def with_common(app: App, values: Mapping[str, Any]) -> App:
    """An app with the operator's common data over its own."""
    return app.model_copy(update={"common_values": {**app.common_values, **values}}) if values else app


def binding_key(app: str, parameters: Mapping[str, Any]) -> str:
    """Under what a scenario binds a module's connection: its foreign id, else the name of its app."""
    return foreign_id(parameters) or app


@dataclass(slots=True)
class Connections:
    """
    The connections of one segment. `bound` maps foreign ids (or names of apps) to ids here; what was decrypted is known
    to `secrets` as long as the segment lasts.
    """

    vault: Vault
    bound: Mapping[str, str]
    secrets: Secrets
    usages: Usages | None = None
    common: Callable[[str], Mapping[str, Any]] | None = None
    #: Id of the connection of the webhook that started the run; its instant trigger may have none of its own.
    webhook: str = ""
    _apps: dict[str, App] = field(default_factory=dict[str, App])
    _read: dict[str, ConnectionRecord] = field(default_factory=dict[str, ConnectionRecord])

    def app(self, app: App) -> App:
        """The app with the operator's common data over its own (spec/app-format.md 5.7); asked for once a segment."""
        found = self._apps.get(app.name)
        if found is None:
            found = with_common(app, self.common(app.name) if self.common is not None else {})
            self.secrets.add_all([dict(found.common_values)] if found is not app else [])
            self._apps[app.name] = found
        return found

    def replace(self, record: ConnectionRecord) -> None:
        """Go on with a record that was renewed."""
        self._read[record.id] = record

    def record(self, app: App, info: ModuleInfo, parameters: Mapping[str, Any]) -> ConnectionRecord | None:
        """
        The record of a module's connection, decrypted; None when the module needs none.

        Raises:
            InvalidConfigurationError: The module needs one and has none that fits.
            AccountValidationError: It cannot be used as it is.
        """
        if not info.connections:
            return None
        connection = self.bound.get(binding_key(app.name, parameters))
        if connection is None and info.role is Role.INSTANT:
            if not self.webhook:
                return None
            connection = self.webhook
        if connection is None:
            raise InvalidConfigurationError(f"The module {info.name} has no connection. Bind one to the scenario.")
        record = self._read.get(connection)
        if record is None:
            record = self._open(app, info, connection)
            self._read[connection] = record
        if record.app != app.name or record.component not in info.connections:
            raise InvalidConfigurationError(
                f'The connection "{record.name}" ({record.app}, {record.component}) is none of those that the module '
                f"{info.name} accepts: {', '.join(info.connections)}."
            )
        module = app.module(info.name.partition(":")[2])
        component = app.connection(record.component)
        if module is not None and component is not None and kind_of(component) == "oauth2":
            missing = missing_scopes(module, record)
            if missing:
                raise InvalidConfigurationError(
                    f'The connection "{record.name}" lacks permissions that the module {info.name} needs: '
                    f"{', '.join(missing)}. Extend them: scenarist connection reauthorize {record.name}"
                )
        return record

    def credentials(
        self, info: ModuleInfo, parameters: Mapping[str, Any], mapper: Mapping[str, Any]
    ) -> dict[str, ConnectionRecord]:
        """
        A built-in module's connections by component, decrypted.

        Raises:
            InvalidConfigurationError: One is not bound, or does not fit.
            AccountValidationError: One cannot be used as it is.
        """
        found: dict[str, ConnectionRecord] = {}
        for foreign, components in keychains(info, parameters, mapper):
            name = app_part(info.name)
            app, connection = builtin_app(name), self.bound.get(foreign)
            if app is None or connection is None:
                raise InvalidConfigurationError(f"The connection {foreign} of {info.name} is not bound to one here.")
            record = self._read.get(connection) or self._open(app, info, connection)
            self._read[connection] = record
            if record.app != name or record.component not in components:
                kinds = " or ".join(components)
                raise InvalidConfigurationError(f'The connection "{record.name}" is none of the kind {kinds}.')
            found[record.component] = record
        return found

    def _open(self, app: App, info: ModuleInfo, connection: str) -> ConnectionRecord:
        try:
            record = self.vault.get(connection)
        except ScenaristError as error:
            raise InvalidConfigurationError(f"The connection of {info.name} cannot be read: {error.message}") from error
        spec = app.connection(record.component) if record.app == app.name else None
        if spec is not None:
            # Known to the sanitizer before anything can be sent with it.
            self.secrets.add_all(secret_texts(app, spec, record))
        if record.state not in USABLE:
            raise AccountValidationError(unusable_text(record))
        if record.expires is not None and record.expires <= datetime.now(UTC):
            raise AccountValidationError(EXPIRED)
        if self.usages is not None:
            self.usages.used(record.id)
        return record

    def check(self, blueprint: Blueprint, info: Mapping[int, tuple[App, ModuleInfo]]) -> None:
        """
        Check the connections of all modules before anything runs, without a request.

        Raises:
            InvalidConfigurationError, AccountValidationError: The first that cannot be used.
        """
        for module in blueprint.modules():
            found = info.get(module.id)
            if found is not None:
                self.record(found[0], found[1], module.parameters)

    def ids(self) -> tuple[str, ...]:
        """Ids of the connections in use, in a fixed order."""
        return tuple(self._read)

    def moved(self, versions: tuple[int, ...]) -> None:
        """Forget the records whose version on the server is another one: they are read again when needed."""
        for (connection, record), version in zip(list(self._read.items()), versions, strict=True):
            if record.version != version:
                del self._read[connection]
