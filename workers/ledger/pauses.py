"""
Connections that a service has asked to rest: learned from its rate limits, kept for all workers.

A step that needs such a connection waits before its first request instead of running into the limit again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import redis

from workers.ledger.keys import Keys

#: How long a connection rests when the service has said no more than that it was too much.
DEFAULT_PAUSE = timedelta(seconds=5)
#: The longest rest: a service may say anything.
LONGEST_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses of connections under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    default: timedelta = DEFAULT_PAUSE

    def learn(self, connection: str, delay: timedelta | None) -> None:
        """The service has refused a request for now; `delay` is how long it asked to wait. A longer pause stays."""
        rest = min(self.default if delay is None else delay, LONGEST_PAUSE)
        if rest > max(self.left(connection), timedelta(0)):
            self.client.set(self.keys.connection_pause(connection), "1", px=max(rest // timedelta(milliseconds=1), 1))

    def left(self, connection: str) -> timedelta:
        """How long a connection is still to rest; zero when it may be used."""
        return max(timedelta(milliseconds=self.client.pttl(self.keys.connection_pause(connection))), timedelta(0))
