"""
Engine overhead: a run of three modules against a loop written by hand that does the same work (design section 7).

The work of each module is realistic, and the same on both sides: the mapping of 20 fields by IML and their conversion
to the declared types, as every operation has it (spec/scenarios.md 2.10). No I/O, no persistence. Another row leaves
the conversion out, to show what the engine alone costs. Router and aggregator are measured twice: with a module on each
route, as flows have it, and alone. Alone, the loop by hand does nothing but two comparisons and one mapping for each
bundle; it notes nothing of what a run shows (which condition stopped a bundle) and cannot be taken up in the middle.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from runtime.iml import Environment, compile_document
from runtime.parameters import parse_fields, resolve
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import ModuleInfo, Role, TableCatalog
from runtime.scenario.engine import Engine
from runtime.scenario.filters import OPERATORS
from runtime.scenario.importer import import_blueprint
from runtime.scenario.plan import compile_plan
from runtime.scenario.steps import Bundles, Done, Finished, Operation, Store
from runtime.values import Bundle

#: Bundles of the start module in one run, and runs measured; the best of several rounds counts.
BUNDLES = 200
ROUNDS = 40

ROW = {
    **{f"text{number}": f"value {number}" for number in range(8)},
    "first": " Ada ",
    "last": "Lovelace",
    "mail": "ADA@EXAMPLE.COM",
    "price": 12.5,
    "quantity": 3,
    "tags": ["a", "b"],
    "address": {"street": "Main 1", "city": "London"},
}


def _mapper(source: int) -> dict[str, Any]:
    mapper: dict[str, Any] = {f"text{number}": f"{{{{{source}.text{number}}}}}" for number in range(8)}
    mapper.update(
        {
            "first": f"{{{{trim({source}.first)}}}}",
            "last": f"{{{{upper({source}.last)}}}}",
            "mail": f"{{{{lower({source}.mail)}}}}",
            "price": f"{{{{{source}.price}}}}",
            "quantity": f"{{{{{source}.quantity}}}}",
            "tags": f"{{{{{source}.tags}}}}",
            "address": f"{{{{{source}.address}}}}",
            "name": f"{{{{{source}.first}}}} {{{{{source}.last}}}}",
            "total": f"{{{{{source}.price * {source}.quantity}}}}",
            "city": f'{{{{ifempty({source}.address.city; "-")}}}}',
            "kind": f'{{{{if({source}.quantity > 2; "bulk"; "single")}}}}',
            "tag": f"{{{{{source}.tags[1]}}}}",
        }
    )
    return mapper


_TYPES = {"price": "number", "quantity": "integer", "tags": "array", "address": "collection", "total": "number"}
FIELDS = parse_fields([{"name": name, "type": _TYPES.get(name, "text")} for name in _mapper(1)], where="bench")

BLUEPRINT = {
    "name": "bench",
    "flow": [
        {"id": 1, "module": "bench:Start", "version": 1, "mapper": {}},
        {"id": 2, "module": "bench:Map", "version": 1, "mapper": _mapper(1)},
        {"id": 3, "module": "bench:Map", "version": 1, "mapper": _mapper(2)},
    ],
    "metadata": {"version": 1},
}
CATALOG = TableCatalog(
    {"bench:Start": {1: ModuleInfo("bench:Start", Role.ACTION)}, "bench:Map": {1: ModuleInfo("bench:Map")}}
)


class _Store:
    """The smallest bundle store that the engine can read."""

    def __init__(self) -> None:
        self.chunks: dict[int, list[Bundle]] = {}

    def get(self, operation: int, index: int) -> Bundle:
        return self.chunks[operation][index]


def _environment() -> Environment:
    return Environment(now=datetime.now(UTC))


def _converted(mapped: dict[str, Any]) -> dict[str, Any]:
    return resolve(FIELDS, mapped).values


def _as_it_is(mapped: dict[str, Any]) -> dict[str, Any]:
    return mapped


def by_engine(work: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[], int]:
    """One run by the engine: plan compiled before, cursor and bundle store in memory."""
    imported = import_blueprint(json.dumps(BLUEPRINT), CATALOG)
    assert imported.blueprint is not None
    plan = compile_plan(imported.blueprint, CATALOG)

    def run() -> int:
        store = _Store()
        engine = Engine(plan, store, _environment)
        cursor = engine.start()
        while True:
            step = engine.next(cursor)
            if isinstance(step, Operation):
                bundles = [ROW] * BUNDLES if step.start else [work(step.mapped)]
                store.chunks[step.number] = bundles
                cursor = engine.apply(cursor, step, Bundles(len(bundles)))
            elif isinstance(step, Finished):
                return step.operations
            else:
                assert not isinstance(step, Store)
                cursor = engine.apply(cursor, step, Done())

    return run


def by_hand(work: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[], int]:
    """The same work in nested loops, each output kept under its operation's number."""
    first, second = compile_document(_mapper(1), marks=True), compile_document(_mapper(2), marks=True)

    def run() -> int:
        chunks: dict[int, list[Bundle]] = {}
        number = 1
        chunks[number] = [ROW] * BUNDLES
        for bundle in chunks[1]:
            mapped = work(first.render({"1": bundle}, _environment()))
            number += 1
            chunks[number] = [mapped]
            last = work(second.render({"2": mapped}, _environment()))
            number += 1
            chunks[number] = [last]
        return number

    return run


