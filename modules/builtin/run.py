"""
Runs one operation of a built-in: its fields are resolved, then the module's generator runs (spec/scenarios.md 2.10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modules.builtin.job import Builtin, BuiltinJob
from runtime.effects import Recall, Steps
from runtime.errors import UnexpectedError
from runtime.iml import Environment
from runtime.parameters import resolve
from runtime.scenario.catalog import ModuleInfo, Role
from runtime.scenario.steps import Operation
from runtime.values import UNDEFINED, Bundle, to_text


def run_builtin(
    entry: Builtin,
    operation: Operation,
    environment: Environment,
    read: Callable[[int, int], Bundle],
    credentials: dict[str, dict[str, Any]] | None = None,
) -> Steps[None]:
    """
    The steps of one operation: yields effects, its bundles in `Emit`.

    Raises:
        BundleValidationError: A value does not fit its field.
        ModuleError: The module failed.
    """
    if entry.run is None:
        raise UnexpectedError(f"{entry.name} is done by the engine and cannot be run as a module")
    config = configuration(operation.info, operation, environment.timezone)
    job = BuiltinJob(
        config,
        environment,
        operation.collected,
        read,
        operation.resume,
        operation.expect,
        operation.interface,
        operation.mapped,
        credentials or {},
    )
    if entry.structured and config.get("type", UNDEFINED) not in ("", None, UNDEFINED):
        job = replace(job, structure=(yield Recall("structure", to_text(config["type"]))))
    yield from entry.run(job)


def configuration(info: ModuleInfo, operation: Operation, timezone: str) -> dict[str, Any]:
    """
    Static and mapped values of an operation in one collection, converted to the declared types.

    A value may stand in either list: exports differ in where they write a setting (spec/scenarios.md 1.4).

    Raises:
        BundleValidationError: With one suberror for each value that does not fit.
    """
    if info.role is Role.AGGREGATOR:
        # What it collected was evaluated already; only its settings are left.
        return {**operation.static, **resolve(info.static_fields, operation.static, timezone=timezone).values}
    fields = (*info.static_fields, *info.mappable_fields)
    return resolve(fields, operation.config, timezone=timezone).values
