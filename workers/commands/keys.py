"""What `keys rotate` does: encrypt everything anew with the newest key."""

from __future__ import annotations

from dataclasses import dataclass

from connections.vault import Vault
from workers import imports
from workers.commands.context import Context
from workers.keys import add_newest_key


@dataclass(frozen=True, slots=True)
class KeyCommands:
    """The commands."""

    context: Context

    def rotate(self) -> int:
        """Encrypt all secrets with the newest key, a new one where the ring is our own file; gives their number."""
        keyring = add_newest_key(self.context.settings)
        runner = self.context.runner
        rotated = Vault(imports.records(runner), keyring).rotate().rotated
        rotated += runner.common.rotate(keyring) + runner.stores.rotate(keyring)
        rotated += runner.runs.rotate(keyring) + runner.incompletes.rotate(keyring) + runner.hooks.rotate(keyring)
        return rotated + runner.library.registry.contents.rotate(keyring)