# -- router and aggregator over many bundles ---------------------------------------------------------------------------

#: Bundles of the start module that go through a router, into an aggregator on each of its two routes.
MANY = 10_000
_NUMBERS: list[Bundle] = [ROW | {"kind": "even" if number % 2 == 0 else "odd"} for number in range(MANY)]


def _route(number: int, kind: str) -> dict[str, Any]:
    return {
        "flow": [
            {
                "id": number, "module": "bench:Collect", "version": 1, "parameters": {"feeder": 1},
                "mapper": _mapper(1),
                "filter": {"conditions": [[{"a": "{{1.kind}}", "o": "text:equal", "b": kind}]]},
            }
        ]
    }  # fmt: skip


_ROUTED: dict[str, Any] = {
    "name": "routed",
    "flow": [
        {"id": 1, "module": "bench:Start", "version": 1, "mapper": {}},
        {
            "id": 2, "module": "bench:Route", "version": 1, "mapper": None,
            "routes": [_route(3, "even"), _route(4, "odd")],
        },
    ],
    "metadata": {"version": 1},
}  # fmt: skip
_ROUTED_CATALOG = TableCatalog(
    {
        "bench:Start": {1: ModuleInfo("bench:Start", Role.ACTION)},
        "bench:Route": {1: ModuleInfo("bench:Route", Role.ROUTER)},
        "bench:Collect": {1: ModuleInfo("bench:Collect", Role.AGGREGATOR, open_mapper=True)},
    }
)


def routed_by_engine() -> Callable[[], int]:
    """Every bundle through the router; each route collects its half. Gives the number of collected items."""
    return _collecting(_ROUTED, _ROUTED_CATALOG)


def _collecting(blueprint: dict[str, Any], catalog: TableCatalog) -> Callable[[], int]:
    imported = import_blueprint(json.dumps(blueprint), catalog)
    assert imported.blueprint is not None, imported.findings
    plan = compile_plan(imported.blueprint, catalog)

    def run() -> int:
        store, found, done = _Store(), 0, Done()
        engine = Engine(plan, store, _environment)
        cursor = engine.start()
        while True:
            step = engine.next(cursor)
            outcome: Any = done
            if isinstance(step, Operation):
                bundles = _NUMBERS if step.start else []
                if step.collected is None and not step.start:
                    bundles = [_converted(step.mapped)]
                elif step.collected is not None:
                    bundles = flush(step.collected, store.get, lambda items: {"array": list(items)})
                    found += len(bundles[0]["array"])
                store.chunks[step.number] = bundles
                outcome = Bundles(len(bundles))
            elif isinstance(step, Store):
                store.chunks.setdefault(step.number, []).append(step.bundle)
            elif isinstance(step, Finished):
                return found
            cursor = engine.apply(cursor, step, outcome)

    return run


def routed_by_hand() -> Callable[[], int]:
    """The same filters and mappings in a loop."""
    compare = OPERATORS["text:equal"]
    kind, mapper = compile_document("{{1.kind}}"), compile_document(_mapper(1))

    def run() -> int:
        collected: dict[str, list[Bundle]] = {"even": [], "odd": []}
        for bundle in _NUMBERS:
            for name, items in collected.items():
                environment, context = _environment(), {"1": bundle}
                if compare(kind.render(context, environment), name, "UTC"):
                    items.append({"key": None, "item": mapper.render(context, environment)})
        return sum(len(items) for items in collected.values())

    return run


# -- the same flow with a module in front of each aggregator -----------------------------------------------------------


