"""
Tokens of the HTTP API: shown once when they are made, stored only as a hash, with scopes and an end.

A token has 256 random bits, so its hash is as good as a key: it is found by that, in time that says nothing about it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

import redis

from runtime.errors import NotFoundError, UsageError
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION

#: How a token begins, so that scanners of repositories and logs know it.
MARK: Final = "scn_"
_BYTES: Final = 32
_NAME: Final = re.compile(r"[\w. -]{1,64}")
#: `used` is written at most so often.
_USED_EVERY_MS: Final = 60_000

#: What a token may allow.
SCOPES: Final = (
    "scenarios:read", "scenarios:run", "scenarios:write", "runs:read", "runs:write", "hooks:read", "hooks:write",
    "connections:read", "stores:read", "stores:write", "incomplete:read", "incomplete:write",
)  # fmt: skip
#: All of them.
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without itself. Instants are UTC milliseconds."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_ms: int
    #: None: it does not end.
    expires_ms: int | None = None
    used_ms: int | None = None

    def allows(self, scope: str) -> bool:
        """Whether it may be used for this."""
        return ALL in self.scopes or scope in self.scopes


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens under one prefix of a server."""

    client: redis.Redis
    keys: Keys

    def add(self, name: str, scopes: Collection[str], *, expires: timedelta | None = None) -> tuple[TokenRow, str]:
        """
        Make a token; gives its row and the token itself, which nobody can read again.

        Raises:
            UsageError: The name is taken or none, or a scope is unknown.
        """
        if not _NAME.fullmatch(name):
            raise UsageError("A token's name has up to 64 letters, digits, spaces, dots, dashes and underscores.")
        wrong = sorted(set(scopes) - {*SCOPES, ALL})
        if wrong or not scopes:
            problem = f"There is no scope {', '.join(wrong)}." if wrong else "A token needs a scope."
            raise UsageError(f"{problem} Scopes: {', '.join((ALL, *SCOPES))}.")
        token = MARK + secrets.token_urlsafe(_BYTES)
        digest, now = _digest(token), self._now_ms()
        ends = None if expires is None else now + expires // timedelta(milliseconds=1)
        row = TokenRow(secrets.token_hex(6), name, tuple(sorted(scopes)), now, ends)
        if not self.client.hsetnx(self.keys.tokens, name, digest):
            raise UsageError(f'There is a token "{name}" already; scenarist token remove takes it away.')
        fields = {
            "v": RECORD_VERSION, "id": row.id, "name": name, "scopes": " ".join(row.scopes), "created": now,
            "expires": "" if ends is None else ends,
        }  # fmt: skip
        self.client.hset(self.keys.token(digest), mapping=cast("dict[Any, Any]", fields))
        return row, token

    def list(self) -> list[TokenRow]:
        """All tokens by name."""
        names = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.tokens))
        rows = [self._read(digest.decode()) for _, digest in sorted(names.items())]
        return [row for row in rows if row is not None]

    def remove(self, name: str) -> None:
        """Take a token away: it opens nothing from now on. Raises NotFoundError when there is none."""
        digest = cast("bytes | None", self.client.hget(self.keys.tokens, name))
        if digest is None:
            known = ", ".join(row.name for row in self.list()) or "none"
            raise NotFoundError(f'There is no token "{name}". Known: {known}.')
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(self.keys.token(digest.decode()))
            pipeline.hdel(self.keys.tokens, name)
            pipeline.execute()

    def check(self, token: str) -> TokenRow | None:
        """The row of a token that may be used now, else None."""
        if not token.startswith(MARK) or len(token) > 100:
            return None
        digest = _digest(token)
        row, now = self._read(digest), self._now_ms()
        if row is None or (row.expires_ms is not None and row.expires_ms <= now):
            return None
        if row.used_ms is None or now - row.used_ms > _USED_EVERY_MS:
            self.client.hset(self.keys.token(digest), "used", now)
        return row

    def _read(self, digest: str) -> TokenRow | None:
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.token(digest)))
        if b"scopes" not in row:
            return None

        def instant(name: bytes) -> int | None:
            return int(row[name]) if row.get(name) else None

        return TokenRow(
            row[b"id"].decode(),
            row[b"name"].decode(),
            tuple(row[b"scopes"].decode().split()),
            int(row[b"created"]),
            instant(b"expires"),
            instant(b"used"),
        )

    def _now_ms(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
