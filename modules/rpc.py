"""
Remote procedures: what fills the options and fields of a form (spec/modules.md 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.app.specs import App, RpcSpec
from runtime.communication import Kind, Limits, Scope, compile_communication, run_communication
from runtime.effects import Steps
from runtime.iml import Environment
from runtime.values import UNDEFINED


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


def run_rpc(job: RpcJob) -> Steps[Any]:
    """
    Call an RPC. Its rows as a list; the value itself when it is one collection (a sample, or one field).

    Raises:
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
    result = yield from run_communication(plan, Scope(variables, job.environment, job.limits))
    return [] if result.output is None or result.output is UNDEFINED else result.output


def rows_of(output: Any) -> list[Any]:
    """An RPC's output as options or fields: a collection is a list of one (spec/modules.md 4.2)."""
    return output if isinstance(output, list) else [output]
