"""
How cycles begin and end: commit, rollback, the number of cycles, the end of a run (spec/scenarios.md 2.1, 2.2, 6.1).
"""

from __future__ import annotations

from dataclasses import replace

from runtime.errors import ModuleError, error_from_json
from runtime.scenario.catalog import Role
from runtime.scenario.cursor import Cursor, Intent, Ref, RunState
from runtime.scenario.plan import Plan
from runtime.scenario.steps import Bundles, Commit, Failed, Finished, Operation, Outcome


def run_error(cursor: Cursor) -> ModuleError | None:
    """The error that ends the run, if one does."""
    return error_from_json(cursor.state.error) if cursor.state.error else None


def finished(cursor: Cursor) -> Finished:
    """The end of the run as its record shows it; `incomplete` when a step of unknown outcome stopped it."""
    state = cursor.state
    error = run_error(cursor)
    if state.unknown is not None:
        status = "incomplete"
    elif error is not None:
        status = "cancelled" if error.name == "ExecutionInterruptedError" else "error"
    else:
        status = "warning" if state.warned else "success"
    return Finished(
        status, error, state.error_module, cursor.operations, cursor.cycle, state.outputs, state.label, state.unknown
    )


def commit_order(intents: tuple[Intent, ...], plan: Plan) -> tuple[Intent, ...]:
    """The intents of a cycle in commit order: as they came, the start module's last with `autoCommitTriggerLast`."""
    if not plan.settings.auto_commit_trigger_last:
        return intents
    start = plan.start.id
    return (
        *(intent for intent in intents if intent.module != start),
        *(intent for intent in intents if intent.module == start),
    )


def committed(after: Cursor, step: Commit, outcome: Outcome, plan: Plan) -> Cursor:
    """After a commit: the next cycle, or the end. A failed one ends the run at once, and nothing more is undone."""
    state = after.state
    if isinstance(outcome, Failed):
        return _ended(after, outcome.error)
    if step.auto:
        return after._replace(state=replace(state, due=()))
    role = plan.start.role
    dry = state.empty and role in (Role.POLLING, Role.INSTANT)
    last = state.last or dry or after.cycle >= state.cycles
    return after._replace(stack=(), state=replace(state, intents=(), phase="ended" if last else "ready"))


def rolled_back(after: Cursor, outcome: Outcome) -> Cursor:
    """After a rollback the run has ended with its error, or with the failure of the rollback itself."""
    if isinstance(outcome, Failed):
        return _ended(after, outcome.error)
    return after._replace(stack=(), state=replace(after.state, intents=(), phase="ended"))


def _ended(cursor: Cursor, error: ModuleError) -> Cursor:
    data = error.to_json()
    data.pop("external", None)
    state = replace(cursor.state, phase="ended", intents=(), due=(), error=data)
    return cursor._replace(stack=(), state=state)


def changed(state: RunState, step: Operation, outcome: Bundles, plan: Plan) -> RunState:
    """The run's state after an operation changed variables, outputs or the label, or wants to write outside the run."""
    maps: dict[str, dict[str, Ref]] = {"roundtrip": dict(state.roundtrip), "execution": dict(state.execution)}
    settings = plan.settings
    at_once = settings.auto_commit and not (step.start and settings.auto_commit_trigger_last)
    intents: list[Intent] = []
    outputs, label = state.outputs, state.label
    for change in outcome.changes:
        ref = (step.number, change.index)
        if change.intent:
            intents.append(Intent(step.module_id, change.kind, change.key, ref))
        elif change.kind in maps:
            maps[change.kind][change.key] = ref
        elif change.kind == "outputs":
            outputs = ref
        elif change.kind == "label":
            label = change.key
    return replace(
        state,
        roundtrip=maps["roundtrip"],
        execution=maps["execution"],
        intents=state.intents if at_once else (*state.intents, *intents),
        due=tuple(intents) if at_once else state.due,
        outputs=outputs,
        label=label,
        warned=state.warned or outcome.warned,
    )
