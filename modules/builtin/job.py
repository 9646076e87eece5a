"""
What a built-in module is (its table entry) and what it gets when it runs.

A built-in is a generator over effects like a custom app's module: it yields `Emit` with its bundles and returns.
Sources: spec/scenarios.md 4; spec/modules.md 1.10, 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final, TypeAlias

from runtime.effects import Emit, Steps
from runtime.errors import BundleValidationError
from runtime.iml import Environment
from runtime.parameters import parse_fields
from runtime.scenario.catalog import ModuleInfo, Role
from runtime.scenario.steps import Collected
from runtime.scenario.structures import Structure
from runtime.values import Bundle

#: Bundles handed over at once; memory holds one page (design section 10.2).
PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class BuiltinJob:
    """
    One operation of a built-in.

    Args:
        config: Static and mapped values, converted and checked, in one collection.
        environment: `now`, time zone.
        collected, read: For an aggregator's flush: what it collected, and how to read it.
        resume: For a parked operation: where to go on.
        expect, interface: Field snapshots of the blueprint, for modules with dynamic fields.
        mapped: The evaluated mapper as it is, FORCED_EMPTY and ERASE marks kept.
        credentials: Data of the module's connections by component (`basicauth`, `apikeyauth`).
        structure: The data structure that the module names, when it is known here.
    """

    config: dict[str, Any]
    environment: Environment
    collected: Collected | None = None
    read: Callable[[int, int], Bundle] | None = None
    resume: dict[str, Any] | None = None
    expect: Any = None
    interface: Any = None
    mapped: dict[str, Any] = attribute(default_factory=dict[str, Any])
    credentials: dict[str, dict[str, Any]] = attribute(default_factory=dict[str, dict[str, Any]], repr=False)
    structure: Structure | None = None


BuiltinRun: TypeAlias = Callable[[BuiltinJob], Steps[None]]


@dataclass(frozen=True, slots=True)
class Builtin:
    """
    One entry of the table.

    Args:
        name: `app:Module`.
        versions: Major versions that this entry serves.
        role: What the engine does with it.
        run: The module; None for what the engine itself does (routers, directives, ...).
        static, mappable: Declared fields, as parameter lists are written.
        multi_bundle: It can give more than one bundle, so its bundles are numbered (spec/modules.md 1.10).
        evaluates_parameters, open_mapper: See `ModuleInfo`.
    """

    name: str
    versions: tuple[int, ...] = (1,)
    role: Role = Role.ACTION
    run: BuiltinRun | None = None
    static: list[dict[str, Any]] = attribute(default_factory=list[dict[str, Any]])
    mappable: list[dict[str, Any]] = attribute(default_factory=list[dict[str, Any]])
    multi_bundle: bool = False
    evaluates_parameters: bool = False
    open_mapper: bool = False
    #: (field of `parameters`, component of the app's built-in connections) of each connection that it may name.
    keychains: tuple[tuple[str, str], ...] = ()
    #: Its parameter `type` names a data structure.
    structured: bool = False

    def info(self, version: int) -> ModuleInfo:
        """What the catalog says about it."""
        return ModuleInfo(
            self.name,
            self.role,
            version,
            self.multi_bundle,
            parse_fields(self.static, where=self.name),
            parse_fields(self.mappable, where=self.name),
            evaluates_parameters=self.evaluates_parameters,
            open_mapper=self.open_mapper,
            keychains=self.keychains,
        )


def pure(make: Callable[[BuiltinJob], list[Bundle]]) -> BuiltinRun:
    """A built-in that needs no effect: a function from the job to its bundles."""

    def run(job: BuiltinJob) -> Steps[None]:
        bundles = make(job)
        for start in range(0, len(bundles), PAGE):
            yield Emit(bundles[start : start + PAGE])

    return run


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """One declared field, as parameter lists are written."""
    return {"name": name, "type": kind, **more}


def invalid(message: str) -> BundleValidationError:
    """A value that turned out wrong while the module ran (spec/scenarios.md 3.2)."""
    return BundleValidationError(message)
