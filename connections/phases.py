"""
The phases of OAuth connections: which kind a connection is, its compiled phases, and one flow through them.

A flow keeps `temp`, the one collection under its three names, and what is to be stored at the end (spec/connections.md
sections 1, 3, 5 and 8).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from connections.inputs import metadata_of
from connections.job import ConnectionJob
from connections.record import ConnectionState, Grant
from connections.values import expires_of, merge_data, scope_of, secret_texts, telling_texts
from runtime.app.specs import ConnectionSpec
from runtime.communication import Kind, Plan, Result, Scope, compile_communication, run_communication
from runtime.effects import Conceal, Steps
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError
from runtime.values import UNDEFINED, is_empty, to_text, type_name

#: Compiled phases kept per process; the longest unused one leaves first.
KEPT_PLANS: Final = 512
OAUTH2_PHASES: Final = ("preauthorize", "authorize", "token", "info", "refresh", "invalidate")
OAUTH1_PHASES: Final = ("requestToken", "authorize", "accessToken", "info", "invalidate")


def kind_of(spec: ConnectionSpec) -> str:
    """`basic`, `oauth1` or `oauth2`: the logical kind, which the content tells (spec/connections.md 1)."""
    if spec.type == "basic":
        return "basic"
    keys = set(phases_of(spec))
    first = keys & {"requestToken", "accessToken"}
    second = keys & {"preauthorize", "token", "refresh"}
    if first and second:
        return "mixed"
    return "oauth1" if first or ("oauth" in keys and not second) else "oauth2"


def phases_of(spec: ConnectionSpec) -> dict[str, Any]:
    """The communication by root key; phases that hold nothing are left out."""
    value = spec.communication.value
    if not isinstance(value, dict):
        return {}
    return {key: phase for key, phase in value.items() if phase not in (None, {}, [], [{}])}


class _Plans:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[str, str, str, str], Plan] = OrderedDict()

    def plan(self, job: ConnectionJob, phase: str, document: Any, kind: Kind) -> Plan:
        key = (job.app.name, job.app.hash, job.spec.id, phase)
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        plan = compile_communication(document, kind=kind, component=f"{job.component} {phase}")
        if job.app.hash:
            with self._lock:
                self._plans[key] = plan
                while len(self._plans) > KEPT_PLANS:
                    self._plans.popitem(last=False)
        return plan


_PLANS: Final = _Plans()


def phase_plan(job: ConnectionJob, phase: str) -> Plan | None:
    """The compiled phase of a connection; None when it has no such phase."""
    phases = phases_of(job.spec)
    if phase not in phases:
        return None
    first = kind_of(job.spec) == "oauth1"
    document = phases[phase]
    if first:
        # The root object is what every phase signs with; a phase's own keys win.
        root = phases.get("oauth")
        items = document if isinstance(document, list) else [document]
        document = [
            {**item, "oauth": {**(root if isinstance(root, dict) else {}), **(item.get("oauth") or {})}}
            for item in items
            if isinstance(item, dict)
        ]
    return _PLANS.plan(job, phase, document, Kind.OAUTH1 if first else Kind.OAUTH2)


@dataclass(slots=True)
class Flow:
    """One way through phases. `store` is what expressions read as `parameters`, `connection` and `data`."""

    job: ConnectionJob
    store: dict[str, Any] = field(repr=False)
    temp: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    query: Mapping[str, Any] | None = field(default=None, repr=False)
    signing: Mapping[str, Any] | None = field(default=None, repr=False)
    uid: str | None = None
    metadata: dict[str, str] | None = None
    expires: datetime | None = None
    scope: tuple[str, ...] = ()

    def surroundings(self) -> Scope:
        """What the next phase runs with."""
        job = self.job
        variables: dict[str, Any] = {
            "parameters": self.store,
            "connection": self.store,
            "data": self.store,
            "common": job.common_values(),
            "oauth": oauth_variables(job),
        }
        if self.query is not None:
            variables["query"] = dict(self.query)
        return Scope(variables, job.environment, job.limits, temp=self.temp, signing=self.signing)

    def phase(self, name: str, plan: Plan | None = None) -> Steps[Result | None]:
        """
        Run a phase and take in what it stores; None when the connection has none of this name.

        Raises:
            ModuleError: The service refused, in the app's own words.
        """
        plan = plan if plan is not None else phase_plan(self.job, name)
        if plan is None:
            return None
        result = yield from run_communication(plan, self.surroundings())
        yield from self.take(result)
        return result

    def take(self, result: Result) -> Steps[None]:
        """Take in what a phase left and stored; its secrets are known from then on."""
        self.temp = result.temp
        if result.data is not UNDEFINED and result.data is not None:
            if not isinstance(result.data, dict):
                raise ModuleRuntimeError(f"response.data: an object is needed, not {type_name(result.data)}")
            self.store = merge_data(self.store, result.data)
        if not is_empty(result.uid):
            self.uid = to_text(result.uid)
        self.metadata = metadata_of(result.metadata) or self.metadata
        expires = expires_of(result.expires, timezone=self.job.environment.timezone)
        if expires is not None and expires != self.job.environment.now:
            # `addSeconds(now, undefined)` gives now, which is no end of a grant (7.6).
            self.expires = expires
        self.scope = scope_of(result.scope) or self.scope
        stored = secret_texts(self.job.app, self.job.spec, self.store)
        yield Conceal(frozenset(stored | set(telling_texts(self.temp))))

    def grant(self, *, parameters: dict[str, Any], scope: tuple[str, ...], **fields: Any) -> Grant:
        """What is to be stored, in one step."""
        return replace(
            Grant(
                parameters=parameters,
                data=self.store,
                uid=self.uid,
                metadata=self.metadata,
                expires=self.expires,
                scope=scope,
                state=ConnectionState.VALID,
            ),
            **fields,
        )


def flow_over(job: ConnectionJob, **fields: Any) -> Flow:
    """A flow over the stored record of a job: what it does not change stays."""
    record = job.stored
    if record is None:
        raise InvalidConfigurationError(f"{job.component}: there is no stored connection")
    return Flow(
        job,
        dict(record.data),
        uid=record.uid,
        metadata=record.metadata,
        expires=record.expires,
        scope=record.scope,
        **fields,
    )


def oauth_variables(job: ConnectionJob) -> dict[str, Any]:
    """The variable `oauth`: the asked scopes as a list, the callback's address under its three names, the state."""
    return {
        "scope": list(job.scope),
        "redirectUri": job.redirect_uri,
        "localRedirectUri": job.redirect_uri,
        "makeRedirectUri": job.redirect_uri,
        "state": job.oauth_state or UNDEFINED,
    }
