"""What people are told: a capped stream of events, and how far they were sent (spec/scenarios.md 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import redis

from workers.ledger import lua
from workers.ledger.keys import Keys

#: What one message is about: `error`, `warning`, `deactivated`, `queue-full`, `dlq-limit`.
Kind: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Notification:
    """One message; one per scenario, kind and hour. `at_ms` is UTC milliseconds; `message` is redacted."""

    id: str
    at_ms: int
    kind: Kind
    scenario: str
    name: str
    run: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """What lists print, and what is sent."""
        return {
            "id": self.id,
            "kind": self.kind,
            "scenario": self.scenario,
            "name": self.name,
            "run": self.run or None,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Notifications:
    """The messages under one prefix of a server. The scripts of the ledger write most of them with what they tell."""

    client: redis.Redis
    keys: Keys

    def add(self, scenario: str, kind: Kind, message: str, *, run: str = "") -> None:
        """Tell people something, unless they were told it of this scenario within the hour."""
        lua.call(self.client, "notify", [self.keys.notifications], [self.keys.prefix, scenario, kind, message, run])

    def list(self, *, limit: int = 100) -> list[Notification]:
        """The newest messages, oldest first."""
        found = cast("list[Any]", self.client.xrevrange(self.keys.notifications, count=limit))
        return [_read(entry, fields) for entry, fields in reversed(found)]

    def unsent(self, *, since_ms: int, limit: int) -> list[Notification]:
        """The oldest messages that were not sent; of those before the first sending, only the ones of `since_ms`."""
        last = cast("bytes | None", self.client.hget(self.keys.notified, "last"))
        start = f"({last.decode()}" if last else str(since_ms)
        found = cast("list[Any]", self.client.xrange(self.keys.notifications, min=start, count=limit))
        return [_read(entry, fields) for entry, fields in found]

    def failed(self, *, retry_ms: int) -> int:
        """Note that the oldest unsent message could not be sent, and when it is tried again; gives its attempts."""
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(self.keys.notified, "attempts", 1)
            pipeline.hset(self.keys.notified, "retry", retry_ms)
            attempts, _ = pipeline.execute()
        return int(attempts)

    def attempts(self) -> tuple[int, int]:
        """Failed attempts for the oldest unsent message, and when it is tried again (UTC milliseconds)."""
        attempts, retry = cast("list[bytes | None]", self.client.hmget(self.keys.notified, "attempts", "retry"))
        return int(attempts or 0), int(retry or 0)

    def done(self, message: Notification) -> None:
        """A message was sent, or given up."""
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self.keys.notified, "last", message.id)
            pipeline.hdel(self.keys.notified, "attempts", "retry")
            pipeline.execute()


def _read(entry: bytes, fields: dict[bytes, bytes]) -> Notification:
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    return Notification(
        entry.decode(), int(float(text["at"])), text["kind"], text["scenario"], text["name"], text["run"],
        text["message"],
    )  # fmt: skip
