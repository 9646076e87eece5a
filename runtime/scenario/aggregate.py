"""
What aggregators collect and how it is handed on (spec/scenarios.md 2.7).

While the span is open, elements are stored one by one under a number of their own; at the flush the module's built-in
reads them back, group by group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from runtime.scenario.cursor import Closing, Cursor, Frame, Outs, made
from runtime.scenario.plan import Node
from runtime.scenario.steps import Collected, Store
from runtime.values import Bundle

#: Key of a group, and number of collected elements, in an aggregator's output.
KEY: Final = "__IMTKEY__"
COUNT: Final = "__IMTAGGLENGTH__"


def element(key: str | None, item: dict[str, Any]) -> Bundle:
    """One collected element, as it is stored."""
    return {"key": key, "item": item}


def store_element(cursor: Cursor, below: tuple[Frame, ...], node: Node, collected: Bundle) -> Store:
    """
    The step that collects one element: it joins the span of the nearest operation of the aggregator's feeder.

    Raises:
        ValueError: The feeder is not on the way to the aggregator; the importer refuses such files.
    """
    for index in range(len(below) - 1, -1, -1):
        frame = below[index]
        if (type(frame) is Outs or type(frame) is Closing) and frame.module == node.feeder:
            break
    else:
        raise ValueError(f"module {node.id}: its source module {node.feeder} is not on the way to it")
    turn = node.turn
    number, count = frame.spans[turn]
    fresh = cursor.number
    if number <= 0:
        number, fresh = fresh, fresh + 1
    spans = (*frame.spans[:turn], (number, count + 1), *frame.spans[turn + 1 :])
    holder: Outs | Closing
    if type(frame) is Outs:
        # Spelled out: `_replace` costs as much as all the rest of this, and there is one for every collected bundle.
        flow, position, module, outputs, total, current, _, base = frame
        holder = made(Outs, (flow, position, module, outputs, total, current, spans, base))
    else:
        holder = frame._replace(spans=spans)
    stack = (*below[:index], holder, *below[index + 1 :])
    blueprint, _, _, operations, cycle, state = cursor
    after = made(Cursor, (blueprint, stack, fresh, operations, cycle, state))
    return made(Store, (number, count, collected, after))


def flush(
    collected: Collected, read: Callable[[int, int], Bundle], make: Callable[[Iterator[dict[str, Any]]], Bundle]
) -> list[Bundle]:
    """
    The output bundles of a flush: one, or one for each group in the order in which the groups were first seen.

    Args:
        collected: Where the elements lie.
        read: Reads one bundle of the run's store.
        make: Makes an aggregator's output from the items of one group; it may be given an empty iterator.
    """
    if not collected.grouped:
        items = (read(collected.number, index)["item"] for index in range(collected.count))
        return [{**make(items), COUNT: collected.count}]
    groups: dict[str, list[int]] = {}
    for index in range(collected.count):
        groups.setdefault(read(collected.number, index)["key"] or "", []).append(index)
    return [
        {**make(_items(read, collected.number, indexes)), KEY: key, COUNT: len(indexes)}
        for key, indexes in groups.items()
    ]


def _items(read: Callable[[int, int], Bundle], number: int, indexes: list[int]) -> Iterator[dict[str, Any]]:
    for index in indexes:
        yield read(number, index)["item"]
