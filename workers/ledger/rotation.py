"""
What lies in the ledger under an older key of the ring, encrypted anew with the newest one (design section 10.1).

Both functions replace a value only where it is still the one that was read, so that a rotation and the work of other
processes do not meet.
"""

from __future__ import annotations

from typing import cast

import redis

from connections.keyring import KeyRing
from workers.ledger import lua


def rewrap(client: redis.Redis, keyring: KeyRing, name: str, place: str, *, wrapped: bytes | None = None) -> int:
    """
    Wrap the data key in the field `key` of a hash with the newest key; gives 1 when an older one had wrapped it.

    Args:
        client: The server.
        keyring: The ring with the newest key.
        name: The hash.
        place: What the data key was wrapped for.
        wrapped: The field, where it was read together with what makes up the place.

    Raises:
        CipherError: The older key is not in the ring.
    """
    if wrapped is None:
        wrapped = cast("bytes | None", client.hget(name, "key"))
    if wrapped is None or not keyring.needs_rotation(wrapped):
        return 0
    fresh = keyring.wrap(keyring.unwrap(wrapped, aad=place), aad=place)
    # Only where the hash is still there: a key alone would look like a record.
    return lua.call(client, "rotate", [name], [wrapped, fresh])


def reseal(client: redis.Redis, keyring: KeyRing, prefix: str, kind: str) -> int:
    """
    Encrypt the texts under a prefix with the newest key, each for its place `kind rest-of-its-name`; how long they are
    kept stays. Gives the number of those that an older key had sealed.

    Raises:
        CipherError: The older key of one is not in the ring.
    """
    rotated = 0
    for key in client.scan_iter(match=_literal(prefix) + "*", count=1000):
        name = cast("bytes", key).decode()
        found = cast("bytes | None", client.get(name))
        if found is not None and keyring.needs_rotation(found):
            place = f"{kind} {name[len(prefix) :]}"
            fresh = keyring.encrypt(keyring.decrypt(found, aad=place), aad=place)
            rotated += lua.call(client, "reseal", [name], [found, fresh])
    return rotated


def _literal(text: str) -> str:
    return "".join("\\" + char if char in "*?[]\\^" else char for char in text)
