"""
Remote procedures: what fills the options and fields of a form (spec/modules.md 4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from runtime.app.functions import app_environment
from runtime.app.specs import App, RpcSpec
from runtime.communication import Kind, Limits, Result, Scope, compile_communication, run_communication
from runtime.effects import HttpRequest, Steps
from runtime.errors import ModuleError, ModuleTimeoutError
from runtime.iml import Environment
from runtime.values import UNDEFINED

#: All requests of an RPC together, in seconds (spec/modules.md 4.4).
RPC_SECONDS: Final = 40.0


@dataclass(frozen=True, slots=True)
class RpcJob:
    """One call of an RPC. `parameters` are the values of the calling form, its query string over them."""

    app: App
    rpc: RpcSpec
    parameters: dict[str, Any]
    environment: Environment
    connection: dict[str, Any] | None = None
    common: Mapping[str, Any] = field(default_factory=dict[str, Any])
    expect: list[Any] = field(default_factory=list[Any])
    interface: list[Any] = field(default_factory=list[Any])
    webhook: dict[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)
    #: The keys of an OAuth 1 connection.
    signing: Mapping[str, Any] | None = field(default=None, repr=False)


def run_rpc(job: RpcJob, *, seconds: float = RPC_SECONDS, clock: Callable[[], float] = time.monotonic) -> Steps[Any]:
    """
    Call an RPC. Its rows as a list; the value itself when it is one collection (a sample, or one field). All its
    requests together may take `seconds` by `clock`.

    Raises:
        ModuleTimeoutError: They took longer.
        ModuleError: The communication failed, or the RPC may not be used.
    """
    job.rpc.require_usable()
    plan = compile_communication(
        job.rpc.communication.value, base=job.app.base.value, kind=Kind.RPC, component=f"rpc {job.rpc.id}"
    )
    variables: dict[str, Any] = {
        "parameters": job.parameters,
        "common": dict(job.common),
        "data": {},
        "metadata": {"expect": job.expect, "interface": job.interface},
    }
    if job.connection is not None:
        variables["connection"] = job.connection
    if job.webhook is not None:
        variables["webhook"] = job.webhook
    environment = app_environment(job.environment, job.app, limits=job.limits.functions)
    steps = run_communication(plan, Scope(variables, environment, job.limits, signing=job.signing))
    result = yield from _within(steps, seconds, clock)
    return [] if result.output is None or result.output is UNDEFINED else result.output


def _within(steps: Steps[Result], seconds: float, clock: Callable[[], float]) -> Steps[Result]:
    """The same steps with one deadline over all requests; they read only, so each may be repeated after a crash."""
    ends = clock() + seconds
    reply: Any = None
    failure: ModuleError | None = None
    while True:
        try:
            effect = steps.throw(failure) if failure is not None else steps.send(reply)
        except StopIteration as stop:
            return stop.value
        if isinstance(effect, HttpRequest):
            left = ends - clock()
            if left <= 0:
                steps.close()
                raise ModuleTimeoutError(f"The RPC took longer than {seconds:g} s.")
            timeout = min(effect.timeout, timedelta(seconds=left))
            effect = replace(effect, repeatable=True, timeout=timeout)
        failure = None
        try:
            reply = yield effect
        except ModuleError as error:
            failure = error


def rows_of(output: Any) -> list[Any]:
    """An RPC's output as options or fields: a collection is a list of one (spec/modules.md 4.2)."""
    return output if isinstance(output, list) else [output]
