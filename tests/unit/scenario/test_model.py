"""
Random blueprints against a simple recursive interpreter (issue point 4): routers, if-else with merge, open spans, error
routes and cycles together.

The interpreter is the pseudo code of spec/scenarios.md 2.3, 2.5, 2.7 and 3.3 on plain data: it knows no cursor, no
frames and no store, and must come to the same calls with the same visible bundles in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import DataError
from runtime.scenario.testing import MemoryRunner
from tests.unit.scenario.helpers import module, performer, plan, scenario, when

HANDLERS = ("", "Ignore", "Resume", "Break", "Commit", "Rollback")
#: How often modules act before a run counts as too large for this test.
MOST_CALLS = 400

Context = dict[int, str]
Open = dict[int, dict[int, list[str]]]


@dataclass
class Do:
    """A module: bundles a call, every which call fails (0: none), its error route, whether a filter stops all."""

    count: int
    fails: int
    handler: str
    blocked: bool


@dataclass
class Span:
    """A module, what lies between, and the aggregator that it feeds."""

    feeder: Do
    inner: list[Any]
    stop_if_empty: bool


@dataclass
class Choice:
    """An if-else: rows of its branches, which of them are true and which merge; the last one is the else branch."""

    branches: list[list[Any]]
    true: list[bool]
    merges: list[bool]

    def taken(self) -> int:
        """The branch that runs."""
        last = len(self.branches) - 1
        return next((index for index in range(last) if self.true[index]), last)


@dataclass
class Flow:
    """Items one behind the other, and a router at the end when there are routes; `ignores`: its own handler."""

    items: list[Any]
    routes: list[Flow] = field(default_factory=list)
    fallback: bool = False
    ignores: bool = False


def modules() -> st.SearchStrategy[Do]:
    """Modules, most of which work."""
    fails = st.sampled_from((0, 0, 0, 1, 2, 3))
    return st.builds(Do, st.integers(0, 2), fails, st.sampled_from(HANDLERS), st.sampled_from((False,) * 7 + (True,)))


def items(depth: int) -> st.SearchStrategy[list[Any]]:
    """Modules and spans in a row; spans hold rows."""
    one = modules()
    if depth:
        bools = st.lists(st.booleans(), min_size=3, max_size=3)
        branches = st.lists(items(depth - 1), min_size=1, max_size=3)
        spans = st.builds(Span, modules(), items(depth - 1), st.booleans())
        one = st.one_of(one, spans, st.builds(Choice, branches, bools, bools))
    return st.lists(one, max_size=3)


def flows(depth: int) -> st.SearchStrategy[Flow]:
    """Flows with routers in routers."""
    if not depth:
        return st.builds(Flow, items(1))
    routes = st.lists(flows(depth - 1), max_size=3)
    return st.builds(Flow, items(1), routes, st.booleans(), st.booleans())


class Builder:
    """Makes the blueprint of a shape; ids in order of the file."""

    def __init__(self) -> None:
        self.next = 0
        self.does: dict[int, Do] = {}
        self.choices: dict[int, Choice] = {}

    def id(self) -> int:
        self.next += 1
        return self.next

    def flow(self, shape: Flow, before: int) -> list[dict[str, Any]]:
        made = self.row(shape.items, before)
        if shape.routes:
            number, last = self.id(), self.last(made, before)
            routes = [{"flow": self.flow(route, last)} for route in shape.routes]
            parameters = {"else": len(routes) - 1} if shape.fallback else {}
            router = {"id": number, "module": "builtin:BasicRouter", "version": 1, "mapper": None, "routes": routes}
            handler = {"onerror": [module(self.id(), "builtin:Ignore")]} if shape.ignores else {}
            made.append({**router, "parameters": parameters, **handler})
        return made

    def row(self, row: list[Any], before: int) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for item in row:
            if isinstance(item, Do):
                made.append(self.do(item))
            elif isinstance(item, Choice):
                made += self.choice(item, self.last(made, before))
            else:
                feeder = self.do(item.feeder)
                inner = self.row(item.inner, feeder["id"])
                parts = {"seen": f"{{{{{self.last(inner, feeder['id'])}.tag}}}}"}
                rest = {"parameters": {"feeder": feeder["id"]}, "flags": {"stopIfEmpty": item.stop_if_empty}}
                made += [feeder, *inner, module(self.id(), "builtin:BasicAggregator", parts, **rest)]
        return made

    def choice(self, item: Choice, before: int) -> list[dict[str, Any]]:
        number = self.id()
        last = len(item.branches) - 1
        merges = [*item.merges[:last], True]
        branches: list[dict[str, Any]] = []
        mappings: list[str] = []
        for index, row in enumerate(item.branches):
            test = [[{"a": "x" if item.true[index] else "{{1.no}}", "o": "exist"}]]
            kind = {"type": "else"} if index == last else {"type": "condition", "conditions": test}
            flow = self.row(row, before)
            branches.append({**kind, "label": "", "flow": flow, "merge": merges[index]})
            if merges[index]:
                mappings.append(f"{{{{{self.last(flow, before)}.tag}}}}" if flow else "empty")
        merge = {"id": self.id(), "module": "builtin:BasicMerge", "version": 1, "mapper": None}
        merge["outputs"] = [{"name": "tag", "mappings": mappings}]
        self.choices[number] = item
        either = {"id": number, "module": "builtin:BasicIfElse", "version": 1, "mapper": None, "branches": branches}
        return [either, merge]

    def do(self, item: Do) -> dict[str, Any]:
        number = self.id()
        self.does[number] = item
        rest: dict[str, Any] = {}
        if number > 1:
            rest["filter"] = when("{{1.no}}" if item.blocked else "x", "exist")
        if item.handler:
            rest["onerror"] = [module(self.id(), f"builtin:{item.handler}", {"tag": "resumed"})]
            if item.handler != "Resume":
                rest["onerror"][0]["mapper"] = {}
        return module(number, "test:Do" if number > 1 else "test:Start", **rest)

    def last(self, made: list[dict[str, Any]], before: int) -> int:
        return next((item["id"] for item in reversed(made) if item["module"] != "builtin:BasicRouter"), before)


class _Ended(Exception):  # noqa: N818  what happened, not what failed
    """The execution ends: rollback, or the directive Commit."""


class _Left(Exception):  # noqa: N818  what happened, not what failed
    """A handler on a router drops the bundle that is in it."""

    def __init__(self, router: int) -> None:
        super().__init__()
        self.router = router


#: What happens with a bundle at the end of a branch that merges.
Back = Callable[[Context], None]


class Interpreter:
    """The recursive reading of a blueprint."""

    def __init__(self, blueprint: dict[str, Any], builder: Builder, dlq: bool, cycles: int) -> None:
        self.does, self.choices, self.dlq, self.cycles = builder.does, builder.choices, dlq, cycles
        self.calls: list[Any] = []
        self.turns: dict[int, int] = {}
        self.places: dict[int, tuple[list[dict[str, Any]], int]] = {}
        self.fed: dict[int, list[int]] = {}
        self.flow = blueprint["flow"]
        self.index(self.flow)

    def index(self, flow: list[dict[str, Any]]) -> None:
        for position, item in enumerate(flow):
            self.places[item["id"]] = flow, position
            if item["module"] == "builtin:BasicAggregator":
                self.fed.setdefault(item["parameters"]["feeder"], []).append(item["id"])
            for part in (*item.get("routes", ()), *item.get("branches", ())):
                self.index(part["flow"])

    def run(self) -> None:
        with suppress(_Ended):
            for _ in range(self.cycles):
                self.walk(self.flow, 0, {}, {}, (), None)

    def walk(
        self,
        flow: list[dict[str, Any]],
        at: int,
        seen: Context,
        spans: Open,
        routers: tuple[int, ...],
        back: Back | None,
        go: bool = False,
    ) -> None:
        if at == len(flow):
            if back is not None:
                back(seen)
            return
        item = flow[at]
        number = item["id"]
        if "routes" in item:
            self.route(item, seen, spans, routers)
        elif "branches" in item:
            self.choose(flow, at, seen, spans, routers, back)
        elif item["module"] == "builtin:BasicAggregator":
            source = item["mapper"]["seen"].strip("{}").partition(".")[0]
            spans[item["parameters"]["feeder"]][number].append(seen.get(int(source), ""))
        elif go or number == 1 or not self.does[number].blocked:
            self.operate(flow, at, seen, spans, routers, back)

    def operate(
        self,
        flow: list[dict[str, Any]],
        at: int,
        seen: Context,
        spans: Open,
        routers: tuple[int, ...],
        back: Back | None,
    ) -> None:
        number = flow[at]["id"]
        do = self.does[number]
        self.calls.append((number, sorted(seen.items())))
        turn = self.turns[number] = self.turns.get(number, 0) + 1
        if do.fails and turn % do.fails == 0 and number > 1:
            if not self.resumed(do, routers):
                return
            outs = ["resumed"]
        else:
            outs = [f"{number}.{turn}.{index}" for index in range(do.count)]
        mine: dict[int, list[str]] = {aggregator: [] for aggregator in self.fed.get(number, ())}
        for out in outs:
            self.walk(flow, at + 1, {**seen, number: out}, {**spans, number: mine}, routers, back)
        for aggregator, collected in mine.items():
            place, position = self.places[aggregator]
            if collected or not place[position]["flags"]["stopIfEmpty"]:
                self.calls.append((aggregator, collected))
                tag = "+".join(collected)
                self.walk(place, position + 1, {**seen, aggregator: tag}, spans, routers, back)

    def choose(
        self,
        flow: list[dict[str, Any]],
        at: int,
        seen: Context,
        spans: Open,
        routers: tuple[int, ...],
        back: Back | None,
    ) -> None:
        branch = flow[at]["branches"][self.choices[flow[at]["id"]].taken()]
        merge = flow[at + 1]["id"]
        ids = [item["id"] for item in branch["flow"] if item["module"] != "builtin:BasicIfElse"]

        def merged(inner: Context) -> None:
            tag = inner.get(ids[-1], "") if ids else "empty"
            self.walk(flow, at + 2, {**seen, merge: tag}, spans, routers, back)

        # A filter on the first module of a branch does not count.
        self.walk(branch["flow"], 0, seen, spans, routers, merged if branch["merge"] else None, True)

    def resumed(self, do: Do, routers: tuple[int, ...]) -> bool:
        """What becomes of a failing bundle: True when a substitute goes on, False when it is dropped."""
        if not do.handler:
            if routers:
                raise _Left(routers[-1])
            if self.dlq:
                return False
            raise _Ended
        if do.handler == "Resume":
            return True
        if do.handler == "Ignore" or (do.handler == "Break" and self.dlq):
            return False
        raise _Ended

    def route(self, item: dict[str, Any], seen: Context, spans: Open, routers: tuple[int, ...]) -> None:
        inner = (*routers, item["id"]) if "onerror" in item else routers
        fallback = item["parameters"].get("else")
        taken = False
        try:
            for index, route in enumerate(item["routes"]):
                flow = route["flow"]
                first = flow[0]["id"] if flow else None
                if index == fallback or (first in self.does and self.does[first].blocked):
                    continue
                taken = True
                self.walk(flow, 0, seen, spans, inner, None)
            if fallback is not None and not taken:
                self.walk(item["routes"][fallback]["flow"], 0, seen, spans, inner, None, True)
        except _Left as left:
            if left.router != item["id"]:
                raise


@settings(max_examples=250, deadline=None)
@given(shape=flows(2), dlq=st.booleans(), cycles=st.integers(1, 2), cut=st.integers(0, 60))
def test_every_blueprint_does_what_the_recursive_reading_does(shape: Flow, dlq: bool, cycles: int, cut: int) -> None:
    """Same calls, same visible bundles, same order; also when the run is cut and goes on with a fresh engine."""
    shape.items.insert(0, Do(2, 0, "", False))
    builder = Builder()
    blueprint = scenario(*builder.flow(shape, 1), dlq=dlq, roundtrips=cycles)
    model = Interpreter(blueprint, builder, dlq, cycles)
    model.run()
    if len(model.calls) > MOST_CALLS:
        return
    calls: list[Any] = []
    turns: dict[int, int] = {}

    def tag_of(bundle: dict[str, Any]) -> str:
        return (
            "+".join(item.get("seen", "") for item in bundle["array"]) if "array" in bundle else bundle.get("tag", "")
        )

    def perform(operation: Any) -> list[dict[str, Any]]:
        number = operation.module_id
        seen = {other: tag_of(runner.bundles.get(*ref)) for other, ref in operation.inputs.items()}
        calls.append((number, sorted(seen.items())))
        turn = turns[number] = turns.get(number, 0) + 1
        do = builder.does[number]
        if do.fails and turn % do.fails == 0 and number > 1:
            raise DataError("bad")
        return [{"tag": f"{number}.{turn}.{index}"} for index in range(do.count)]

    run_others = performer({"test:Do": perform, "test:Start": perform})

    def noted(operation: Any, bundles: Any) -> Any:
        if operation.collected is not None:
            kept = operation.collected
            found = [bundles.get(kept.number, index)["item"].get("seen", "") for index in range(kept.count)]
            calls.append((operation.module_id, found))
        return run_others(operation, bundles)

    runner = MemoryRunner(plan(blueprint), noted, recycle=True)
    halted = runner.run(stop_after=cut)
    if halted.finished is None:
        runner.run(halted.cursor)

    assert calls == model.calls
