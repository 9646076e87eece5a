"""
Incomplete executions in the ledger (spec/scenarios.md 3.5 and 6.3).

A record is written with the checkpoint of the run that failed, and closed with that of its retry; this file makes what
such a checkpoint carries, looks at the records, and changes them by hand. The data have a key of their own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any, cast

import orjson
import redis

from connections.keyring import DataKey, KeyRing
from runtime import codec
from runtime.errors import ScenaristError, UsageError
from runtime.scenario.incomplete import Schedule, Snapshot, Status
from runtime.scenario.steps import Incomplete
from runtime.values import Bundle
from workers.ledger import lua
from workers.ledger.bundles import ChunkReader
from workers.ledger.cipher import KeyWrap, RunCipher
from workers.ledger.keys import IncompleteKeys, Keys
from workers.ledger.packing import Packing
from workers.ledger.records import RECORD_VERSION, Json, NewIncomplete, RunRequest, RunStart
from workers.ledger.rotation import rewrap

#: Open records of one scenario, and their bytes (spec/scenarios.md 2.9).
MOST_RECORDS = 100
MOST_BYTES = 10 * 1000 * 1000
#: Records that one look of the scheduler handles.
LOOK_RECORDS = 100

_ROW = (
    "v", "id", "scenario", "name", "run", "module", "app", "cycle", "error", "size", "status", "attempts", "schedule",
    "created", "next", "resolved", "retry", "retries", "blueprint", "apps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IncompleteRow:
    """One incomplete execution without its data. Instants are UTC milliseconds."""

    id: str
    scenario: str
    #: The scenario's name when it was stored.
    name: str
    #: The run that stored it.
    run: str
    #: The failed module: id in the blueprint, and name.
    module: int
    app: str
    cycle: int
    #: `{"type", "message"}` of the newest failure, redacted.
    error: Json
    size: int
    status: Status
    #: Retries so far, and those planned by themselves.
    attempts: int
    schedule: Schedule
    created_ms: int
    next_ms: int | None = None
    resolved_ms: int | None = None
    #: Runs that retried it, oldest first.
    retries: tuple[str, ...] = ()
    blueprint: str = ""
    apps: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Incompletes:
    """The incomplete executions under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    key_wrap: KeyWrap

    def pack(
        self,
        run: str,
        request: RunRequest,
        step: Incomplete,
        start: Snapshot,
        *,
        error: Json,
        schedule: Schedule,
        most_records: int = MOST_RECORDS,
        most_bytes: int = MOST_BYTES,
    ) -> NewIncomplete:
        """
        A record for the next checkpoint of a run.

        Args:
            run: The run that fails.
            request: What that run was made of.
            step: What the engine asks to store.
            start: What a retry starts with.
            error: `{"type", "message"}`, redacted.
            schedule: How it is retried.
            most_records, most_bytes: Limits of the scenario.
        """
        record = secrets.token_hex(8)
        data, packing, size = self._sealed(record, request, start.cursor.to_json(), start.bundles)
        fields: dict[str, str | bytes] = {
            "v": str(RECORD_VERSION),
            "scenario": request.scenario,
            "name": request.name,
            "run": run,
            "module": str(step.module_id),
            "app": step.name,
            "cycle": str(step.cycle),
            "error": json.dumps(error),
            "schedule": dump_schedule(schedule),
            "sequential": "1" if request.sequential else "0",
            **data,
        }
        delay = schedule.next_delay(0, step.error)
        return NewIncomplete(
            record, fields, packing.chunks, packing.blobs, size, delay, most_records, most_bytes
        )  # fmt: skip

    def _sealed(
        self, record: str, request: RunRequest, cursor: Json, bundles: Mapping[int, Iterable[Bundle]]
    ) -> tuple[dict[str, str | bytes], Packing, int]:
        """The fields of what a retry begins with, its bundles, and the bytes of both; under a data key of its own."""
        data_key = DataKey.generate()
        packing = Packing(RunCipher(f"incomplete {record}", data_key))
        kept = {number: list(items) for number, items in bundles.items()}
        for number, items in kept.items():
            packing.add(number, items)
        content: Json = {field.name: getattr(request, field.name) for field in fields_of(request)}
        del content["trigger_bundles"]
        start = {"cursor": cursor, "counts": [[number, len(items)] for number, items in kept.items()]}
        cipher = packing.cipher
        fields: dict[str, str | bytes] = {
            "blueprint": request.blueprint,
            "apps": json.dumps(dict(request.apps)),
            "key": self.key_wrap.wrap(data_key, aad=f"incomplete {record}"),
            "cursor": cipher.encrypt(orjson.dumps(start), "cursor"),
            "request": cipher.encrypt(codec.dumps(content, packing.put_blob), "request"),
        }
        return fields, packing, packing.size + len(fields["cursor"]) + len(fields["request"])

    def edit(
        self, record: str, request: RunRequest, start: RunStart, *, module: int, app: str, most_bytes: int = MOST_BYTES
    ) -> None:
        """
        Put another blueprint or another module to begin at into a record, as a whole.

        Raises:
            UsageError: There is no such record, it is resolved, its retry runs, or it would take too much.
        """
        data, packing, size = self._sealed(record, request, start.cursor, start.bundles)
        fields = {**data, "module": str(module), "app": app}
        counted = [fields, packing.chunks, packing.blobs]
        answer = lua.call(
            self.client,
            "incomplete_edit",
            [self.keys.incomplete(record)],
            [self.keys.prefix, size, most_bytes]
            + [part for held in counted for part in (len(held), *(text for pair in held.items() for text in pair))],
        ).decode()
        if answer == "full":
            raise UsageError(f"The incomplete execution {record} would take {size} bytes: its scenario may hold less.")
        if not answer:
            raise UsageError(f"There is no incomplete execution {record}; scenarist incomplete list shows them.")
        if answer != "ok":
            raise UsageError(f"The incomplete execution {record} is {answer}.")

    def get(self, record: str) -> IncompleteRow:
        """
        One record.

        Raises:
            UsageError: There is none with this id.
        """
        found = self._row(cast("list[bytes | None]", self.client.hmget(self.keys.incomplete(record), _ROW)))
        if found is None:
            raise UsageError(f"There is no incomplete execution {record}; scenarist incomplete list shows them.")
        return found

    def list(self, *, scenario: str | None = None, resolved: bool = False) -> list[IncompleteRow]:
        """Records, oldest first; `resolved` adds those that are done with."""
        index = self.keys.incompletes if scenario is None else self.keys.open_incompletes(scenario)
        ids = cast("list[bytes]", self.client.zrange(index if not resolved else self.keys.incompletes, 0, -1))
        with self.client.pipeline(transaction=False) as pipeline:
            for record in ids:
                pipeline.hmget(self.keys.incomplete(record.decode()), _ROW)
            rows = [self._row(row) for row in pipeline.execute()]
        return [
            row
            for row in rows
            if row is not None
            and (resolved or row.status is not Status.RESOLVED)
            and (scenario is None or row.scenario == scenario)
        ]

    def count(self, scenario: str) -> int:
        """Open records of a scenario."""
        return self.client.zcard(self.keys.open_incompletes(scenario))

    def load(self, record: str) -> tuple[RunRequest, RunStart]:
        """
        What a retry of a record is made of.

        Raises:
            UsageError: There is no such record, or it is resolved.
            ScenaristError: Its data cannot be decrypted.
        """
        row = self.get(record)
        key, cursor, stored = cast(
            "list[bytes | None]", self.client.hmget(self.keys.incomplete(record), "key", "cursor", "request")
        )
        if key is None or cursor is None or stored is None:
            raise UsageError(f"The incomplete execution {record} is resolved: nothing is left to retry.")
        cipher = RunCipher(f"incomplete {record}", self.key_wrap.unwrap(key, aad=f"incomplete {record}"))
        reader = ChunkReader(self.client, IncompleteKeys(self.keys.prefix), record, cipher)
        content = cast("Json", codec.loads(cipher.decrypt(stored, "request"), reader.get_blob))
        content |= {"kind": "incomplete", "source": row.run, "incomplete": record}
        start = cast("Json", orjson.loads(cipher.decrypt(cursor, "cursor")))
        bundles: dict[int, list[Bundle]] = {
            number: [reader.get(number, index) for index in range(count)] for number, count in start["counts"]
        }
        return RunRequest(**content), RunStart(start["cursor"], bundles)

    def look(self) -> list[str]:
        """What the scheduler asks for: ids of records that are due; retries that were stopped are given back."""
        found = lua.call(
            self.client,
            "incomplete_look",
            [self.keys.incompletes_due, self.keys.incompletes_running],
            [self.keys.prefix, LOOK_RECORDS],
        )
        return [record.decode() for record in found]

    def wish(self, record: str) -> None:
        """Have a record retried now. Raises UsageError: there is none, it is resolved, or its retry runs."""
        self._set(record, Status.PENDING, (Status.UNRESOLVED, Status.PENDING))

    def resolve(self, record: str) -> None:
        """Call a record done by hand. Raises UsageError: there is none, or its retry runs."""
        self._set(record, Status.RESOLVED, (Status.UNRESOLVED, Status.PENDING, Status.RESOLVED))

    def leave(self, record: str) -> None:
        """Leave a record to a person, when its data cannot be used."""
        self._set(record, Status.UNRESOLVED, (Status.PENDING,))

    def drop(self, record: str) -> None:
        """Delete a record with its data. Raises UsageError: there is none, or its retry runs."""
        self._set(record, "dropped", (Status.UNRESOLVED, Status.PENDING, Status.RESOLVED))

    def rotate(self, keyring: KeyRing) -> int:
        """Wrap the data keys that an older key has wrapped with the newest one; gives their number."""
        ids = [record.decode() for record in cast("list[bytes]", self.client.zrange(self.keys.incompletes, 0, -1))]
        return sum(rewrap(self.client, keyring, self.keys.incomplete(id_), f"incomplete {id_}") for id_ in ids)

    def _set(self, record: str, status: str, allowed: tuple[Status, ...]) -> None:
        before = lua.call(
            self.client,
            "incomplete_set",
            [self.keys.incomplete(record)],
            [self.keys.prefix, record, status, ",".join(allowed)],
        ).decode()
        if not before:
            raise UsageError(f"There is no incomplete execution {record}; scenarist incomplete list shows them.")
        if before not in allowed:
            raise UsageError(f"The incomplete execution {record} is {before}.")

    def _row(self, row: list[bytes | None]) -> IncompleteRow | None:
        found = {name: value.decode() for name, value in zip(_ROW, row, strict=True) if value}
        if "id" not in found:
            return None
        if int(found["v"]) > RECORD_VERSION:
            raise ScenaristError(f"The incomplete execution {found['id']} was written by a newer release.")
        return IncompleteRow(
            id=found["id"],
            scenario=found["scenario"],
            name=found.get("name", ""),
            run=found["run"],
            module=int(found["module"]),
            app=found["app"],
            cycle=int(found["cycle"]),
            error=json.loads(found["error"]),
            size=int(found["size"]),
            status=Status(found["status"]),
            attempts=int(found["attempts"]),
            schedule=read_schedule(found["schedule"]),
            created_ms=int(found["created"]),
            next_ms=int(found["next"]) if "next" in found else None,
            resolved_ms=int(found["resolved"]) if "resolved" in found else None,
            retries=tuple(found.get("retries", "").split()),
            blueprint=found["blueprint"],
            apps=json.loads(found["apps"]),
        )


def dump_schedule(schedule: Schedule) -> str:
    """A schedule as it is stored."""
    return json.dumps({"breaks": schedule.breaks, "ladder": schedule.ladder})


def read_schedule(text: str) -> Schedule:
    """The schedule that `dump_schedule` wrote."""
    data: dict[str, Any] = json.loads(text)
    breaks = data["breaks"]
    return Schedule((breaks[0], breaks[1]) if breaks else None, data["ladder"])
