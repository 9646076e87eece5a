"""Small blueprints and their runs in memory, with the real importer, plan, engine and built-in modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from modules.builtin import BUILTIN_MODULES, builtin_catalog, run_builtin
from runtime.effects import Steps
from runtime.errors import ModuleError
from runtime.iml import Environment
from runtime.scenario.catalog import Catalog, JoinedCatalog, ModuleInfo, Role, TableCatalog
from runtime.scenario.importer import Imported, import_blueprint
from runtime.scenario.plan import Plan, compile_plan
from runtime.scenario.steps import Operation
from runtime.scenario.testing import NOW, MemoryBundles, MemoryRun, MemoryRunner
from runtime.values import Bundle

#: Modules of a made-up app: what they do is given by the test.
TEST_MODULES = {
    "test:Poll": Role.POLLING,
    "test:Hook": Role.INSTANT,
    "test:Do": Role.ACTION,
    "test:Start": Role.ACTION,
}
CATALOG = JoinedCatalog(
    builtin_catalog(),
    TableCatalog({name: {1: ModuleInfo(name, role, open_mapper=False)} for name, role in TEST_MODULES.items()}),
)
Custom = Callable[[Operation], "list[Bundle]"]


def module(number: int, name: str, mapper: Any = None, **rest: Any) -> dict[str, Any]:
    """One module object; `parameters` and everything else as keywords."""
    return {"id": number, "module": name, "version": 1, "parameters": {}, "mapper": mapper or {}, **rest}


def start(*bundles: Any, number: int = 1, **rest: Any) -> dict[str, Any]:
    """A start module that gives these bundles: Parse JSON of a constant text."""
    text = json.dumps(list(bundles), ensure_ascii=False)
    # A space between braces: `}}` or `{{` in the text would be read as an expression.
    return module(number, "json:ParseJSON", {"json": text.replace("}}", "} }").replace("{{", "{ {")}, **rest)


def compose(number: int, text: str, **rest: Any) -> dict[str, Any]:
    """A module that shows a text."""
    return module(number, "util:ComposeTransformer", {"value": text}, **rest)


def fail(number: int, message: str = "stop", **rest: Any) -> dict[str, Any]:
    """A module that raises a `RuntimeError`."""
    return module(number, "builtin:ThrowError", {"message": message}, **rest)


def router(number: int, *routes: list[Any], **rest: Any) -> dict[str, Any]:
    """A router; `disabled` routes are given as dictionaries."""
    made = [route if isinstance(route, dict) else {"flow": route} for route in routes]
    return {"id": number, "module": "builtin:BasicRouter", "version": 1, "mapper": None, "routes": made, **rest}


def when(a: Any, operator: str, b: Any = None, name: str = "") -> dict[str, Any]:
    """A filter of one condition."""
    return {"name": name, "conditions": [[{"a": a, "o": operator, "b": b}]]}


def scenario(*flow: Any, **settings: Any) -> dict[str, Any]:
    """A blueprint with these modules and settings."""
    return {"name": "test", "flow": list(flow), "metadata": {"version": 1, "scenario": settings}}


def imported(blueprint: dict[str, Any], catalog: Catalog = CATALOG) -> Imported:
    """The import of a blueprint."""
    return import_blueprint(json.dumps(blueprint), catalog)


def plan(blueprint: dict[str, Any], catalog: Catalog = CATALOG) -> Plan:
    """The plan of a blueprint that must import without an error."""
    result = imported(blueprint, catalog)
    assert result.blueprint is not None, [finding.text() for finding in result.findings]
    return compile_plan(result.blueprint, catalog)


def performer(
    custom: dict[str, Custom] | None = None,
) -> Callable[[Operation, MemoryBundles], list[Bundle] | Steps[None]]:
    """Runs built-ins, and the modules of the made-up app by these functions."""
    table = custom or {}

    def perform(operation: Operation, bundles: MemoryBundles) -> list[Bundle] | Steps[None]:
        if operation.name in table:
            return table[operation.name](operation)
        entry = BUILTIN_MODULES[operation.name]
        return run_builtin(entry, operation, Environment(now=NOW), bundles.get)

    return perform


def run(blueprint: dict[str, Any], custom: dict[str, Custom] | None = None, **options: Any) -> MemoryRun:
    """Run a blueprint in memory, straight through and with a fresh engine after every step: both must agree."""
    compiled = plan(blueprint)
    once = MemoryRunner(compiled, performer(custom), **options).run()
    again = MemoryRunner(compiled, performer(custom), recycle=True, **options).run()
    assert once.outputs() == again.outputs()
    assert once.finished == again.finished
    assert once.phases == again.phases
    return once


def raising(error: ModuleError) -> Custom:
    """A module that raises this error."""

    def perform(operation: Operation) -> list[Bundle]:
        raise error

    return perform
