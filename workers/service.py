"""
What the commands do: one object over settings, ledger and HTTP, with a group of commands for each kind of thing.

The command line parses, calls one method of a group (`service.runs.enqueue`) and prints what comes back. Methods raise
`UsageError` for unknown names and list the known ones. The groups are in `workers/commands/`; each is imported when it
is asked for, so that a command pays for what it uses.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.http import HttpPerformer
from runtime.sanitize import Secrets
from workers.commands.context import Context
from workers.keys import load_keyring
from workers.ledger.notifications import Notifications
from workers.policy import http_performer
from workers.runner import SegmentRunner
from workers.server import Server, connect
from workers.settings import Settings

if TYPE_CHECKING:
    from workers.commands.apps import AppCommands
    from workers.commands.connections import ConnectionCommands
    from workers.commands.epochs import EpochCommands
    from workers.commands.hooks import HookCommands
    from workers.commands.incompletes import IncompleteCommands
    from workers.commands.keys import KeyCommands
    from workers.commands.local_calls import LocalCommands
    from workers.commands.runs import RunCommands
    from workers.commands.scenarios import ScenarioCommands
    from workers.commands.schedules import ScheduleCommands
    from workers.commands.stores import StoreCommands
    from workers.commands.tokens import TokenCommands


@dataclass(frozen=True, slots=True)
class Service:
    """The groups of commands. Use `open_service`."""

    context: Context

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.context.settings

    @property
    def secrets(self) -> Secrets:
        """What no output may show."""
        return self.context.secrets

    @property
    def http(self) -> HttpPerformer:
        """What sends requests."""
        return self.context.http

    @property
    def runner(self) -> SegmentRunner:
        """The ledger and what works on it. Raises UsageError without one."""
        return self.context.runner

    @property
    def server(self) -> Server:
        """The server of the ledger. Raises UsageError without one."""
        return self.context.server

    @property
    def apps(self) -> AppCommands:
        """Registered apps and the operator's data of them."""
        from workers.commands.apps import AppCommands

        return AppCommands(self.context)

    @property
    def connections(self) -> ConnectionCommands:
        """Connections."""
        from workers.commands.connections import ConnectionCommands

        return ConnectionCommands(self.context)

    @property
    def stores(self) -> StoreCommands:
        """Data stores."""
        from workers.commands.stores import StoreCommands

        return StoreCommands(self.context)

    @property
    def scenarios(self) -> ScenarioCommands:
        """Scenarios."""
        from workers.commands.scenarios import ScenarioCommands

        return ScenarioCommands(self.context)

    @property
    def hooks(self) -> HookCommands:
        """Webhooks."""
        from workers.commands.hooks import HookCommands

        return HookCommands(self.context)

    @property
    def schedules(self) -> ScheduleCommands:
        """Schedules: what runs by itself, and when."""
        from workers.commands.schedules import ScheduleCommands

        return ScheduleCommands(self.context)

    @property
    def notifications(self) -> Notifications:
        """What people were told."""
        return Notifications(self.runner.runs.client, self.runner.runs.keys)

    @property
    def tokens(self) -> TokenCommands:
        """Tokens of the HTTP API."""
        from workers.commands.tokens import TokenCommands

        return TokenCommands(self.context)

    @property
    def epochs(self) -> EpochCommands:
        """Where polling triggers stand."""
        from workers.commands.epochs import EpochCommands

        return EpochCommands(self.context)

    @property
    def runs(self) -> RunCommands:
        """Runs."""
        from workers.commands.runs import RunCommands

        return RunCommands(self.context)

    @property
    def incompletes(self) -> IncompleteCommands:
        """Incomplete executions."""
        from workers.commands.incompletes import IncompleteCommands

        return IncompleteCommands(self.context)

    @property
    def local(self) -> LocalCommands:
        """Calls in this process."""
        from workers.commands.local_calls import LocalCommands

        return LocalCommands(self.context)

    @property
    def keys(self) -> KeyCommands:
        """The key ring."""
        from workers.commands.keys import KeyCommands

        return KeyCommands(self.context)


@contextmanager
def open_service(settings: Settings, *, ledger: bool = True, secrets: Secrets | None = None) -> Generator[Service]:
    """
    The commands' service; `ledger=False` starts no server. `secrets` is the registry of the process, if it has one.

    Raises:
        SettingsError: The server or the key ring cannot be used.
    """
    known = secrets if secrets is not None else Secrets()
    with ExitStack() as stack:
        if not ledger:
            yield Service(Context(settings, known, stack.enter_context(http_performer(settings))))
            return
        # First the keys: a ring that cannot be read is said before a server is started.
        load_keyring(settings)
        server = stack.enter_context(connect(settings))
        runner = stack.enter_context(SegmentRunner.open(settings, server, known))
        yield Service(Context(settings, known, runner.http, runner, server))
