"""What all segments of a process share, and the way from a message to a segment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from connections.vault import Vault
from runtime.errors import ScenaristError
from runtime.http import HttpPerformer
from runtime.logs import get_logger, log_context
from runtime.sanitize import Secrets
from runtime.tracing import span
from workers.keys import load_keyring
from workers.leases import Leases
from workers.ledger.apps import Apps
from workers.ledger.authorizations import Authorizations, CommonData, Usages
from workers.ledger.connections import ConnectionRecords
from workers.ledger.contents import Contents
from workers.ledger.counters import Counts
from workers.ledger.events import QUEUE_MAX, RATE, RATE_WINDOW, Events
from workers.ledger.hooks import Hooks
from workers.ledger.incompletes import Incompletes
from workers.ledger.keys import Keys
from workers.ledger.pauses import DEFAULT_PAUSE, Pauses
from workers.ledger.records import Checkpoint, Claim, FenceLost, Move, ScenarioChange
from workers.ledger.renewals import DEFAULT_LEASE as RENEWAL_LEASE
from workers.ledger.renewals import RenewalLease
from workers.ledger.runs import DEFAULT_LEASE, Runs
from workers.ledger.scenarios import Scenarios
from workers.ledger.states import RunState
from workers.ledger.stores import STORE_BYTES, Stores
from workers.policy import http_performer, limits_of
from workers.server import Server
from workers.settings import Settings

if TYPE_CHECKING:
    import redis

    from workers.library import Library
    from workers.renewing import Renewals
    from workers.segment import OnStep

log = get_logger(__name__)


@dataclass
class SegmentRunner:
    """
    What all segments of a process share. What only a segment or a call needs (`library`, `renewals`) is made when it is
    asked for: with apps, expressions and requests it takes longer to import than a command that looks at the ledger
    runs. A process with threads calls `ready` first.
    """

    settings: Settings
    runs: Runs
    apps: Apps
    scenarios: Scenarios
    vault: Vault
    stores: Stores
    secrets: Secrets
    http: HttpPerformer
    common: CommonData
    usages: Usages
    authorizations: Authorizations
    incompletes: Incompletes
    hooks: Hooks
    events: Events
    pauses: Pauses
    #: Set when the process is to end: segments hand their runs back after the current operation.
    draining: threading.Event = field(default_factory=threading.Event)
    leases: Leases | None = None
    #: Sends the message of a run that was handed back.
    send: Callable[[str, int], bool] | None = None
    #: Told of the webhook whose run has ended: its next events may start runs.
    on_room: Callable[[str], object] | None = None

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, server: Server, secrets: Secrets) -> Generator[SegmentRunner]:
        """
        A runner on this server.

        Raises:
            SettingsError: The key ring or a setting cannot be used.
        """
        keys = Keys(settings.prefix)
        keyring = load_keyring(settings)
        runs = Runs(server.client, keys, keyring, settings.duration("lease_seconds", DEFAULT_LEASE))
        contents = Contents(server.client, keys, keyring)
        vault = Vault(ConnectionRecords(server.client, keys), keyring)
        stores = Stores(server.client, keys, keyring, settings.option("store_bytes", STORE_BYTES))
        with http_performer(settings) as http, ExitStack() as stack:
            stack.callback(_flush, Counts(server.client, keys))
            yield cls(
                settings,
                runs,
                Apps(server.client, keys, contents),
                Scenarios(server.client, keys, contents),
                vault,
                stores,
                secrets,
                http,
                CommonData(server.client, keys, keyring),
                Usages(server.client, keys),
                Authorizations(server.client, keys, keyring),
                Incompletes(server.client, keys, keyring),
                Hooks(server.client, keys, keyring),
                events_of(settings, server.client, keys),
                Pauses(server.client, keys, settings.duration("connections.pause_seconds", DEFAULT_PAUSE)),
            )

    @cached_property
    def library(self) -> Library:
        """Apps and scenarios, compiled."""
        from workers.library import Library

        return Library(self.apps, self.scenarios)

    @cached_property
    def renewals(self) -> Renewals:
        """What renews connections. Raises SettingsError: a setting cannot be used."""
        from workers.renewing import Renewals

        settings, client, keys = self.settings, self.runs.client, self.runs.keys
        length = settings.duration("connection_lease_seconds", RENEWAL_LEASE)
        return Renewals(
            self.vault,
            self.usages,
            lambda connection: RenewalLease(client, keys, connection, length),
            lambda lease: Vault(lease, self.common.keyring),
            self.common.get,
            self.http.send,
            limits_of(settings),
            settings.option("connections.retry_on_401", True),
        )

    def ready(self) -> None:
        """
        Make everything that a segment needs.

        Raises:
            SettingsError: A setting cannot be used.
        """
        from workers import segment

        _ = self.library, self.renewals, segment

    def run_message(self, run: str, fence: int) -> None:
        """What a message asks for: claim the run and take it as far as it goes. Never raises."""
        with log_context(run=run):
            try:
                claim = self.runs.claim(run, fence)
                if claim is None:
                    log.debug("message without a claim", fence=fence)
                    return
                self.take(claim)
            except FenceLost:
                log.warning("run lost", fence=fence)
            except (ScenaristError, RedisError) as error:
                # The lease ends, and the scheduler gives the run to a worker that can go on.
                log.error("segment failed", reason=str(error))
            except Exception as error:  # a fault of ours must not end the thread of the pool
                log.error("segment crashed", exc_info=error)

    def take(self, claim: Claim, *, park: bool = True, on_step: OnStep | None = None) -> RunState:
        """
        Run a segment of a claimed run; gives the state that it ends in.

        Raises:
            FenceLost: Another worker took the run over.
            ScenaristError: Its plan or data cannot be read; the run stays claimed until its lease ends.
        """
        from workers.segment import Segment

        lost = self.leases.hold(claim.run, claim.fence) if self.leases else threading.Event()
        try:
            with self.secrets.scope() as secrets, log_context(scenario=claim.request.scenario):
                try:
                    compiled = self.library.compiled(claim.request.blueprint, claim.request.apps)
                except ScenaristError as error:
                    return _end_unusable(self.runs, claim, error)
                with span("segment", run=claim.run, scenario=claim.request.scenario, fence=claim.fence) as traced:
                    state = Segment(self, claim, compiled, secrets, lost, park, on_step).run()
                    traced.note("state", str(state))
                    return state
        finally:
            if self.leases:
                self.leases.release(claim.run, claim.fence)
            if claim.hook and self.on_room is not None:
                self.on_room(claim.hook)
            if claim.request.sequential and self.send is not None:
                # The script that ended the run has called the next one; the scheduler would see that at its next look.
                following = self.runs.next_in_line(claim.request.scenario)
                if following is not None:
                    self.send(*following)


def events_of(settings: Settings, client: redis.Redis, keys: Keys) -> Events:
    """The events of webhooks on this server, with the limits of the settings (spec/scenarios.md 2.9, 5.3)."""
    return Events(
        client,
        keys,
        settings.option("hook_queue_max", QUEUE_MAX),
        settings.option("hook_rate", RATE),
        settings.duration("hook_rate_seconds", RATE_WINDOW),
    )


def _flush(counts: Counts) -> None:
    with suppress(RedisError):
        counts.flush()


def _end_unusable(runs: Runs, claim: Claim, error: ScenaristError) -> RunState:
    """End a run whose blueprint or apps cannot be used: no later worker of this release could."""
    failure = {"type": error.name, "message": error.message, "module": None}
    log.error("run cannot be used", reason=error.message)
    end = Checkpoint(claim.cursor or {}, move=Move(RunState.ERROR, error=failure))
    if claim.request.kind == "auto":
        reason = f"{error.name}: {error.message}"[:500]
        end = replace(end, scenario=ScenarioChange("off", reason), notices=(("error", reason),))
    runs.checkpoint(claim, claim.seq + 1, end)
    return RunState.ERROR
