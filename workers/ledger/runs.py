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
from typing import Any, cast

import orjson

from connections.keyring import DataKey
from runtime import codec
from runtime.errors import UsageError
from workers.ledger import lua
from workers.ledger.bundles import BLOB_BYTES, cut_chunks
from workers.ledger.cipher import RunCipher
from workers.ledger.reads import TRIGGER_NUMBER, RunReads
from workers.ledger.records import (
    RECORD_VERSION,
    Answer,
    Checkpoint,
    Claim,
    FenceLost,
    Json,
    RunHeader,
    RunRequest,
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

    def create(self, request: RunRequest, *, run: str | None = None) -> RunHeader:
        """
        Accept a run: on disk when this returns. Enqueue its message only then; a lost message is found by the
        scheduler. `run` gives the id (asked twice, nothing changes), else a new one is made.

        Raises:
            DataError: The inputs cannot be stored.
        """
        run = run or secrets.token_hex(12)
        data_key = DataKey.generate()
        cipher = RunCipher(run, data_key)
        blobs: dict[str, bytes] = {}

        def put_blob(buffer: Any) -> str:
            digest = codec.blob_hash(buffer)
            blobs.update(cipher_pieces(cipher, digest, buffer.data))
            return digest

        # Not `asdict`: it would take the buffers inside apart.
        content: Json = {field.name: getattr(request, field.name) for field in fields_of(request)}
        triggers = content.pop("trigger_bundles")
        content["triggers"] = None if triggers is None else len(triggers)
        chunks: dict[str, bytes] = {}
        for start, plain in cut_chunks([codec.dumps(bundle, put_blob) for bundle in triggers or ()]):
            field = f"{TRIGGER_NUMBER}:{start}"
            chunks[field] = cipher.encrypt(plain, f"chunk {field}")
        fields: dict[str, str | bytes] = {
            "v": str(RECORD_VERSION),
            "id": run,
            "scenario": request.scenario,
            "name": request.name,
            "kind": request.kind,
            "blueprint": request.blueprint,
            "apps": json.dumps(dict(request.apps)),
            "key": self.key_wrap.wrap(data_key, aad=f"run {run}"),
            "request": cipher.encrypt(codec.dumps(content, put_blob), "request"),
        }
        if blobs:
            # Before the run exists nobody can read them; with the same id they are the same bytes.
            self.client.hset(self.keys.blobs(run), mapping=cast("dict[Any, Any]", blobs))
        created = lua.call(
            self.client,
            "create",
            [
                self.keys.run(run),
                self.keys.bundles(run),
                self.keys.queued,
                self.keys.runs,
                self.keys.scenario_runs(request.scenario),
            ],
            [run, len(fields), *_flat(fields), len(chunks), *_flat(chunks)],
        )
        return RunHeader(run, request.scenario, RunState.QUEUED, int(created), request.name, request.kind)

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
            [run, fence, secrets.token_hex(8), self.lease_ms, MAX_IDLE_CLAIMS, RECORD_VERSION, json.dumps(_POISONED)],
        )
        if answer[0] != b"ok":
            return None
        request, wrapped, cursor, unsafe, size, seq, stop, decided, created = answer[2:]
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
        )

    def checkpoint(self, claim: Claim, seq: int, step: Checkpoint) -> Answer:
        """
        Write what happened since checkpoint `seq` - 1, prolong the lease, and move the run if `step` says so.

        Raises:
            FenceLost: Another worker has the run, or it has ended.
            StoreFull: A data store would grow over its limit; nothing was written.
        """
        run, keys, cipher, move = claim.run, self.keys, claim.cipher, step.move
        records = [cipher.encrypt(codec.dumps(record), "journal") for record in step.journal]
        outputs = b"" if move is None or move.outputs is None else cipher.encrypt(codec.dumps(move.outputs), "outputs")
        arguments: list[str | bytes | int] = [
            run, claim.fence, seq, self.lease_ms,
            cipher.encrypt(orjson.dumps(step.cursor), "cursor"), step.operations, step.cycles,
            move.state if move else "", move.wake_ms if move else 0,
            json.dumps(move.error) if move and move.error else "", outputs, MAX_JOURNAL_BYTES, step.label,
            len(step.chunks), *_flat(step.chunks),
            len(records), *records,
            len(step.dropped), *step.dropped,
            len(step.connections),
            len(step.intents),
        ]  # fmt: skip
        for intent in step.intents:
            arguments += (intent.version, intent.state)
        arguments += (len(step.stores), step.store_bytes)
        for write in step.stores:
            arguments += (write.store, write.kind, write.place, write.sealed)
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
            store = step.stores[answer[1] - 1].keys[0]
            raise StoreFull(f"A data store would hold more than {step.store_bytes} bytes (store_bytes).", store)
        if answer[0] != b"ok":
            raise FenceLost(f"run {run}: another worker has it, or it has ended")
        split = 3 + len(step.connections)
        return Answer(answer[1] == 1, tuple(answer[3:split]), tuple(word == 1 for word in answer[split:]))

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
            raise UsageError(f"There is no run {run}.")
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
            raise UsageError(f"There is no run {run}.")
        raise UsageError(f"Run {run} is {state.decode()}; only a run of status incomplete can be retried.")

    def _put(self, claim: Claim, key: str, fields: dict[str, bytes], noted: str) -> None:
        keys = [self.keys.run(claim.run), key, self.keys.leased]
        arguments = [claim.run, claim.fence, self.lease_ms, noted, *_flat(fields)]
        if lua.call(self.client, "put", keys, arguments) != 1:
            raise FenceLost(f"run {claim.run}: another worker has it, or it has ended")


def cipher_pieces(cipher: RunCipher, digest: str, data: bytes) -> dict[str, bytes]:
    """A buffer's bytes as encrypted pieces by field name."""
    return {
        f"{digest}:{at // BLOB_BYTES}": cipher.encrypt(data[at : at + BLOB_BYTES], f"blob {digest}:{at // BLOB_BYTES}")
        for at in range(0, len(data), BLOB_BYTES)
    }


def _flat(fields: Any) -> list[Any]:
    flat: list[Any] = []
    for pair in fields.items():
        flat += pair
    return flat
