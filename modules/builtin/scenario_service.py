"""The app `scenario-service`: inputs, outputs, sub-scenarios (spec/scenarios.md 4.8, 5.6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field
from modules.builtin.structures import collection, given, plain
from runtime.effects import Emit, Recall, Remember, Sleep, Steps
from runtime.errors import ModuleRuntimeError
from runtime.parameters import Field, parse_fields, resolve
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED, milliseconds, to_text

#: A quick child is waited for in the thread; later the run parks, longer each time.
QUICK: Final = (timedelta(seconds=0.1), timedelta(seconds=0.3), timedelta(seconds=1))
PARKED: Final = timedelta(seconds=6)
MAX_PARKED: Final = timedelta(seconds=60)
#: A lost child must not hang its parent for ever.
MAX_WAIT: Final = timedelta(hours=2)


def start(job: BuiltinJob) -> Steps[None]:  # noqa: ARG001  what it gives belongs to the run
    """The inputs of the run, converted and with defaults, as one bundle."""
    inputs = yield Recall("run", "inputs")
    yield Emit([inputs or {}])


def return_data(job: BuiltinJob) -> Steps[None]:
    """Set the outputs of the run: each of its declared type, null without a value; other keys as they are."""
    outputs = yield Recall("run", "outputs")
    declared = [{**item, "required": False, "default": None} for item in outputs or [] if isinstance(item, dict)]
    for item in declared:
        item.pop("default")
    fields = parse_fields(declared, where="outputs")
    values = given(job.mapped)
    found: dict[str, Any] = {item.name: None for item in fields if isinstance(item, Field)}
    found |= resolve(fields, values, timezone=job.environment.timezone).values
    found |= {name: plain(value) for name, value in values.items() if name not in found}
    yield Remember("outputs", "", found)


def call(job: BuiltinJob) -> Steps[None]:
    """
    Run another scenario: its outputs by name and `executionId`; without waiting only that. A waiting run parks until
    the end of its child wakes it, and as a net looks at it again from time to time.
    """
    resume = job.resume or {}
    child: str | None = resume.get("child")
    since = resume.get("since", milliseconds(job.environment.now))
    wait = job.config.get("shouldWaitForExecutionEnd", UNDEFINED) is True
    if child is None:
        inputs = {name: plain(value) for name, value in given(collection(job, "data")).items()}
        child = yield Recall("start", to_text(job.config["scenario"]), {"inputs": inputs, "wait": wait})
    if not wait:
        yield Emit([{"executionId": child}])
        return
    turn = resume.get("turn", 0)
    while (ended := (yield Recall("ended", child or ""))) is None:
        waited = milliseconds(job.environment.now) - since
        if waited > MAX_WAIT / timedelta(milliseconds=1):
            raise ModuleRuntimeError("The called scenario did not end in time.")
        if turn < len(QUICK):
            yield Sleep(QUICK[turn])
        else:
            longer = min(PARKED * (1 + turn - len(QUICK)), MAX_PARKED)
            yield Sleep(longer, resume={"child": child, "since": since, "turn": turn + 1})
        turn += 1
    if ended["state"] not in ("success", "warning"):
        error = ended["error"] or {}
        raise ModuleRuntimeError(error.get("message") or f"The called scenario ended with {ended['state']}.")
    yield Emit([{**ended["outputs"], "executionId": child}])


def name_execution(job: BuiltinJob) -> Steps[None]:
    """Give the run a name."""
    name = to_text(job.config["executionName"])
    yield Remember("label", "", name)
    yield Emit([{"executionName": name}])


_SCENARIO: Final = field("scenario", "any", required=True)

ENTRIES: Final = (
    Builtin(
        "scenario-service:CallSubscenario",
        versions=(1, 2),
        run=call,
        static=[_SCENARIO, field("shouldWaitForExecutionEnd", "boolean")],
        mappable=[field("data", "any")],
    ),
    Builtin(
        "scenario-service:RunScenario", versions=(1, 2), run=call, static=[_SCENARIO], mappable=[field("data", "any")]
    ),
    Builtin("scenario-service:StartSubscenario", versions=(1, 2), run=start),
    Builtin("scenario-service:ReturnData", versions=(1, 2), role=Role.RETURNER, run=return_data, open_mapper=False),
    Builtin(
        "scenario-service:NameExecution",
        versions=(1, 2),
        run=name_execution,
        mappable=[field("executionName", required=True)],
    ),
)
