"""
The life of webhooks: made and attached, changed, detached and removed (spec/modules.md 5.2).

Attaching is tied to making a webhook; with the option `follow` it is tied to the scenario being active instead. The
address is live before the attach request goes out, since services call it back to see whether it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from connections.phases import kind_of
from connections.record import USABLE, ConnectionRecord
from connections.scopes import scope_of
from connections.values import secret_texts
from modules.webhook import HookDetachedError, HookJob, attach, attachable, detach, has_requests, update
from runtime.app.specs import App, WebhookSpec
from runtime.effects import Steps, drive
from runtime.errors import InvalidConfigurationError, ModuleError, ScenaristError, UsageError
from runtime.logs import get_logger
from runtime.parameters import parse_fields, resolve, secret_values
from runtime.sanitize import Secrets
from runtime.sanitize.names import stored_secret
from workers.connecting import with_common
from workers.hook_binding import bound_hook
from workers.ledger.hooks import HookRecord
from workers.local import LocalPart, environment
from workers.performer import Performer
from workers.policy import limits_of
from workers.runner import SegmentRunner

Result = TypeVar("Result")

log = get_logger(__name__)


@dataclass(slots=True)
class Hooking:
    """Makes, changes and removes webhooks of this installation. `warnings` are for whoever asked, redacted."""

    runner: SegmentRunner
    secrets: Secrets
    warnings: list[str] = field(default_factory=list[str])

    def component(self, app: str, name: str) -> tuple[App, WebhookSpec]:
        """
        A registered app with its webhook.

        Raises:
            UsageError: There is no such app or webhook; lists the known ones.
        """
        library = self.runner.library
        found = library.app(app, library.registry.get(app).content)
        spec = found.webhook(name)
        if spec is None:
            known = ", ".join(found.webhooks) or "none"
            raise UsageError(f'The app "{found.name}" has no webhook "{name}". Known: {known}.')
        spec.require_usable()
        return found, spec

    def connection(self, app: App, spec: WebhookSpec, name: str | None) -> ConnectionRecord | None:
        """
        The connection that a webhook is to use.

        Raises:
            UsageError: It needs one and got none, or one that does not fit.
        """
        accepted = [component for component in (spec.connection, spec.alt_connection) if component]
        if not accepted:
            if name is not None:
                raise UsageError(f"The {spec.title} uses no connection.")
            return None
        if name is None:
            raise UsageError(f"The {spec.title} needs a connection ({' or '.join(accepted)}): --connection NAME.")
        record = self.runner.vault.find(name, app=app.name)
        if record.app != app.name or record.component not in accepted:
            raise UsageError(
                f'The connection "{record.name}" ({record.app}, {record.component}) is none of those that the '
                f"{spec.title} accepts: {', '.join(accepted)}."
            )
        if spec.type == "web-shared" and not record.uid:
            raise UsageError(
                f'The connection "{record.name}" has no uid, by which events of the shared {spec.title} find it; '
                "authorize it again."
            )
        component = app.connection(record.component)
        if component is not None and kind_of(component) == "oauth2":
            missing = [scope for scope in scope_of(spec.required_scope.value) if scope not in record.scope]
            if missing:
                raise UsageError(
                    f'The connection "{record.name}" lacks permissions that the {spec.title} needs: '
                    f"{', '.join(missing)}. Extend them: scenarist connection reauthorize {record.name}"
                )
        return record

    def parameters(self, spec: WebhookSpec, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a webhook's form. Raises BundleValidationError when one does not fit."""
        fields = parse_fields(spec.params.value, where=spec.title)
        zone = self.runner.settings.timezone
        found = resolve(fields, given, timezone=zone, mode="form")
        self._warn(found.warnings)
        return found.values

    def create(
        self,
        app: App,
        spec: WebhookSpec,
        *,
        name: str,
        connection: ConnectionRecord | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> HookRecord:
        """
        Make a webhook of an app and attach it; when that fails nothing is left behind.

        Raises:
            BundleValidationError: A parameter does not fit.
            ModuleError: The service refused.
        """
        record = HookRecord(
            "",
            spec.type,
            name,
            app.name,
            spec.id,
            connection.id if connection is not None else "",
            (connection.uid or "") if connection is not None and spec.type == "web-shared" else "",
            self.parameters(spec, parameters or {}),
            state="detached" if attachable(spec) else "manual",
            options=dict(options or {}),
        )
        stored = self.runner.hooks.add(record)
        if stored.state == "manual" or stored.options.get("follow"):
            return stored
        try:
            return self._attach(app, spec, stored)
        except BaseException:
            self.runner.hooks.remove(stored.id)
            raise

    def attach(self, record: HookRecord) -> HookRecord:
        """
        Tell the service of a webhook that is detached.

        Raises:
            UsageError: It is attached, or is not attached by requests at all.
            ModuleError: The service refused; the webhook stays detached.
        """
        if record.state != "detached":
            raise UsageError(f'The webhook "{record.name}" is {_WORDS[record.state]}.')
        app, spec = self.component(record.app, record.component)
        return self._attach(app, spec, record)

    def detach(self, record: HookRecord) -> HookRecord:
        """
        Take a webhook away from the service and keep it here; its address stays the same.

        Raises:
            UsageError: It is not attached.
            ModuleError: The service refused; the webhook stays attached.
        """
        if record.state != "attached":
            raise UsageError(f'The webhook "{record.name}" is {_WORDS[record.state]}.')
        app, spec = self.component(record.app, record.component)
        self._perform(app, spec, record, detach)
        return self.runner.hooks.change(replace(record, state="detached", data={}))

    def follow(self, scenario: str, *, active: bool) -> None:
        """
        A scenario was switched on or off by hand: its webhook is attached or detached with it if it has the option
        `follow`.

        Raises:
            ModuleError: On switching on, when the service refused. On switching off that is a warning.
        """
        record = bound_hook(self.runner.hooks, scenario)
        if record is None or not record.options.get("follow"):
            return
        if active and record.state == "detached":
            self.attach(record)
        elif not active and record.state == "attached":
            try:
                self.detach(record)
            except ScenaristError as error:
                self._warn([f'The webhook "{record.name}" was not detached: {error.message}'])

    def edit(self, record: HookRecord, changes: Mapping[str, Any]) -> HookRecord:
        """
        Change parameters of an app's webhook, and tell the service.

        Raises:
            BundleValidationError: A parameter does not fit.
            HookDetachedError: The webhook is detached now, with its new parameters.
            ModuleError: The service refused; the webhook is as it was.
        """
        app, spec = self.component(record.app, record.component)
        parameters = self.parameters(spec, {**record.parameters, **changes})
        fresh = replace(record, parameters=parameters)
        if record.state != "attached" or parameters == record.parameters:
            return self.runner.hooks.change(fresh)
        try:
            data = self._perform(app, spec, fresh, lambda job: update(job, record.parameters))
        except HookDetachedError:
            self.runner.hooks.change(replace(fresh, state="detached", data={}))
            raise
        return self.runner.hooks.change(replace(fresh, data=data))

    def remove(self, record: HookRecord, *, strict: bool = False) -> None:
        """
        Detach a webhook and forget it, with its events. When the service refuses it is forgotten anyway, with a
        warning; `strict` keeps it then.

        Raises:
            ModuleError: With `strict`, when the service refused.
        """
        if record.kind != "custom" and record.state == "attached":
            try:
                app, spec = self.component(record.app, record.component)
                self._perform(app, spec, record, detach)
            except ScenaristError as error:
                if strict:
                    raise
                self._warn([f'The webhook "{record.name}" was not detached at the service: {error.message}'])
        self.runner.hooks.remove(record.id)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _attach(self, app: App, spec: WebhookSpec, record: HookRecord) -> HookRecord:
        if self.runner.settings.public_url is None:
            url = self.runner.settings.hook_url("")
            self._warn(
                [
                    f"SCENARIST_PUBLIC_URL is not set: the service is told an address at {url}, which only this "
                    "machine can reach."
                ]
            )
        data = self._perform(app, spec, record, attach)
        attached = replace(record, data=data, state="attached")
        try:
            return self.runner.hooks.change(attached)
        except ScenaristError:
            # Changed or removed meanwhile: the service must not go on sending.
            if has_requests(spec.detach):
                try:
                    self._perform(app, spec, attached, detach)
                except ScenaristError as error:
                    self._warn([f'The webhook "{record.name}" was not detached at the service: {error.message}'])
            raise

    def _perform(self, app: App, spec: WebhookSpec, record: HookRecord, steps: Any) -> Any:
        """Run `attach`, `detach` or `update` for a webhook, its secrets known to the redactor."""
        with self.secrets.scope() as secrets:
            job = self._job(app, spec, record, secrets)
            made: Steps[Any] = steps(job)
            performer = Performer(
                LocalPart(renewer=self._renewer(app, record, secrets)),
                self.runner.http.send,
                secrets,
                threading.Event(),
                None,
            )
            try:
                return drive(made, performer)
            except ModuleError as error:
                # The redactor forgets these secrets with this call, and the message goes on.
                error.message = secrets.redact_text(error.message)
                error.args = (error.message,)
                raise
            finally:
                self._warn([warning["message"] for warning in performer.warnings])

    def _job(self, app: App, spec: WebhookSpec, record: HookRecord, secrets: Secrets) -> HookJob:
        app = with_common(app, self.runner.common.get(app.name))
        secrets.add_all([record.token, dict(app.common_values)])
        secrets.add_all(secret_values(parse_fields(spec.params.value), record.parameters))
        secrets.add_all(value for name, value in record.data.items() if stored_secret(name))
        connection = self._connection(app, spec, record, secrets)
        renewals = self.runner.renewals
        return HookJob(
            app,
            spec,
            record.id,
            self.runner.settings.hook_url(record.token),
            record.parameters,
            environment(self.runner.settings.timezone),
            record.data,
            None if connection is None else connection.data,
            0 if connection is None else connection.version,
            connection is not None and renewals.renewable(app, connection),
            limits_of(self.runner.settings),
            renewals.signing(app, connection),
        )

    def _connection(self, app: App, spec: WebhookSpec, record: HookRecord, secrets: Secrets) -> ConnectionRecord | None:
        if not record.connection:
            return None
        try:
            stored = self.runner.vault.get(record.connection)
        except UsageError:
            raise InvalidConfigurationError(f"The connection of the {spec.title} is not here any more.") from None
        if stored.state not in USABLE:
            raise InvalidConfigurationError(
                f'The connection "{stored.name}" cannot be used; authorize it again: '
                f"scenarist connection reauthorize {stored.name}"
            )
        component = app.connection(stored.component)
        if component is not None:
            secrets.add_all(secret_texts(app, component, stored))
        fresh = self.runner.renewals.before_use(app, stored, secrets)
        if component is not None and fresh is not stored:
            secrets.add_all(secret_texts(app, component, fresh))
        return fresh

    def _renewer(self, app: App, record: HookRecord, secrets: Secrets) -> Any:
        if not record.connection:
            return None

        def renew() -> dict[str, Any]:
            stored = self.runner.vault.get(record.connection)
            return self.runner.renewals.after_refusal(app, stored, secrets).data

        return renew

    def _warn(self, messages: list[str]) -> None:
        for message in messages:
            text = self.secrets.redact_text(message)
            self.warnings.append(text)
            log.warning("webhook", reason=text)


_WORDS = {
    "attached": "attached already",
    "detached": "detached",
    "manual": "not attached by its app: the service is given its address by hand",
}
