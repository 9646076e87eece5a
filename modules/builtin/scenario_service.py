"""The app `scenario-service`: inputs, outputs, sub-scenarios (spec/scenarios.md 4.8, 5.6)."""

from __future__ import annotations

from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field
from modules.builtin.structures import given, plain
from runtime.effects import Emit, Recall, Remember, Steps
from runtime.parameters import Field, parse_fields, resolve
from runtime.scenario.catalog import Role
from runtime.values import to_text


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


def name_execution(job: BuiltinJob) -> Steps[None]:
    """Give the run a name."""
    name = to_text(job.config["executionName"])
    yield Remember("label", "", name)
    yield Emit([{"executionName": name}])


ENTRIES: Final = (
    Builtin("scenario-service:StartSubscenario", versions=(1, 2), run=start),
    Builtin("scenario-service:ReturnData", versions=(1, 2), role=Role.RETURNER, run=return_data, open_mapper=False),
    Builtin(
        "scenario-service:NameExecution",
        versions=(1, 2),
        run=name_execution,
        mappable=[field("executionName", required=True)],
    ),
)
