"""
The engine: a pure machine over the cursor.

`next(cursor)` says what has to be done, `apply(cursor, step, outcome)` where the run stands afterwards; neither does
any I/O except reading bundles. The same cursor always gives the same step, so a run goes on anywhere from its last
stored cursor. What happens when a module fails stands in `handling`, how cycles begin and end in `cycles`.
Design sections 2.5 and 10; spec/scenarios.md 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any, Protocol, cast

from runtime.errors import ModuleError
from runtime.iml import Environment
from runtime.scenario import cycles, handling
from runtime.scenario.aggregate import store_element
from runtime.scenario.catalog import Role
from runtime.scenario.cursor import (
    NO_BASE,
    At,
    Closing,
    Cursor,
    Failure,
    Frame,
    Handling,
    InBranch,
    Outs,
    Parked,
    Routes,
    RunState,
    Span,
    made,
)
from runtime.scenario.evaluation import Evaluation
from runtime.scenario.plan import Node, Plan
from runtime.scenario.steps import (
    Bundles,
    Collected,
    Commit,
    Failed,
    Filtered,
    Finished,
    Incomplete,
    Operation,
    Outcome,
    Rollback,
    Sides,
    Slept,
    Step,
    Unknown,
    Wait,
)
from runtime.values import Bundle, from_milliseconds, milliseconds


class BundleReader(Protocol):
    """The run's bundle store, as the engine reads it."""

    def get(self, operation: int, index: int) -> Bundle:
        """The bundle at (operation, index), as it was written; it is not changed by the reader."""
        ...


