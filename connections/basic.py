"""
The basic connection: at most one request, whose answer says whether the user's inputs are good.

API key, Basic Auth, Digest (md5), custom token and JWT are all written this way. Source: spec/connections.md section 4.
"""

from __future__ import annotations

from typing import Any

from connections.inputs import metadata_of, resolved_inputs
from connections.job import ConnectionJob
from connections.record import ConnectionState, Grant
from connections.values import expires_of, merge_data, scope_of, secret_texts
from runtime.communication import Kind, Plan, Scope, compile_communication, run_communication
from runtime.effects import Conceal, Steps
from runtime.errors import ModuleRuntimeError
from runtime.values import UNDEFINED, is_empty, to_text, type_name


def authorize_basic(job: ConnectionJob) -> Steps[Grant]:
    """
    Check the inputs, send the request, collect what is to be stored.

    Raises:
        BundleValidationError: Inputs failed their checks; nothing was sent.
        InvalidConfigurationError: The communication holds what a connection may not: `aws`, a second request.
        ModuleError: The service refused, in the app's own words.
    """
    # One collection under three names; expressions read it while the answer may add to it.
    store = yield from resolved_inputs(job)
    plan = compile_communication(job.spec.communication.value, kind=Kind.CONNECTION, component=job.component)
    result = yield from run_communication(plan, Scope(variables_of(job, store), job.environment, job.limits))
    data = _stored_data(store, result.data)
    yield Conceal(frozenset(secret_texts(job.app, job.spec, data)))
    return Grant(
        parameters=job.inputs(),
        data=data,
        uid=None if is_empty(result.uid) else to_text(result.uid),
        metadata=metadata_of(result.metadata),
        expires=expires_of(result.expires, timezone=job.environment.timezone),
        scope=scope_of(result.scope),
        state=ConnectionState.VALID if _asks_service(plan) else ConnectionState.UNVERIFIED,
    )


def variables_of(job: ConnectionJob, store: dict[str, Any]) -> dict[str, Any]:
    """What a connection's communication sees besides `now`, `temp` and the answer (spec/connections.md 4, 8)."""
    return {
        "parameters": store,
        "connection": store,
        "data": store,
        "common": job.common_values(),
        "oauth": {
            "scope": [],
            "redirectUri": job.redirect_uri,
            "localRedirectUri": job.redirect_uri,
            "makeRedirectUri": job.redirect_uri,
        },
    }


def _stored_data(store: dict[str, Any], data: Any) -> dict[str, Any]:
    if data is UNDEFINED or data is None:
        return store
    if not isinstance(data, dict):
        raise ModuleRuntimeError(f"response.data: an object is needed, not {type_name(data)}")
    return merge_data(store, data)


def _asks_service(plan: Plan) -> bool:
    """False for `{}` and its like: nothing is ever sent. A request that its condition has skipped counts as sent."""
    return any(request.url is not None for request in plan.requests)
