"""
A blueprint made ready to run: flows as tuples of nodes, every template and filter compiled once.

A plan is frozen and holds no state of a run, so one plan serves all runs of a blueprint (by content hash) and any
number of threads. Design section 2.3; spec/scenarios.md 1.5, 2.7, 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from runtime.iml import Place, Template, compile_document
from runtime.parameters.expressions import Expressions, expressions_of
from runtime.scenario.blueprint import Blueprint, Branch, Filter, Module, Settings
from runtime.scenario.catalog import Catalog, ModuleInfo, Role
from runtime.scenario.filters import OPERATORS, Operator

#: Roles whose modules the engine treats alike: one operation for each input bundle.
_ORDINARY: Final = frozenset(
    {Role.POLLING, Role.INSTANT, Role.BASIC_TRIGGER, Role.ACTION, Role.RESPONDER, Role.RETURNER}
)

FlowKind: TypeAlias = Literal["main", "route", "branch", "onerror"]


class Needs(NamedTuple):
    """What templates refer to: modules by id (with the name that the context gives them), and whether `var`."""

    modules: dict[int, str]
    variables: bool

    def within(self, other: Needs) -> bool:
        """Whether the other has all of these."""
        return self.modules.keys() <= other.modules.keys() and (other.variables or not self.variables)


@dataclass(frozen=True, slots=True)
class Test:
    """One condition, compiled."""

    a: Template
    operator: str
    b: Template
    apply: Operator
    #: `b` is this text, as in most filters: it needs no rendering.
    text: str | None = None


@dataclass(frozen=True, slots=True)
class FilterPlan:
    """A filter with at least one condition: outer OR, inner AND."""

    name: str
    tests: tuple[tuple[Test, ...], ...]
    needs: Needs


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """A route of a router: the flow's index, and its first module's filter, which decides whether it is taken."""

    flow: int
    disabled: bool


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """A branch of an if-else; `test` None is the else branch or, with `never`, one that is never taken."""

    flow: int
    label: str
    test: FilterPlan | None
    is_else: bool
    merge: bool
    never: bool


@dataclass(frozen=True, slots=True)
class Handler:
    """The error route that covers a module: its flow, and the module that carries it (itself or a router)."""

    flow: int
    owner: int


@dataclass(frozen=True, slots=True)
class Node:
    """One module of a flow, compiled."""

    id: int
    name: str
    label: str
    info: ModuleInfo
    role: Role
    flow: int
    position: int
    static: dict[str, Any]
    #: `parameters` as a template, only where the built-in's contract says so.
    static_template: Template | None
    mapper: Template
    #: Source of the mapper, by field, to name the field that failed.
    mapper_source: Mapping[str, Any]
    needs: Needs
    filter: FilterPlan | None
    handler: Handler | None
    routes: tuple[RoutePlan, ...] = ()
    fallback: int | None = None
    branches: tuple[BranchPlan, ...] = ()
    #: The merge behind an if-else stands at the next position.
    merged: bool = False
    #: It is the start module of the scenario.
    is_start: bool = False
    #: An ordinary module: its operation is mapper in, bundles out.
    ordinary: bool = False
    outputs: tuple[tuple[str, tuple[Template | None, ...]], ...] = ()
    merge_filters: tuple[FilterPlan | None, ...] = ()
    group_by: Template | None = None
    stop_if_empty: bool = False
    feeder: int | None = None
    #: What the mapper refers to is all in what the filter refers to: it is read once for both.
    covered: bool = False
    #: Ids of the aggregators that this module feeds, in pre-order.
    feeds: tuple[int, ...] = ()
    #: Which of its feeder's aggregators this one is, from 0.
    turn: int = 0
    expect: Any = None
    interface: Any = None
    #: Which values of the mapper are expressions, for the checks of parameters.
    expressions: Expressions = field(default_factory=Expressions)


@dataclass(frozen=True, slots=True)
class Flow:
    """A list of nodes: the main flow, a route, a branch or an error route."""

    kind: FlowKind
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled blueprint. `flows[0]` is the main flow; `nodes` finds a module by id."""

    hash: str
    name: str
    settings: Settings
    flows: tuple[Flow, ...]
    nodes: dict[int, Node]
    #: Content hashes of the custom apps in use, by app name.
    apps: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def start(self) -> Node:
        """The start module."""
        return self.flows[0].nodes[0]


