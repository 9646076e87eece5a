"""
Parts of a connection's phase that run without a request: the address of a redirect, the callback, a condition.

Source: spec/connections.md sections 6, 7.1, 7.4 and 7.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.communication.engine import run_communication
from runtime.communication.plan import Plan
from runtime.communication.request import build_request
from runtime.communication.scope import Result, Scope
from runtime.communication.temp import merge_temp
from runtime.effects import Steps
from runtime.errors import InvalidConfigurationError
from runtime.values import truthy


@dataclass(frozen=True, slots=True)
class Redirected:
    """Where the browser is to go, with the query as decoded pairs, and `temp` as it is then."""

    url: str
    query: tuple[tuple[str, str], ...]
    temp: dict[str, Any]


def redirect_address(plan: Plan, scope: Scope) -> Redirected | None:
    """
    The address that the `authorize` phase builds; None when its condition does not hold.

    Raises:
        ModuleError: An expression failed, or the address is none.
    """
    if plan.refusal is not None:
        raise InvalidConfigurationError(plan.refusal)
    request = plan.requests[0]
    context = _context(scope)
    for temp in request.temps:
        context["temp"] = merge_temp(context["temp"], temp.evaluate(context, scope.environment), temp.path)
    if request.condition is not None and not truthy(request.condition.evaluate(context, scope.environment)):
        return None
    built = build_request(request, context, scope.environment, limits=scope.limits, component=plan.component).request
    return Redirected(built.url, built.log.qs, context["temp"])


def read_callback(plan: Plan, scope: Scope) -> Steps[Result]:
    """
    The `response` part of the `authorize` phase over `query` in the scope's variables: `temp`, `valid`, `error`, then
    what is stored. `body` is undefined and `statusCode` 200.

    Raises:
        ModuleError: The answer is not valid, or an expression failed.
    """
    request = replace(plan.requests[0], url=None, temps=(), condition=None, default=None)
    variables = {**scope.variables, "statusCode": 200}
    return run_communication(replace(plan, requests=(request,)), replace(scope, variables=variables))


def callback_message(plan: Plan, scope: Scope) -> str:
    """What the app says about a refusal in `response.error` of the `authorize` phase; "" when it says nothing."""
    message = plan.requests[0].response.failure.message if plan.requests else None
    if message is None:
        return ""
    text = message.evaluate({**_context(scope), "statusCode": 200}, scope.environment)
    return text if isinstance(text, str) else ""


def condition_holds(plan: Plan, scope: Scope) -> bool | None:
    """
    Whether the condition of any request holds; None when no request has one.

    Raises:
        ModuleError: An expression failed.
    """
    found: bool | None = None
    context = _context(scope)
    for request in plan.requests:
        if request.condition is None:
            continue
        for temp in request.temps:
            context["temp"] = merge_temp(context["temp"], temp.evaluate(context, scope.environment), temp.path)
        found = found or truthy(request.condition.evaluate(context, scope.environment))
    return found


def without_condition(plan: Plan) -> Plan:
    """The plan of a single request whose condition has been decided already; a longer one keeps its conditions."""
    if len(plan.requests) != 1:
        return plan
    return replace(plan, requests=(replace(plan.requests[0], condition=None, default=None),))


def sent_members(plan: Plan, roots: Mapping[str, Any]) -> frozenset[str] | None:
    """
    First names below any of `roots` that the requests of a plan send, such as `refreshToken` of
    `{{connection.refreshToken}}`; None when one of them is named by an expression.
    """
    names: set[str] = set()
    for request in plan.requests:
        for directive in (request.url, request.headers, request.qs, request.body, request.oauth, *request.temps):
            for reference in directive.template.references if directive is not None else ():
                if reference.root not in roots:
                    continue
                if not reference.path:
                    return None
                names.add(str(reference.path[0]))
    return frozenset(names)


def _context(scope: Scope) -> dict[str, Any]:
    return {
        "environment": {"timezone": scope.environment.timezone},
        **scope.variables,
        "temp": dict(scope.temp),
    }
