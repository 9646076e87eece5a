"""
Compiled things, kept per process by content hash (design section 2.3): loaded apps and plans of blueprints.

A plan is made of a blueprint's bytes and the exact app states that a run was accepted with, so the same hashes always
give the same plan.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from modules.builtin import builtin_catalog
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App, ModuleSpec
from runtime.errors import DefinitionError
from runtime.parameters import parse_fields
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.catalog import (
    Catalog,
    JoinedCatalog,
    ModuleInfo,
    Role,
    UnknownApp,
    UnknownModule,
    UnknownVersion,
    app_part,
    nearest,
)
from runtime.scenario.importer import Imported, import_blueprint
from runtime.scenario.plan import Plan, compile_plan
from workers.ledger.apps import Apps
from workers.ledger.scenarios import Scenarios

#: Apps and plans kept per process; the longest unused one leaves first.
KEPT_APPS, KEPT_PLANS = 64, 256
#: What a blueprint may write before the name of a custom app.
CUSTOM_PREFIX = "app#"

_ROLES = {
    "action": Role.ACTION,
    "search": Role.ACTION,
    "universal": Role.ACTION,
    "trigger": Role.POLLING,
    "instant_trigger": Role.INSTANT,
    "responder": Role.RESPONDER,
}

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class _Cache(Generic[Key, Kept]):
    """A bounded table for threads. Two threads may make the same thing at once; both results are equal."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Kept]) -> Kept:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return made


class AppCatalog:
    """The modules of custom apps, by the names that a blueprint uses."""

    def __init__(self, apps: Mapping[str, App]) -> None:
        self._apps = apps

    def app(self, name: str) -> App | None:
        """The app behind the app part of a module's name, with or without the prefix of custom apps."""
        return self._apps.get(name.removeprefix(CUSTOM_PREFIX))

    def lookup(self, module: str, version: int | None) -> ModuleInfo:
        """See `Catalog.lookup`."""
        name = app_part(module)
        app = self.app(name)
        if app is None:
            raise UnknownApp(name, nearest(name.removeprefix(CUSTOM_PREFIX), self._apps))
        local = module.partition(":")[2]
        spec = app.module(local)
        if spec is None:
            raise UnknownModule(module, tuple(f"{name}:{near}" for near in nearest(local, app.modules)))
        if version not in (None, app.version):
            raise UnknownVersion(module, version or 0, (app.version,))
        return _info(module, app, spec)


def _info(name: str, app: App, spec: ModuleSpec) -> ModuleInfo:
    return ModuleInfo(
        name,
        _ROLES.get(spec.type, Role.ACTION),
        app.version,
        spec.type == "search",
        parse_fields(spec.static_params.value, where=spec.title),
        parse_fields(spec.mappable_params.value, where=spec.title),
        tuple(component for component in (spec.connection, spec.alt_connection) if component),
        app.hash,
    )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan with the apps that it names."""

    plan: Plan
    blueprint: Blueprint
    apps: Mapping[str, App]

    def app(self, module: str) -> App:
        """The app of a custom module's name in this plan. Raises KeyError for a built-in."""
        return self.apps[app_part(module).removeprefix(CUSTOM_PREFIX)]


@dataclass(frozen=True, slots=True)
class Library:
    """Apps and plans of this process, from the ledger's content by hash."""

    registry: Apps
    scenarios: Scenarios
    _apps: _Cache[tuple[str, str], App] = field(default_factory=lambda: _Cache(KEPT_APPS))
    _plans: _Cache[Any, Compiled] = field(default_factory=lambda: _Cache(KEPT_PLANS))

    def app(self, name: str, content: str) -> App:
        """
        A state of a registered app by content hash. The name counts where no origin of the app names it.

        Raises:
            UsageError: It is not stored.
            DefinitionError: This release cannot use it.
        """

        def load() -> App:
            return usable(load_app(MemorySource(self.registry.files(content), label=name)))

        return self._apps.get((name, content), load)

    def current_apps(self) -> dict[str, App]:
        """The current states of all registered apps by name."""
        return {state.name: self.app(state.name, state.content) for state in self.registry.list()}

    def compiled(self, blueprint: str, apps: Mapping[str, str]) -> Compiled:
        """
        The plan of a blueprint with these app states (name -> content hash).

        Raises:
            UsageError: Something of it is not stored.
            DefinitionError: This release refuses the blueprint.
        """
        key = (blueprint, tuple(sorted(apps.items())))
        return self._plans.get(key, lambda: self._compile(blueprint, apps))

    def _compile(self, blueprint: str, apps: Mapping[str, str]) -> Compiled:
        loaded = {name: self.app(name, content) for name, content in apps.items()}
        catalog = catalog_of(loaded)
        imported = import_blueprint(self.scenarios.blueprint(blueprint), catalog)
        if imported.blueprint is None:
            raise DefinitionError("The stored blueprint is refused by this release.", imported.findings)
        return Compiled(compile_plan(imported.blueprint, catalog), imported.blueprint, loaded)


def catalog_of(apps: Mapping[str, App]) -> Catalog:
    """Built-ins and these apps."""
    return JoinedCatalog(builtin_catalog(), AppCatalog(apps))


def usable(loaded: LoadedApp) -> App:
    """
    The app of a loading that has one.

    Raises:
        DefinitionError: It has none; carries the findings.
    """
    if loaded.app is None:
        raise DefinitionError("The app cannot be loaded.", loaded.errors)
    return loaded.app


def used_apps(imported: Imported, apps: Mapping[str, App]) -> dict[str, str]:
    """Content hashes of the apps that an imported blueprint uses, by app name."""
    if imported.blueprint is None:
        return {}
    names = {app_part(module.name).removeprefix(CUSTOM_PREFIX) for module in imported.blueprint.modules()}
    return {name: apps[name].hash for name in sorted(names & apps.keys())}
