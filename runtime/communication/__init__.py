"""
The communication engine: from a communication file and its surroundings to HTTP requests and a result.

    plan = compile_communication(spec.communication.value, base=app.base.value, kind=Kind.SEARCH, component="module x")
    result = yield from run_communication(plan, Scope(variables, environment))

A plan is made once per content hash and component and may be shared by all threads. Source: spec/communication.md.
"""

from runtime.communication.compiler import compile_communication
from runtime.communication.engine import run_communication
from runtime.communication.listing import TriggerItem, Watcher
from runtime.communication.merge import merge_epoch
from runtime.communication.parts import Redirected, condition_holds, read_callback, redirect_address
from runtime.communication.plan import Kind, Plan
from runtime.communication.scope import Limits, Result, Scope

__all__ = [
    "Kind",
    "Limits",
    "Plan",
    "Redirected",
    "Result",
    "Scope",
    "TriggerItem",
    "Watcher",
    "compile_communication",
    "condition_holds",
    "merge_epoch",
    "read_callback",
    "redirect_address",
    "run_communication",
]
