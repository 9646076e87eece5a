"""What the ledger takes and gives: plain frozen records, and the errors of the ledger itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from runtime.errors import ScenaristError
from runtime.values import Bundle
from workers.ledger.cipher import RunCipher
from workers.ledger.states import RunState

#: Version of the records written by this release (design section 10.13).
RECORD_VERSION = 1

Json: TypeAlias = "dict[str, Any]"


class FenceLost(ScenaristError):  # noqa: N818  the word of the design
    """Another worker holds the run, or it has ended: this one stops at once and writes nothing more."""

    name = "FenceLost"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """
    What a run is made of when it is accepted; it stays so to the run's end (design section 10.9).

    `apps` maps app names to the content hashes to use; `blueprint` is the blueprint's content hash. `inputs` and
    `trigger_bundles` hold values of the value model.
    """

    scenario: str
    blueprint: str
    apps: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str = ""
    kind: str = "manual"
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: Bundles given instead of running the start module; None runs it.
    trigger_bundles: tuple[Any, ...] | None = None
    #: Foreign connection id of the blueprint -> connection id here.
    connections: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Foreign data store id of the blueprint -> name of the data store here.
    stores: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Foreign scenario id of the blueprint -> scenario id here.
    scenarios: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Foreign data structure id of the blueprint -> the structure, as `runtime.scenario.structures` reads it.
    structures: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    #: How many runs have called each other to get here.
    depth: int = 0
    timezone: str = "UTC"
    on_unknown: str = "stop"
    confidential: bool = False
    #: Only one run of the scenario at a time (spec/scenarios.md 2.9).
    sequential: bool = False
    #: The run that this one repeats a part of; for a retry, the one that stored the incomplete execution.
    source: str = ""
    #: The incomplete execution that this run retries.
    incomplete: str = ""
    #: Where its end is told, if somebody asked for that.
    callback: str = ""
    #: An event started it at once, not a schedule or a person.
    instant: bool = False


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run that begins in the middle: its cursor as JSON data, its bundles by number, from index 0."""

    cursor: Json
    bundles: Mapping[int, Iterable[Bundle]]


@dataclass(frozen=True, slots=True)
class RunHeader:
    """A run's state without its data: one row of `runs list`. Instants are UTC milliseconds."""

    id: str
    scenario: str
    state: RunState
    created_ms: int
    name: str = ""
    kind: str = "manual"
    started_ms: int | None = None
    ended_ms: int | None = None
    #: When a parked run goes on.
    wake_ms: int | None = None
    operations: int = 0
    cycles: int = 0
    #: Bytes that the run holds now: bundles and blobs.
    bytes: int = 0
    fence: int = 0
    #: How often workers took it.
    claims: int = 0
    #: A stop was asked for; the run ends after its current operation.
    stopping: bool = False
    #: `{"type", "message", "module"}` of the error that ended it; redacted.
    error: Json | None = None
    blueprint: str = ""
    apps: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The run that this one repeats a part of.
    source: str = ""
    #: The run that waits for the end of this one.
    parent: str = ""