def _worked(number: int, kind: str) -> dict[str, Any]:
    work = {
        "id": number, "module": "bench:Map", "version": 1, "mapper": _mapper(1),
        "filter": {"conditions": [[{"a": "{{1.kind}}", "o": "text:equal", "b": kind}]]},
    }  # fmt: skip
    mapper = {name: f"{{{{{number}.{name}}}}}" for name in ("first", "last", "mail", "price", "total", "city")}
    collect = {
        "id": number + 10, "module": "bench:Collect", "version": 1, "parameters": {"feeder": 1}, "mapper": mapper,
    }  # fmt: skip
    return {"flow": [work, collect]}


_WORKED = {
    **_ROUTED,
    "name": "worked",
    "flow": [
        _ROUTED["flow"][0],
        {**_ROUTED["flow"][1], "routes": [_worked(3, "even"), _worked(4, "odd")]},
    ],
}
_WORKED_CATALOG = TableCatalog(
    {
        "bench:Start": {1: ModuleInfo("bench:Start", Role.ACTION)},
        "bench:Route": {1: ModuleInfo("bench:Route", Role.ROUTER)},
        "bench:Map": {1: ModuleInfo("bench:Map")},
        "bench:Collect": {1: ModuleInfo("bench:Collect", Role.AGGREGATOR, open_mapper=True)},
    }
)


def worked_by_engine() -> Callable[[], int]:
    """Every bundle through the router, then a module with mapping and conversion, then into an aggregator."""
    return _collecting(_WORKED, _WORKED_CATALOG)


def worked_by_hand() -> Callable[[], int]:
    """The same filters, mappings and conversions in a loop."""
    compare, kind, work = OPERATORS["text:equal"], compile_document("{{1.kind}}"), compile_document(_mapper(1))
    routes = [_worked(3, "even")["flow"], _worked(4, "odd")["flow"]]
    collects = [compile_document(flow[1]["mapper"]) for flow in routes]

    def run() -> int:
        collected: dict[str, list[Bundle]] = {"even": [], "odd": []}
        outputs: dict[int, list[Bundle]] = {}
        for bundle in _NUMBERS:
            for number, (name, items) in enumerate(collected.items()):
                environment, context = _environment(), {"1": bundle}
                if compare(kind.render(context, environment), name, "UTC"):
                    mapped = _converted(work.render(context, environment))
                    outputs[len(outputs)] = [mapped]
                    item = collects[number].render({f"{number + 3}": mapped}, _environment())
                    items.append({"key": None, "item": item})
        return sum(len(items) for items in collected.values())

    return run


def _best(works: list[Callable[[], int]], rounds: int = ROUNDS) -> list[tuple[float, int]]:
    """CPU seconds of the best round and operations of each, the rounds taken in turn so that noise meets all alike."""
    best = [(float("inf"), work()) for work in works]
    for _ in range(rounds):
        for index, work in enumerate(works):
            start = time.process_time()
            count = work()
            best[index] = min(best[index], (time.process_time() - start, count))
    return best


def run() -> list[tuple[str, float, str]]:
    """(what, number, unit): overhead as a ratio, and the CPU times it comes from."""
    works = [by_engine(_converted), by_hand(_converted), by_engine(_as_it_is), by_hand(_as_it_is)]
    (engine, operations), (hand, same), (bare_engine, _), (bare_hand, _) = _best(works)
    assert operations == same
    (routed, count), (by_loop, same_count) = _best([routed_by_engine(), routed_by_hand()], rounds=5)
    assert count == same_count == MANY
    (worked, count), (worked_loop, same_count) = _best([worked_by_engine(), worked_by_hand()], rounds=3)
    assert count == same_count == MANY
    return [
        ("engine overhead of a 3-module run", (engine - hand) / hand, "of the hand-written loop (target 0.25 or less)"),
        ("engine overhead, mapping alone as work", (bare_engine - bare_hand) / bare_hand, "of the hand-written loop"),
        ("engine alone, per operation", (bare_engine - bare_hand) / operations * 1e6, "µs"),
        ("hand-written loop, per operation", hand / operations * 1e6, "µs"),
        ("router, module, aggregator, 10,000 bundles", worked / worked_loop - 1, "of the hand-written loop"),
        ("router, module, aggregator, per bundle", worked / MANY * 1e6, "µs"),
        ("router and aggregators alone, 10,000 bundles", routed / by_loop - 1, "of the hand-written loop"),
        ("router and aggregators alone, per bundle", routed / MANY * 1e6, "µs"),
    ]


if __name__ == "__main__":
    for what, number, unit in run():
        print(f"{what:45} {number:10.2f} {unit}")
