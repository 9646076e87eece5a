"""Which scopes an OAuth 2 connection asks for, and which a module lacks (spec/connections.md 7.5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connections.record import ConnectionRecord
from connections.values import scope_of
from runtime.app.specs import App, ConnectionSpec, ModuleSpec


def default_scopes(spec: ConnectionSpec) -> tuple[str, ...]:
    """What is always asked for."""
    return scope_of(spec.default_scope.value)


def component_scopes(app: App, spec: ConnectionSpec, modules: Sequence[str] | None = None) -> tuple[str, ...]:
    """
    The scopes that the app's modules and webhooks need that may use this connection; with `modules`, those of these
    modules and of their webhooks only.
    """
    found: list[str] = []
    hooks: set[str] = set()
    for module in app.modules.values():
        if modules is None or module.id in modules:
            if spec.id in (module.connection, module.alt_connection):
                found += module_scopes(module)
            if module.webhook:
                hooks.add(module.webhook)
    for hook in app.webhooks.values():
        if (modules is None or hook.id in hooks) and spec.id in (hook.connection, hook.alt_connection):
            found += scope_of(hook.required_scope.value)
    return union(found)


def module_scopes(module: ModuleSpec) -> tuple[str, ...]:
    """The scopes that a module needs."""
    return scope_of(module.scope.value)


def asked_scopes(
    app: App,
    spec: ConnectionSpec,
    *,
    modules: Sequence[str] | None = None,
    more: Iterable[str] = (),
    stored: ConnectionRecord | None = None,
) -> tuple[str, ...]:
    """The union of default, needed, chosen and already granted scopes; order kept, duplicates removed."""
    granted = stored.scope if stored is not None else ()
    return union([*default_scopes(spec), *component_scopes(app, spec, modules), *more, *granted])


def known_scopes(spec: ConnectionSpec) -> dict[str, Any]:
    """The catalogue for the user: scope -> description."""
    value = spec.scope_list.value
    return value if isinstance(value, dict) else {}


def missing_scopes(module: ModuleSpec, record: ConnectionRecord) -> tuple[str, ...]:
    """What a module needs and the connection was not granted."""
    return tuple(scope for scope in module_scopes(module) if scope not in record.scope)


def union(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes in order, each once."""
    return tuple(dict.fromkeys(scopes))
