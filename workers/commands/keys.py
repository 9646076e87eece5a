"""What `keys rotate` does: encrypt everything anew with the newest key."""

from __future__ import annotations

from dataclasses import dataclass

from connections.vault import Vault
from workers.commands.context import Context
from workers.keys import add_newest_key
from workers.ledger.connections import ConnectionRecords


@dataclass(frozen=True, slots=True)
class KeyCommands:
    """The commands."""

    context: Context

    def rotate(self) -> int:
        """Encrypt all secrets with the newest key, a new one where the ring is our own file; gives their number."""
        keyring = add_newest_key(self.context.settings)
        runner = self.context.runner
        records = ConnectionRecords(runner.runs.client, runner.runs.keys)
        rotated = Vault(records, keyring).rotate().rotated
        sealed = (runner.common, runner.authorizations, runner.stores, runner.runs, runner.incompletes)
        rotated += sum(each.rotate(keyring) for each in sealed)
        return rotated + runner.apps.contents.rotate(keyring)
