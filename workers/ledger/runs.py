"""
Runs in the ledger: accept, claim, checkpoint, park, end, stop, look at (design sections 2, 6, 10.4 to 10.14).

Every change is one script on the server. A claim bumps the run's fence; each later write carries it and is refused with
`FenceLost` when another worker has the run. All writes can be repeated after a lost answer without a second effect.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast

import orjson

from connections.keyring import DataKey
from runtime import codec
from runtime.errors import NotFoundError, UsageError
from runtime.scenario.cursor import VERSION as CURSOR_VERSION
from workers.ledger import lua
from workers.ledger.cipher import RunCipher
from workers.ledger.packing import Packing, cipher_pieces
from workers.ledger.reads import TRIGGER_NUMBER, RunReads
from workers.ledger.records import (
    RECORD_VERSION,
    Answer,
    Checkpoint,
    Claim,
    FenceLost,
    IncompleteFull,
    Json,
    NewIncomplete,
    RetryOutcome,
    RunHeader,
    RunRequest,
    RunStart,
    ScenarioChange,
    StoreFull,
    UnsafeNote,
)
from workers.ledger.states import RunState

#: How long a worker may be silent before others take its run over. Heartbeats come at a third of it.
DEFAULT_LEASE = timedelta(seconds=30)
#: Claims without a checkpoint in between after which a run counts as poisoned.
MAX_IDLE_CLAIMS = 3
#: A journal keeps its first part up to this size (spec/scenarios.md 6.2).
MAX_JOURNAL_BYTES = 100 * 1000 * 1000

#: How events come to a run (see `Runs.create_for_events`).
EventRun: TypeAlias = Literal["instant", "sequential", "one", "await"]

_POISONED = {
    "type": "UnexpectedError",
    "message": f"poisoned: {MAX_IDLE_CLAIMS} workers in a row took this run and none came to a checkpoint",
    "module": None,
}
_STOPPED = {"type": "ExecutionInterruptedError", "message": "The execution was stopped by the user.", "module": None}


@dataclass(frozen=True, slots=True)
class Runs(RunReads):
    """The runs under one prefix of a server: what changes them. `RunReads` looks at them."""

    lease: timedelta = DEFAULT_LEASE

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return self.lease // timedelta(milliseconds=1)

    def create(
        self, request: RunRequest, *, run: str | None = None, start: RunStart | None = None, parent: str = ""
    ) -> RunHeader:
        """
        Accept a run: on disk when this returns. Enqueue its message only then; a lost message is found by the
        scheduler. `run` gives the id (asked twice, nothing changes), else a new one is made. `start` begins it in the
        middle of its scenario. `parent` is the run that waits for its end, which wakes it.

        Raises:
            DataError: The inputs cannot be stored.
        """
        run = run or secrets.token_hex(12)
        fields, packing, held = self._prepare(run, request, start)
        if parent:
            fields["parent"] = parent
        created = lua.call(
            self.client,
            "create",
            self._create_keys(run, request.scenario),
            [run, held, len(fields), *_flat(fields), len(packing.chunks), *_flat(packing.chunks)],
        )
        return RunHeader(run, request.scenario, RunState.QUEUED, int(created), request.name, request.kind)

    def create_retry(self, request: RunRequest, start: RunStart, *, most: int) -> RunHeader | str:
        """
        Accept the retry of `request.incomplete`, if that is pending and fewer than `most` of its scenario run; else
        gives the word that says why not (`busy`: too many of them, or another run of a sequential scenario).
        """
        run = secrets.token_hex(12)
        fields, packing, held = self._prepare(run, request, start)
        record = request.incomplete
        answer = lua.call(
            self.client,
            "incomplete_take",
            [*self._create_keys(run, request.scenario), self.keys.incomplete(record)],
            [run, held, record, most, len(fields), *_flat(fields), len(packing.chunks), *_flat(packing.chunks)],
        )
        if isinstance(answer, bytes):
            self.client.delete(self.keys.bundles(run), self.keys.blobs(run))
            return answer.decode()
        return RunHeader(run, request.scenario, RunState.QUEUED, int(answer), request.name, request.kind)

    def create_scheduled(
        self, request: RunRequest, *, due_ms: int, next_ms: int | None, keep: bool, hook: str = "", most: int = 0
    ) -> RunHeader | str:
        """
        Accept the run of a scenario that is due since `due_ms`, and set its next instant; once for each due instant.

        Args:
            keep: A repetition that is planned for later stays so.
            hook: A webhook whose waiting events the run takes, `most` of them, one for each of its cycles.

        Returns:
            The run, or the word that says why there is none: `moved`, `late`, `skipped`, `empty` (script
            schedule_take).
        """
        run = secrets.token_hex(12)
        fields, packing, held = self._prepare(run, request, None)
        keys, scenario = self.keys, request.scenario
        answer = lua.call(
            self.client,
            "schedule_take",
            [*self._create_keys(run, scenario), keys.scenario(scenario), keys.scenarios_due],
            [
                run, held, scenario, due_ms, "" if next_ms is None else next_ms, "keep" if keep else "", hook, most,
                len(fields), *_flat(fields), len(packing.chunks), *_flat(packing.chunks),
            ],
        )  # fmt: skip
        if isinstance(answer, bytes):
            if held:
                self.client.delete(keys.bundles(run), keys.blobs(run))
            return answer.decode()
        return RunHeader(run, scenario, RunState.QUEUED, int(answer), request.name, request.kind)

    def create_for_events(
        self, request: RunRequest, hook: str, how: EventRun, *, most: int, slots: int = 0
    ) -> RunHeader | str:
        """
        Accept a run that takes up to `most` waiting events of a webhook, one for each of its cycles.

        Args:
            how: `instant` or `sequential` while fewer than `slots` runs of the scenario are on their way; `one` for an
                event that waits and `await` for the next one, both asked for by a person.

        Returns:
            The run, or the word that says why there is none: `empty`, `busy`, `paused`, `inactive`, `awaited`, `gone`.
        """
        run = secrets.token_hex(12)
        fields, packing, held = self._prepare(run, request, None)
        answer = lua.call(
            self.client,
            "hook_take",
            self._create_keys(run, request.scenario),
            [run, held, hook, request.scenario, how, slots, most,
             len(fields), *_flat(fields), len(packing.chunks), *_flat(packing.chunks)],
        )  # fmt: skip
        if isinstance(answer, bytes):
            self.client.delete(self.keys.bundles(run), self.keys.blobs(run))
            return answer.decode()
        return RunHeader(run, request.scenario, RunState.QUEUED, int(answer), request.name, request.kind)

    def _create_keys(self, run: str, scenario: str) -> list[str]:
        keys = self.keys
        return [keys.run(run), keys.bundles(run), keys.queued, keys.runs, keys.scenario_runs(scenario)]

    def _prepare(
        self, run: str, request: RunRequest, start: RunStart | None
    ) -> tuple[dict[str, str | bytes], Packing, int]:
        """A new run's fields and chunks, and the bytes of what lies on the server already."""
        data_key = DataKey.generate()
        cipher = RunCipher(run, data_key)
        packing = Packing(cipher)
        # Not `asdict`: it would take the buffers inside apart.
        content: Json = {field.name: getattr(request, field.name) for field in fields_of(request)}
        triggers = content.pop("trigger_bundles")
        content["triggers"] = None if triggers is None else len(triggers)
        packing.add(TRIGGER_NUMBER, triggers or ())
        fields: dict[str, str | bytes] = {
            "v": str(RECORD_VERSION),
            "id": run,
            "scenario": request.scenario,
            "name": request.name,
            "kind": request.kind,
            "blueprint": request.blueprint,
            "apps": json.dumps(dict(request.apps)),
            "key": self.key_wrap.wrap(data_key, aad=f"run {run}"),
            "request": cipher.encrypt(codec.dumps(content, packing.put_blob), "request"),
        }
        if request.sequential:
            fields["sequential"] = "1"
        if request.callback:
            fields["callback"] = "1"
        if request.source:
            fields["source"] = request.source
        held = 0
        if start is not None:
            fields["cursor"] = cipher.encrypt(orjson.dumps({"cursor": start.cursor, "held": 0}), "cursor")
            for number, bundles in start.bundles.items():
                packing.add(number, bundles)
                held += self._put_early(run, packing)
        self._put_early(run, packing, chunks=False)
        return fields, packing, held

    def _put_early(self, run: str, packing: Packing, *, chunks: bool = True) -> int:
        """Write what is packed so far: before the run exists nobody can read it. Gives the bytes."""
        written = 0
        for key, kept in ((self.keys.bundles(run), packing.chunks), (self.keys.blobs(run), packing.blobs)):
            if kept and (chunks or kept is packing.blobs):
                self.client.hset(key, mapping=cast("dict[Any, Any]", kept))
                written += sum(map(len, kept.values()))
                kept.clear()
        return written

    def choose_start(self, scenario: str, module: str, state: Any) -> None:
        """Replace a polling trigger's memory; a run that has read the former one leaves this one alone."""
        key = self.keys.trigger(scenario, module)
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping={"v": 1, "state": codec.dumps(state)})
            pipeline.hincrby(key, "version", 1)
            pipeline.execute()

    def claim(self, run: str, fence: int) -> Claim | None:
        """
        Take a run that waits with this fence; None when somebody else has it, it has ended, is poisoned (three claims
        without a checkpoint), or was written by a newer release.

        Raises:
            ScenaristError: Its data cannot be decrypted with the key ring.
        """
        answer = lua.call(
            self.client,
            "claim",
            [
                self.keys.run(run),
                self.keys.bundles(run),
                self.keys.queued,
                self.keys.leased,
                self.keys.due,
                self.keys.ended,
                self.keys.journal(run),
            ],
            [
                run,
                fence,
                secrets.token_hex(8),
                self.lease_ms,
                MAX_IDLE_CLAIMS,
                RECORD_VERSION,
                json.dumps(_POISONED),
                CURSOR_VERSION,
            ],
        )
        if answer[0] != b"ok":
            return None
        request, wrapped, cursor, unsafe, size, seq, stop, decided, created, hook, events, woken = answer[2:]
        data_key = self.key_wrap.unwrap(wrapped, aad=f"run {run}")
        cipher = RunCipher(run, data_key)
        note = unsafe.decode().split(" ") if unsafe else None
        return Claim(
            run=run,
            fence=int(answer[1]),
            request=self._request(run, cipher, request),
            cipher=cipher,
            cursor=orjson.loads(cipher.decrypt(cursor, "cursor")) if cursor else None,
            unsafe=UnsafeNote(int(note[0]), int(note[1]), note[2]) if note else None,
            decided=bool(decided),
            stopping=stop == b"1",
            bytes=int(size or 0),
            seq=int(seq or 0),
            created_ms=int(created),
            hook=hook.decode() if hook else "",
            events=tuple(events.decode().split()) if events else (),
            woken=bool(woken),
        )

    def checkpoint(self, claim: Claim, seq: int, step: Checkpoint) -> Answer:
        """
        Write what happened since checkpoint `seq` - 1, prolong the lease, and move the run if `step` says so.

        Raises:
            FenceLost: Another worker has the run, or it has ended.
            StoreFull: A data store would grow over its limit; nothing was written.
            IncompleteFull: The incomplete execution in it may not be stored; nothing was written.
        """
        run, keys, cipher, move = claim.run, self.keys, claim.cipher, step.move
        records = [cipher.encrypt(codec.dumps(record), "journal") for record in step.journal]
        outputs = b"" if move is None or move.outputs is None else cipher.encrypt(codec.dumps(move.outputs), "outputs")
        arguments: list[str | bytes | int] = [
            run, claim.fence, seq, self.lease_ms,
            cipher.encrypt(orjson.dumps(step.cursor), "cursor"), step.operations, step.cycles,
            move.state if move else "", move.wake_ms if move else 0,
            json.dumps(move.error) if move and move.error else "", outputs, MAX_JOURNAL_BYTES, step.label,
            CURSOR_VERSION, step.store_bytes,
            len(step.chunks), *_flat(step.chunks),
            len(records), *records,
            len(step.dropped), *step.dropped,
            len(step.connections),
            len(step.intents),
        ]  # fmt: skip
        for intent in step.intents:
            arguments += (intent.version, intent.state)
        arguments += _counted(_incomplete(step.incomplete)) + _counted(_outcome(step.outcome))
        change = step.scenario
        arguments += _counted([] if change is None else _change(change))
        arguments.append(len(step.notices))
        for notice in step.notices:
            arguments += notice
        arguments.append(len(step.stores))
        for write in step.stores:
            arguments += (write.store, write.kind, write.place, write.sealed)
        arguments.append(len(step.events))
        for event in step.events:
            arguments += (event.kind, event.hook, event.event, event.sealed)
        arguments.append(move.events if move else "back")
        answer = lua.call(
            self.client,
            "checkpoint",
            [
                keys.run(run),
                keys.bundles(run),
                keys.journal(run),
                keys.leased,
                keys.queued,
                keys.due,
                keys.ended,
                *map(keys.connection, step.connections),
                *(intent.key for intent in step.intents),
                *(key for write in step.stores for key in write.keys),
            ],
            arguments,
        )
        if answer[0] == b"full":
            raise IncompleteFull(f"run {run}: its incomplete execution cannot be stored")
        if answer[0] == b"store full":
            store = step.stores[answer[1] - 1].keys[0]
            raise StoreFull(f"A data store would hold more than {step.store_bytes} bytes (store_bytes).", store)
        if answer[0] != b"ok":
            raise FenceLost(f"run {run}: another worker has it, or it has ended")
        split = 3 + len(step.connections)
        return Answer(answer[1] == 1, tuple(answer[3:split]), tuple(word == 1 for word in answer[split:]))

    def next_in_line(self, scenario: str) -> tuple[str, int] | None:
        """The run of a sequential scenario whose turn it is, with the fence for its message; None when none waits."""
        first = cast("list[bytes]", self.client.zrange(self.keys.line(scenario), 0, 0))
        if not first:
            return None
        run = first[0].decode()
        state, fence = cast("list[bytes | None]", self.client.hmget(self.keys.run(run), "state", "fence"))
        return (run, int(fence or 0)) if state == b"queued" else None

    def put_chunks(self, claim: Claim, chunks: dict[str, bytes]) -> None:
        """Write chunks of the running operation before its checkpoint. Raises FenceLost."""
        self._put(claim, self.keys.bundles(claim.run), chunks, "1")

    def put_blob(self, claim: Claim, digest: str, data: bytes) -> None:
        """Write a buffer's bytes in pieces of 1 MiB. Raises FenceLost."""
        for name, piece in cipher_pieces(claim.cipher, digest, data).items():
            self._put(claim, self.keys.blobs(claim.run), {name: piece}, "0")

    def note_unsafe(self, claim: Claim, note: UnsafeNote) -> None:
        """
        Note a request before it is sent that must not be repeated unseen.

        Raises:
            FenceLost: The run is lost: nothing may be sent.
        """
        arguments = [claim.run, claim.fence, self.lease_ms, f"{note.operation} {note.request} {note.method}"]
        if lua.call(self.client, "note_unsafe", [self.keys.run(claim.run), self.keys.leased], arguments) != 1:
            raise FenceLost(f"run {claim.run}: another worker has it, or it has ended")

    def renew(self, held: Iterable[tuple[str, int]]) -> set[str]:
        """Prolong the leases of these (run, fence); gives the ids of the runs that are lost."""
        pairs = list(held)
        if not pairs:
            return set()
        keys = [self.keys.leased, *(self.keys.run(run) for run, _ in pairs)]
        flat: list[str | int] = [self.lease_ms]
        for pair in pairs:
            flat += pair
        return {run.decode() for run in lua.call(self.client, "renew", keys, flat)}

    def cancel(self, run: str) -> RunState:
        """
        Stop a run: at once when no worker holds it (state `cancelled`), else after its current operation (`running`).
        A run that has ended stays as it is.

        Raises:
            UsageError: There is no such run.
        """
        keys = self.keys
        state = lua.call(
            self.client,
            "cancel",
            [keys.run(run), keys.queued, keys.due, keys.ended, keys.journal(run)],
            [run, json.dumps(_STOPPED)],
        )
        if not state:
            raise NotFoundError(f"There is no run {run}.")
        return RunState(state.decode())

    def retry(self, run: str) -> int:
        """
        Let a run go on that stopped at a step of unknown outcome; gives the fence for its message.

        Raises:
            UsageError: There is no such run, or it is in another state.
        """
        state, fence = lua.call(self.client, "retry", [self.keys.run(run), self.keys.queued, self.keys.ended], [run])
        if state == b"ok":
            return fence
        if not state:
            raise NotFoundError(f"There is no run {run}.")
        raise UsageError(f"Run {run} is {state.decode()}; only a run of status incomplete can be retried.")

    def _put(self, claim: Claim, key: str, fields: dict[str, bytes], noted: str) -> None:
        keys = [self.keys.run(claim.run), key, self.keys.leased]
        arguments = [claim.run, claim.fence, self.lease_ms, noted, *_flat(fields)]
        if lua.call(self.client, "put", keys, arguments) != 1:
            raise FenceLost(f"run {claim.run}: another worker has it, or it has ended")


def _incomplete(record: NewIncomplete | None) -> list[str | bytes | int]:
    if record is None:
        return []
    delay = "" if record.delay is None else record.delay // timedelta(milliseconds=1)
    return [
        record.id, record.most_records, record.most_bytes, record.size,
        len(record.fields), *_flat(record.fields),
        len(record.chunks), *_flat(record.chunks),
        len(record.blobs), *_flat(record.blobs),
        delay,
    ]  # fmt: skip


def _outcome(outcome: RetryOutcome | None) -> list[str | bytes | int]:
    if outcome is None:
        return []
    error = json.dumps(outcome.error) if outcome.error else ""
    return [outcome.record, outcome.status, outcome.delay // timedelta(milliseconds=1), error, outcome.schedule]


def _change(change: ScenarioChange) -> list[str | bytes | int]:
    delays = [delay // timedelta(milliseconds=1) for delay in change.delays]
    return [change.word, change.most, change.reason, *delays]


def _counted(items: list[str | bytes | int]) -> list[str | bytes | int]:
    return [len(items), *items]


def _flat(fields: Any) -> list[Any]:
    flat: list[Any] = []
    for pair in fields.items():
        flat += pair
    return flat
