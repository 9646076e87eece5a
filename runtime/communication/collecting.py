"""
What the answers of a component run leave for its result: items, outputs, `limit` and `wrapper`.

Only the last executed request of an array feeds the output (spec/communication.md 18), and which one that is shows
at the end only. So the outputs of a request that may be followed by another, or repeated, are evaluated at the end,
with the context that their page had; those of the last one page by page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runtime.communication.listing import (
    Context,
    Page,
    Watcher,
    epoch_rows,
    filter_items,
    item_context,
    page_outputs,
    read_container,
    single_output,
    trigger_items,
)
from runtime.communication.plan import CONNECTION_KINDS, HOOK_KINDS, LISTING_KINDS, Kind, Plan, RequestPlan
from runtime.communication.scope import Limits, whole_number
from runtime.effects import Steps, Warn
from runtime.errors import ModuleRuntimeError
from runtime.iml import Environment
from runtime.values import UNDEFINED, Buffer, to_text

#: Takes the outputs of a page as soon as they are known.
Emitter = Callable[[list[Any]], Steps[None]]

#: Rows of the panel that lets the user choose a trigger's start (spec/communication.md 18).
EPOCH_LIMIT: Final = 300
_DEFAULT_LIMITS: Final = {Kind.TRIGGER: 1, Kind.EPOCH: EPOCH_LIMIT}


class Collector:
    """Takes answers one by one and gives the final value. Lives as long as one component run."""

    def __init__(
        self, plan: Plan, environment: Environment, limits: Limits, emit: Emitter | None, watcher: Watcher | None
    ) -> None:
        self._plan = plan
        self._environment = environment
        self._emit = emit
        self._watcher = watcher
        self._listing = plan.kind in LISTING_KINDS
        self._cap = limits.max_records if self._listing else None
        self._limit: int | None = None
        self._limit_known = False
        self._request: RequestPlan | None = None
        self._default: Any = UNDEFINED
        self._pages: list[Page] = []
        self._outputs: list[Any] = []
        self._taken = self._read = 0
        self._previous: Any = UNDEFINED
        #: How many outputs went out page by page.
        self.emitted = 0

    def wants_nothing(self, context: Context) -> bool:
        """
        True when `limit` is zero or less. It is evaluated once, before the first request, and that of the last
        request of the array counts.

        Raises:
            ModuleRuntimeError: It is no number.
        """
        if not self._limit_known:
            self._limit_known = True
            self._limit = self._evaluated_limit(context)
        return self._limit is not None and self._limit <= 0

    def _evaluated_limit(self, context: Context) -> int | None:
        kind = self._plan.kind
        directive = self._plan.requests[-1].response.limit if self._plan.requests else None
        value = directive.evaluate(context, self._environment) if directive is not None else UNDEFINED
        if value is None or value is UNDEFINED or value == "" or not self._listing:
            return _DEFAULT_LIMITS.get(kind)
        number = whole_number(value)
        if number is None:
            raise ModuleRuntimeError("response.limit: not a number")
        return min(number, EPOCH_LIMIT) if kind is Kind.EPOCH else number

    def skip(self, default: Any) -> None:
        """A request was skipped and has a default: that is the output now, whatever ran before."""
        self._default = default
        self._request = None

    def begin(self, request: RequestPlan, context: Context) -> None:
        """A request is about to run: what earlier ones left counts no more."""
        self._default = UNDEFINED
        self._request = request
        self._pages, self._outputs = [], []
        self._taken = self._read = 0
        self._previous = UNDEFINED
        trigger = request.response.trigger
        if trigger is not None and self._watcher is not None:
            names = [
                to_text(part.evaluate(context, self._environment)) if part is not None else ""
                for part in (trigger.type, trigger.order)
            ]
            self._watcher.begin(names[0], names[1])

    def take(self, request: RequestPlan, context: Context, *, same_request: bool = False) -> Steps[bool]:
        """
        Take one answer, whose values are in `context`; true when another page may be asked for.

        `same_request` says that the request before it was the same: equal items then end the paging and are dropped.
        """
        if not request.response.iterates:
            return (yield from self._take_single(context, same_request=same_request))
        items, single = read_container(request.response, context, self._environment)
        if single:
            yield Warn("iterate: the container is an object, taken as a list of one", "iterate-object")
        if same_request and items == self._previous:
            yield Warn("the service repeated the previous page; paging stopped", "page-loop")
            return False
        self._previous = items
        page = filter_items(request.response, items, context, self._environment)
        page.context = dict(context)
        self._read += len(items)
        if self._watcher is not None and request.response.trigger is not None:
            self._pages = [page]
            more = self._watcher.page(trigger_items(request, page, self._environment))
            if self._cap is not None and self._read >= self._cap:
                yield self._capped(self._read)
                return False
            return more and bool(items)
        more = bool(items)
        if self._cut(page):
            more = False
            if self._cap is not None and self._taken >= self._cap and (self._limit is None or self._limit > self._cap):
                yield self._capped(self._cap)
        yield from self._keep(request, page)
        return more

    def _take_single(self, context: Context, *, same_request: bool) -> Steps[bool]:
        body = context.get("body", UNDEFINED)
        if same_request and body == self._previous:
            yield Warn("the service repeated the previous page; paging stopped", "page-loop")
            return False
        self._previous = body
        empty = _is_empty_page(body)
        if not (empty and self._pages):
            self._pages.append(Page(dict(context)))
        return not empty and not (self._limit is not None and len(self._pages) >= self._limit)

    @staticmethod
    def _capped(records: int) -> Warn:
        return Warn(f"stopped after {records} records, the most that are allowed", "record-limit")

    def _cut(self, page: Page) -> bool:
        """Drop the items of a page that are beyond `limit` or the cap; true when one of them is reached."""
        ends = [end for end in (self._limit, self._cap) if end is not None]
        room = min(ends) - self._taken if ends else len(page.items) + 1
        reached = len(page.items) >= room
        page.items = page.items[:room] if reached else page.items
        self._taken += len(page.items)
        return reached

    def _keep(self, request: RequestPlan, page: Page) -> Steps[None]:
        if request is not self._plan.requests[-1] or request.repeat is not None:
            self._pages.append(page)
            return
        outputs = self._page_outputs(request, page)
        # What remains of the page is its context, for `wrapper` and the condition of `pagination`.
        page.items = []
        self._pages = [page]
        if self._emit is None or request.response.wrapper is not None:
            self._outputs += outputs
        elif outputs:
            self.emitted += len(outputs)
            yield from self._emit(outputs)

    def _page_outputs(self, request: RequestPlan, page: Page) -> list[Any]:
        if self._plan.kind is Kind.EPOCH and request.response.trigger is not None:
            return epoch_rows(request, page, self._environment)
        return page_outputs(request.response, page, self._environment)

    def result(self) -> Any:
        """The final value after the last request, `wrapper` applied; UNDEFINED for nothing."""
        request = self._request
        if request is None:
            return self._default
        if self._plan.kind in CONNECTION_KINDS or self._plan.kind in HOOK_KINDS:
            return UNDEFINED
        output = self._unwrapped(request)
        wrapper = request.response.wrapper
        if wrapper is None:
            return output
        context = dict(self._pages[-1].context) if self._pages else {}
        if output is not UNDEFINED:
            context["output"] = output
        return wrapper.evaluate(context, self._environment)

    def _unwrapped(self, request: RequestPlan) -> Any:
        plan, environment = request.response, self._environment
        if self._watcher is not None and plan.trigger is not None:
            values: list[Any] = []
            for kept in self._watcher.keep(self._limit):
                context = item_context(dict(kept.page.context), kept.index, kept.item)
                values.append(single_output(plan, context, environment) if plan.output is not None else kept.item)
            return [value for value in values if value is not UNDEFINED]
        if plan.iterates:
            late = [value for page in self._pages for value in self._page_outputs(request, page)]
            return self._outputs + late
        if len(self._pages) > 1:
            values = [single_output(plan, page.context, environment) for page in self._pages]
            output: Any = _joined([value for value in values if value is not UNDEFINED])
        else:
            output = single_output(plan, self._pages[-1].context, environment) if self._pages else UNDEFINED
        ends = [end for end in (self._limit, self._cap) if end is not None]
        return output[: min(ends)] if ends and isinstance(output, list) else output


def _is_empty_page(body: object) -> bool:
    if body is None or body is UNDEFINED or body == "":
        return True
    return isinstance(body, (list, dict, Buffer)) and len(body) == 0


def _joined(values: list[Any]) -> list[Any]:
    """Outputs of pages without `iterate` as one list; pages that are lists themselves are strung together."""
    if values and all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    return values
