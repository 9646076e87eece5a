"""What all commands share: settings, the registry of secrets, HTTP, and the ledger where there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.errors import UsageError
from runtime.http import HttpPerformer
from runtime.sanitize import Secrets
from workers.settings import Settings

if TYPE_CHECKING:
    from workers.runner import SegmentRunner
    from workers.server import Server


@dataclass(frozen=True, slots=True)
class Context:
    """What a group of commands works with. `opened` and `connected` are None for a command that needs no ledger."""

    settings: Settings
    secrets: Secrets
    http: HttpPerformer
    opened: SegmentRunner | None = field(default=None, repr=False)
    connected: Server | None = field(default=None, repr=False)

    @property
    def runner(self) -> SegmentRunner:
        """
        The ledger and what works on it.

        Raises:
            UsageError: This command was started without one.
        """
        if self.opened is None:
            raise UsageError("This command needs the ledger.")
        return self.opened

    @property
    def server(self) -> Server:
        """
        The server of the ledger.

        Raises:
            UsageError: This command was started without one.
        """
        if self.connected is None:
            raise UsageError("This command needs the ledger.")
        return self.connected

    def send(self, run: str, fence: int) -> bool:
        """Send the message of a run that is in the ledger; False when the queue cannot be reached."""
        # Celery takes a third of a second to import, so only commands that send a message pay for it.
        from workers.celery_app import make_app, send

        return send(make_app(self.settings, self.server), self.settings, run, fence)
