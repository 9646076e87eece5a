"""
Contents by hash: the files of an app, the bytes of a blueprint. Written once, never changed.

Apps carry common data and blueprints carry literals that may be secrets, so contents are sealed like everything else
that people hand in: with a data key of their own, which the key ring wraps (design sections 3, 5 and 10.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from connections.keyring import CipherError, DataKey, KeyRing
from workers.ledger.keys import Keys
from workers.ledger.rotation import rewrap

_KEY = "key"
_MEMBER = "member:"


@dataclass(frozen=True, slots=True)
class Contents:
    """Sealed contents under one prefix of a server. A place is a key name that holds the content's hash."""

    client: redis.Redis
    keys: Keys
    keyring: KeyRing

    def put(self, place: str, members: Mapping[str, bytes]) -> None:
        """Store a content at its place; one that is there and can be opened stays as it is."""
        if self._opens(place):
            return
        key = DataKey.generate()
        fields = {_MEMBER + name: key.encrypt(data, aad=f"{place} {name}") for name, data in members.items()}
        fields[_KEY] = self.keyring.wrap(key, aad=place)
        with self.client.pipeline(transaction=True) as pipeline:
            # All at once: two writers have two data keys, and their fields must not mix.
            pipeline.delete(place)
            pipeline.hset(place, mapping=cast("dict[Any, Any]", fields))
            pipeline.sadd(self.keys.contents, place)
            pipeline.execute()

    def get(self, place: str) -> dict[str, bytes] | None:
        """The members of a content by name; None when it is not stored or its key is not in the ring any more."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(place))
        stored = {name.decode(): data for name, data in found.items()}
        wrapped = stored.pop(_KEY, None)
        if wrapped is None:
            return None
        try:
            key = self.keyring.unwrap(wrapped, aad=place)
            return {
                name.removeprefix(_MEMBER): key.decrypt(data, aad=f"{place} {name.removeprefix(_MEMBER)}")
                for name, data in stored.items()
            }
        except CipherError:
            return None

    def rotate(self, keyring: KeyRing) -> int:
        """Wrap the data keys that an older key has wrapped with the newest one; gives their number."""
        places = [entry.decode() for entry in cast("set[bytes]", self.client.smembers(self.keys.contents))]
        return sum(rewrap(self.client, keyring, place, place) for place in sorted(places))

    def _opens(self, place: str) -> bool:
        """True when a content is stored and its data key can be unwrapped; nothing of it is decrypted."""
        wrapped = cast("bytes | None", self.client.hget(place, _KEY))
        try:
            return wrapped is not None and bool(self.keyring.unwrap(wrapped, aad=place))
        except CipherError:
            return False
