"""What `keys rotate` does: encrypt everything anew with the newest key."""

from __future__ import annotations

from dataclasses import dataclass

from workers.commands.context import Context
from workers.keys import add_newest_key
from workers.rotating import rotate_all


@dataclass(frozen=True, slots=True)
class KeyCommands:
    """The commands."""

    context: Context

    def rotate(self) -> int:
        """Encrypt all secrets with the newest key, a new one where the ring is our own file; gives their number."""
        return rotate_all(self.context.runner, add_newest_key(self.context.settings))
