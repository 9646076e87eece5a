"""What the `connection` commands do: make, show, test, renew, change and remove connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connections.record import ConnectionRecord
from runtime.errors import UsageError
from workers.commands.context import Context
from workers.views import ConnectionView

if TYPE_CHECKING:
    from runtime.app.loader import LoadedApp
    from runtime.app.specs import App, ConnectionSpec
    from workers.authorizing import Authorizing, Waiting
    from workers.runner import SegmentRunner


@dataclass(frozen=True, slots=True)
class ConnectionCommands:
    """The commands."""

    context: Context

    @property
    def runner(self) -> SegmentRunner:
        """The ledger and what works on it."""
        return self.context.runner

    @property
    def authorizing(self) -> Authorizing:
        """The flows."""
        # With all that builds and sends requests; what only looks at connections does without.
        from workers.authorizing import authorizing_of

        return authorizing_of(self.runner, self.context.secrets)

    def component(self, app: str, component: str) -> tuple[App, ConnectionSpec]:
        """
        An app and its connection component.

        Raises:
            UsageError: There is none of this name; lists the known ones.
        """
        found = self._usable(app)
        spec = found.connection(component)
        if spec is None:
            known = ", ".join(found.connections) or "none"
            raise UsageError(f'The app "{found.name}" has no connection "{component}". Known: {known}.')
        return found, spec

    def redirect_uri(self, app: str, component: str) -> str | None:
        """The callback's address behind the public address of this installation; None without one."""
        from workers.authorizing import callback_path

        found, spec = self.component(app, component)
        public = self.runner.settings.public_url
        return None if public is None else public + callback_path(found.name, spec.id)

    def begin(
        self,
        app: str,
        component: str,
        *,
        name: str,
        parameters: Mapping[str, Any],
        redirect_uri: str = "",
        stored: str | None = None,
        modules: Sequence[str] | None = None,
        scopes: Sequence[str] = (),
    ) -> ConnectionView | Waiting:
        """
        Authorize up to the redirect; a connection that needs none is stored at once.

        Raises:
            UsageError: A name is wrong or taken, or a scope is not one of the app's.
            ModuleError: The service refused; nothing is stored.
        """
        from connections.scopes import known_scopes
        from workers.authorizing import Wish

        found, spec = self.component(app, component)
        for module in modules or ():
            if found.module(module) is None:
                raise UsageError(f'The app "{found.name}" has no module "{module}". Known: {", ".join(found.modules)}.')
        catalogue = known_scopes(spec)
        for scope in scopes:
            if catalogue and scope not in catalogue:
                raise UsageError(f'The app "{found.name}" knows no scope "{scope}". Known: {", ".join(catalogue)}.')
        record = self.runner.vault.get(stored) if stored is not None else None
        wish = Wish(self._load(app), spec.id, name, parameters, record, modules, scopes)
        begun = self.authorizing.begin(wish, redirect_uri)
        return self._view(begun) if isinstance(begun, ConnectionRecord) else begun

    def add(self, app: str, component: str, *, name: str, parameters: Mapping[str, Any]) -> ConnectionView:
        """
        Authorize a connection that needs no browser, and store it encrypted.

        Raises:
            ModuleError: The service refused; nothing is stored.
            UsageError: It is authorized in a browser.
        """
        begun = self.begin(app, component, name=name, parameters=parameters)
        if not isinstance(begun, ConnectionView):
            raise UsageError(f'The connection "{component}" is authorized in a browser: scenarist connection add.')
        return begun

    def finish(self, query: Mapping[str, str], path: str) -> ConnectionView:
        """
        Go on with a callback.

        Raises:
            UsageError: The state is unknown, used up or too old.
            ModuleError: The provider or the service refused; nothing is stored.
        """
        return self._view(self.authorizing.finish(query, path))

    def wait(self, waiting: Waiting) -> ConnectionView:
        """Wait until the gateway has finished a flow. Raises as `finish`."""
        return self._view(self.authorizing.wait(waiting.state))

    def list(self) -> list[ConnectionView]:
        """All connections by name, without anything secret."""
        return [self._view(record) for record in self.runner.vault.list()]

    def show(self, name: str) -> ConnectionView:
        """A connection by name or id, without anything secret."""
        return self._view(self.runner.vault.find(name))

    def test(self, name: str) -> ConnectionView:
        """
        Ask the service whether a connection works, and store what it says.

        Raises:
            ModuleError: It does not; the connection is then stored as invalid.
        """
        record = self.runner.vault.find(name)
        return self._view(self.authorizing.verify(self._app(record), record))

    def renew(self, name: str) -> ConnectionView:
        """
        Renew a connection now.

        Raises:
            UsageError: Its type is not renewed.
            ModuleError: The service refused, or could not be reached.
        """
        record = self.runner.vault.find(name)
        return self._view(self.authorizing.renew(self._app(record), record))

    def rename(self, name: str, new: str) -> ConnectionView:
        """Give a connection another name. Raises UsageError when it is taken."""
        return self._view(self.runner.vault.rename(self.runner.vault.find(name).id, new))

    def inputs_for_edit(self, name: str, changes: Mapping[str, Any]) -> tuple[ConnectionRecord, dict[str, Any], bool]:
        """
        The record, its inputs with these changes, and whether the flow has to be gone through again.

        Raises:
            UsageError: An input may not be changed later.
        """
        record = self.runner.vault.find(name)
        parameters, again = self.authorizing.edited(self._app(record), record, changes)
        return record, parameters, again

    def apply_inputs(self, record: ConnectionRecord, parameters: Mapping[str, Any]) -> ConnectionView:
        """Store changed inputs after the service has accepted them. Raises ModuleError when it has not."""
        return self._view(self.authorizing.apply_inputs(self._app(record), record, parameters))

    def remove(self, name: str, *, force: bool = False) -> str | None:
        """
        Give a connection back to the service and forget it; gives the reason when the service has not taken it back.

        Raises:
            UsageError: A scenario is bound to it and `force` is not given.
        """
        record = self.runner.vault.find(name)
        users = self._users(record.id)
        if users and not force:
            raise UsageError(
                f'The connection "{record.name}" is used by: {", ".join(users)}. Give these scenarios another one '
                "first, or use --force."
            )
        reason = None
        try:
            app = self._app(record)
        except UsageError:
            pass  # without its app nobody knows how to give it back
        else:
            reason = self.authorizing.invalidate(app, record)
        self.runner.vault.remove(record.id)
        return reason

    def app_of(self, name: str) -> tuple[str, str, ConnectionRecord]:
        """App, component and record of a connection."""
        record = self.runner.vault.find(name)
        return record.app, record.component, record

    def _app(self, record: ConnectionRecord) -> App:
        return self._usable(record.app)

    def _usable(self, app: str) -> App:
        from workers.library import usable

        return usable(self._load(app))

    def _load(self, app: str) -> LoadedApp:
        from workers.commands.apps import AppCommands

        return AppCommands(self.context).load(app)

    def _users(self, connection: str) -> list[str]:
        scenarios = [state.name for state in self.runner.scenarios.list() if connection in state.connections.values()]
        hooks = [f"webhook {hook.name}" for hook in self.runner.hooks.list() if hook.connection == connection]
        return scenarios + hooks

    def _view(self, record: ConnectionRecord) -> ConnectionView:
        return ConnectionView(record, self.runner.usages.get(record.id), tuple(self._users(record.id)))
