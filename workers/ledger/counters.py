"""
What the installation has counted, and what can be measured in the ledger at a moment (design section 10.14, issue S6).

Runs, lease losses and retries are counted by the scripts that change them, so they are exact. Processes add what only
they see (requests, operations, masks) in batches: each has a number, so that a repeated write counts once; a killed
process takes its last batch of some seconds with it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import redis
from redis.exceptions import RedisError

from runtime import counters
from workers.ledger import lua
from workers.ledger.keys import Keys
from workers.ledger.schedule import PRESENCE, Presence

#: Time between two batches of a process.
FLUSH = timedelta(seconds=5)
#: How long the number of a batch is remembered: far longer than a lost answer is asked for again.
_REMEMBERED_SECONDS = 3600


@dataclass(slots=True)
class Counts:
    """Carries the counters of this process to the ledger."""

    client: redis.Redis
    keys: Keys
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    _batch: dict[counters.Place, int] = field(default_factory=dict[counters.Place, int], repr=False)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def flush(self) -> None:
        """
        Add what has been counted since the last call.

        Raises:
            RedisError: The server cannot be reached; the batch is added by the next call.
        """
        with self._lock:
            if not self._batch:
                self._batch = counters.take()
                self._number += 1
            if not self._batch:
                return
            flat: list[str | int] = [self._number, _REMEMBERED_SECONDS]
            for place, by in self._batch.items():
                flat += (" ".join(place), by)
            lua.call(self.client, "count", [self.keys.counters, self.keys.counted(self.token)], flat)
            self._batch = {}

    @contextmanager
    def running(self, presence: Presence | None = None) -> Generator[None]:
        """
        Flush again and again in a thread while the block runs, and once at its end; the same with signs of life of
        this process, where it gives none by itself.
        """
        end = threading.Event()

        def beat() -> None:
            with suppress(RedisError):
                self.flush()
            with suppress(RedisError):
                if presence is not None and not end.is_set():
                    presence.beat()

        def work() -> None:
            beat()
            while not end.wait(FLUSH.total_seconds()):
                beat()

        thread = threading.Thread(target=work, name="counters", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            beat()
            if presence is not None:
                with suppress(RedisError):
                    presence.leave()


@dataclass(frozen=True, slots=True)
class Measures:
    """The installation at one moment. Ages are seconds on the server's clock; 0 where nothing waits."""

    #: Runs by what they do: queued, running, parked, incomplete.
    runs: dict[str, int]
    #: Accepted runs that no worker has taken yet, and the age of the oldest one.
    waiting: int
    oldest_waiting: float
    #: By how much the oldest wake-up, schedule or retry is overdue.
    lateness: float
    #: The oldest lease that ended without a take-over: seconds since its end.
    oldest_lease: float
    leading: bool
    workers: int
    incompletes: dict[str, int]
    history_bytes: int
    memory_bytes: int
    hooks: int
    #: Events of webhooks that no run has taken, and the age of the oldest one.
    events: int
    oldest_event: float


@dataclass(frozen=True, slots=True)
class Installation:
    """Reads counters and measures under one prefix of a server; the work does not grow with the number of runs."""

    client: redis.Redis
    keys: Keys

    def counters(self) -> dict[counters.Place, int]:
        """All counters by name and labels."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.counters))
        return {tuple(name.decode().split(" ")): int(value) for name, value in found.items()}

    def measures(self) -> Measures:
        """What is in the ledger now."""
        keys = self.keys
        seconds, micros = self.client.time()
        now = seconds * 1000 + micros // 1000
        alive = now - PRESENCE // timedelta(milliseconds=1)
        with self.client.pipeline(transaction=False) as pipeline:
            for key in (keys.queued, keys.runs_in_line, keys.leased, keys.due, keys.runs_undecided, keys.runs_waiting):
                pipeline.zcard(key)
            for key in (keys.incompletes_due, keys.incompletes_running, keys.incompletes_unresolved):
                pipeline.zcard(key)
            pipeline.zcount(keys.workers, alive, "+inf")
            pipeline.exists(keys.leader)
            pipeline.get(keys.ended_bytes)
            pipeline.info("memory")
            for key in (keys.runs_waiting, keys.leased, keys.due, keys.incompletes_due):
                pipeline.zrange(key, 0, 0, withscores=True)
            pipeline.zcard(keys.hooks)
            pipeline.smembers(keys.busy_hooks)
            found: list[Any] = pipeline.execute()
        queued, in_line, leased, due, undecided, waiting, pending, retrying, unresolved, workers = found[:10]

        waiting_events, oldest = self._events(found[18])

        def age(first: list[tuple[bytes, float]]) -> float:
            return max(0.0, (now - first[0][1]) / 1000) if first else 0.0

        return Measures(
            runs={"queued": queued + in_line, "running": leased, "parked": due, "incomplete": undecided},
            waiting=waiting,
            oldest_waiting=age(found[13]),
            lateness=max(age(found[15]), age(found[16])),
            oldest_lease=age(found[14]),
            leading=bool(found[10]),
            workers=workers,
            incompletes={"pending": pending, "in progress": retrying, "unresolved": unresolved},
            history_bytes=int(found[11] or 0),
            memory_bytes=int(found[12].get("used_memory", 0)),
            hooks=found[17],
            events=waiting_events,
            oldest_event=0.0 if oldest is None else max(0.0, (now - oldest) / 1000),
        )

    def _events(self, hooks: set[bytes]) -> tuple[int, int | None]:
        """How many events of these webhooks wait, and when the oldest one came (UTC milliseconds)."""
        with self.client.pipeline(transaction=False) as pipeline:
            for hook in hooks:
                pipeline.zcard(self.keys.hook_waiting(hook.decode()))
                pipeline.zrange(self.keys.hook_waiting(hook.decode()), 0, 0)
            found = pipeline.execute()
        # An event's id begins with the instant at which it came.
        came = [int(first[0].partition(b"-")[0]) for first in found[1::2] if first]
        return sum(found[::2]), min(came, default=None)
