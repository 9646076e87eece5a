"""
What a blueprint needs to run here, module by module: nothing more, an app, a connection, or something unknown.

Also of a file that is refused, so that a person sees at once what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runtime.scenario.bindings import bindings
from runtime.scenario.catalog import Catalog, UnknownApp, UnknownModule, UnknownVersion
from runtime.scenario.reader import Reader
from runtime.scenario.unwrap import unwrap


class Support(StrEnum):
    """How well a module is known here."""

    SUPPORTED = "supported"  #: runs as it is
    CONNECTION = "needs a connection"  #: runs once its connection is bound
    APP = "needs an app"  #: its app is not registered here
    UNKNOWN = "unknown"  #: its app is here, but has no such module or version


@dataclass(frozen=True, slots=True)
class ModuleSupport:
    """One module of a file: its id and name, how well it is known, and what it needs (app, connections, versions)."""

    module: int
    name: str
    support: Support
    needs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {"module": self.module, "name": self.name, "support": str(self.support), "needs": list(self.needs)}


def support(raw: bytes | str, catalog: Catalog) -> list[ModuleSupport]:
    """Every module of a file in its order; empty when no module can be read."""
    unwrapped = unwrap(raw)
    if unwrapped.blueprint is None:
        return []
    blueprint = Reader().read(unwrapped.blueprint, unwrapped.scheduling)
    bound = {binding.module: str(binding.foreign_id) for binding in bindings(blueprint)}
    rows: list[ModuleSupport] = []
    for module in blueprint.modules():
        try:
            info = catalog.lookup(module.name, module.version)
        except UnknownApp as unknown:
            rows.append(ModuleSupport(module.id, module.name, Support.APP, (unknown.app,)))
        except UnknownVersion as unknown:
            known = tuple(f"version {version}" for version in unknown.known)
            rows.append(ModuleSupport(module.id, module.name, Support.UNKNOWN, known))
        except UnknownModule as unknown:
            rows.append(ModuleSupport(module.id, module.name, Support.UNKNOWN, unknown.near))
        else:
            kind = Support.CONNECTION if info.connections else Support.SUPPORTED
            needs = (bound[module.id], *info.connections) if module.id in bound else info.connections
            rows.append(ModuleSupport(module.id, module.name, kind, needs if info.connections else ()))
    return rows
