"""Random scenarios against the pseudo code of spec/scenarios.md 2.3, and random interruptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.scenario.testing import MemoryRunner
from tests.unit.scenario.helpers import module, performer, plan, scenario

#: What is called in which order with which context: (module, {earlier module: its tag}).
Call = tuple[int, tuple[tuple[int, str], ...]]


@dataclass
class Shape:
    """A random flow: each module gives `counts` bundles in turn; it may be blocked by a filter; a router may end it."""

    modules: list[tuple[int, bool]]
    routes: list[Shape] = field(default_factory=list)
    fallback: int | None = None


def shapes(depth: int) -> st.SearchStrategy[Shape]:
    """Flows of up to three modules, with up to three routes behind them."""
    steps = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=0, max_size=3)
    if not depth:
        return st.builds(Shape, steps)
    routes = st.lists(shapes(depth - 1), max_size=3)
    return st.builds(Shape, steps, routes, st.one_of(st.none(), st.integers(0, 2)))


def _build(shape: Shape, numbers: list[int], blocked: dict[int, bool], counts: dict[int, int]) -> list[dict[str, Any]]:
    """The blueprint modules of a shape; ids in order of the file."""
    flow: list[dict[str, Any]] = []
    for count, passes in shape.modules:
        number = len(numbers) + 1
        numbers.append(number)
        counts[number], blocked[number] = count, not passes and number > 1
        test = {"name": "", "conditions": [[{"a": "{{1.no}}" if blocked[number] else "x", "o": "exist"}]]}
        rest = {"filter": test} if number > 1 else {}
        flow.append(module(number, "test:Do", {}, **rest))
    if shape.routes:
        number = len(numbers) + 1
        numbers.append(number)
        routes = [{"flow": _build(route, numbers, blocked, counts)} for route in shape.routes]
        fallback = shape.fallback if shape.fallback is not None and shape.fallback < len(routes) else None
        parameters = {} if fallback is None else {"else": fallback}
        made = {"id": number, "module": "builtin:BasicRouter", "version": 1, "mapper": None, "routes": routes}
        flow.append({**made, "parameters": parameters})
    return flow


class Oracle:
    """The pseudo code of the specification, recursive and on plain data."""

    def __init__(self, counts: dict[int, int], blocked: dict[int, bool]) -> None:
        self.calls: list[Call] = []
        self.counts, self.blocked = counts, blocked

    def run_flow(self, flow: list[dict[str, Any]], position: int, context: dict[int, str], *, go: bool = False) -> None:
        if position == len(flow):
            return
        item = flow[position]
        number = item["id"]
        if "routes" in item:
            self.run_router(item, context)
            return
        if self.blocked[number] and not go:
            return
        self.calls.append((number, tuple(sorted(context.items()))))
        tag = f"{number}.{len(self.calls)}"
        for index in range(self.counts[number]):
            self.run_flow(flow, position + 1, {**context, number: f"{tag}.{index}"})

    def run_router(self, item: dict[str, Any], context: dict[int, str]) -> None:
        taken = False
        fallback = item["parameters"].get("else")
        for index, route in enumerate(item["routes"]):
            flow = route["flow"]
            if index == fallback:
                continue
            if flow and "routes" not in flow[0] and self.blocked[flow[0]["id"]]:
                continue
            taken = True
            self.run_flow(flow, 0, context)
        if fallback is not None and not taken:
            self.run_flow(item["routes"][fallback]["flow"], 0, context, go=True)


@settings(max_examples=150, deadline=None)
@given(shape=shapes(2), cut=st.integers(0, 40))
def test_every_bundle_takes_the_path_of_the_pseudo_code(shape: Shape, cut: int) -> None:
    """Same operations, same order, same visible bundles, also when the run is cut and goes on elsewhere."""
    if not shape.modules:
        shape.modules = [(2, True)]
    numbers: list[int] = []
    blocked: dict[int, bool] = {}
    counts: dict[int, int] = {}
    flow = _build(shape, numbers, blocked, counts)
    flow[0]["module"] = "test:Start"
    oracle = Oracle(counts, blocked)
    oracle.run_flow(flow, 0, {})
    compiled = plan(scenario(*flow))
    calls: list[Call] = []
    tags: dict[tuple[int, int], str] = {}

    def perform(operation: Any) -> list[dict[str, Any]]:
        seen = {number: tags[ref] for number, ref in operation.inputs.items()}
        calls.append((operation.module_id, tuple(sorted(seen.items()))))
        tag = f"{operation.module_id}.{len(calls)}"
        for index in range(counts[operation.module_id]):
            tags[operation.number, index] = f"{tag}.{index}"
        return [{"n": index} for index in range(counts[operation.module_id])]

    runner = MemoryRunner(compiled, performer({"test:Do": perform, "test:Start": perform}), recycle=True)
    halted = runner.run(stop_after=cut)
    if halted.finished is None:
        runner.run(halted.cursor)

    assert calls == oracle.calls


@dataclass
class Span:
    """An iterator, what lies in its span, and the aggregator that closes it."""

    counts: list[int]
    inner: Span | None
    grouped: bool


def spans(depth: int) -> st.SearchStrategy[Span]:
    """Nested spans of random lengths."""
    inner = st.none() if not depth else st.one_of(st.none(), spans(depth - 1))
    return st.builds(Span, st.lists(st.integers(0, 3), min_size=1, max_size=4), inner, st.booleans())


@settings(max_examples=80, deadline=None)
@given(span=spans(2), cut=st.integers(0, 60))
def test_spans_collect_what_a_recursive_reading_collects(span: Span, cut: int) -> None:
    """Nested open spans with and without groups, flushed innermost first, also when the run is cut."""
    flow: list[dict[str, Any]] = [module(1, "test:Start")]
    levels: list[tuple[int, int, Span]] = []
    number, level = 2, span
    while True:
        levels.append((number, number + 100, level))
        flow.append(module(number, "test:Do"))
        number += 1
        if level.inner is None:
            break
        level = level.inner
    flow.append(module(50, "test:Do"))
    for feeder, aggregator, level in reversed(levels):
        flags = {"groupBy": f"{{{{{feeder}.g}}}}"} if level.grouped else {}
        flow.append(module(aggregator, "builtin:BasicAggregator", {}, parameters={"feeder": feeder}, flags=flags))
    by_feeder = {feeder: (aggregator, level) for feeder, aggregator, level in levels}
    last = levels[-1][0]
    expected: list[tuple[int, list[int]]] = []
    turns: dict[int, int] = {}

    def bundles(feeder: int) -> list[str]:
        counts = by_feeder[feeder][1].counts
        turn = turns.get(feeder, 0)
        turns[feeder] = turn + 1
        return ["ab"[(turn + index) % 2] for index in range(counts[turn % len(counts)])]

    def walk(feeder: int, outer: dict[int, str]) -> list[dict[int, str]]:
        """Runs one operation of a feeder; gives the contexts in which its aggregator hands on."""
        reached: list[dict[int, str]] = []
        groups = bundles(feeder)
        aggregator, level = by_feeder[feeder]
        for group in groups:
            context = {**outer, feeder: group}
            if feeder == last:
                expected.append((50, []))
                reached.append(context)
            else:
                reached += walk(feeder + 1, context)
        keys = list(dict.fromkeys(context.get(feeder, "") for context in reached))
        sizes = [sum(context.get(feeder, "") == key for context in reached) for key in keys]
        expected.append((aggregator, sizes if level.grouped else [len(reached)]))
        return [dict(outer) for _ in (keys if level.grouped else [0])]

    walk(2, {})
    turns.clear()

    def perform(operation: Any) -> list[dict[str, Any]]:
        if operation.module_id in by_feeder:
            return [{"g": group} for group in bundles(operation.module_id)]
        return [{}]

    runner = MemoryRunner(plan(scenario(*flow)), performer({"test:Do": perform, "test:Start": perform}), recycle=True)
    first = runner.run(stop_after=cut)
    rest = runner.run(first.cursor) if first.finished is None else None
    steps = first.outputs() + (rest.outputs() if rest else [])
    shown = [
        (number, [bundle["__IMTAGGLENGTH__"] for bundle in out] if number > 100 else [])
        for number, out in steps
        if number >= 50
    ]

    assert shown == expected
