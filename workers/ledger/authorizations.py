"""
What lies beside connections on the server: authorizations that wait for their callback and how they ended, an app's
common data, when a connection was used. All but the last are encrypted with the key ring.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import redis

from connections.keyring import KeyRing
from runtime.errors import UsageError
from workers.ledger.keys import Keys
from workers.ledger.rotation import reseal

_RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Authorizations:
    """Authorizations by their state, of which only a hash is stored."""

    client: redis.Redis
    keys: Keys
    keyring: KeyRing

    def put(self, state: str, content: bytes, *, keep: timedelta) -> None:
        """Keep one until its callback, at most so long."""
        digest = _digest(state)
        self.client.set(self.keys.pending(digest), self.keyring.encrypt(content, aad=f"pending {digest}"), px=keep)

    def take(self, state: str) -> bytes | None:
        """What was kept under this state, which is used up by it; None when there is nothing, or no longer."""
        digest = _digest(state)
        found = cast("bytes | None", self.client.getdel(self.keys.pending(digest)))
        return None if found is None else self.keyring.decrypt(found, aad=f"pending {digest}")

    def waits(self, state: str) -> bool:
        """True while the callback has not come and may still come."""
        return bool(self.client.exists(self.keys.pending(_digest(state))))

    def ended(self, state: str, result: Mapping[str, Any], *, keep: timedelta) -> None:
        """Tell who waits how an authorization ended; `result` is redacted."""
        digest = _digest(state)
        text = json.dumps(dict(result)).encode()
        self.client.set(self.keys.authorized(digest), self.keyring.encrypt(text, aad=f"authorized {digest}"), px=keep)

    def result(self, state: str) -> dict[str, Any] | None:
        """How it ended; None as long as it has not."""
        digest = _digest(state)
        found = cast("bytes | None", self.client.get(self.keys.authorized(digest)))
        return None if found is None else json.loads(self.keyring.decrypt(found, aad=f"authorized {digest}"))

    def rotate(self, keyring: KeyRing) -> int:
        """Encrypt those that wait and how others ended with the newest key of this ring; gives how many were not."""
        pending = reseal(self.client, keyring, self.keys.pending(""), "pending")
        return pending + reseal(self.client, keyring, self.keys.authorized(""), "authorized")


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class CommonData:
    """The operator's common data of apps, by app name (spec/connections.md 4, 7.9)."""

    client: redis.Redis
    keys: Keys
    keyring: KeyRing

    def get(self, app: str) -> dict[str, Any]:
        """An app's common data; empty when none were given."""
        found = cast("bytes | None", self.client.get(self.keys.app_common(app)))
        if found is None:
            return {}
        return json.loads(self.keyring.decrypt(found, aad=f"app-common {app}"))["values"]

    def put(self, app: str, values: Mapping[str, Any]) -> None:
        """Replace an app's common data; empty ones are forgotten."""
        if not values:
            self.client.delete(self.keys.app_common(app))
            return
        text = json.dumps({"v": _RECORD_VERSION, "values": dict(values)}).encode()
        self.client.set(self.keys.app_common(app), self.keyring.encrypt(text, aad=f"app-common {app}"))

    def rotate(self, keyring: KeyRing) -> int:
        """Encrypt all of them with the newest key of this ring; gives how many were not."""
        return reseal(self.client, keyring, self.keys.app_common(""), "app-common")


@dataclass(frozen=True, slots=True)
class Usage:
    """When a connection was last used and what its last error was. Instants are UTC milliseconds."""

    used_ms: int | None = None
    error: str = ""
    error_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Usages:
    """Usage by connection id; of a connection that is gone, nothing is noted."""

    client: redis.Redis
    keys: Keys

    def used(self, connection: str) -> None:
        """A run begins to use it."""
        self._note(connection, {"used": _now_ms()})

    def failed(self, connection: str, message: str) -> None:
        """The service has refused it; `message` is redacted."""
        self._note(connection, {"error": message[:1000], "error_at": _now_ms()})

    def worked(self, connection: str) -> None:
        """It was authorized or renewed: the last error counts no more."""
        self.client.hdel(self.keys.connection_usage(connection), "error", "error_at")

    def get(self, connection: str) -> Usage:
        """What is known."""
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.connection_usage(connection)))
        return Usage(
            int(row[b"used"]) if b"used" in row else None,
            row.get(b"error", b"").decode(),
            int(row[b"error_at"]) if b"error_at" in row else None,
        )

    def _note(self, connection: str, fields: dict[str, Any]) -> None:
        if self.client.exists(self.keys.connection(connection)):
            self.client.hset(self.keys.connection_usage(connection), mapping=cast("dict[Any, Any]", fields))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def checked_common(values: Any) -> dict[str, Any]:
    """
    Common data as they may be stored.

    Raises:
        UsageError: They are no JSON object.
    """
    if not isinstance(values, dict):
        raise UsageError('Common data are a JSON object such as {"clientId": "...", "clientSecret": "..."}.')
    return cast("dict[str, Any]", values)
