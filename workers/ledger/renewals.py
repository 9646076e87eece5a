"""
The lease under which one worker renews a connection while all others wait (spec/connections.md 7.7).

Taking it, noting that something is sent, and writing the answer while giving it back are one script each; a holder that
died after sending leaves an outcome that nobody knows, and the record says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias, cast

import redis

from runtime.errors import ScenaristError
from workers.ledger import lua
from workers.ledger.connections import ConnectionRecords
from workers.ledger.keys import Keys

#: How long a holder may be silent before another one takes the renewal over.
DEFAULT_LEASE = timedelta(seconds=30)

Taken: TypeAlias = Literal["ok", "busy", "moved", "lost", "gone"]


class LeaseLost(ScenaristError):  # noqa: N818  the word of the design
    """Somebody else renews the connection: this one sends and writes nothing more."""

    name = "LeaseLost"


@dataclass(frozen=True, slots=True)
class RenewalLease:
    """The lease of one connection for one owner. It is also the `RecordStore` through which its answer is written."""

    client: redis.Redis
    keys: Keys
    connection: str
    length: timedelta = DEFAULT_LEASE
    owner: str = field(default_factory=lambda: secrets.token_hex(12))

    @property
    def _ms(self) -> int:
        return self.length // timedelta(milliseconds=1)

    def take(self, version: int) -> tuple[Taken, timedelta]:
        """Ask for the lease of a record of this version; with `busy`, how long the holder may be silent yet."""
        keys = [self.keys.connection(self.connection), self.keys.connection_lease(self.connection)]
        answer = lua.call(self.client, "lease_take", keys, [self.owner, self._ms, version])
        left = timedelta(milliseconds=answer[1]) if len(answer) > 1 else timedelta(0)
        return cast("Taken", answer[0].decode()), left

    def keep(self, *, sending: bool = False) -> bool:
        """Prolong it; `sending` notes that a request goes out now. False: it is lost, and nothing may be sent."""
        arguments: list[str | int] = [self.owner, self._ms, "1" if sending else "0"]
        return lua.call(self.client, "lease_keep", [self.keys.connection_lease(self.connection)], arguments) == 1

    def release(self) -> None:
        """Give it back without a result."""
        lua.call(self.client, "lease_release", [self.keys.connection_lease(self.connection)], [self.owner])

    # -- as the store of the vault ----------------------------------------------------------------------------------

    def get(self, record: str) -> dict[str, bytes] | None:
        """A record's fields."""
        return ConnectionRecords(self.client, self.keys).get(record)

    def put(self, record: str, fields: Mapping[str, bytes], *, expect_version: int) -> bool:
        """
        Write the record and give the lease back; False when it has another version.

        Raises:
            LeaseLost: The lease is somebody else's, so this answer is out of date.
        """
        flat: list[str | bytes] = []
        for pair in fields.items():
            flat += pair
        keys = [self.keys.connection(record), self.keys.connection_lease(record), self.keys.connections]
        answer = lua.call(self.client, "lease_put", keys, [record, expect_version, self.owner, *flat])
        if answer < 0:
            raise LeaseLost("Somebody else has changed the connection meanwhile.")
        return answer == 1

    def delete(self, record: str) -> bool:
        """Remove a record."""
        return ConnectionRecords(self.client, self.keys).delete(record)

    def ids(self) -> Iterable[str]:
        """Ids of all records."""
        return ConnectionRecords(self.client, self.keys).ids()
