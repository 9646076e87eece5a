"""What the scheduler does: one sweep over wake-ups, expired leases and lost messages; one leader at a time."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
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
            [self.keys.run(""), SWEEP_RUNS, lost_after // timedelta(milliseconds=1)],
        )
        return [Wanted(found[i].decode(), found[i + 1].decode(), int(found[i + 2])) for i in range(0, len(found), 3)]

    def lead(self, token: str, *, lease: timedelta) -> bool:
        """Be or stay the one scheduler at work; False while another one is."""
        milliseconds = lease // timedelta(milliseconds=1)
        return lua.call(self.client, "lead", [self.keys.leader], [token, milliseconds]) == 1


#: A worker process that gave no sign of life for so long counts as gone.
PRESENCE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Presence:
    """Signs of life of worker processes, by machine and process."""

    client: redis.Redis
    keys: Keys

    def beat(self) -> None:
        """Give a sign of life of this process."""
        now = self._now_ms()
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.zadd(self.keys.workers, {f"{_machine()}:{os.getpid()}": now})
            pipeline.zremrangebyscore(self.keys.workers, 0, now - 10 * (PRESENCE // timedelta(milliseconds=1)))
            pipeline.execute()

    def leave(self) -> None:
        """This process takes no more work."""
        self.client.zrem(self.keys.workers, f"{_machine()}:{os.getpid()}")

    def here(self) -> bool:
        """True when a worker process of this machine is there."""
        since = self._now_ms() - PRESENCE // timedelta(milliseconds=1)
        found = cast("list[bytes]", self.client.zrangebyscore(self.keys.workers, since, "+inf"))
        return any(name.decode().rpartition(":")[0] == _machine() for name in found)

    def _now_ms(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000


def _machine() -> str:
    return socket.gethostname()
