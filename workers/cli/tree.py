"""A run as a tree: operations under the bundle that came into them, filters with what they saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.values import compact_json
from workers.cli.steps import counted, shortened, shown_bundle

#: An operation with more bundles than this is drawn without those behind them.
MOST_BUNDLES = 50


@dataclass(slots=True)
class _Node:
    """One line of the tree and what hangs under it."""

    lines: list[str]
    children: list[_Node] = field(default_factory=list["_Node"])


def tree_lines(steps: Sequence[Mapping[str, Any]], details: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    The tree of a run.

    Args:
        steps: Its steps as they are printed (design section 8).
        details: Beside each step the operation's number and the bundle that came in (`history.details`).
    """
    roots: list[_Node] = []
    #: (operation, index of a bundle) -> where the operations that it went into hang.
    places: dict[tuple[int, int], list[_Node]] = {}
    cycle = 0
    for step, detail in zip(steps, details, strict=True):
        if step.get("cycle") != cycle:
            cycle = step.get("cycle", 0)
            roots.append(_Node([f"cycle {cycle}"]))
        parent = detail.get("from")
        under = places.get((parent[1], parent[2])) if parent else None
        node = _Node(list(_lines(step, detail)))
        (under if under is not None else roots[-1].children).append(node)
        op = detail.get("op")
        if op is None:
            continue
        outputs = step.get("output") or []
        for index, bundle in enumerate(outputs):
            if len(outputs) == 1:
                node.lines.append(f"  {shortened(shown_bundle(bundle))}")
                places[op, index] = node.children
            elif index < MOST_BUNDLES:
                leaf = _Node([f"bundle {index + 1}  {shortened(shown_bundle(bundle))}"])
                node.children.append(leaf)
                places[op, index] = leaf.children
            else:
                places[op, index] = []
        if len(outputs) > MOST_BUNDLES:
            node.children.append(_Node([f"{len(outputs) - MOST_BUNDLES} more bundles, not drawn"]))
        # What comes after a bundle that is not kept, or an error route, hangs at the operation.
        for index in range(len(outputs), max(len(outputs), 1)):
            places[op, index] = node.children
    return [line for root in roots for line in _drawn(root)]


def _lines(step: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterator[str]:
    module = f"module {step.get('module')}  {step.get('app', '')}"
    if step.get("status") == "filtered":
        yield f"stopped in front of {module}"
        yield from _filter_lines(detail.get("filter"))
        return
    outputs = step.get("output") or []
    head = f"#{detail.get('number')}  {module}  {step.get('status', '')}"
    if step.get("status") == "success":
        head += f"  {counted(len(outputs), 'bundle')}"
    if step.get("ms") is not None:
        head += f"  {float(step['ms']):.0f} ms"
    head += f"  {_size(outputs)}" if outputs else ""
    yield head
    if detail.get("filter"):
        yield from _filter_lines(detail.get("filter"))
    if error := step.get("error"):
        yield f"  {error.get('type')}: {error.get('message')}"


def _filter_lines(found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        return
    name = f' "{found["name"]}"' if found.get("name") else ""
    conditions = found.get("conditions")
    if not isinstance(conditions, list):
        yield f"  filter{name}"
        return
    for index, group in enumerate(conditions):
        parts = [
            f"{shortened(side.get('a'))} {side.get('o')} {shortened(side.get('b'))} is {compact_json(side.get('r'))}"
            for side in group
        ]
        yield f"  {'or' if index else f'filter{name}'}: {' and '.join(parts)}"


def _size(outputs: Sequence[Any]) -> str:
    size = sum(len(compact_json(bundle).encode("utf-8", "surrogatepass")) for bundle in outputs)
    return f"{size} B" if size < 10_000 else f"{size / 1000:.0f} kB"


def _drawn(node: _Node, lead: str = "", rest: str = "") -> Iterator[str]:
    """A node and all under it. Not recursive: a long run is a deep tree."""
    pending = [(node, lead, rest)]
    while pending:
        current, first, below = pending.pop()
        bar = "│ " if current.children else "  "
        yield first + current.lines[0]
        for line in current.lines[1:]:
            yield f"{below}{bar}{line}"
        last = len(current.children) - 1
        for index in range(last, -1, -1):
            corner, side = ("└─ ", "   ") if index == last else ("├─ ", "│  ")
            pending.append((current.children[index], below + corner, below + side))


def operation_lines(step: Mapping[str, Any], detail: Mapping[str, Any]) -> list[str]:
    """One operation whole: what came in, what its filter saw, what came out."""
    lines = [*_lines(step, detail), "input", f"  {compact_json(step.get('input'))}"]
    for index, bundle in enumerate(step.get("output") or []):
        lines += [f"bundle {index + 1}", f"  {compact_json(bundle)}"]
    return lines
