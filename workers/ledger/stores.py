"""
Data stores in the ledger: records under keys, in order of insertion (spec/scenarios.md 4.7).

A store is one record with a random id; its records lie under that id, so an import replaces a store as a whole. What
people keep in a store is data at rest like bundles: each store has a data key, wrapped by the key ring; record keys are
stored as keyed hashes of it, and the key itself with its record inside the cipher text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import redis

from connections.keyring import DataKey, KeyRing
from runtime import codec
from runtime.errors import NotFoundError, ScenaristError, UsageError
from runtime.values import Buffer
from workers.ledger import lua
from workers.ledger.cipher import KeyWrap
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION, Json, StoreWrite
from workers.ledger.rotation import rewrap

#: Most bytes of one store, encrypted records included, when no setting says otherwise.
STORE_BYTES = 100 << 20
#: Records fetched or written in one round trip.
_PAGE = 500
#: A store of one run is gone after so many seconds, should the run's process have died before it could delete it.
_PRIVATE_SECONDS = 2 * 24 * 3600


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store without its records: their number, the bytes that they take."""

    name: str
    count: int
    size: int
    #: Fields of its data structure, and whether that allows no others; None without one.
    fields: int | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    id: str
    key: DataKey = field(repr=False)
    size: int = 0

    def field(self, key: str) -> str:
        """The field of a record: a keyed hash, so that keys are not readable at rest."""
        pepper = hmac.digest(self.key.raw, b"record keys", "sha256")
        return hmac.digest(pepper, key.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()

    def place(self, name: str) -> str:
        return f"store {self.id} {name}"


@dataclass(frozen=True, slots=True)
class Stores:
    """The data stores under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    key_wrap: KeyWrap
    #: Most bytes of one store.
    most: int = STORE_BYTES

    # -- stores --------------------------------------------------------------------------------------------------------

    def list(self) -> list[StoreRow]:
        """All stores by name; those of a single run are not among them."""
        names = sorted(name.decode() for name in cast("set[bytes]", self.client.smembers(self.keys.stores)))
        return [row for name in names if (row := self._row(name)) is not None]

    def show(self, name: str) -> StoreRow:
        """One store. Raises UsageError when there is none."""
        row = self._row(name)
        if row is None:
            raise self._unknown(name)
        return row

    def exists(self, name: str) -> bool:
        """True when there is a store of this name."""
        return bool(self.client.exists(self.keys.store(name)))

    def structure(self, name: str) -> Json | None:
        """The data structure of a store's records; None when it has none. Raises UsageError for an unknown store."""
        opened = self._open(name)
        sealed = cast("bytes | None", self.client.hget(self.keys.store(name), "structure"))
        return orjson.loads(opened.key.decrypt(sealed, aad=opened.place("structure"))) if sealed else None

    def set_structure(self, name: str, structure: Json | None) -> None:
        """Give a store another data structure; None takes it away. Records stay. Raises UsageError: there is none."""
        opened = self._open(name)
        sealed = (
            b"" if structure is None else opened.key.encrypt(orjson.dumps(structure), aad=opened.place("structure"))
        )
        if lua.call(self.client, "store_structure", [self.keys.store(name)], [opened.id, sealed]) != 1:
            raise UsageError(f'The store "{name}" was replaced meanwhile; do it again.')

    def replace(self, name: str, records: Mapping[str, Mapping[str, Any]], *, private: bool = False) -> None:
        """
        Put these records in place of a store's old ones; makes the store where there is none. Its data structure stays.
        `private`: for one run only, not listed, and gone by itself after a while.

        Raises:
            DataError: A record cannot be stored.
            UsageError: They take more than a store may.
        """
        data_key = DataKey.generate()
        opened = _Opened(name, secrets.token_hex(8), data_key)
        fields = {opened.field(key): _seal(opened, key, data) for key, data in records.items()}
        size = sum(map(len, fields.values()))
        if size > self.most:
            raise UsageError(f'The store "{name}" would take {size} bytes; a store may hold {self.most} (store_bytes).')
        old = cast("bytes | None", self.client.hget(self.keys.store(name), "id"))
        structure = None if old is None else self.structure(name)
        names = list(fields)
        with self.client.pipeline(transaction=True) as pipeline:
            for start in range(0, len(names), _PAGE):
                page = names[start : start + _PAGE]
                pipeline.hset(self.keys.store_records(opened.id), mapping={field: fields[field] for field in page})
                places = {field: start + index + 1 for index, field in enumerate(page)}
                pipeline.zadd(self.keys.store_order(opened.id), places)
            meta: dict[Any, Any] = {
                "v": RECORD_VERSION,
                "id": opened.id,
                "key": self.key_wrap.wrap(data_key, aad=f"store {opened.id}"),
                "next": len(names),
                "bytes": size,
                "private": int(private),
                "structure": b""
                if structure is None
                else opened.key.encrypt(orjson.dumps(structure), aad=opened.place("structure")),
            }
            pipeline.hset(self.keys.store(name), mapping=meta)
            if private:
                for key in (
                    self.keys.store(name), self.keys.store_records(opened.id), self.keys.store_order(opened.id)
                ):  # fmt: skip
                    pipeline.expire(key, _PRIVATE_SECONDS)
            else:
                pipeline.sadd(self.keys.stores, name)
            if old is not None:
                pipeline.delete(self.keys.store_records(old.decode()), self.keys.store_order(old.decode()))
            pipeline.execute()

    def remove(self, name: str) -> None:
        """Delete a store with its records. Raises UsageError when there is none."""
        opened = self._open(name)
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(self.keys.store(name), self.keys.store_records(opened.id), self.keys.store_order(opened.id))
            pipeline.srem(self.keys.stores, name)
            pipeline.execute()

    def rotate(self, keyring: KeyRing) -> int:
        """Wrap the data keys of all stores with the newest key of the ring; gives the number of those that changed."""
        rotated = 0
        for name in cast("set[bytes]", self.client.smembers(self.keys.stores)):
            key = self.keys.store(name.decode())
            # Together: an import meanwhile gives the store another id with another key.
            store, wrapped = cast("list[bytes | None]", self.client.hmget(key, "id", "key"))
            if store is not None:
                rotated += rewrap(self.client, keyring, key, f"store {store.decode()}", wrapped=wrapped)
        return rotated

    # -- records -------------------------------------------------------------------------------------------------------

    def get(self, name: str, key: str) -> dict[str, Any] | None:
        """One record, None when there is none. Raises UsageError for an unknown store."""
        opened = self._open(name)
        place = opened.field(key)
        sealed = cast("bytes | None", self.client.hget(self.keys.store_records(opened.id), place))
        return None if sealed is None else _unseal(opened, place, sealed)[1]

    def records(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, record) of a whole store in order of insertion. Raises UsageError for an unknown store."""
        opened = self._open(name)
        fields = cast("list[bytes]", self.client.zrange(self.keys.store_order(opened.id), 0, -1))
        for start in range(0, len(fields), _PAGE):
            page = [field.decode() for field in fields[start : start + _PAGE]]
            found = cast("list[bytes | None]", self.client.hmget(self.keys.store_records(opened.id), page))
            for place, sealed in zip(page, found, strict=True):
                if sealed is not None:
                    yield _unseal(opened, place, sealed)

    def write(self, name: str, kind: str, key: str = "", data: Mapping[str, Any] | None = None) -> StoreWrite:
        """
        A write in the form that a checkpoint applies: kind `put`, `delete` or `clear`.

        Raises:
            DataError: The record cannot be stored.
            UsageError: There is no such store.
        """
        opened = self._open(name)
        place = opened.field(key) if kind != "clear" else ""
        sealed = b"" if data is None else _seal(opened, key, data)
        keys = (self.keys.store(name), self.keys.store_records(opened.id), self.keys.store_order(opened.id))
        return StoreWrite(keys, opened.id, kind, place, sealed)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> _Opened:
        found = cast("list[bytes | None]", self.client.hmget(self.keys.store(name), "id", "key", "bytes"))
        if found[0] is None or found[1] is None:
            raise self._unknown(name)
        store = found[0].decode()
        return _Opened(name, store, self.key_wrap.unwrap(found[1], aad=f"store {store}"), int(found[2] or 0))

    def _row(self, name: str) -> StoreRow | None:
        found = cast("list[bytes | None]", self.client.hmget(self.keys.store(name), "id", "bytes"))
        if found[0] is None:
            return None
        count = self.client.hlen(self.keys.store_records(found[0].decode()))
        try:
            structure = self.structure(name)
        except ScenaristError:
            structure = None  # its key is not in the ring any more
        if structure is None:
            return StoreRow(name, count, int(found[1] or 0))
        return StoreRow(name, count, int(found[1] or 0), len(structure["spec"]), structure["strict"])

    def _unknown(self, name: str) -> UsageError:
        known = ", ".join(row.name for row in self.list()) or "none"
        return NotFoundError(f'There is no data store "{name}". Known: {known}.')


def _seal(opened: _Opened, key: str, data: Mapping[str, Any]) -> bytes:
    blobs: dict[str, str] = {}

    def keep(buffer: Buffer) -> str:
        digest = hashlib.sha256(buffer.data).hexdigest()
        blobs[digest] = base64.b64encode(buffer.data).decode()
        return digest

    record: dict[str, Any] = {"v": RECORD_VERSION, "key": key, "data": codec.dumps(dict(data), keep).decode()}
    if blobs:
        record["blobs"] = blobs
    return opened.key.encrypt(codec.dumps(record), aad=opened.place(opened.field(key)))


def _unseal(opened: _Opened, place: str, sealed: bytes) -> tuple[str, dict[str, Any]]:
    record = orjson.loads(opened.key.decrypt(sealed, aad=opened.place(place)))
    blobs = record.get("blobs", {})
    data = codec.loads(record["data"].encode(), lambda digest, size: base64.b64decode(blobs[digest]))  # noqa: ARG005
    return record["key"], data
