"""Every record that the key ring seals, in one place: what `keys rotate` rewrites and `doctor` looks at."""

from __future__ import annotations

from connections.keyring import KeyRing
from connections.vault import Vault
from workers.ledger.connections import ConnectionRecords
from workers.runner import SegmentRunner


def rotate_all(runner: SegmentRunner, keyring: KeyRing) -> int:
    """
    Encrypt what an older key has sealed with the newest one; gives their number.

    Raises:
        CipherError: A record's key is not in the ring.
    """
    records = ConnectionRecords(runner.runs.client, runner.runs.keys)
    rotated = Vault(records, keyring).rotate().rotated
    sealed = (runner.common, runner.authorizations, runner.stores, runner.runs, runner.incompletes, runner.hooks)
    rotated += sum(each.rotate(keyring) for each in sealed)
    return rotated + runner.apps.contents.rotate(keyring)
