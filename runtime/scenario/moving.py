"""
Moves the start of a retry to an edited blueprint, or to another module on its path (spec/scenarios.md 3.5).

Pure. A record's cursor stands in flows and positions of the plan that failed. Here each frame looks for its module in
the new plan: the modules that the bundle came through must still stand in the same flows, one behind the other. What
was put between them has no bundle and is empty for the retry, since modules before the failed one do not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from runtime.errors import UsageError
from runtime.scenario.cursor import (
    NO_BASE,
    REPEATED_SPAN,
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
)
from runtime.scenario.plan import Node, Plan


class _Owner(NamedTuple):
    """What a flow belongs to: its kind, and the module that carries it (0: the main flow)."""

    kind: str
    module: int


def moved(cursor: Cursor, old: Plan, new: Plan, failed: int, to: int) -> Cursor:
    """
    The cursor in the new plan.

    Args:
        cursor: The start of the retry, as `incomplete.snapshot` made it.
        old: The plan that it belongs to.
        new: The plan of the edited blueprint; it may be the same.
        failed: Id of the module that it begins at.
        to: Id of the module to begin at: the same one, or one of a flow that the bundle is in.

    Raises:
        UsageError: The bundle's path does not lead to that module any more; says why.
    """
    target = new.nodes.get(to)
    if target is None:
        raise UsageError(f"The blueprint has no module {to}; name the module to begin at with --module.")
    if target.is_start:
        raise UsageError(f"Module {to} starts the scenario. Run the scenario instead of retrying this record.")
    move = _Move(old, new)
    stack = list(cursor.stack) if to == failed else move.cut(cursor.stack, target)
    if to == failed and target.role is not old.nodes[failed].role:
        raise UsageError(f"Module {to} ({target.name}) is of another kind than the module that failed.")
    frames = move.translated(stack, target, same=to == failed)
    move.check(frames, target)
    return cursor._replace(blueprint=new.hash, stack=frames)


class _Move:
    def __init__(self, old: Plan, new: Plan) -> None:
        self.old, self.new = old, new
        self.old_owners, self.new_owners = _owners(old), _owners(new)

    # -- another module ------------------------------------------------------------------------------------------------

    def cut(self, stack: tuple[Frame, ...], target: Node) -> list[Frame]:
        """The frames that stay when the retry begins at another module."""
        if not target.ordinary:
            raise UsageError(f"A retry cannot begin at module {target.id} ({target.name}).")
        below = list(stack[:-1])
        flows = dict.fromkeys(place[0] for frame in stack if (place := _place(frame)))
        top = stack[-1]
        if isinstance(top, Closing):
            flows[self.old.nodes[top.module].flow] = None
        here = next((flow for flow in flows if self._is(flow, target.flow)), None)
        if here is None:
            raise UsageError(f"The failed bundle is in no flow with module {target.id}: a retry cannot begin there.")
        owner = self.old_owners[here].module
        kept: list[Frame] = []
        entered = not owner
        index = 0
        while index < len(below):
            frame = below[index]
            place = _place(frame)
            if entered and place is not None:
                if place[0] != here or self._behind(place, target):
                    break
                if not isinstance(frame, Outs):
                    # Into a branch and out of it again through its merge, or away from this flow.
                    out = next((n for n, item in enumerate(below) if isinstance(item, Outs) and item.base == index), 0)
                    if not out or self._behind((below[out].flow, below[out].position), target):  # type: ignore[union-attr]
                        break
                    kept += below[index:out]
                    index = out
                    frame = below[out]
            kept.append(frame)
            if not entered and place is not None and not isinstance(frame, Outs):
                entered = self._node(place).id == owner
            index += 1
        while kept and isinstance(kept[-1], Closing):
            kept.pop()
        return kept

    def _behind(self, place: tuple[int, int], target: Node) -> bool:
        """Whether a module of the target's flow stands at or behind the target."""
        node = self._node(place)
        mine = self.new.nodes.get(node.id)
        return (mine.position if mine is not None else node.position) >= target.position

    def _is(self, old_flow: int, new_flow: int) -> bool:
        """Whether a flow of the new plan is this one of the old: the same owner, and a module in common."""
        if self.old_owners[old_flow] != self.new_owners[new_flow]:
            return False
        ids = {node.id for node in self.old.flows[old_flow].nodes}
        return not ids or any(node.id in ids for node in self.new.flows[new_flow].nodes)

    # -- the same place in the new plan --------------------------------------------------------------------------------

    def translated(self, stack: list[Frame], target: Node, *, same: bool) -> tuple[Frame, ...]:
        """The frames in the new plan; with another module to begin at, that comes on top of them."""
        flows: dict[int, int] = {}
        for frame in stack:
            place = _place(frame)
            if place is not None:
                node = self._known(self._node(place).id)
                if (
                    self.old_owners[place[0]] != self.new_owners[node.flow]
                    or flows.get(place[0], node.flow) != node.flow
                ):
                    raise self._elsewhere(node.id)
                flows[place[0]] = node.flow
        made = [self._frame(frame, stack, index, flows) for index, frame in enumerate(stack)]
        if not same:
            made.append(At(target.flow, target.position, "filter", NO_BASE))
        return tuple(made)

    def _frame(self, frame: Frame, stack: list[Frame], index: int, flows: dict[int, int]) -> Frame:
        if isinstance(frame, Closing):
            return self._closing(frame, stack, index)
        place = _place(frame)
        if place is None or isinstance(frame, (Failure, Parked)):
            raise UsageError("This record cannot be edited.")
        node = self._known(self._node(place).id)
        at = {"flow": node.flow, "position": node.position}
        if isinstance(frame, Outs):
            return frame._replace(**at, spans=(REPEATED_SPAN,) * len(node.feeds))
        if isinstance(frame, Routes):
            return frame._replace(**at, route=len(node.routes))
        if isinstance(frame, InBranch):
            return frame._replace(**at, branch=self._branch(frame, node, flows))
        return frame._replace(**at)

    def _closing(self, frame: Closing, stack: list[Frame], index: int) -> Closing:
        """A feeder that is done: the spans that nothing was collected in, and the one whose aggregator failed."""
        feeds = self._known(frame.module).feeds
        former = self.old.nodes[frame.module].feeds
        spans = [REPEATED_SPAN] * len(feeds)
        if index + 1 < len(stack):
            return frame._replace(spans=tuple(spans), turn=len(feeds))
        failed = former[frame.turn]
        if failed not in feeds:
            raise self._elsewhere(failed)
        spans[feeds.index(failed)] = frame.spans[frame.turn]
        return frame._replace(spans=tuple(spans), turn=feeds.index(failed))

    def _branch(self, frame: InBranch, node: Node, flows: dict[int, int]) -> int:
        former = self.old.nodes[node.id].branches
        inside = flows.get(former[frame.branch].flow)
        for number, branch in enumerate(node.branches):
            if branch.flow == inside:
                return number
        if inside is None and len(node.branches) == len(former):
            return frame.branch
        raise self._elsewhere(node.id)

    def _node(self, place: tuple[int, int]) -> Node:
        return self.old.flows[place[0]].nodes[place[1]]

    def _known(self, module: int) -> Node:
        node = self.new.nodes.get(module)
        if node is None:
            raise UsageError(f"The failed bundle came through module {module}, which the blueprint has no more.")
        if node.role is not self.old.nodes[module].role:
            raise UsageError(f"Module {module} ({node.name}) is of another kind than when the bundle came through it.")
        return node

    def _elsewhere(self, module: int) -> UsageError:
        return UsageError(f"Module {module} stands in another place than when the bundle came through it.")

    # -- what would not work -------------------------------------------------------------------------------------------

    def check(self, frames: tuple[Frame, ...], target: Node) -> None:
        """
        Look whether the retry can go on from here.

        Raises:
            UsageError: Modules of the path changed places, or an aggregator would wait for what never comes.
        """
        last: dict[int, int] = {}
        for frame in frames:
            place = _place(frame)
            if place is None or isinstance(frame, Handling):
                continue
            if place[1] <= last.get(place[0], -1):
                raise self._elsewhere(self.new.flows[place[0]].nodes[place[1]].id)
            last[place[0]] = place[1]
        last[target.flow] = target.position if not self._flushes(frames) else last.get(target.flow, -1)
        open_ones = {frame.module for frame in frames if isinstance(frame, Outs)}
        done = {node.id for flow, end in last.items() for node in self.new.flows[flow].nodes[:end]}
        ahead = [node for flow, end in last.items() for node in self._from(flow, end + 1)]
        for node in (*(self.new.nodes[module] for module in done), *ahead):
            if node.feeder is None or node.feeder not in done or node.id == target.id:
                continue
            closed = node.id in done
            if closed == (node.feeder in open_ones):
                where = "between" if closed else "behind"
                raise UsageError(
                    f"The aggregator {node.id} stands {where} module {node.feeder}, which feeds it, and module "
                    f"{target.id}: the record was not stored in or behind its span."
                )

    def _from(self, flow: int, position: int) -> Iterator[Node]:
        """All modules from this position on, with those of their routes and branches."""
        for node in self.new.flows[flow].nodes[position:]:
            yield node
            for inner in (*node.routes, *node.branches):
                yield from self._from(inner.flow, 0)

    def _flushes(self, frames: tuple[Frame, ...]) -> bool:
        return bool(frames) and isinstance(frames[-1], Closing)


def _place(frame: Frame) -> tuple[int, int] | None:
    return None if isinstance(frame, Closing) else (frame.flow, frame.position)


def _owners(plan: Plan) -> dict[int, _Owner]:
    """What each flow of a plan belongs to."""
    owners = {0: _Owner("main", 0)}
    for node in plan.nodes.values():
        owners |= {route.flow: _Owner("route", node.id) for route in node.routes}
        owners |= {branch.flow: _Owner("branch", node.id) for branch in node.branches}
        if node.handler is not None and node.handler.owner == node.id:
            owners[node.handler.flow] = _Owner("onerror", node.id)
    return owners
