"""Connection records on the server: the `RecordStore` that the vault keeps its encrypted records in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import redis

from workers.ledger import lua
from workers.ledger.keys import Keys


@dataclass(frozen=True, slots=True)
class ConnectionRecords:
    """Records by connection id. A record's field `version` is its version; 0 means that it does not exist."""

    client: redis.Redis
    keys: Keys

    def get(self, record: str) -> dict[str, bytes] | None:
        """A record's fields, None when there is none."""
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.connection(record)))
        return {name.decode(): value for name, value in row.items()} or None

    def put(self, record: str, fields: Mapping[str, bytes], *, expect_version: int) -> bool:
        """Replace a record if it has this version (0: if it does not exist); False when it has another one."""
        flat: list[str | bytes] = []
        for pair in fields.items():
            flat += pair
        keys = [self.keys.connection(record), self.keys.connections]
        return lua.call(self.client, "record_put", keys, [record, expect_version, *flat]) == 1

    def delete(self, record: str) -> bool:
        """Delete a record; False when there is none."""
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(self.keys.connection(record))
            pipeline.delete(self.keys.connection_lease(record), self.keys.connection_usage(record))
            pipeline.srem(self.keys.connections, record)
            deleted, *_ = pipeline.execute()
        return bool(deleted)

    def ids(self) -> list[str]:
        """Ids of all records, sorted."""
        return sorted(record.decode() for record in cast("set[bytes]", self.client.smembers(self.keys.connections)))
