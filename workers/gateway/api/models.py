"""Bodies, queries and answers of the API (instants are `2026-11-25 01:28:16Z`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from workers.gateway.api.endpoint import Model

#: The end of the year 9999, UTC milliseconds.
_LATEST = 253_402_300_799_999

Status = Literal["queued", "running", "parked", "success", "warning", "error", "cancelled", "incomplete"]


class Page(Model):
    """Of a list."""

    limit: int = Field(50, ge=1, le=500, description="Most rows.")


class RunsQuery(Page):
    """Which runs."""

    scenario: str | None = Field(None, description="Id or name of a scenario.")
    status: list[Status] = Field(default_factory=list[Status], description="May be given several times.")
    since: int | None = Field(
        None, ge=0, le=_LATEST, description="Accepted at or after this instant, UTC milliseconds."
    )
    before: int | None = Field(
        None, ge=0, le=_LATEST, description="Accepted before this instant, UTC milliseconds: `next` of the page before."
    )


class ShownRunQuery(Model):
    """How much of a run."""

    trace: bool = Field(False, description="With requests, warnings and debug output of each step.")


class RunBody(Model):
    """Start a scenario (spec/scenarios.md 5.2, API run)."""

    data: dict[str, Any] = Field(default_factory=dict[str, Any], description="The scenario's inputs.")
    responsive: bool = Field(False, description="Wait for the end, up to 180 s, and give the outputs.")
    callbackUrl: str | None = Field(None, max_length=2000, description="Where the end is posted.")  # noqa: N815
    queued: bool = Field(False, description="Start with the oldest event of the webhook's queue.")


class ReplayBody(Model):
    """Run again from an operation of an ended run."""

    operation: int = Field(1, ge=1, description="The operation to begin with.")
    current: bool = Field(True, description="With today's blueprint, from its start; false: as it was then.")


class ActivateBody(Model):
    """How a scenario is to run by itself."""

    schedule: dict[str, Any] | None = Field(None, description="A scheduling object; none: the blueprint's.")
    timezone: str | None = None
    slots: int | None = Field(None, ge=1)


class RetryBody(Model):
    """Nothing is needed."""


class RecordsBody(Model):
    """The records of a data store, by key."""

    records: dict[str, dict[str, Any]]


class EventsQuery(Page):
    """Of a webhook's queue."""


class EventsBody(Model):
    """Which events; none: all that wait or are dead."""

    events: list[str] = Field(default_factory=list[str], max_length=1000)


class IncompleteQuery(Model):
    """Which incomplete executions."""

    scenario: str | None = None
    resolved: bool = Field(False, description="Also those that are done with.")


# -- answers -----------------------------------------------------------------------------------------------------------


class Accepted(BaseModel):
    """A run that is on disk."""

    executionId: str  # noqa: N815
    status: Status = "queued"


class Ended(BaseModel):
    """A responsive run that has ended: 1 success, 2 warning, 3 error; 0 when it goes on or waits for a decision."""

    executionId: str  # noqa: N815
    status: Literal[0, 1, 2, 3]
    outputs: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: dict[str, Any] | None = None


class Run(BaseModel):
    """A run without its steps."""

    run: str
    scenario: str
    name: str
    kind: str
    status: Status
    created: str
    started: str | None
    ended: str | None
    operations: int
    cycles: int
    stopping: bool
    error: dict[str, Any] | None


class Runs(BaseModel):
    """A page of runs, newest first; `next` is `before` of the next page."""

    runs: list[Run]
    next: int | None


class Report(BaseModel):
    """A run with its steps (design section 8)."""

    run: str | None
    scenario: str | None
    status: str
    operations: int
    cycles: int
    error: dict[str, Any] | None
    steps: list[dict[str, Any]]
    outputs: dict[str, Any]


class Scenario(BaseModel):
    """A scenario."""

    id: str
    name: str
    active: bool
    blueprint: str
    created: str
    timezone: str | None
    schedule: dict[str, Any]
    errors: int
    stop_reason: str
    incomplete: int
    bindings: list[dict[str, Any]]


class Hook(BaseModel):
    """A webhook without its address."""

    id: str
    name: str
    kind: str
    app: str
    component: str
    scenario: str | None
    state: str
    waiting: int


class Event(BaseModel):
    """An event of a webhook, without its data."""

    id: str
    received: int
    size: int
    place: Literal["waiting", "taken", "dead"]
    run: str | None


class Connection(BaseModel):
    """A connection without its secrets."""

    id: str
    name: str
    app: str
    component: str
    state: str
    scenarios: list[str]


class Store(BaseModel):
    """A data store."""

    name: str
    records: int
    bytes: int


class Incomplete(BaseModel):
    """An incomplete execution."""

    id: str
    scenario: str
    name: str
    status: str
    module: int
    app: str
    error: dict[str, Any]
    created: str
    attempts: int
    next: str | None
    run: str
    retries: list[str]


class Counted(BaseModel):
    """How many."""

    count: int


class Problem(BaseModel):
    """A refusal."""

    type: str
    message: str
    details: list[str] | None = None


class Error(BaseModel):
    """A refusal."""

    error: Problem
