"""What the scheduler does: one sweep over wake-ups, expired leases and lost messages; one leader at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from typing import Literal, TypeAlias, cast

import redis

from workers.ledger import lua
from workers.ledger.keys import Keys

#: Runs that one sweep handles of each kind; the next sweep takes the rest.
SWEEP_RUNS = 200

Reason: TypeAlias = Literal["due", "expired", "lost"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that waits for a worker; a message with this fence has to be sent."""

    reason: Reason
    run: str
    fence: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The runs' indexes under one prefix of a server."""

    client: redis.Redis
    keys: Keys

    def sweep(self, *, lost_after: timedelta) -> list[Wanted]:
        """
        Queue parked runs that are due and runs whose lease has expired; find runs that have been queued for longer than
        `lost_after` without a worker. The changes are on disk when this returns, the messages are the caller's.
        """
        found = lua.call(
            self.client,
            "sweep",
            [self.keys.due, self.keys.leased, self.keys.queued],
            [f"{self.keys.prefix}:run:", SWEEP_RUNS, lost_after // timedelta(milliseconds=1)],
        )
        return [Wanted(found[i].decode(), found[i + 1].decode(), int(found[i + 2])) for i in range(0, len(found), 3)]

    def lead(self, token: str, *, lease: timedelta) -> bool:
        """Be or stay the one scheduler at work; False while another one is."""
        milliseconds = lease // timedelta(milliseconds=1)
        return lua.call(self.client, "lead", [self.keys.leader], [token, milliseconds]) == 1


#: What a process may be; a supervisor is `scenarist worker` or `up`, which starts the others.
Role: TypeAlias = Literal["worker", "scheduler", "gateway", "supervisor"]
#: A process that gave no sign of life for so long counts as gone.
PRESENCE = timedelta(seconds=15)


#: How long what a silent process said of itself is kept.
_REMEMBERED = 10 * PRESENCE


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process that gave a sign of life lately."""

    name: str
    role: str
    machine: str
    pid: int
    version: str
    #: Milliseconds since its last sign of life.
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Presence:
    """Signs of life of processes, by role, machine and process."""

    client: redis.Redis
    keys: Keys
    role: Role = "worker"

    @property
    def name(self) -> str:
        """This process."""
        return f"{self.role}:{machine()}:{os.getpid()}"

    def beat(self) -> None:
        """Give a sign of life of this process."""
        now = self._now_ms()
        forgotten = now - _REMEMBERED // timedelta(milliseconds=1)
        with self.client.pipeline(transaction=False) as pipeline:
            if self.role == "worker":
                pipeline.zadd(self.keys.workers, {f"{machine()}:{os.getpid()}": now})
                pipeline.zremrangebyscore(self.keys.workers, 0, forgotten)
            pipeline.zadd(self.keys.processes, {self.name: now})
            pipeline.zremrangebyscore(self.keys.processes, 0, forgotten)
            pipeline.set(self.keys.process(self.name), _own_version(), px=_REMEMBERED)
            pipeline.execute()

    def leave(self) -> None:
        """This process takes no more work."""
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.zrem(self.keys.workers, f"{machine()}:{os.getpid()}")
            pipeline.zrem(self.keys.processes, self.name)
            pipeline.delete(self.keys.process(self.name))
            pipeline.execute()

    def seen(self) -> list[ProcessSeen]:
        """All processes that gave a sign of life lately, by name."""
        now = self._now_ms()
        since = now - PRESENCE // timedelta(milliseconds=1)
        found = cast(
            "list[tuple[bytes, float]]",
            self.client.zrangebyscore(self.keys.processes, since, "+inf", withscores=True),
        )
        names = [name.decode() for name, _ in found]
        versions = cast("list[bytes | None]", self.client.mget(map(self.keys.process, names)) if names else [])
        processes: list[ProcessSeen] = []
        for name, (_, at), said in zip(names, found, versions, strict=True):
            role, _, rest = name.partition(":")
            where, _, pid = rest.rpartition(":")
            processes.append(
                ProcessSeen(name, role, where, int(pid), said.decode() if said else "", max(0, now - int(at)))
            )
        return sorted(processes, key=lambda process: process.name)

    def here(self) -> bool:
        """True when a worker process of this machine is there."""
        since = self._now_ms() - PRESENCE // timedelta(milliseconds=1)
        found = cast("list[bytes]", self.client.zrangebyscore(self.keys.workers, since, "+inf"))
        return any(name.decode().rpartition(":")[0] == machine() for name in found)

    def _now_ms(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000


@dataclass(frozen=True, slots=True)
class Drains:
    """Asks supervisors to end their workers: each running step ends, and its run goes on elsewhere."""

    client: redis.Redis
    keys: Keys

    def ask(self, *, everywhere: bool = False) -> list[str]:
        """Ask the supervisors that run on this machine, or all; gives their names."""
        here = [
            process.name
            for process in Presence(self.client, self.keys).seen()
            if process.role == "supervisor" and (everywhere or process.machine == machine())
        ]
        for name in here:
            # It is for the processes of now: one that starts later takes work again.
            self.client.set(self.keys.drain(name), 1, px=_REMEMBERED)
        return here

    def left(self, names: Iterable[str]) -> list[str]:
        """Which of these have not ended their workers yet."""
        seen = {process.name for process in Presence(self.client, self.keys).seen()}
        return [name for name in names if name in seen]

    def asked(self, name: str) -> bool:
        """Whether this supervisor is to end its workers."""
        return bool(self.client.exists(self.keys.drain(name)))

    def forget(self, name: str) -> None:
        """Whoever had this name before is gone, or has done what it was asked."""
        self.client.delete(self.keys.drain(name))


@cache
def machine() -> str:
    """The name of this machine; in a container, of the container."""
    return socket.gethostname()


@cache
def _own_version() -> str:
    return version("scenarist")
