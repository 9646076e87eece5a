"""
Authorizing connections, up to the redirect and on from the callback, and everything that is done with stored ones.

Two halves of a flow may run in different processes: what lies between them is encrypted on the server under the state,
for one use (spec/connections.md 5 and 7.2 to 7.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from connections import ConnectionJob, ConnectionType, Pending, Redirect, connection_type
from connections.phases import kind_of, phase_plan, phases_of
from connections.record import ConnectionRecord, ConnectionState, Grant
from connections.redirect import PENDING_TIME, key_of, new_state, query_of, resumed
from connections.scopes import asked_scopes
from connections.values import secret_texts
from connections.vault import Vault
from runtime.app.loader import LoadedApp
from runtime.app.specs import App, ConnectionSpec
from runtime.communication.parts import sent_members
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError, ModuleError, ScenaristError, UsageError
from runtime.logs import get_logger
from runtime.parameters import Field, parse_fields
from runtime.sanitize import Secrets
from runtime.values import is_empty
from workers import local
from workers.connecting import with_common
from workers.ledger.authorizations import Authorizations
from workers.policy import limits_of
from workers.renewing import Renewals
from workers.settings import Settings

#: Path of the callback; app and component follow.
CALLBACK = "/oauth/cb"
#: How often a waiting command looks whether the gateway has got the callback.
_LOOK_SECONDS = 0.25
#: Roots under which a phase reads the user's inputs.
_ROOTS = {"parameters": None, "connection": None, "data": None}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An authorization that a person has to go on with at `url`."""

    url: str = field(repr=False)
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What is to be authorized: a new connection `name`, or `stored` again. `modules` narrows the scopes that are asked
    for to those of these modules, `scopes` adds some.
    """

    app: LoadedApp
    component: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    stored: ConnectionRecord | None = None
    modules: Sequence[str] | None = None
    scopes: Sequence[str] = ()


def callback_path(app: str, component: str) -> str:
    """The path that the provider sends the browser to."""
    return f"{CALLBACK}/{quote(app, safe='')}/{quote(component, safe='')}"


@dataclass(frozen=True, slots=True)
class Authorizing:
    """Authorizes connections and keeps them. `load` gives an app state by name and content hash, `keep` stores one."""

    settings: Settings
    vault: Vault
    renewals: Renewals
    pending: Authorizations
    secrets: Secrets
    load: Callable[[str, str], App]
    keep: Callable[[LoadedApp], None]

    def begin(self, wish: Wish, redirect_uri: str) -> ConnectionRecord | Waiting:
        """
        Authorize up to the redirect; a connection that needs none is stored at once.

        Raises:
            ModuleError: An input does not fit, or the service refused; nothing is stored.
            UsageError: The name is taken.
        """
        app, spec = self._spec(_usable(wish.app), wish.component)
        if wish.stored is None:
            self.vault.require_free(wish.name)
        state = new_state()
        job = self._job(app, spec, wish.parameters, stored=wish.stored)
        job = replace(
            job,
            scope=asked_scopes(app, spec, modules=wish.modules, more=wish.scopes, stored=wish.stored),
            redirect_uri=redirect_uri,
            oauth_state=state,
        )
        try:
            begun = self._perform(connection_type(spec).begin(job), job)
        except ModuleError as error:
            if error.status_code is not None and (advice := absent_common(job)):
                # A service that got no client says all kinds of things, never what to do here.
                message = f"{error.message.rstrip('.')}. {advice}"
                raise type(error)(
                    message, status_code=error.status_code, delay_ms=error.delay_ms, external=error.external
                ) from error
            raise
        if isinstance(begun, Grant):
            return self._store(app, spec, wish.name, wish.stored, begun)
        if not query_of(begun.url).get("client_id") and (advice := absent_common(job)):
            raise InvalidConfigurationError(f"The address of the service's page names no client. {advice}")
        return self._wait(wish, app, spec, begun)

    def _wait(self, wish: Wish, app: App, spec: ConnectionSpec, redirect: Redirect) -> Waiting:
        self.keep(wish.app)
        more = {
            "app": app.name,
            "hash": app.hash,
            "component": spec.id,
            "name": wish.name,
            "connection": wish.stored.id if wish.stored is not None else None,
        }
        pending = redirect.pending
        self.pending.put(pending.key, pending.to_bytes(**more), keep=PENDING_TIME)
        return Waiting(redirect.url, pending.key)

    def finish(self, query: Mapping[str, str], path: str) -> ConnectionRecord:
        """
        Go on with a callback: `query` are its parameters, `path` is where it came in. The state is used up, whatever
        comes of it, and whoever waits for this flow is told.

        Raises:
            UsageError: The state is unknown, used up or too old.
            ModuleError: The provider or the service refused; nothing is stored.
        """
        key = key_of(query)
        text = self.pending.take(key) if key else None
        if text is None:
            raise UsageError(
                "This authorization is not known here: it was finished already, is older than "
                f"{PENDING_TIME // timedelta(minutes=1)} minutes, or was never begun. Begin again with "
                "`scenarist connection add`."
            )
        self.secrets.add(key)
        try:
            record = self._finish(text, query, path)
        except ScenaristError as error:
            message = self.secrets.redact_text(error.message)
            self.pending.ended(key, {"type": error.name, "message": message}, keep=PENDING_TIME)
            log.warning("authorization failed", type=error.name, reason=message)
            raise
        self.pending.ended(key, {"connection": record.id}, keep=PENDING_TIME)
        log.info("connection authorized", connection=record.id)
        return record

    def _finish(self, text: bytes, query: Mapping[str, str], path: str) -> ConnectionRecord:
        pending, more = Pending.from_bytes(text)
        if unquote(path) != unquote(urlsplit(pending.redirect_uri).path) and path not in GENERAL_PATHS:
            # A code of one provider must not reach the token address of another (RFC 9700, 4.4).
            raise InvalidAccessTokenError("The callback came in at the address of another connection.")
        app, spec = self._spec(self.load(more["app"], more["hash"]), more["component"])
        stored = self.vault.get(more["connection"]) if more["connection"] else None
        finish = connection_type(spec).finish
        if finish is None:
            raise InvalidConfigurationError(f"{spec.title}: it has no redirect")
        job = resumed(self._job(app, spec, pending.parameters, stored=stored), pending)
        grant = self._perform(finish(job, pending, dict(query)), job)
        return self._store(app, spec, more["name"], stored, grant)

    def wait(self, state: str) -> ConnectionRecord:
        """
        Wait until another process has got the callback.

        Raises:
            ModuleError: It ended with an error; in its words.
            UsageError: It has not come in time.
        """
        while True:
            result = self.pending.result(state)
            if result is not None:
                if "connection" in result:
                    return self.vault.get(result["connection"])
                raise InvalidAccessTokenError(result["message"])
            if not self.pending.waits(state) and self.pending.result(state) is None:
                deadline = time.monotonic() + 60
                # The callback is here, and the exchange with the service goes on.
                while time.monotonic() < deadline and self.pending.result(state) is None:
                    time.sleep(_LOOK_SECONDS)
                if self.pending.result(state) is None:
                    raise UsageError("Nobody has finished the authorization in time. Begin again.")
            time.sleep(_LOOK_SECONDS)

    # -- stored ones ---------------------------------------------------------------------------------------------------

    def verify(self, app: App, record: ConnectionRecord) -> ConnectionRecord:
        """
        Ask the service whether a connection works, renewing it before where that is due, and store what it says.

        Raises:
            ModuleError: It does not.
        """
        app, spec = self._spec(app, record.component)
        record = self.renewals.before_use(app, record, self.secrets)
        job = self._job(app, spec, {}, stored=record)
        try:
            grant = self._perform(connection_type(spec).verify(job), job)
        except ModuleError as error:
            self.renewals.usages.failed(record.id, self.secrets.redact_text(error.message))
            if error.status_code in (401, 403):
                self.vault.update(replace(record, state=ConnectionState.INVALID))
            raise
        return self.renewals.replace(record, grant)

    def renew(self, app: App, record: ConnectionRecord) -> ConnectionRecord:
        """
        Renew a connection now.

        Raises:
            UsageError: Its type is not renewed.
            ModuleError: The service refused, or could not be reached.
        """
        app, spec = self._spec(app, record.component)
        if connection_type(spec).renew is None:
            raise UsageError(f'The connection "{record.name}" is of a type that is not renewed: reauthorize it.')
        return self.renewals.after_refusal(app, record, self.secrets)

    def edited(self, app: App, record: ConnectionRecord, changes: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """
        The inputs with these changes, and whether the whole flow has to be gone through again.

        Raises:
            UsageError: An input may not be changed later (spec/connections.md 9).
        """
        spec = self._spec(app, record.component)[1]
        fields = {item.name: item for item in parse_fields(spec.params.value) if isinstance(item, Field)}
        changed: dict[str, Any] = {}
        for name, value in changes.items():
            item = fields.get(name)
            if item is not None and item.type in ("password", "pkey", "cert") and is_empty(value):
                continue  # an empty secret keeps the old one
            if record.parameters.get(name) == value:
                continue
            if item is None or not _editable(item):
                editable = ", ".join(key for key, each in fields.items() if _editable(each)) or "none"
                raise UsageError(
                    f'The input "{name}" of this connection cannot be changed; make a new connection. '
                    f"Inputs that can be changed: {editable}."
                )
            changed[name] = value
        return {**record.parameters, **changed}, self._concerns_flow(app, spec, record, changed)

    def _concerns_flow(self, app: App, spec: ConnectionSpec, record: ConnectionRecord, changed: dict[str, Any]) -> bool:
        if kind_of(spec) != "oauth2":
            return bool(changed)
        job = self._job(app, spec, {}, stored=record)
        for name in ("preauthorize", "authorize", "token"):
            plan = phase_plan(job, name)
            used = sent_members(plan, _ROOTS) if plan is not None else frozenset[str]()
            if changed and (used is None or used & changed.keys()):
                return True
        return False

    def apply_inputs(self, app: App, record: ConnectionRecord, parameters: Mapping[str, Any]) -> ConnectionRecord:
        """
        Store changed inputs of a connection whose flow they do not concern, after the service has accepted them.

        Raises:
            ModuleError: It has not; the old inputs stay.
        """
        app, spec = self._spec(app, record.component)
        changed = {key: value for key, value in parameters.items() if record.parameters.get(key) != value}
        trial = replace(record, parameters=dict(parameters), data={**record.data, **changed})
        job = self._job(app, spec, parameters, stored=trial)
        grant = self._perform(connection_type(spec).verify(job), job)
        return self.renewals.replace(record, grant)

    def invalidate(self, app: App, record: ConnectionRecord) -> str | None:
        """Give a grant back to the service as well as that goes; gives the reason why it could not be done."""
        try:
            app, spec = self._spec(app, record.component)
            if connection_type(spec).invalidate is None or "invalidate" not in phases_of(spec):
                return None
            job = self._job(app, spec, {}, stored=record)
            steps = _invalidation(connection_type(spec), job)
            self._perform(steps, job)
        except ScenaristError as error:
            reason = self.secrets.redact_text(error.message)
            log.warning("connection not invalidated", connection=record.id, reason=reason)
            return reason
        return None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _spec(self, app: App, component: str) -> tuple[App, ConnectionSpec]:
        app = with_common(app, self.renewals.common(app.name))
        spec = app.connection(component)
        if spec is None:
            known = ", ".join(app.connections) or "none"
            raise UsageError(f'The app "{app.name}" has no connection "{component}". Known: {known}.')
        return app, spec

    def _job(
        self, app: App, spec: ConnectionSpec, parameters: Mapping[str, Any], *, stored: ConnectionRecord | None
    ) -> ConnectionJob:
        limits = limits_of(self.settings)
        return ConnectionJob(
            app,
            spec,
            local.connection_environment(app, self.settings.timezone, limits),
            parameters,
            stored,
            self.renewals.common(app.name),
            scope=stored.scope if stored is not None else (),
            limits=limits,
        )

    def _perform(self, steps: Any, job: ConnectionJob) -> Any:
        return local.perform(steps, job, send=self.renewals.send, secrets=self.secrets)

    def _store(
        self, app: App, spec: ConnectionSpec, name: str, stored: ConnectionRecord | None, grant: Grant
    ) -> ConnectionRecord:
        self.secrets.add_all(secret_texts(app, spec, grant.data))
        if stored is None:
            return self.vault.create(app=app.name, component=spec.id, type=spec.type, name=name, grant=grant)
        if stored.uid is not None and grant.uid is not None and stored.uid != grant.uid:
            raise InvalidAccessTokenError(
                f'The connection "{stored.name}" belongs to another account of the service than the one that has just '
                "been authorized. Sign in there with the account that it was made with, or make a new connection."
            )
        return self.renewals.replace(stored, grant)


#: Callback addresses of hosted products; the state alone tells where they belong.
GENERAL_PATHS = frozenset({f"{CALLBACK}/app", f"{CALLBACK}/app-oauth1"})


def absent_common(job: ConnectionJob) -> str:
    """What to do about members of the common data that this connection sends and nobody has given; empty: nothing."""
    given = {name for name, value in job.common_values().items() if not is_empty(value)}
    names = [name for name in phases_of(job.spec) if name != "oauth"]
    phases = [plan for name in names if (plan := phase_plan(job, name)) is not None]
    sent = {member for plan in phases for member in sent_members(plan, {"common": None}) or ()}
    missing = ", ".join(f"common.{name}" for name in sorted(sent - given))
    return f"The app reads {missing}, not given here yet: scenarist app common {job.app.name}" if missing else ""


def _invalidation(kind: ConnectionType, job: ConnectionJob) -> Any:
    assert kind.invalidate is not None  # noqa: S101  for the type checker; the caller has looked
    return kind.invalidate(job)


def _editable(item: Field) -> bool:
    return item.raw.get("editable") is True


def _usable(loaded: LoadedApp) -> App:
    from workers.library import usable

    return usable(loaded)
