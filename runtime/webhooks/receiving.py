"""
The webhook of an app over one incoming request: verification, condition, uid, iterate, output, respond.

A dedicated hook:   verdict = receive(plan, incoming, hook, environment)
A shared URL:       call = open_shared(plan, incoming, common, environment)
                    verdict = deliver(plan, call, hook, environment)      for each hook whose connection has call.uid

Order and answers: spec/modules.md 5.4. Nothing raises: what fails becomes a verdict with an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.errors import ScenaristError
from runtime.iml import Environment
from runtime.logs import get_logger
from runtime.values import UNDEFINED, Buffer, is_empty, to_text, truthy
from runtime.webhooks.bodies import read_body
from runtime.webhooks.forms import parse_query
from runtime.webhooks.incoming import ACCEPTED, BadRequest, Incoming, Verdict, plain, refusal
from runtime.webhooks.plans import HookScope, ReceivingPlan

#: Most items of one request (spec/modules.md 1.3).
MAX_ITEMS: Final = 3200
_FAILED: Final = "The webhook could not be processed."

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request to a shared URL. With a `verdict` it is done; else it goes to the hooks whose connection has this
    `uid`, "" when the request belongs to nobody.
    """

    verdict: Verdict | None = None
    uid: str = ""
    roots: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def receive(plan: ReceivingPlan, incoming: Incoming, hook: HookScope, environment: Environment) -> Verdict:
    """The verdict over one request to a dedicated hook. Never raises."""

    def work() -> Verdict:
        roots = _roots(incoming)
        context = _context(roots, hook, environment)
        return _verified(plan, context, environment) or _delivered(plan, context, environment)

    return _guarded(plan, work)


def open_shared(plan: ReceivingPlan, incoming: Incoming, common: Mapping[str, Any], environment: Environment) -> Call:
    """Read a request to a shared URL: a verification is answered, else its `uid` is known. Never raises."""
    calls: list[Call] = []

    def work() -> Verdict:
        roots = _roots(incoming)
        context = _context(roots, HookScope(common=common), environment)
        verdict = _verified(plan, context, environment)
        if verdict is not None:
            return verdict
        uid = plan.uid.evaluate(context, environment) if plan.uid is not None else UNDEFINED
        usable = not is_empty(uid) and not isinstance(uid, (dict, list, Buffer))
        calls.append(Call(None, to_text(uid) if usable else "", roots))
        return Verdict()

    verdict = _guarded(plan, work)
    return calls[0] if calls else Call(verdict)


def deliver(plan: ReceivingPlan, call: Call, hook: HookScope, environment: Environment) -> Verdict:
    """The verdict over a request to a shared URL for one of its recipients. Never raises."""
    return _guarded(plan, lambda: _delivered(plan, _context(call.roots, hook, environment), environment))


def _guarded(plan: ReceivingPlan, work: Callable[[], Verdict]) -> Verdict:
    if plan.refusal:
        return Verdict((), plain(500, _FAILED), plan.refusal)
    try:
        return work()
    except BadRequest as error:
        return refusal(error)
    except ScenaristError as error:
        return Verdict((), plain(500, _FAILED), error.message)
    except RecursionError:
        return Verdict((), plain(500, _FAILED), "a value is nested too deeply")
    except Exception as error:  # a fault of ours refuses this request, not the server
        log.error("webhook crashed", component=plan.component, exc_info=error)
        return Verdict((), plain(500, _FAILED), f"crashed: {type(error).__name__}")


def _roots(incoming: Incoming) -> dict[str, Any]:
    """The variables of the request itself; an empty body is absent."""
    body = read_body(incoming)
    roots: dict[str, Any] = {
        "query": parse_query(incoming.query),
        "headers": incoming.read_headers(),
        "method": incoming.method,
        # For checks of signatures: the bytes as they came.
        "request": {"rawBody": Buffer(incoming.body)},
    }
    if body is not UNDEFINED:
        roots["body"] = body
    return roots


def _context(roots: Mapping[str, Any], hook: HookScope, environment: Environment) -> dict[str, Any]:
    return {"environment": {"timezone": environment.timezone}, **hook.variables(), **roots}


def _verified(plan: ReceivingPlan, context: dict[str, Any], environment: Environment) -> Verdict | None:
    """The answer to a verification; None when the request is none."""
    if plan.verification is None:
        return None
    if plan.verify is not None and not truthy(plan.verify.evaluate(context, environment)):
        return None
    return Verdict((), plan.verification.answer(context, environment), verification=True)


def _delivered(plan: ReceivingPlan, context: dict[str, Any], environment: Environment) -> Verdict:
    items: list[Any] = []
    if plan.condition is None or truthy(plan.condition.evaluate(context, environment)):
        items = _items(plan, context, environment)
    answer = plan.respond.answer(context, environment) if plan.respond is not None else None
    # Nothing is queued: no run will ever answer.
    return Verdict(tuple(items), answer if answer is not None or items else ACCEPTED)


def _items(plan: ReceivingPlan, context: dict[str, Any], environment: Environment) -> list[Any]:
    if not plan.iterates:
        value = context.get("body", UNDEFINED) if plan.output is None else plan.output.evaluate(context, environment)
        return _kept([value])
    container = plan.container.evaluate(context, environment) if plan.container is not None else UNDEFINED
    if isinstance(container, list):
        rows: list[Any] = container
    else:
        rows = [] if is_empty(container) else [container]
    if len(rows) > MAX_ITEMS:
        raise BadRequest(f"The request has {len(rows)} items; {MAX_ITEMS} are allowed.", 413)
    ends = {"first": rows[0], "last": rows[-1]} if rows else {}
    inner = dict(context)
    values: list[Any] = []
    for index, row in enumerate(rows, 1):
        inner["item"] = inner["items"] = row
        inner["iterate"] = {"index": index, "container": ends}
        if plan.item_condition is not None and not truthy(plan.item_condition.evaluate(inner, environment)):
            continue
        values.append(row if plan.output is None else plan.output.evaluate(inner, environment))
    return _kept(values)


def _kept(values: list[Any]) -> list[Any]:
    """The values that are items: nothing, null, false and empty texts or bytes are none."""
    return [
        value
        for value in values
        if not (value is False or is_empty(value) or (isinstance(value, Buffer) and not len(value)))
    ]