@dataclass(slots=True)
class _Builder:
    catalog: Catalog
    feeds: dict[int, list[int]]
    flows: list[Flow | None] = field(default_factory=list["Flow | None"])
    nodes: dict[int, Node] = field(default_factory=dict[int, Node])

    def flow(self, modules: tuple[Module, ...], kind: FlowKind, cover: Handler | None, *, clear: bool = False) -> int:
        """Add a flow. `cover`: the handler of the nearest router around; `clear`: the first filter does not count."""
        index = len(self.flows)
        self.flows.append(None)
        nodes = [
            self.node(module, index, position, cover, modules, clear=clear and position == 0)
            for position, module in enumerate(modules)
        ]
        self.flows[index] = Flow(kind, tuple(nodes))
        return index

    def node(
        self,
        module: Module,
        flow: int,
        position: int,
        cover: Handler | None,
        siblings: tuple[Module, ...],
        *,
        clear: bool,
    ) -> Node:
        info = self.catalog.lookup(module.name, module.version)
        handler = cover
        if module.onerror:
            handler = Handler(self.flow(module.onerror, "onerror", None), module.id)
        inner = handler if info.role is Role.ROUTER else cover
        routes = tuple(RoutePlan(self.flow(route.flow, "route", inner), route.disabled) for route in module.routes)
        branches = tuple(self.branch(module, branch, cover) for branch in module.branches)
        mapper = compile_document(
            module.mapper, place=Place(f"scenario module {module.id}", "/mapper"), marks=not info.open_mapper
        )
        group_by = None
        if module.flags.group_by not in (None, ""):
            group_by = _template(module.flags.group_by, module.id, "/flags/groupBy")
        outputs = tuple(
            (
                output.name,
                tuple(
                    None if mapping is None else _template(mapping, module.id, f"/outputs/{number}/mappings")
                    for mapping in output.mappings
                ),
            )
            for number, output in enumerate(module.outputs)
        )
        mapped = [template for _, templates in outputs for template in templates if template is not None]
        following = siblings[position + 1] if position + 1 < len(siblings) else None
        gate = None if clear else _filter(module.filter, module.id)
        needs = needs_of(mapper, group_by, *mapped)
        node = Node(
            id=module.id,
            name=module.name,
            label=module.label,
            info=info,
            role=info.role,
            flow=flow,
            position=position,
            static=module.parameters,
            static_template=_template(module.parameters, module.id, "/parameters")
            if info.evaluates_parameters
            else None,
            mapper=mapper,
            mapper_source=module.mapper,
            expressions=expressions_of(module.mapper),
            needs=needs,
            filter=gate,
            covered=gate is not None and needs.within(gate.needs),
            handler=handler,
            routes=routes,
            fallback=module.fallback if module.fallback is not None and not routes[module.fallback].disabled else None,
            branches=branches,
            is_start=flow == 0 and position == 0,
            ordinary=info.role in _ORDINARY,
            merged=bool(branches) and following is not None and following.name == "builtin:BasicMerge",
            outputs=outputs,
            merge_filters=tuple(_filter(item, module.id) for item in module.filters),
            group_by=group_by,
            stop_if_empty=module.flags.stop_if_empty,
            feeder=module.feeder,
            feeds=tuple(self.feeds.get(module.id, ())),
            turn=self.feeds[module.feeder].index(module.id) if module.feeder is not None else 0,
            expect=module.expect,
            interface=module.interface,
        )
        self.nodes[module.id] = node
        return node

    def branch(self, module: Module, branch: Branch, cover: Handler | None) -> BranchPlan:
        test = _filter(Filter(name=branch.label, conditions=branch.conditions), module.id)
        flow = self.flow(branch.flow, "branch", cover, clear=True)
        never = branch.disabled or not (branch.is_else or test)
        return BranchPlan(flow, branch.label, test, branch.is_else, branch.merge, never)


def compile_plan(blueprint: Blueprint, catalog: Catalog) -> Plan:
    """
    Compile an imported blueprint. It must have no finding of severity error.

    Raises:
        UnknownApp, UnknownModule, UnknownVersion: The catalog has changed since the import.
    """
    feeds: dict[int, list[int]] = {}
    for module in blueprint.modules():
        if module.feeder is not None:
            feeds.setdefault(module.feeder, []).append(module.id)
    builder = _Builder(catalog, feeds)
    builder.flow(blueprint.flow, "main", None)
    apps = {node.name.partition(":")[0]: node.info.app_hash for node in builder.nodes.values() if node.info.app_hash}
    flows = tuple(flow for flow in builder.flows if flow is not None)
    return Plan(blueprint.hash, blueprint.name, blueprint.settings, flows, builder.nodes, apps)


def needs_of(*templates: Template | None) -> Needs:
    """What these templates refer to; only the canonical number of a module names it."""
    roots = {reference.root for template in templates if template for reference in template.references}
    numbers = [root for root in roots if root.isascii() and root.isdigit() and len(root) < 16]
    return Needs({int(root): root for root in numbers if str(int(root)) == root}, "var" in roots)


def _template(source: Any, module: int, pointer: str) -> Template:
    return compile_document(source, place=Place(f"scenario module {module}", pointer))


def _filter(source: Filter | None, module: int) -> FilterPlan | None:
    if source is None:
        return None
    tests = tuple(
        tuple(_test(condition.a, condition.operator, condition.b, module) for condition in group)
        for group in source.conditions
        if group
    )
    if not tests:
        return None
    needs = needs_of(*(template for group in tests for test in group for template in (test.a, test.b)))
    return FilterPlan(source.name, tests, needs)


def _test(a: Any, operator: str, b: Any, module: int) -> Test:
    right = _template(b, module, "/filter")
    text = b if right.constant and type(b) is str else None
    return Test(_template(a, module, "/filter"), operator, right, OPERATORS[operator], text)
