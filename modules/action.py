"""
Action: any number of requests in sequence, exactly one bundle (spec/modules.md 1.4).
"""

from __future__ import annotations

from modules.plans import PLANS, scope_of
from modules.shapes import one_bundle
from runtime.communication import Kind, run_communication
from runtime.effects import Emit, Steps
from runtime.module_job import ModuleJob


def run_action(job: ModuleJob) -> Steps[None]:
    """
    Run an action for one input bundle.

    Raises:
        ModuleError: The communication failed, or its output is no collection.
    """
    result = yield from run_communication(PLANS.plan(job, Kind.ACTION), scope_of(job))
    yield Emit([one_bundle(result.output)])