class Engine:
    """
    Runs one plan.

    Args:
        plan: The compiled blueprint.
        bundles: Reads the bundles of this run.
        environment: Gives the IML environment (`now` fresh) for one step.
        variables: What `{{var...}}` holds: `input`, `scenario`, `organization`, `team`.
        not_stored: Classes of errors that never become an incomplete execution.
    """

    def __init__(
        self,
        plan: Plan,
        bundles: BundleReader,
        environment: Callable[[], Environment],
        variables: Mapping[str, Any] | None = None,
        not_stored: Set[str] = handling.NOT_STORED,
    ) -> None:
        self.plan = plan
        self.bundles = bundles
        self.environment = environment
        self.variables = variables or {}
        self.not_stored = not_stored
        self._moment: Environment | None = None
        #: What the filter of the module being looked for said, as far as it was evaluated in this call of `next`.
        self._passed: tuple[str, Sides] | None = None
        #: What the filter of a route has read, for the first module of the route: it comes next.
        self._view: Evaluation | None = None

    def start(self, *, cycles: int | None = None) -> Cursor:
        """
        The cursor before the first cycle.

        Args:
            cycles: Most cycles of this run (number of waiting hook events); None takes `roundtrips`.
        """
        limit = self.plan.settings.roundtrips if cycles is None else cycles
        return Cursor(self.plan.hash, state=RunState(cycles=max(limit, 1)))

    def next(self, cursor: Cursor) -> Step:
        """
        What has to be done at this cursor. Pure: the same cursor gives the same step.

        Raises:
            ValueError: The cursor belongs to another blueprint.
        """
        self._moment = self._passed = self._view = None
        if cursor.blueprint != self.plan.hash:
            raise ValueError("the cursor belongs to another version of this blueprint")
        state = cursor.state
        if state.unknown is not None or state.phase == "ended":
            return cycles.finished(cursor)
        if state.due:
            return Commit(cursor.cycle, state.due, auto=True, after=cursor)
        if state.phase == "rollback":
            return Rollback(cursor.cycle, state.intents[::-1], cycles.run_error(cursor), after=cursor)
        if state.phase == "ready":
            cursor = Cursor(
                cursor.blueprint,
                (At(0, 0),),
                cursor.number,
                cursor.operations,
                cursor.cycle + 1,
                replace(state, phase="running", roundtrip={}, empty=False),
            )
        return self._advance(cursor)

    def woken(self, cursor: Cursor) -> Cursor:
        """The cursor of a run that was woken before its time: what it waited for has happened. Pure."""
        top = cursor.stack[-1] if cursor.stack else None
        if not isinstance(top, Parked):
            return cursor
        return cursor._replace(stack=(*cursor.stack[:-1], top._replace(wake=0)))

    def apply(self, cursor: Cursor, step: Step, outcome: Outcome) -> Cursor:
        """
        Where the run stands after the step. Pure.

        Raises:
            TypeError: The outcome does not fit the step.
        """
        if isinstance(step, (Wait, Finished)):
            return cursor
        after = step.after
        if after is None:
            raise TypeError("the step does not come from `next`")
        if isinstance(step, Operation):
            return self._apply_operation(cursor, after, step, outcome)
        if isinstance(step, Commit):
            return cycles.committed(after, step, outcome, self.plan)
        if isinstance(step, Rollback):
            return cycles.rolled_back(after, outcome)
        if isinstance(step, Incomplete):
            return handling.stored(after, step, outcome, self.plan)
        return after

    def interrupt(self, cursor: Cursor, error: ModuleError, module: int | None = None) -> Cursor:
        """End the run between two operations (stop, time limit, run limits): the running cycle is rolled back."""
        return handling.rollback(cursor, error, module)

    def repeat_unknown(self, cursor: Cursor) -> Cursor:
        """Go on at a step of unknown outcome by starting it again (design section 10.4)."""
        return cursor._replace(state=replace(cursor.state, unknown=None))

    def moment(self) -> Environment:
        """The environment of the step being looked for: `now` is the same for its filter and its mapper."""
        if self._moment is None:
            self._moment = self.environment()
        return self._moment

    # -- the machine: each method looks at the top frame and either moves on or gives a step ---------------------------

    def _advance(self, cursor: Cursor) -> Step:
        flows = self.plan.flows
        stack = cursor.stack
        while stack:
            top = stack[-1]
            if type(top) is At:
                nodes = flows[top.flow].nodes
                if top.position < len(nodes):
                    moved = self._visit(cursor, stack, nodes[top.position], top)
                else:
                    moved = self._end_of_flow(stack, top)
            elif type(top) is Outs:
                stack = self._next_bundle(stack, top)
                continue
            elif type(top) is Routes:
                moved = self._next_route(cursor, stack, top)
            elif type(top) is Closing:
                moved = self._close(cursor, stack, top)
            elif type(top) is InBranch:
                moved = self._branch(stack, top)
            elif type(top) is Failure:
                moved = handling.decide(self, cursor, stack, top)
            elif type(top) is Parked:
                moved = self._wake(cursor, stack, top)
            else:
                # The error route has ended without a directive: as Ignore (spec/scenarios.md 3.3).
                moved = stack[:-1]
            if type(moved) is not tuple:  # an `Operation` is a named tuple, a stack a plain one
                step: Any = moved
                return step
            stack = moved
        intents = cycles.commit_order(cursor.state.intents, self.plan)
        return Commit(cursor.cycle, intents, after=cursor.at(()))

    def _next_bundle(self, stack: tuple[Frame, ...], outs: Outs) -> tuple[Frame, ...]:
        flow, position, module, number, total, current, spans, base = outs
        current += 1
        below = stack[:-1]
        after = position + 1
        # Behind the last module of a flow nothing can happen, unless a merge follows: its bundles need no walk.
        if current < total and (after < len(self.plan.flows[flow].nodes) or self.plan.flows[flow].kind == "branch"):
            moved = made(Outs, (flow, position, module, number, total, current, spans, base))
            return (*below, moved, made(At, (flow, after, "filter", NO_BASE)))
        return (*below, Closing(module, spans, 0)) if spans else below

    def _end_of_flow(self, stack: tuple[Frame, ...], at: At) -> tuple[Frame, ...]:
        below = stack[:-1]
        if self.plan.flows[at.flow].kind != "branch":
            return below
        for index in range(len(below) - 1, -1, -1):
            frame = below[index]
            if type(frame) is not InBranch:
                continue
            node = self.plan.flows[frame.flow].nodes[frame.position]
            branch = node.branches[frame.branch]
            if branch.flow == at.flow:
                if node.merged and branch.merge:
                    # Depth first: each bundle goes on through the merge as soon as it has reached the branch's end.
                    return (*below, At(frame.flow, frame.position + 1, "filter", index))
                break
        return below

    def _visit(self, cursor: Cursor, stack: tuple[Frame, ...], node: Node, at: At) -> tuple[Frame, ...] | Step:
        below = stack[:-1]
        role = node.role
        if at.base >= 0:
            return self._merge(cursor, stack, node, at)
        view, self._view = self._view, None
        if at.mode == "filter" and node.filter is not None:
            view = Evaluation(self, below, node.filter.needs)
            verdict = view.check(node.filter)
            if isinstance(verdict, ModuleError):
                return self._operation(cursor, stack, node, {}, {}, error=verdict)
            if not verdict.passed:
                parent = below[-1] if below else None
                if type(parent) is Handling and at.position == 0:
                    below = (*below[:-1], handling.unhandled(parent))
                return self._filtered(cursor, below, node, verdict.name, verdict.sides)
            self._passed = verdict.name, verdict.sides
        if node.ordinary:
            mapped, static, error = self._reading(view, below, node).configuration(node)
            return self._operation(cursor, stack, node, static, mapped, error=error)
        if role is Role.ROUTER:
            routes = made(Routes, (node.flow, node.position, 0, False))
            return self._next_route(cursor, (*below, routes), routes)
        if role is Role.PLACEHOLDER:
            return (*below, At(at.flow, at.position + 1))
        if role is Role.IF_ELSE:
            return self._if_else(cursor, stack, node)
        if role is Role.AGGREGATOR:
            element, error = self._reading(view, below, node).element(node)
            if error is not None:
                return self._operation(cursor, stack, node, {}, {}, error=error)
            return store_element(cursor, below, node, element)
        if role in (Role.IGNORE, Role.COMMIT):
            return handling.directive(self, cursor, stack, node, {})
        mapped, static, error = self._reading(view, below, node).configuration(node)
        if error is not None:
            return self._operation(cursor, stack, node, static, mapped, error=error)
        return handling.directive(self, cursor, stack, node, mapped)

    def _reading(self, view: Evaluation | None, below: tuple[Frame, ...], node: Node) -> Evaluation:
        """What a module's mapper sees; what its filter has read serves for it when it is all there."""
        return view if view is not None and node.covered else Evaluation(self, below, node.needs)

    def _operation(
        self,
        cursor: Cursor,
        stack: tuple[Frame, ...],
        node: Node,
        static: dict[str, Any],
        mapped: dict[str, Any],
        *,
        error: ModuleError | None = None,
        outputs: list[Bundle] | None = None,
        collected: Collected | None = None,
        parked: Parked | None = None,
    ) -> Operation:
        return made(
            Operation,
            (
                parked.number if parked else cursor.number,
                cursor.cycle,
                node.id,
                node.name,
                node.info,
                node.label,
                static,
                mapped,
                node.is_start,
                error,
                outputs,
                collected,
                parked.resume if parked else None,
                parked.written if parked else 0,
                node.expect,
                node.interface,
                parked.kept if parked else 0,
                self._passed,
                None,
                cursor.at(stack),
            ),
        )

    def _filtered(
        self, cursor: Cursor, stack: tuple[Frame, ...], node: Node, name: str, sides: tuple[Any, ...]
    ) -> Filtered:
        return made(Filtered, (cursor.cycle, node.id, node.name, name, sides, cursor.at(stack)))

    def _next_route(self, cursor: Cursor, stack: tuple[Frame, ...], frame: Routes) -> tuple[Frame, ...] | Step:
        below = stack[:-1]
        flow, position, route, taken = frame
        node = self.plan.flows[flow].nodes[position]
        while route < len(node.routes):
            plan = node.routes[route]
            index = route
            route += 1
            if plan.disabled or index == node.fallback:
                continue
            nodes = self.plan.flows[plan.flow].nodes
            if not nodes:
                taken = True
                continue
            mode = "go"
            if nodes[0].filter is not None:
                view = Evaluation(self, below, nodes[0].filter.needs)
                verdict = view.check(nodes[0].filter)
                if isinstance(verdict, ModuleError):
                    mode = "filter"
                elif not verdict.passed:
                    last = taken and route >= len(node.routes)
                    rest = below if last else (*below, Routes(flow, position, route, taken))
                    return self._filtered(cursor, rest, nodes[0], verdict.name, verdict.sides)
                else:
                    self._passed, self._view = (verdict.name, verdict.sides), view
            at = made(At, (plan.flow, 0, mode, NO_BASE))
            return self._visit(cursor, (*below, made(Routes, (flow, position, route, True)), at), nodes[0], at)
        if node.fallback is not None and not taken:
            done = Routes(flow, position, route, True)
            return (*below, done, At(node.routes[node.fallback].flow, 0, "go"))
        if not taken and below and type(below[-1]) is Handling:
            return (*below[:-1], handling.unhandled(below[-1]))
        return below

    def _if_else(self, cursor: Cursor, stack: tuple[Frame, ...], node: Node) -> Step:
        below = stack[:-1]
        chosen: int | None = None
        for index, branch in enumerate(node.branches):
            if branch.never or branch.is_else or branch.test is None:
                continue
            verdict = Evaluation(self, below, branch.test.needs).check(branch.test)
            if isinstance(verdict, ModuleError):
                return self._operation(cursor, stack, node, {}, {}, error=verdict)
            if verdict.passed:
                chosen = index
                break
        if chosen is None:
            chosen = next((i for i, branch in enumerate(node.branches) if branch.is_else and not branch.never), None)
        operation = self._operation(cursor, stack, node, {}, {}, outputs=[])
        rest = below if chosen is None else (*below, InBranch(node.flow, node.position, chosen, False))
        # The operation has no bundle; what follows it is already decided here.
        return operation._replace(branch=rest)

    def _branch(self, stack: tuple[Frame, ...], frame: InBranch) -> tuple[Frame, ...]:
        if frame.entered:
            return stack[:-1]
        node = self.plan.flows[frame.flow].nodes[frame.position]
        entered = InBranch(frame.flow, frame.position, frame.branch, True)
        return (*stack[:-1], entered, At(node.branches[frame.branch].flow, 0, "go"))

    def _merge(self, cursor: Cursor, stack: tuple[Frame, ...], node: Node, at: At) -> tuple[Frame, ...] | Step:
        below = stack[:-1]
        branch = cast(InBranch, below[at.base]).branch
        condition = node.merge_filters[branch] if branch < len(node.merge_filters) else None
        if condition is not None:
            verdict = Evaluation(self, below, condition.needs).check(condition)
            if isinstance(verdict, ModuleError):
                return self._operation(cursor, stack, node, {}, {}, error=verdict)
            if not verdict.passed:
                return self._filtered(cursor, below, node, verdict.name, verdict.sides)
        bundle, error = Evaluation(self, below, node.needs).merge(node, branch, at.base)
        return self._operation(cursor, stack, node, {}, {}, error=error, outputs=None if error else [bundle])

    def _close(self, cursor: Cursor, stack: tuple[Frame, ...], frame: Closing) -> tuple[Frame, ...] | Step:
        module, spans, turn = frame
        feeds = self.plan.nodes[module].feeds
        if turn >= len(feeds):
            return stack[:-1]
        node = self.plan.nodes[feeds[turn]]
        number, count = spans[turn]
        rest = (*stack[:-1], Closing(module, spans, turn + 1))
        if number < 0 or (node.stop_if_empty and not count):
            return rest
        collected = Collected(number, count, node.group_by is not None, tuple(node.mapper_source))
        at = At(node.flow, node.position, "flush")
        return self._operation(cursor, (*rest, at), node, node.static, {}, collected=collected)

    def _wake(self, cursor: Cursor, stack: tuple[Frame, ...], frame: Parked) -> Step:
        node = self.plan.flows[frame.flow].nodes[frame.position]
        if milliseconds(self.moment().now) < frame.wake:
            return Wait(from_milliseconds(frame.wake), node.id, frame.number)
        below = stack[:-1]
        at = At(frame.flow, frame.position, frame.mode)
        if frame.kept:
            # Evaluated again, `now`, `random` or a variable could have become something else meanwhile.
            return self._operation(cursor, (*below, at), node, {}, {}, parked=frame)
        mapped, static, error = Evaluation(self, below, node.needs).configuration(node)
        return self._operation(cursor, (*below, at), node, static, mapped, error=error, parked=frame)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def _apply_operation(self, cursor: Cursor, after: Cursor, step: Operation, outcome: Outcome) -> Cursor:
        node = self.plan.nodes[step.module_id]
        below = after.stack[:-1]
        at = after.stack[-1]
        if type(at) is not At:
            raise TypeError("the step does not come from `next`")
        state = after.state
        fresh = max(after.number, step.number + 1)
        stack: tuple[Frame, ...]
        if isinstance(outcome, Bundles):
            stack = below if step.branch is None else step.branch
            if step.branch is None and self._leads_on(node, outcome.count):
                spans: tuple[Span, ...] = ((0, 0),) * len(node.feeds)
                outs = made(Outs, (at.flow, at.position, node.id, step.number, outcome.count, -1, spans, at.base))
                stack = (*below, outs)
            if outcome.changes or outcome.warned:
                state = cycles.changed(state, step, outcome, self.plan)
            if step.start and not outcome.count:
                state = replace(state, empty=True)
        elif isinstance(outcome, Failed):
            # What the operation wanted to write is gone with it.
            stack = (*below, Failure(at.flow, at.position, at.mode, at.base, step.number, outcome.error.name))
        elif isinstance(outcome, Slept):
            wake = milliseconds(outcome.wake_at)
            parked = Parked(
                at.flow, at.position, at.mode, step.number, outcome.resume, wake, outcome.written, outcome.kept
            )
            fresh = max(fresh, outcome.kept + 1)
            return Cursor(after.blueprint, (*below, parked), fresh, after.operations, after.cycle, state)
        elif isinstance(outcome, Unknown):
            return cursor._replace(state=replace(cursor.state, unknown=(step.module_id, step.number)))
        else:
            raise TypeError(f"an operation cannot end in {type(outcome).__name__}")
        return made(Cursor, (after.blueprint, stack, fresh, after.operations + 1, after.cycle, state))

    def _leads_on(self, node: Node, count: int) -> bool:
        """Whether anything can happen with the bundles of this module, or at the end of them."""
        if node.feeds:
            return True
        flow = self.plan.flows[node.flow]
        return count > 0 and (node.position + 1 < len(flow.nodes) or flow.kind == "branch")

    def variable(self, cursor: Cursor, name: str) -> Any:
        """A scenario variable as it stands now: `roundtrip` first, then `execution`; None when unset."""
        ref = cursor.state.roundtrip.get(name) or cursor.state.execution.get(name)
        return self.bundles.get(*ref)["value"] if ref else None
