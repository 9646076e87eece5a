"""
The OAuth 1.0 connection: requestToken, authorize, accessToken, info; every request is signed.

The root object `oauth` counts for every phase, and for modules that lack the consumer's keys. Source:
spec/connections.md section 6, spec/communication.md section 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connections.inputs import resolved_inputs
from connections.job import ConnectionJob
from connections.phases import Flow, flow_over, phase_plan, phases_of
from connections.record import Grant
from connections.redirect import Pending, Redirect, redirect_of, taken_callback, with_query
from runtime.communication import Redirected, redirect_address
from runtime.communication.url import fields_of
from runtime.effects import Steps
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError
from runtime.iml import Place, compile_document
from runtime.values import to_text

#: Keys of the root object that modules take over when their own directive lacks them.
CONSUMER_KEYS = ("consumer_key", "consumer_secret", "private_key", "signature_method", "transport_method")


def begin_oauth1(job: ConnectionJob) -> Steps[Grant | Redirect]:
    """
    Get a request token and build the address of the provider's page; without `authorize`, go on to the end.

    Raises:
        BundleValidationError: Inputs failed their checks; nothing was sent.
        InvalidConfigurationError: The app has no phase that authorizes.
        ModuleError: The service refused, in the app's own words.
    """
    store = yield from resolved_inputs(job)
    if not phases_of(job.spec).keys() & {"requestToken", "accessToken"}:
        raise InvalidConfigurationError(f"{job.component}: it has neither `requestToken` nor `accessToken`")
    flow = Flow(job, store, signing={"callback": job.redirect_uri})
    yield from flow.phase("requestToken")
    plan = phase_plan(job, "authorize")
    address = redirect_address(plan, flow.surroundings()) if plan is not None else None
    if plan is None or address is None:
        return (yield from _ended(flow))
    return (yield from redirect_of(job, flow, _with_token(plan, flow, address)))


def _with_token(plan: Any, flow: Flow, address: Redirected) -> Redirected:
    """The address with `oauth_token`, which the directive `oauth.token` of the phase names."""
    if any(name == "oauth_token" for name, _ in address.query):
        return address
    directive = plan.requests[0].oauth
    fields: dict[str, Any] = {}
    if directive is not None:
        scope = flow.surroundings()
        context = {**scope.variables, "temp": address.temp}
        fields = fields_of(directive.evaluate(context, scope.environment), directive.path)
    token = to_text(fields.get("token", ""))
    if not token:
        return address
    query = (*address.query, ("oauth_token", token))
    return Redirected(with_query(address.url, "oauth_token", token), query, address.temp)


def finish_oauth1(job: ConnectionJob, pending: Pending, query: Mapping[str, Any]) -> Steps[Grant]:
    """
    Go on with the callback: its part of `authorize`, then `accessToken` and `info`.

    Raises:
        InvalidAccessTokenError: The provider has refused, or the callback belongs to another request token.
        ModuleError: The callback is not valid, or the service refused.
    """
    flow = Flow(job, pending.store, pending.temp, query, signing={})
    if query.get("oauth_token") != pending.token and not query.get("error") and "denied" not in query:
        raise InvalidAccessTokenError("The callback belongs to another authorization: its oauth_token is not ours.")
    yield from taken_callback(flow)
    return (yield from _ended(flow))


def _ended(flow: Flow) -> Steps[Grant]:
    flow.signing = {}
    yield from flow.phase("accessToken")
    yield from flow.phase("info")
    return flow.grant(parameters=flow.job.inputs(), scope=flow.scope)


def verify_oauth1(job: ConnectionJob) -> Steps[Grant]:
    """
    Ask with `info` whether the stored connection works.

    Raises:
        ModuleError: It does not.
    """
    flow = flow_over(job, signing={})
    yield from flow.phase("info")
    return flow.grant(parameters=job.inputs(), scope=flow.scope)


def invalidate_oauth1(job: ConnectionJob) -> Steps[None]:
    """
    Give the grant back, where the app has written how.

    Raises:
        ModuleError: The service refused.
    """
    yield from flow_over(job, signing={}).phase("invalidate")


def signing_keys(job: ConnectionJob) -> dict[str, Any]:
    """
    What a module's `oauth` directive gets from the connection: the consumer's keys of the root object.

    Raises:
        ImlError: An expression of it failed.
    """
    root = phases_of(job.spec).get("oauth")
    if not isinstance(root, dict):
        return {}
    wanted = {key: root[key] for key in CONSUMER_KEYS if key in root}
    place = Place(component=job.component, pointer="/oauth")
    scope = flow_over(job).surroundings()
    value = compile_document(wanted, place=place).render({**scope.variables, "temp": {}}, job.environment)
    return value if isinstance(value, dict) else {}
