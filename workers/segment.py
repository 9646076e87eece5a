"""
One segment of a run: from a claim until the run ends, parks, or is handed back (design sections 2 and 6).

The engine says what comes next, `Operations` does it, and a checkpoint is written after each operation, before the next
one can have an effect. A worker that loses its run learns it from the next write and stops at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from runtime import codec
from runtime.app.specs import App
from runtime.errors import (
    DataError,
    ExecutionInterruptedError,
    ModuleError,
    OutOfSpaceError,
    ScenarioTimeoutError,
    UnexpectedError,
)
from runtime.iml import Environment
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from runtime.scenario.catalog import ModuleInfo
from runtime.scenario.cursor import Cursor, Intent
from runtime.scenario.engine import Engine
from runtime.scenario.events import event_after
from runtime.scenario.handling import NOT_STORED, NOT_STORED_STRICTLY
from runtime.scenario.steps import (
    Commit,
    Done,
    Filtered,
    Finished,
    Incomplete,
    Operation,
    Outcome,
    Refused,
    Rollback,
    Slept,
    Step,
    Store,
    Wait,
)
from runtime.values import milliseconds
from workers.children import Children
from workers.connecting import Connections
from workers.ledger.bundles import BundleStore, ChunkReader
from workers.ledger.records import (
    Checkpoint,
    Claim,
    EventWrite,
    IncompleteFull,
    IntentWrite,
    Move,
    NewIncomplete,
    RetryOutcome,
    ScenarioChange,
    StoreFull,
    StoreWrite,
)
from workers.ledger.runs import Runs
from workers.ledger.states import FINAL, RunState
from workers.library import Compiled
from workers.operation import Operations
from workers.policy import limits_of
from workers.recursion import RecursionGuard
from workers.stores import RunStores
from workers.storing import LIMIT_REACHED, Storing

if TYPE_CHECKING:
    from workers.runner import SegmentRunner

#: Longest time in which workers may hold one run (spec/scenarios.md 2.9).
RUN_TIME = timedelta(minutes=40)
#: By how much a step may outlive the run's time before its process gives up (design section 10.14).
STEP_GRACE = timedelta(seconds=60)
#: Filtered and collected bundles between two operations: a checkpoint comes at the latest after so many.
_MAX_QUIET_STEPS = 500
#: What is kept of one operation and of one run when nothing of the run needs it any more (spec/scenarios.md 6.2).
HISTORY_OPERATION_BYTES, HISTORY_RUN_BYTES = 15 * 1000 * 1000, 100 * 1000 * 1000
_STOPPED = "The execution was stopped by the user."

#: Told of each step record as it is made, with the reader of the run's bundles.
OnStep: TypeAlias = Callable[[dict[str, Any], ChunkReader], None]

log = get_logger(__name__)


class Segment:
    """One claimed run in this thread."""

    def __init__(
        self,
        runner: SegmentRunner,
        claim: Claim,
        compiled: Compiled,
        secrets: Secrets,
        lost: threading.Event,
        park: bool,
        on_step: OnStep | None,
    ) -> None:
        self.runner, self.claim, self.compiled, self.secrets = runner, claim, compiled, secrets
        self.runs = runner.runs
        self.on_step = on_step
        self.seq = claim.seq
        self.stopping = claim.stopping
        #: What a parked run waited for has happened before its time.
        self.woken = claim.woken
        self.held_before = (claim.cursor or {}).get("held", 0)
        self.started = time.monotonic()
        self.time_limit = runner.settings.duration("run_time_seconds", RUN_TIME)
        self.grace = runner.settings.duration("step_grace_seconds", STEP_GRACE)
        self.intents: list[IntentWrite] = []
        self.writes: list[StoreWrite] = []
        self.event_writes: list[EventWrite] = []
        immediate = partial(runner.library.scenarios.immediate, claim.request.scenario)
        self.storing = Storing(runner.incompletes, claim, compiled.plan, secrets, runner.settings, immediate)
        #: What the next checkpoint changes of the scenario.
        self.change: ScenarioChange | None = None
        #: What people are told with it.
        self.notices: tuple[tuple[str, str], ...] = ()
        #: Numbers in the store that hold no outputs of operations: nothing of them is kept for the history.
        self.transient: set[int] = set()
        self.dirty = False
        self.quiet = 0
        self.store = BundleStore(
            self.runs.client, self.runs.keys, claim.run, claim.cipher,
            held=claim.bytes, most=runner.settings.run_bytes, sink=_Sink(self.runs, claim),
        )  # fmt: skip
        if claim.cursor is not None:
            self.store.refresh()
        request = claim.request
        scenario = {"id": request.scenario, "name": compiled.plan.name, "executionId": claim.run}
        self.engine = Engine(
            compiled.plan,
            self.store,
            self._environment,
            {"input": dict(request.inputs), "scenario": scenario},
            NOT_STORED_STRICTLY if runner.settings.option("dlq_classes", "") == "strict" else NOT_STORED,
        )
        self.connections = Connections(
            runner.vault,
            request.connections,
            secrets,
            runner.renewals.usages,
            runner.common.get,
            runner.hooks.get(claim.hook).connection if claim.hook else "",
        )
        self.stores = RunStores(runner.stores, request.stores)
        send = RecursionGuard(runner, request.scenario) if claim.hook else runner.http.send
        self.operations = Operations(
            self.runs, claim, compiled, self.engine, self.store, self.connections, secrets, self.stores,
            Children(runner, claim, not park),
            send, runner.http.deliver, limits_of(runner.settings), lost, runner.renewals,
            runner.hooks, runner.events, runner.pauses, runner.settings.hook_url, park,
        )  # fmt: skip

    def _environment(self) -> Environment:
        now = datetime.now(UTC)
        return Environment(
            now=now.replace(microsecond=now.microsecond // 1000 * 1000),
            timezone=self.claim.request.timezone,
            execution_id=self.claim.run,
            strict_functions=True,
        )

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> RunState:
        """Walk on until the run ends, parks, or has to be handed back."""
        cursor = self._begin()
        while True:
            step = self.engine.next(cursor)
            try:
                if isinstance(step, Finished):
                    return self._finish(cursor, step)
                if isinstance(step, Wait) and self.woken:
                    self.woken = False
                    cursor = self.engine.woken(cursor)
                    continue
                if isinstance(step, Wait):
                    move = Move(RunState.PARKED, wake_ms=milliseconds(step.until))
                    self._checkpoint(cursor, move)
                    return RunState.PARKED
                if isinstance(step, Operation):
                    ended = self._before_operation(cursor)
                    if isinstance(ended, RunState):
                        return ended
                    if ended is not None:
                        cursor = ended
                        continue
                elif self.dirty and not isinstance(step, (Commit, Incomplete)):
                    self._checkpoint(cursor)
                cursor = self._store(cursor, step) if isinstance(step, Incomplete) else self._apply(cursor, step)
            except KeyboardInterrupt:
                # Only a run in the foreground gets one: it ends like a run that is stopped.
                cursor = self.engine.interrupt(cursor, ExecutionInterruptedError(_STOPPED))
            except StoreFull as full:
                # Another run filled the store since the module looked: nothing of the commit was written.
                self.intents.clear()
                self.writes.clear()
                self.event_writes.clear()
                cursor = self.engine.interrupt(cursor, OutOfSpaceError(full.message))

    def _begin(self) -> Cursor:
        claim = self.claim
        if claim.cursor is None:
            given = claim.request.trigger_bundles is not None
            cursor = self.engine.start(cycles=1 if given else _cycles(claim))
        else:
            cursor = Cursor.from_json(claim.cursor["cursor"])
        if claim.seq == 0:
            # Also for a run that begins in the middle: every run has its initialization.
            try:
                self.connections.check(self.compiled.blueprint, self._custom_modules())
                for node in self.compiled.plan.nodes.values():
                    self.connections.credentials(node.info, node.static, node.mapper_source)
            except ModuleError as error:
                return self.engine.interrupt(cursor, error)
        if claim.decided and cursor.state.unknown is not None:
            cursor = self.engine.repeat_unknown(cursor)
        return cursor

    def _custom_modules(self) -> dict[int, tuple[App, ModuleInfo]]:
        found: dict[int, tuple[App, ModuleInfo]] = {}
        for node in self.compiled.plan.nodes.values():
            if node.info.app_hash:
                found[node.id] = (self.connections.app(self.compiled.app(node.name)), node.info)
        return found

    def _before_operation(self, cursor: Cursor) -> Cursor | RunState | None:
        """Write what is open. None: go on; else another cursor to go on from, or the state that the segment ends in."""
        if self.runner.draining.is_set():
            self._checkpoint(cursor, Move(RunState.QUEUED))
            log.info("run handed back")
            if self.runner.send is not None:
                self.runner.send(self.claim.run, self.claim.fence)
            return RunState.QUEUED
        if self.dirty:
            self._checkpoint(cursor)
        if self.stopping:
            self.stopping = False
            return self.engine.interrupt(cursor, ExecutionInterruptedError(_STOPPED))
        if self._held() > self.time_limit:
            message = f"The execution took longer than {self.time_limit.total_seconds() / 60:g} minutes."
            return self.engine.interrupt(cursor, ScenarioTimeoutError(message))
        return None

    def _apply(self, cursor: Cursor, step: Step) -> Cursor:
        outcome: Outcome = Done()
        if isinstance(step, Operation):
            seen = len(self.operations.journal)
            self._note_deadline()
            outcome = self.operations.perform(cursor, step)
            if isinstance(outcome, Slept):
                self.transient.add(outcome.kept)
            self._tell(self.operations.journal[seen:])
            self.dirty = True
        elif isinstance(step, Store):
            if self.store.count(step.number) == step.place:
                self.store.append(step.number, [step.bundle])
            self.transient.add(step.number)
            self.quiet += 1
        elif isinstance(step, Filtered):
            record = self.operations.filtered(step)
            self.operations.journal.append(record)
            self._tell([record])
            self.quiet += 1
        elif isinstance(step, Commit):
            for intent in step.intents:
                self._intend(intent)
            # A commit and what follows it go together, so that neither is seen without the other.
            self.dirty = True
        elif isinstance(step, Rollback):
            self.dirty = True
        cursor = self.engine.apply(cursor, step, outcome)
        if self.quiet >= _MAX_QUIET_STEPS:
            self._checkpoint(cursor)
        return cursor

    def _intend(self, intent: Intent) -> None:
        value = self.store.get(*intent.ref)["value"]
        if intent.kind == "trigger":
            key = self.runs.keys.trigger(self.claim.request.scenario, str(intent.module))
            # Of several writes of one cycle the last counts; all of them have read the same version.
            self.intents = [write for write in self.intents if write.key != key]
            self.intents.append(IntentWrite(key, codec.dumps(value["state"]), value["version"]))
        elif intent.kind == "store":
            write = self.stores.write(intent.key, value)
            if write is None:
                log.warning("record not written", reason="its data store is gone", store=intent.key)
            else:
                self.writes.append(write)
        elif intent.kind in ("event", "answer"):
            self.event_writes.append(self._event_write(intent, value))
        else:
            raise UnexpectedError(f"There is no state of the kind {intent.kind}.")

    def _event_write(self, intent: Intent, value: Any) -> EventWrite:
        claim = self.claim
        if intent.kind == "event":
            return EventWrite("ack", claim.hook, intent.key)
        sealed = self.runner.events.seal_answer(self.runner.hooks.get(claim.hook), value)
        return EventWrite("answer", claim.hook, intent.key, sealed)

    def _store(self, cursor: Cursor, step: Incomplete) -> Cursor:
        """Store an incomplete execution together with the step that failed, or go on as a full store wants it."""
        if self.storing.is_own(step):
            self.storing.again = step
            return self.engine.interrupt(step.after or cursor, step.error, step.module_id)
        try:
            record = self.storing.record(step, self.store)
        except DataError as error:
            log.warning("incomplete execution not stored", reason=error.message)
            return self._refused(cursor, step, error.message)
        stored = self.engine.apply(cursor, step, Done())
        entry = {"t": "incomplete", "cycle": step.cycle, "module": step.module_id, "record": record.id}
        self.operations.journal.append(entry)
        before, self.change = self.change, self.storing.at_storing(step)
        told, self.notices = self.notices, self.notices + self.storing.notice_stored(step)
        try:
            self._checkpoint(stored, record=record)
        except StoreFull:
            self.operations.journal.remove(entry)
            self.change, self.notices = before, told
            raise
        except IncompleteFull:
            self.operations.journal.remove(entry)
            self.notices = told + self.storing.notice_refused()
            return self._refused(cursor, step, LIMIT_REACHED)
        log.warning("incomplete execution stored", record=record.id, module=step.module_id)
        return stored

    def _refused(self, cursor: Cursor, step: Incomplete, reason: str) -> Cursor:
        self.change = None if self.compiled.plan.settings.dataloss else self.storing.at_refusal()
        self.operations.journal.append(
            {"t": "warning", "cycle": step.cycle, "module": step.module_id, "message": reason}
        )
        self.dirty = True
        log.warning("incomplete execution not stored", reason=reason)
        return self.engine.apply(cursor, step, Refused(reason))

    def _tell(self, records: list[dict[str, Any]]) -> None:
        if self.on_step is not None:
            for record in records:
                if record["t"] in ("step", "filtered"):
                    self.on_step(record, self.store)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _note_deadline(self) -> None:
        """A step may take what is left of the run's time, and a little more."""
        if self.runner.leases is not None:
            left = max(self.time_limit - self._held(), timedelta(0)) + self.grace
            self.runner.leases.step(self.claim.run, self.claim.fence, until=time.monotonic() + left.total_seconds())

    def _held(self) -> timedelta:
        return timedelta(milliseconds=self.held_before) + timedelta(seconds=time.monotonic() - self.started)

    def _checkpoint(
        self,
        cursor: Cursor,
        move: Move | None = None,
        *,
        record: NewIncomplete | None = None,
        outcome: RetryOutcome | None = None,
    ) -> None:
        chunks = self.store.pending_chunks()
        if self.transient:
            for number in self.transient - cursor.reachable():
                self.transient.discard(number)
                if self._kept_for_history(number):
                    continue
                self.operations.dropped += self.store.discard(number)
                chunks = {name: data for name, data in chunks.items() if int(name.partition(":")[0]) != number}
        dropped = set(self.operations.dropped)
        if move is not None and move.state in FINAL and self.claim.request.confidential:
            self.store.refresh()
            for number in self.store.numbers():
                dropped.update(self.store.discard(number))
            chunks = {}
        answer = self.runs.checkpoint(
            self.claim,
            self.seq + 1,
            Checkpoint(
                {"cursor": cursor.to_json(), "held": self._held() // timedelta(milliseconds=1)},
                cursor.operations,
                cursor.cycle,
                cursor.state.label,
                chunks,
                tuple(dropped - chunks.keys()),
                tuple(self.operations.journal),
                tuple(self.intents),
                tuple(self.writes),
                tuple(self.event_writes),
                self.stores.stores.most,
                self.connections.ids(),
                move,
                record,
                outcome,
                self.change,
                self.notices,
            ),
        )
        self.seq += 1
        for intent, applied in zip((*self.intents, *self.writes), answer.applied, strict=True):
            if not applied and isinstance(intent, StoreWrite):
                log.warning("record not written", reason="its data store was replaced", key=intent.keys[0])
            elif not applied and isinstance(intent, IntentWrite):
                log.warning("epoch left alone", reason="it was changed meanwhile", key=intent.key)
        self.store.written()
        self.operations.journal.clear()
        self.operations.dropped.clear()
        self.intents.clear()
        self.writes.clear()
        self.event_writes.clear()
        self.change, self.notices = None, ()
        self.dirty, self.quiet = False, 0
        self.stopping = self.stopping or answer.stopping
        self.connections.moved(answer.versions)

    def _kept_for_history(self, number: int) -> bool:
        """Whether what no frame can reach any more stays, so that the run can be repeated from any operation."""
        if self.claim.request.confidential:
            return False
        return self.store.size(number) <= HISTORY_OPERATION_BYTES and self.store.held <= HISTORY_RUN_BYTES

    def _finish(self, cursor: Cursor, step: Finished) -> RunState:
        error = None
        if step.error is not None:
            error = {
                "type": step.error.name,
                "message": self.secrets.redact_text(step.error.message),
                "module": step.error_module,
            }
        outputs = None if step.outputs is None else self.store.get(*step.outputs)["value"]
        state = RunState(step.status)
        self.change = change = self.storing.at_end(step, directed=cursor.state.directed)
        self.notices += self.storing.notice_end(step)
        events = event_after(step.status, step.error, directed=cursor.state.directed)
        move = Move(state, error=error, outputs=outputs, events=events)
        self._checkpoint(cursor, move, outcome=self.storing.outcome(step))
        if change is not None and change.word == "again":
            # It is a warning where the ledger has planned a repetition (spec/scenarios.md 6.1).
            state = self.runs.header(self.claim.run).state
        log.info("run ended", status=str(state), operations=step.operations, cycles=step.cycles)
        return state


def _cycles(claim: Claim) -> int | None:
    """One cycle for each event; a run that waits for an event has one."""
    return len(claim.events) or (1 if claim.hook else None)


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where the store's data go before their checkpoint."""

    runs: Runs
    claim: Claim

    def put_chunks(self, chunks: dict[str, bytes]) -> None:
        self.runs.put_chunks(self.claim, chunks)

    def put_blob(self, digest: str, data: bytes) -> None:
        self.runs.put_blob(self.claim, digest, data)
