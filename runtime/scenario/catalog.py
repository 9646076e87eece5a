"""
What the importer and the engine know about a module: its role and its fields, looked up by name.

A catalog is a plain table. `TableCatalog` holds built-ins and custom apps alike, `JoinedCatalog` asks several in turn.
Sources: spec/scenarios.md 1.4, 1.7 (E-UNKNOWN-APP, E-UNKNOWN-MODULE, E-VERSION-APP), 4.1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Role(StrEnum):
    """What the engine does with a module."""

    POLLING = "polling"  #: polling trigger: start module only, keeps a position
    INSTANT = "instant"  #: instant trigger: start module only, fed by a hook
    BASIC_TRIGGER = "basic_trigger"  #: `util:BasicTrigger`: start module only, no position
    ACTION = "action"  #: one input bundle in, bundles out; also searches and iterators
    RESPONDER = "responder"  #: answers a webhook; passes an empty bundle on
    RETURNER = "returner"  #: sets the run's outputs; gives no bundle
    AGGREGATOR = "aggregator"  #: collects over one operation of its feeder
    ROUTER = "router"
    IF_ELSE = "if_else"
    MERGE = "merge"
    PLACEHOLDER = "placeholder"  #: passes the bundle on, no operation
    RESUME = "resume"
    IGNORE = "ignore"
    BREAK = "break"
    COMMIT = "commit"
    ROLLBACK = "rollback"


TRIGGERS = frozenset({Role.POLLING, Role.INSTANT, Role.BASIC_TRIGGER})
DIRECTIVES = frozenset({Role.RESUME, Role.IGNORE, Role.BREAK, Role.COMMIT, Role.ROLLBACK})
#: Roles that cannot be a start module (E-START).
NEVER_FIRST = DIRECTIVES | {Role.AGGREGATOR, Role.MERGE, Role.RESPONDER, Role.RETURNER, Role.PLACEHOLDER}


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """
    One module type as a blueprint can name it.

    Args:
        name: `app:Module`, as the blueprint writes it.
        role: What the engine does with it.
        version: Major version of its app.
        multi_bundle: Its bundles get `__IMTINDEX__` and `__IMTLENGTH__` (spec/modules.md 1.10).
        static_fields, mappable_fields: Parsed parameter lists (`runtime.parameters`), for coercion.
        connections: Connection component ids that it accepts, main one first; empty when it needs none.
        app_hash: Content hash of the app; `""` for built-ins.
        evaluates_parameters: IML in `parameters` is evaluated, with an empty context (`util:BasicTrigger`).
        open_mapper: Keys of the mapper that no field declares are kept (aggregators, Resume, ReturnData).
        keychains: (field of `parameters`, connection component) of each connection that a built-in may name.
    """

    name: str
    role: Role = Role.ACTION
    version: int = 1
    multi_bundle: bool = False
    static_fields: tuple[Any, ...] = ()
    mappable_fields: tuple[Any, ...] = ()
    connections: tuple[str, ...] = ()
    app_hash: str = ""
    evaluates_parameters: bool = False
    open_mapper: bool = False
    keychains: tuple[tuple[str, str], ...] = ()


class UnknownApp(LookupError):  # noqa: N818  the name of the condition, spec/scenarios.md 1.7
    """No such app. `near` are known app names that look like it."""

    def __init__(self, app: str, near: Sequence[str] = ()) -> None:
        super().__init__(app)
        self.app = app
        self.near = tuple(near)


class UnknownModule(LookupError):  # noqa: N818  the name of the condition, spec/scenarios.md 1.7
    """The app is known, this module of it is not. `near` are full module names that look like it."""

    def __init__(self, module: str, near: Sequence[str] = ()) -> None:
        super().__init__(module)
        self.module = module
        self.near = tuple(near)


class UnknownVersion(LookupError):  # noqa: N818  the name of the condition, spec/scenarios.md 1.7
    """The module is known, but not in this version. `known` are the versions that exist."""

    def __init__(self, module: str, version: int, known: Sequence[int] = ()) -> None:
        super().__init__(module)
        self.module = module
        self.version = version
        self.known = tuple(known)


class Catalog(Protocol):
    """Looks modules up by the name that a blueprint uses."""

    def lookup(self, module: str, version: int | None) -> ModuleInfo:
        """
        The module with this name and major version; version None takes the newest.

        Raises:
            UnknownApp, UnknownModule, UnknownVersion: With the nearest names.
        """
        ...


def app_part(module: str) -> str:
    """The app's name in `app:Module` (`app#slug-suffix:Module` for custom apps, prefix included)."""
    return module.partition(":")[0]


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three known names that look like this one, best first; upper and lower case do not matter."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    return tuple(folded[match] for match in difflib.get_close_matches(name.casefold(), list(folded), 3, 0.6))


class TableCatalog:
    """A catalog over a table: module name -> version -> info."""

    def __init__(self, table: Mapping[str, Mapping[int, ModuleInfo]]) -> None:
        self._table = table
        self._apps = sorted({app_part(name) for name in table})

    def lookup(self, module: str, version: int | None) -> ModuleInfo:
        """See `Catalog.lookup`."""
        versions = self._table.get(module)
        if versions is None:
            app = app_part(module)
            if app not in self._apps:
                raise UnknownApp(app, nearest(app, self._apps))
            raise UnknownModule(module, nearest(module, [name for name in self._table if app_part(name) == app]))
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise UnknownVersion(module, version, sorted(versions))
        return versions[version]

    def names(self) -> list[str]:
        """All module names, sorted."""
        return sorted(self._table)


class JoinedCatalog:
    """Several catalogs asked in turn; the first that knows the app decides."""

    def __init__(self, *catalogs: Catalog) -> None:
        self._catalogs = catalogs

    def lookup(self, module: str, version: int | None) -> ModuleInfo:
        """See `Catalog.lookup`."""
        near: list[str] = []
        for catalog in self._catalogs:
            try:
                return catalog.lookup(module, version)
            except UnknownApp as unknown:
                near.extend(unknown.near)
        raise UnknownApp(app_part(module), near)
