"""What the `app` commands do: register, show and remove apps, and keep the operator's data of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.builtin.connections import APPS
from runtime.app.checker import check_app
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App
from runtime.errors import UsageError
from workers import imports
from workers.commands.context import Context
from workers.connecting import with_common
from workers.ledger.apps import AppState
from workers.ledger.authorizations import checked_common
from workers.library import usable
from workers.views import AppAdded, AppRow


@dataclass(frozen=True, slots=True)
class AppCommands:
    """The commands."""

    context: Context

    def add(self, folder: Path) -> AppAdded:
        """Check and register an app folder's current state."""
        loaded = load_app(folder)
        findings = tuple(check_app(loaded))
        if loaded.app is None or any(finding.severity == "error" for finding in findings):
            return AppAdded(None, changed=False, findings=findings)
        app, registry = loaded.app, self.context.runner.apps
        changed = registry.add(app.name, loaded.files, content=app.hash, label=app.label, version=app.version)
        return AppAdded(_app_row(registry.get(app.name)), changed, findings)

    def list(self) -> list[AppRow]:
        """All registered apps by name."""
        return [_app_row(state) for state in self.context.runner.apps.list()]

    def show(self, name: str) -> tuple[AppRow, list[tuple[str, int]]]:
        """An app and its history: (hash, instant in UTC milliseconds), newest first."""
        state = self.context.runner.apps.get(name)
        return _app_row(state), list(state.history)

    def remove(self, name: str) -> None:
        """Forget an app. Raises UsageError while a scenario or a webhook uses it."""
        runner = self.context.runner
        runner.apps.get(name)
        users = [
            state.name
            for state in runner.scenarios.list()
            if name in imports.apps_named(runner.library, state.blueprint)
        ]
        if users:
            raise UsageError(f'The app "{name}" is used by: {", ".join(users)}. Remove these scenarios first.')
        hooks = [hook.name for hook in runner.hooks.list() if hook.kind != "custom" and hook.app == name]
        if hooks:
            raise UsageError(f'The app "{name}" has webhooks: {", ".join(hooks)}. Remove them first.')
        runner.apps.remove(name)

    def load(self, app: str) -> LoadedApp:
        """An app by folder (a path that exists), registered name, or name of a built-in app with connections."""
        if app in APPS:
            return load_app(MemorySource(APPS[app], label=app))
        path = Path(app)
        if path.exists():
            return load_app(path)
        if self.context.opened is None:
            raise UsageError(f'There is no folder "{app}".')
        registry = self.context.opened.apps
        return load_app(MemorySource(registry.files(registry.get(app).content), label=app))

    def common(self, app: str) -> dict[str, Any]:
        """The operator's common data of an app; they may be shown to nobody."""
        return self.context.runner.common.get(usable(self.load(app)).name)

    def set_common(self, app: str, values: Mapping[str, Any]) -> str:
        """Replace the operator's common data of an app, encrypted; gives the app's name."""
        name = usable(self.load(app)).name
        self.context.runner.common.put(name, checked_common(dict(values)))
        return name

    def with_common(self, app: App) -> App:
        """The app with the operator's common data over its own, where there is a ledger."""
        if self.context.opened is None:
            return app
        values = self.context.opened.common.get(app.name)
        self.context.secrets.add_all([dict(values)])
        return with_common(app, values)


def _app_row(state: AppState) -> AppRow:
    return AppRow(state.name, state.version, state.label, state.content, state.history[0][1])
