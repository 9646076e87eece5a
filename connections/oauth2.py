"""
The OAuth 2.0 connection: preauthorize, authorize, token, info, and beside them refresh and invalidate.

Code flow with or without PKCE, client credentials and password are all written by apps as phases; the flow stops at the
redirect and goes on with the callback (`begin`, `finish`). Source: spec/connections.md sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connections.inputs import resolved_inputs
from connections.job import ConnectionJob
from connections.phases import Flow, flow_over, phase_plan, phases_of
from connections.record import Grant
from connections.redirect import Pending, Redirect, redirect_of, taken_callback
from connections.scopes import union
from runtime.communication import Result, condition_holds, redirect_address
from runtime.communication.parts import sent_members, without_condition
from runtime.effects import Steps
from runtime.errors import DataError, InvalidConfigurationError
from runtime.values import UNDEFINED, is_empty

#: Roots under which expressions read the one collection.
ROOTS = {"parameters": None, "connection": None, "data": None}


def begin_oauth2(job: ConnectionJob) -> Steps[Grant | Redirect]:
    """
    Authorize up to the redirect, or to the end when the app needs none.

    Raises:
        BundleValidationError: Inputs failed their checks; nothing was sent.
        InvalidConfigurationError: The app has no phase that authorizes.
        ModuleError: The service refused, in the app's own words.
    """
    store = yield from resolved_inputs(job)
    phases = phases_of(job.spec)
    if not phases.keys() & {"authorize", "token"}:
        raise InvalidConfigurationError(f"{job.component}: it has neither `authorize` nor `token`")
    flow = Flow(job, store)
    yield from flow.phase("preauthorize")
    plan = phase_plan(job, "authorize")
    if plan is not None:
        address = redirect_address(plan, flow.surroundings())
        if address is not None:
            return (yield from redirect_of(job, flow, address))
    return (yield from _ended(flow))


def finish_oauth2(job: ConnectionJob, pending: Pending, query: Mapping[str, Any]) -> Steps[Grant]:
    """
    Go on with the callback: its part of `authorize`, then `token` and `info`.

    Raises:
        InvalidAccessTokenError: The provider has refused; in its words.
        ModuleError: The callback is not valid, or the service refused.
    """
    flow = Flow(job, pending.store, pending.temp, query)
    yield from taken_callback(flow)
    if flow.temp.get("code") in (None, UNDEFINED, "") and query.get("code"):
        flow.temp = {**flow.temp, "code": query["code"]}
    return (yield from _ended(flow))


def _ended(flow: Flow) -> Steps[Grant]:
    job = flow.job
    token = yield from flow.phase("token")
    if token is not None and token.executed:
        _require_something(job, "token", token)
    granted = flow.scope
    yield from flow.phase("info")
    before = job.stored.scope if job.stored is not None else ()
    return flow.grant(
        parameters=job.inputs(),
        scope=granted or union([*before, *job.scope]),
        # A grant that is asked for anew each time uses nothing up.
        reusable=not _interactive(job) and "refresh" not in phases_of(job.spec),
    )


def _require_something(job: ConnectionJob, name: str, result: Result) -> None:
    """An answer such as a page of HTML has none of the members that the app keeps, and is no grant."""
    plan = phase_plan(job, name)
    keeps = plan is not None and any(request.response.data is not None for request in plan.requests)
    data = result.data
    # Dates do not count: the end of nothing after now is now.
    if keeps and (not isinstance(data, dict) or all(is_empty(v) or isinstance(v, datetime) for v in data.values())):
        raise DataError(f"{job.component} {name}: the answer of the service holds nothing of what the app keeps")


def _interactive(job: ConnectionJob) -> bool:
    return "authorize" in phases_of(job.spec)


def verify_oauth2(job: ConnectionJob) -> Steps[Grant]:
    """
    Ask with `info` whether the stored connection works; renewing it before is the caller's affair.

    Raises:
        ModuleError: It does not.
    """
    flow = flow_over(job)
    yield from flow.phase("info")
    record = job.stored
    reusable = record is not None and record.reusable
    return flow.grant(parameters=job.inputs(), scope=flow.scope, reusable=reusable)


def renewing_phase(job: ConnectionJob) -> str | None:
    """The phase that renews: `refresh`, else a `token` that needs nobody; None when there is none."""
    phases = phases_of(job.spec)
    if "refresh" in phases:
        return "refresh"
    return "token" if "token" in phases and not _interactive(job) else None


def due_oauth2(job: ConnectionJob) -> bool:
    """
    Whether the stored data are to be renewed before they are used: the condition of `refresh`, or of a `token` that
    needs nobody. A phase without one is never due (spec/connections.md 7.7).

    Raises:
        ModuleError: The condition failed.
    """
    scope = flow_over(job).surroundings()
    names = ["refresh"] if _interactive(job) else ["refresh", "token"]
    return any((plan := phase_plan(job, name)) is not None and condition_holds(plan, scope) is True for name in names)


def renew_oauth2(job: ConnectionJob) -> Steps[Grant]:
    """
    Renew the stored data now, whatever the condition says.

    Raises:
        InvalidConfigurationError: The app has no phase for it.
        ModuleError: The service refused.
    """
    name = renewing_phase(job)
    plan = phase_plan(job, name) if name is not None else None
    if name is None or plan is None:
        raise InvalidConfigurationError(f"{job.component}: it has no phase that renews")
    flow = flow_over(job)
    before = dict(flow.store)
    # Granted scopes are reported by `token` only.
    scope = flow.scope
    result = yield from flow.phase(name, without_condition(plan))
    if result is None or not result.executed:
        raise InvalidConfigurationError(f"{job.component}: the conditions of `{name}` let nothing be renewed")
    _require_something(job, name, result)
    if name == "token" and flow.scope:
        scope = flow.scope
    # Whether sending the same again would still be good: nothing that was sent has been replaced.
    sent = sent_members(plan, ROOTS)
    names = before.keys() if sent is None else sent & before.keys()
    reusable = all(before.get(key) == flow.store.get(key) for key in names)
    return flow.grant(parameters=job.inputs(), scope=scope, reusable=reusable)


def invalidate_oauth2(job: ConnectionJob) -> Steps[None]:
    """
    Give the grant back to the service.

    Raises:
        ModuleError: The service refused.
    """
    yield from flow_over(job).phase("invalidate")
