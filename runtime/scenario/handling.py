"""
What happens when a module has failed: error routes, the five directives, the default (spec/scenarios.md 3.2 to 3.4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from runtime.errors import ModuleError, error_from_json
from runtime.scenario.aggregate import element, store_element
from runtime.scenario.catalog import Role
from runtime.scenario.cursor import At, Cursor, Failure, Frame, Handling, Outs, Routes, visible_refs
from runtime.scenario.evaluation import Evaluation
from runtime.scenario.plan import Node, Plan
from runtime.scenario.steps import Done, Incomplete, Outcome, Refused, Rollback, Step, Store
from runtime.values import to_text

if TYPE_CHECKING:
    from runtime.scenario.engine import Engine

#: Classes that never become an incomplete execution (spec/scenarios.md 3.2, column DLQ).
NOT_STORED: Final = frozenset(
    {
        "InconsistencyError",
        "IncompleteDataError",
        "ScenarioTimeoutError",
        "OperationsLimitExceededError",
        "DataSizeLimitExceededError",
        "ExecutionInterruptedError",
        "AccountValidationError",
    }
)
#: With the setting `dlq_classes = "strict"` these stay out as well (the older table of the vendor).
NOT_STORED_STRICTLY: Final = NOT_STORED | {"RuntimeError", "UnknownError"}
#: What Break does when its mapper says nothing: attempts, and minutes between them (spec/scenarios.md 3.3).
BREAK_COUNT: Final = 3
BREAK_INTERVAL: Final = 15
#: Longest error text in a cursor, in characters; the whole text lies in the bundle store.
_LONGEST_MESSAGE: Final = 4000


def decide(engine: Engine, cursor: Cursor, stack: tuple[Frame, ...], failure: Failure) -> tuple[Frame, ...] | Step:
    """Send a failed bundle into the error route that covers its module, or do what happens without one."""
    below = stack[:-1]
    node = engine.plan.flows[failure.flow].nodes[failure.position]
    handler = node.handler
    if handler is None or failure.unhandled:
        return _default(engine, cursor, below, node, failure)
    router = -1
    if handler.owner != node.id:
        owner = engine.plan.nodes[handler.owner]
        router = _router(below, owner)
    handling = Handling(
        failure.flow, failure.position, failure.mode, failure.base, node.id, failure.number, failure.error, router
    )
    return (*below, handling, At(handler.flow, 0))


def unhandled(handling: Handling) -> Failure:
    """The failure again, after its error route did not take it: only the default is left."""
    return Failure(
        handling.flow, handling.position, handling.mode, handling.base, handling.number, handling.error, True
    )


def _router(below: tuple[Frame, ...], owner: Node) -> int:
    for index in range(len(below) - 1, -1, -1):
        frame = below[index]
        if type(frame) is Routes and (frame.flow, frame.position) == (owner.flow, owner.position):
            return index
    return -1


def _raised(engine: Engine, number: int) -> ModuleError:
    return error_from_json(engine.bundles.get(number, 0)["raised"])


def _default(engine: Engine, cursor: Cursor, below: tuple[Frame, ...], node: Node, failure: Failure) -> Step:
    """The decision table of spec/scenarios.md 3.2 for an error that nobody handles."""
    error = _raised(engine, failure.number)
    outer = next((frame for frame in reversed(below) if type(frame) is Handling), None)
    if outer is not None:
        first = _raised(engine, outer.number)
        data = error.to_json()
        error = error_from_json({**data, "suberrors": [*data.get("suberrors", []), first.message]})
    settings = engine.plan.settings
    if not node.is_start:
        if settings.dlq and error.name not in engine.not_stored:
            at = At(failure.flow, failure.position, failure.mode, failure.base)
            refs, after = visible_refs(below), cursor.at(below)
            return Incomplete(cursor.cycle, node.id, node.name, error, refs, False, None, at, failure.number, after)
        if settings.dataloss and error.name == "MaxFileSizeExceededError":
            return engine.next(cursor.at(below)._replace(state=replace(cursor.state, warned=True)))
    return _rollback_step(rollback(cursor, error, node.id), error)


def rollback(cursor: Cursor, error: ModuleError, module: int | None) -> Cursor:
    """The cursor that rolls the running cycle back and then ends the run with this error."""
    data = error.to_json()
    data.pop("external", None)
    data["message"] = data["message"][:_LONGEST_MESSAGE]
    if "suberrors" in data:
        data["suberrors"] = [text[:_LONGEST_MESSAGE] for text in data["suberrors"][:20]]
    state = replace(cursor.state, phase="rollback", due=(), error=data, error_module=module, unknown=None)
    return cursor._replace(stack=(), state=state)


def _rollback_step(cursor: Cursor, error: ModuleError) -> Rollback:
    return Rollback(cursor.cycle, cursor.state.intents[::-1], error, cursor)


def stored(after: Cursor, step: Incomplete, outcome: Outcome, plan: Plan) -> Cursor:
    """
    After an incomplete execution was stored, or could not be.

    Raises:
        TypeError: The outcome does not fit.
    """
    if isinstance(outcome, Refused):
        if plan.settings.dataloss:
            return after._replace(state=replace(after.state, warned=True))
        return rollback(after, step.error, step.module_id)
    if not isinstance(outcome, Done):
        raise TypeError(f"storing an incomplete execution cannot end in {type(outcome).__name__}")
    warned = after.state.warned or step.retry is None
    return after._replace(state=replace(after.state, stored=after.state.stored + 1, warned=warned))


def directive(
    engine: Engine, cursor: Cursor, stack: tuple[Frame, ...], node: Node, mapped: dict[str, Any]
) -> tuple[Frame, ...] | Step:
    """A bundle has reached a directive: it decides for the failed module whose error route this is."""
    place = next(index for index in range(len(stack) - 1, -1, -1) if type(stack[index]) is Handling)
    handling = cast(Handling, stack[place])
    below = stack[:place]
    failed = engine.plan.flows[handling.flow].nodes[handling.position]
    role = node.role
    if role is Role.IGNORE:
        return stack[: handling.router] if handling.router >= 0 else below
    if role is Role.RESUME:
        return _resume(engine, cursor, below, failed, handling, mapped)
    if role is Role.COMMIT:
        state = replace(cursor.state, last=True)
        return engine.next(cursor._replace(stack=(), state=state))
    error = _raised(engine, handling.number)
    if role is Role.BREAK:
        if engine.plan.settings.dlq and not failed.is_start:
            retry = _break_settings(mapped)
            refs = visible_refs(below)
            at = At(handling.flow, handling.position, handling.mode, handling.base)
            after = cursor.at(below)
            return Incomplete(
                cursor.cycle, failed.id, failed.name, error, refs, True, retry, at, handling.number, after
            )
        cursor = cursor._replace(state=replace(cursor.state, warned=True))
    cursor = cursor._replace(state=replace(cursor.state, directed=True))
    return _rollback_step(rollback(cursor, error, failed.id), error)


def _resume(
    engine: Engine,
    cursor: Cursor,
    below: tuple[Frame, ...],
    failed: Node,
    handling: Handling,
    substitute: dict[str, Any],
) -> tuple[Frame, ...] | Store:
    if handling.router >= 0 or failed.role in (Role.ROUTER, Role.IF_ELSE):
        # No output could be substituted: the failed path ends here, later routes run.
        return below
    if failed.role is Role.AGGREGATOR and handling.mode != "flush":
        key, _ = Evaluation(engine, below, failed.needs).group_key(failed)
        collected = element(key if failed.group_by is None else key or "", substitute)
        return store_element(cursor, below, failed, collected)
    spans = ((0, 0),) * len(failed.feeds)
    number = cursor.number
    outs = Outs(handling.flow, handling.position, failed.id, number, 1, -1, spans, handling.base)
    after = Cursor(cursor.blueprint, (*below, outs), number + 1, cursor.operations, cursor.cycle, cursor.state)
    return Store(number, 0, substitute, after)


def _break_settings(mapped: dict[str, Any]) -> tuple[int, int] | None:
    """(attempts, minutes) of a Break, None when it is not retried by itself."""
    if to_text(mapped.get("retry", True)).lower() in ("false", ""):
        return None
    count = _whole(mapped.get("count"), BREAK_COUNT, 10_000)
    return count, _whole(mapped.get("interval"), BREAK_INTERVAL, 44_640)


def _whole(value: Any, default: int, most: int) -> int:
    try:
        number = int(float(to_text(value)))
    except (ValueError, OverflowError):
        return default
    return min(max(number, 1), most)
