"""Looking at runs in the ledger: headers, lists, journal, outputs. Nothing here changes a run's state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import redis

from connections.keyring import KeyRing
from runtime import codec
from runtime.errors import ScenaristError, UsageError
from workers.ledger.bundles import ChunkReader
from workers.ledger.cipher import KeyWrap, RunCipher
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION, JournalEntry, Json, RunHeader, RunRequest
from workers.ledger.rotation import rewrap
from workers.ledger.states import RunState

#: Number in the bundle store where given trigger bundles lie; operations count from 1.
TRIGGER_NUMBER = 0

_HEADER = (
    "v", "scenario", "state", "created", "name", "kind", "started", "ended", "wake", "operations", "cycles", "bytes",
    "fence", "claims", "stop", "error", "label", "blueprint", "apps", "source", "parent",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunReads:
    """The runs under one prefix of a server, to look at."""

    client: redis.Redis
    keys: Keys
    key_wrap: KeyWrap

    def header(self, run: str) -> RunHeader:
        """
        A run's state.

        Raises:
            UsageError: There is no such run.
        """
        header = self._header(run, cast("list[bytes | None]", self.client.hmget(self.keys.run(run), _HEADER)))
        if header is None:
            raise UsageError(f"There is no run {run}.")
        return header

    def state(self, run: str) -> RunState | None:
        """A run's state; None when there is no such run."""
        found = cast("bytes | None", self.client.hget(self.keys.run(run), "state"))
        return None if found is None else RunState(found.decode())

    def list(self, *, scenario: str | None = None, limit: int = 50) -> list[RunHeader]:
        """Runs, newest first."""
        index = self.keys.runs if scenario is None else self.keys.scenario_runs(scenario)
        ids = [run.decode() for run in cast("list[bytes]", self.client.zrevrange(index, 0, limit - 1))]
        with self.client.pipeline(transaction=False) as pipeline:
            for run in ids:
                pipeline.hmget(self.keys.run(run), _HEADER)
            rows = pipeline.execute()
        headers = [self._header(run, row) for run, row in zip(ids, rows, strict=True)]
        return [header for header in headers if header is not None]

    def cipher(self, run: str) -> RunCipher:
        """
        The cipher of a run's data.

        Raises:
            UsageError: There is no such run.
            ScenaristError: The key ring has no key for it.
        """
        wrapped = cast("bytes | None", self.client.hget(self.keys.run(run), "key"))
        if wrapped is None:
            raise UsageError(f"There is no run {run}.")
        return RunCipher(run, self.key_wrap.unwrap(wrapped, aad=f"run {run}"))

    def request(self, run: str, cipher: RunCipher) -> RunRequest:
        """What the run was made of. Raises ScenaristError when its data are damaged."""
        return self._request(run, cipher, cast("bytes", self.client.hget(self.keys.run(run), "request")))

    def outputs(self, run: str, cipher: RunCipher) -> Any:
        """The outputs of an ended run as marked JSON data, None when it has none."""
        stored = cast("bytes | None", self.client.hget(self.keys.run(run), "outputs"))
        return codec.parse_json(cipher.decrypt(stored, "outputs")) if stored else None

    def reader(self, run: str, cipher: RunCipher) -> ChunkReader:
        """Reads a run's bundles and buffers."""
        return ChunkReader(self.client, self.keys, run, cipher)

    def journal(
        self, run: str, cipher: RunCipher, *, after: str = "0", block: timedelta | None = None
    ) -> list[JournalEntry]:
        """Journal entries behind the one with id `after` (`0`: all); with `block` waits that long for the first."""
        # A blocking read must end before the socket's own time limit.
        wait = None if block is None else max(1, block // timedelta(milliseconds=1))
        found = cast("Any", self.client.xread({self.keys.journal(run): after}, count=1000, block=wait))
        if not found:
            return []
        return [self._entry(cipher, entry, fields) for entry, fields in found[0][1]]

    def all_journal(self, run: str, cipher: RunCipher) -> Iterator[JournalEntry]:
        """The whole journal, oldest first."""
        after = "0"
        while entries := self.journal(run, cipher, after=after):
            yield from entries
            after = entries[-1].id

    def trigger(self, scenario: str, module: str) -> tuple[Any, int]:
        """A polling trigger's memory (None: it has none yet) and the version to give with its next write."""
        found = self.client.hmget(self.keys.trigger(scenario, module), "state", "version")
        state, version = cast("list[bytes | None]", found)
        return (codec.loads(state) if state else None), int(version or 0)

    def rotate(self, keyring: KeyRing) -> int:
        """Wrap the data keys of all runs that an older key has wrapped with the newest one; gives their number."""
        ids = [run.decode() for run in cast("list[bytes]", self.client.zrange(self.keys.runs, 0, -1))]
        return sum(rewrap(self.client, keyring, self.keys.run(run), f"run {run}") for run in ids)

    def _entry(self, cipher: RunCipher, entry: bytes, fields: dict[bytes, bytes]) -> JournalEntry:
        state = fields.get(b"s")
        if state is not None:
            return JournalEntry(entry.decode(), state=RunState(state.decode()))
        return JournalEntry(entry.decode(), codec.parse_json(cipher.decrypt(fields[b"r"], "journal")))

    def _request(self, run: str, cipher: RunCipher, stored: bytes) -> RunRequest:
        reader = ChunkReader(self.client, self.keys, run, cipher)
        content = cast("Json", codec.loads(cipher.decrypt(stored, "request"), reader.get_blob))
        triggers = content.pop("triggers")
        bundles = None if triggers is None else tuple(reader.get(TRIGGER_NUMBER, i) for i in range(triggers))
        return RunRequest(**content, trigger_bundles=bundles)

    def _header(self, run: str, row: Sequence[bytes | None]) -> RunHeader | None:
        found = {name: value.decode() for name, value in zip(_HEADER, row, strict=True) if value}
        if "state" not in found:
            return None
        if int(found["v"]) > RECORD_VERSION:
            raise ScenaristError(f"Run {run} was written by a newer release; this one cannot show it.")

        def instant(name: str) -> int | None:
            return int(found[name]) if name in found else None

        return RunHeader(
            id=run,
            scenario=found["scenario"],
            state=RunState(found["state"]),
            created_ms=int(found["created"]),
            name=found.get("label") or found.get("name", ""),
            kind=found["kind"],
            started_ms=instant("started"),
            ended_ms=instant("ended"),
            wake_ms=instant("wake"),
            operations=int(found.get("operations", 0)),
            cycles=int(found.get("cycles", 0)),
            bytes=int(found.get("bytes", 0)),
            fence=int(found["fence"]),
            claims=int(found["claims"]),
            stopping=found.get("stop") == "1" and found["state"] == "running",
            error=json.loads(found["error"]) if "error" in found else None,
            blueprint=found["blueprint"],
            apps=json.loads(found["apps"]),
            source=found.get("source", ""),
            parent=found.get("parent", ""),
        )
