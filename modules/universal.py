"""
Universal, "Make an API call": an action whose request is written by the user (spec/modules.md 1.8).
"""

from __future__ import annotations

from modules.plans import PLANS, scope_of
from modules.shapes import one_bundle
from runtime.communication import Kind, run_communication
from runtime.effects import Emit, Steps
from runtime.module_job import ModuleJob


def run_universal(job: ModuleJob) -> Steps[None]:
    """
    Run a universal module for one input bundle.

    Raises:
        ModuleError: The communication failed, or its output is no collection.
    """
    result = yield from run_communication(PLANS.plan(job, Kind.UNIVERSAL), scope_of(job))
    yield Emit([one_bundle(result.output)])