@dataclass(frozen=True, slots=True)
class UnsafeNote:
    """An unsafe request that was about to be sent: operation, request number in it, method (design section 10.4)."""

    operation: int
    request: int
    method: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process holds until its lease ends. `fence` goes with every write."""

    run: str
    fence: int
    request: RunRequest
    cipher: RunCipher = field(repr=False)
    #: The stored cursor; None before the first checkpoint.
    cursor: Json | None = None
    #: An unsafe request without an outcome, left by a worker that died.
    unsafe: UnsafeNote | None = None
    #: A person decided that the step of unknown outcome is done again.
    decided: bool = False
    stopping: bool = False
    #: Bytes that the run holds.
    bytes: int = 0
    #: Number of the last checkpoint.
    seq: int = 0
    created_ms: int = 0
    #: The webhook whose events the run has taken, one for each cycle. Without events it waits for one.
    hook: str = ""
    events: tuple[str, ...] = ()
    #: It was parked, and what it waited for has happened before its time.
    woken: bool = False


@dataclass(frozen=True, slots=True)
class IntentWrite:
    """
    A write outside the run, applied at commit (design section 10.5): `state` replaces the record at `key` when that
    still has the version that the run saw.
    """

    key: str
    state: bytes = field(repr=False)
    version: int = 0


@dataclass(frozen=True, slots=True)
class StoreWrite:
    """
    A write to a data store, applied at commit: `keys` of its meta record, records and order; the store's id, so that a
    store that was replaced meanwhile is left alone; `put`, `delete` or `clear`; field and encrypted record.
    """

    keys: tuple[str, str, str]
    store: str
    kind: str
    place: str = ""
    sealed: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class EventWrite:
    """
    What happens to an event of a webhook at commit: `ack` (it is done with) or `answer` (its caller gets `sealed`, if
    he still waits).
    """

    kind: Literal["ack", "answer"]
    hook: str
    event: str
    sealed: bytes = field(default=b"", repr=False)


class StoreFull(ScenaristError):  # noqa: N818  the condition, not a fault
    """A data store would grow over its limit: nothing of the checkpoint was written. `store` is its meta key."""

    name = "OutOfSpaceError"

    def __init__(self, message: str, store: str) -> None:
        super().__init__(message)
        self.store = store


@dataclass(frozen=True, slots=True)
class Move:
    """Where a checkpoint leaves the run when the segment ends with it."""

    state: RunState
    #: For `parked`: UTC milliseconds.
    wake_ms: int = 0
    error: Json | None = None
    outputs: Any = None
    #: Where the events go that the run has not acknowledged: back to their place in the queue, or to the dead ones.
    events: Literal["back", "dead"] = "back"


@dataclass(frozen=True, slots=True)
class NewIncomplete:
    """An incomplete execution to store with a checkpoint: its fields, encrypted data, and when it is first retried."""

    id: str
    fields: Mapping[str, str | bytes] = field(repr=False)
    chunks: Mapping[str, bytes] = field(repr=False)
    blobs: Mapping[str, bytes] = field(repr=False)
    size: int
    #: None: only a person can retry it.
    delay: timedelta | None
    most_records: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """What became of the record that a run retried; `error` and `schedule` replace its own when it failed."""

    record: str
    status: str
    delay: timedelta = timedelta(0)
    error: Json | None = None
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioChange:
    """
    What a run means for its scenario: `reset` the count of errors and the ladder of repetitions, `heal` that ladder,
    `count` one more (off at `most`), `again` after the next delay of the ladder (off after the last), or `off`.
    """

    word: Literal["reset", "heal", "count", "again", "off"]
    reason: str = ""
    most: int = 0
    #: Of `again` the ladder; of `count` the time before which the scenario is not run again.
    delays: tuple[timedelta, ...] = ()


class IncompleteFull(ScenaristError):  # noqa: N818  what happened, not what failed
    """The scenario holds as many incomplete executions as it may: nothing of the checkpoint was written."""

    name = "IncompleteFull"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that happened since the last one; written in one round trip, all or nothing."""

    cursor: Json
    operations: int = 0
    cycles: int = 0
    label: str = ""
    #: Chunks to write: field name -> encrypted bytes.
    chunks: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    #: Chunks to delete, by field name.
    dropped: tuple[str, ...] = ()
    #: Journal records, already redacted.
    journal: tuple[Json, ...] = ()
    intents: tuple[IntentWrite, ...] = ()
    #: Writes to data stores, in order.
    stores: tuple[StoreWrite, ...] = ()
    events: tuple[EventWrite, ...] = ()
    #: Most bytes that one of these stores may hold.
    store_bytes: int = 0
    #: Connections whose versions the answer tells.
    connections: tuple[str, ...] = ()
    move: Move | None = None
    incomplete: NewIncomplete | None = None
    outcome: RetryOutcome | None = None
    scenario: ScenarioChange | None = None
    #: What people are told: (kind, redacted text) (spec/scenarios.md 6.4).
    notices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a checkpoint tells the worker."""

    #: A stop was asked for: end after this operation.
    stopping: bool = False
    #: Versions of the connections that were asked about, in the same order.
    versions: tuple[int, ...] = ()
    #: For each intent, then for each store write: was it applied (False: its record had moved)?
    applied: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry of the journal: a step record, or a change of the run's state."""

    id: str
    record: Json | None = None
    state: RunState | None = None
