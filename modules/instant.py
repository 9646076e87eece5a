"""
Instant trigger: one item of a webhook, one bundle; with a communication the item is enriched by one request
(spec/modules.md 1.7).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from modules.plans import PLANS, scope_of
from modules.shapes import one_bundle, wrong_output
from runtime.communication import Kind, Plan, run_communication
from runtime.effects import Emit, Recall, Steps
from runtime.errors import ModuleRuntimeError
from runtime.module_job import ModuleJob
from runtime.values import UNDEFINED

#: What is missing in a run that no event has started.
NO_EVENT: Final = "The webhook has no event. Run the scenario with --trigger-bundle FILE."


def run_instant(job: ModuleJob) -> Steps[None]:
    """
    Hand out the item of this run's event.

    Raises:
        ModuleRuntimeError: The run has no event, or the item is no collection.
        ModuleError: The communication failed.
    """
    event = yield Recall("event", "")
    if event is None:
        raise ModuleRuntimeError(NO_EVENT)
    item = event["payload"]
    if _is_empty(job.module.communication.value):
        job.module.require_usable()
        yield Emit([_item_bundle(item)])
        return
    plan = PLANS.plan(job, Kind.INSTANT)
    result = yield from run_communication(plan, replace(scope_of(job), variables=_variables(job, event)))
    if result.output is UNDEFINED and not (result.executed and _makes_output(plan)):
        # Skipped by its condition without a default, or it neither asks nor says anything.
        yield Emit([_item_bundle(item)])
        return
    yield Emit([one_bundle(result.output)])


def _is_empty(communication: Any) -> bool:
    """True for an absent communication: nothing, `{}`, or a list of nothing."""
    if isinstance(communication, list):
        return all(_is_empty(item) for item in communication)
    return not isinstance(communication, dict) or not communication


def _makes_output(plan: Plan) -> bool:
    """Whether the request sends something or has an output of its own."""
    return any(request.url is not None or request.response.output is not None for request in plan.requests)


def _item_bundle(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise wrong_output("Object", item)
    return item


def _variables(job: ModuleJob, event: dict[str, Any]) -> dict[str, Any]:
    """The module's variables, the item as `payload`, what the hook has stored; the module's own parameters win."""
    variables = job.variables()
    variables["payload"] = event["payload"]
    variables["webhook"] = event["webhook"]
    variables["parameters"] = {**event["parameters"], **job.parameters}
    return variables
