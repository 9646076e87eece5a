"""
Polling trigger: finds what is new since the last poll, and lists start points (spec/modules.md 1.6).

The memory is read with `Recall` unless the job brings it, and written with `Remember`; the commit of the run decides
whether it counts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cmp_to_key
from typing import Any, Final

from modules.plans import PLANS, scope_of
from modules.shapes import checked_bundles, many_bundles, wrong_output
from modules.trigger_state import Poll, TriggerState, compare_ids
from runtime.coercion import to_date
from runtime.communication import Kind, run_communication
from runtime.communication.scope import Scope
from runtime.effects import Emit, Recall, Remember, Steps
from runtime.errors import ImlError, ModuleRuntimeError
from runtime.module_job import ModuleJob
from runtime.values import UNDEFINED, Bundle, compact_json

#: Longest memory of a module as JSON, in bytes (spec/communication.md 19).
MAX_STATE_BYTES: Final = 65_536


def run_trigger(job: ModuleJob) -> Steps[None]:
    """
    Poll once: hand out the oldest new items and remember how far it went.

    Raises:
        ModuleError: The communication failed, an item has no usable id or date, or an output is no collection.
    """
    plan = PLANS.plan(job, Kind.TRIGGER)
    stored = job.state
    if not job.state_known and stored is None:
        stored = yield Recall("trigger", job.module.id)
    state = TriggerState.from_json(stored, job.environment.timezone)
    poll = Poll(state, job.environment.now, job.environment.timezone, start=_start(job, stored, state))
    result = yield from run_communication(plan, _scope(job, state), watcher=poll)
    if not poll.began:
        # Nothing was asked: what there is comes from `condition.default`, and nothing is known to remember.
        bundles = many_bundles(result.output)
    elif result.output is UNDEFINED or isinstance(result.output, list):
        bundles = checked_bundles([] if result.output is UNDEFINED else result.output)
    else:
        raise wrong_output("Array", result.output)
    if bundles:
        yield Emit(bundles)
    if not poll.began:
        return
    new = poll.new_state().to_json()
    if len(compact_json(new).encode("utf-8")) > MAX_STATE_BYTES:
        raise ModuleRuntimeError(f"The memory of the trigger is over {MAX_STATE_BYTES} bytes.")
    if new != stored:
        yield Remember("trigger", job.module.id, new)


def _start(job: ModuleJob, stored: dict[str, Any] | None, state: TriggerState) -> Any:
    """The choice of the start to apply: a pending one, or what a first poll means without one."""
    if state.start is not None:
        return state.start
    if stored:
        return None
    return {"mode": "now"} if job.module.epoch.value else {"mode": "all"}


def _scope(job: ModuleJob, state: TriggerState) -> Scope:
    scope = scope_of(job)
    picked = state.start is not None and state.start.get("mode") == "item"
    variables = {**scope.variables, "data": state.data(), "trigger": {"matchEqual": picked}}
    return replace(scope, variables=variables)


def list_start_points(job: ModuleJob) -> Steps[list[Bundle]]:
    """
    The rows of the panel that lets a user choose where to start: `{id, label, date}`, newest first.

    The memory of the trigger is neither read nor written.

    Raises:
        ModuleError: The communication failed.
    """
    plan = PLANS.plan(job, Kind.EPOCH)
    result = yield from run_communication(plan, scope_of(job))
    rows = many_bundles(result.output)
    dates = [_row_date(row, job.environment.timezone) for row in rows]
    dated = list(zip(rows, dates, strict=True))

    def order(left: tuple[Bundle, Any], right: tuple[Bundle, Any]) -> int:
        if left[1] is not None and right[1] is not None and left[1] != right[1]:
            return -1 if left[1] > right[1] else 1
        return -compare_ids(left[0].get("id"), right[0].get("id"))

    dated.sort(key=cmp_to_key(order))
    return [row for row, _ in dated]


def _row_date(row: Bundle, timezone: str) -> Any:
    try:
        return to_date(row["date"], timezone) if row.get("date") is not None else None
    except ImlError:
        return None
