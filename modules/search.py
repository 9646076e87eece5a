"""
Search: zero or more bundles over all pages (spec/modules.md 1.5).

Bundles go out page by page where the communication allows it, so that memory holds one page.
"""

from __future__ import annotations

from typing import Any

from modules.plans import PLANS, scope_of
from modules.shapes import checked_bundles, many_bundles
from runtime.communication import Kind, run_communication
from runtime.effects import Emit, Steps
from runtime.module_job import ModuleJob


def run_search(job: ModuleJob) -> Steps[None]:
    """
    Run a search for one input bundle. `__IMTINDEX__` and `__IMTLENGTH__` are added by the engine.

    Raises:
        ModuleError: The communication failed, or an output is no collection.
    """
    result = yield from run_communication(PLANS.plan(job, Kind.SEARCH), scope_of(job), emit=_emit)
    bundles = many_bundles(result.output)
    if bundles:
        yield Emit(bundles)


def _emit(outputs: list[Any]) -> Steps[None]:
    yield Emit(checked_bundles(outputs))
