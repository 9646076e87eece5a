"""
Items, outputs and pages: what the last request of a communication leaves for its result.

Outputs of a request that later turns out not to be the last one are never evaluated (spec/communication.md 18), so
pages are kept with the context they came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runtime.communication.plan import RequestPlan, ResponsePlan
from runtime.errors import DataError
from runtime.iml import Environment
from runtime.values import UNDEFINED, truthy

Context = dict[str, Any]


@dataclass(slots=True)
class Page:
    """One answer: the context after it, the items that passed `iterate.condition` with their positions from 1."""

    context: Context
    items: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    #: How many items the container had before the condition.
    size: int = 0


@dataclass(frozen=True, slots=True)
class TriggerItem:
    """One item of a polling trigger. `id` and `date` are the evaluated `trigger.id` and `trigger.date`."""

    id: Any
    date: Any
    item: Any
    index: int
    page: Page


class Watcher(Protocol):
    """The state machine of a polling trigger, called by the engine (spec/communication.md 19)."""

    def begin(self, type_name: str, order: str) -> None:
        """Called once before the first page with the evaluated `trigger.type` and `trigger.order`."""
        ...

    def page(self, items: list[TriggerItem]) -> bool:
        """Take the items of one page. True when more pages are wanted."""
        ...

    def keep(self, limit: int | None) -> list[TriggerItem]:
        """After the last page: the items to hand out, in order. None is no limit."""
        ...


def read_container(response: ResponsePlan, context: Context, environment: Environment) -> tuple[list[Any], bool]:
    """
    The items of `iterate`, and whether one object stood in for a list.

    Raises:
        DataError: The container is neither list, object nor empty.
    """
    value = response.container.evaluate(context, environment) if response.container is not None else UNDEFINED
    if isinstance(value, list):
        return value, False
    if value is None or value is UNDEFINED or value == "":
        return [], False
    if isinstance(value, dict):
        return [value], True
    path = response.container.path if response.container is not None else "response.iterate"
    raise DataError(f"{path}: the container must be an array")


def item_context(context: Context, index: int, item: Any) -> Context:
    """Put an item into a context (it is changed): `item`, its alias `items`, `iterate.index`."""
    context["item"] = item
    context["items"] = item
    context["iterate"] = {"index": index, "container": context["iterate"]["container"]}
    return context


def filter_items(response: ResponsePlan, items: list[Any], context: Context, environment: Environment) -> Page:
    """The page of a container; its context gets `iterate.container.first` and `.last`."""
    ends = {"first": items[0], "last": items[-1]} if items else {}
    context["iterate"] = {"container": ends}
    numbered = list(enumerate(items, 1))
    if response.item_condition is not None and items:
        inner = dict(context)
        numbered = [
            (index, item)
            for index, item in numbered
            if truthy(response.item_condition.evaluate(item_context(inner, index, item), environment))
        ]
    return Page(context, numbered, len(items))


def page_outputs(response: ResponsePlan, page: Page, environment: Environment) -> list[Any]:
    """The outputs of the items of a page; `null`, `false` and undefined give none."""
    output = response.output
    if output is None:
        values = [item for _, item in page.items]
    else:
        context = dict(page.context)
        evaluate = output.evaluate
        values = [evaluate(item_context(context, index, item), environment) for index, item in page.items]
    return [value for value in values if value is not None and value is not UNDEFINED and value is not False]


def single_output(response: ResponsePlan, context: Context, environment: Environment) -> Any:
    """The output of a request without `iterate`; UNDEFINED for nothing."""
    value = (
        response.output.evaluate(context, environment)
        if response.output is not None
        else context.get("body", UNDEFINED)
    )
    return UNDEFINED if value is None or value is UNDEFINED or value is False else value


def trigger_items(request: RequestPlan, page: Page, environment: Environment) -> list[TriggerItem]:
    """The items of a page with their `trigger.id` and `trigger.date`."""
    trigger = request.response.trigger
    if trigger is None:
        return []
    context = dict(page.context)
    found: list[TriggerItem] = []
    for index, item in page.items:
        inner = item_context(context, index, item)
        identity = trigger.id.evaluate(inner, environment) if trigger.id is not None else UNDEFINED
        date: Any = trigger.date.evaluate(inner, environment) if trigger.date is not None else UNDEFINED
        found.append(TriggerItem(identity, date, item, index, page))
    return found


def epoch_rows(request: RequestPlan, page: Page, environment: Environment) -> list[Any]:
    """The start points of a page: `{id, label, date}` of each item (spec/modules.md 1.6)."""
    rows: list[Any] = []
    for found in trigger_items(request, page, environment):
        context = item_context(dict(page.context), found.index, found.item)
        output = single_output(request.response, context, environment)
        shown = output if isinstance(output, dict) else {}
        own = shown.get("date")
        date: datetime | Any = own if own is not None else found.date
        row = {"id": found.id, "label": shown.get("label"), "date": date}
        rows.append({key: value for key, value in row.items() if value is not None and value is not UNDEFINED})
    return rows
