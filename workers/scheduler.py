"""
The scheduler: wakes parked runs, takes expired leases back, sends lost messages again (design sections 6 and 10.14).

It runs apart from the pool, reads only the ledger, and any number of these processes may run: one leads, by a lease.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from redis.exceptions import RedisError

from runtime.logs import get_logger
from workers.ledger.schedule import Schedule, Wanted
from workers.stopping import Stop

#: How often the ledger is looked at: the most by which a wake-up can be late.
TICK = timedelta(milliseconds=500)
#: A leader that is silent for so long is followed by another process.
LEADER_LEASE = timedelta(seconds=10)
#: A queued run counts as lost when the queue is empty and no worker came for it within this time ...
LOST_AFTER = timedelta(seconds=10)
#: ... or, with messages waiting before it, within this one. A second message for a run does no harm.
LOST_BEHIND_OTHERS = timedelta(minutes=10)

#: How long a scheduler that ends waits for an errand.
ERRAND_PATIENCE = timedelta(seconds=11)

log = get_logger(__name__)


@dataclass(slots=True)
class Scheduler:
    """One scheduler process. `send` sends a run's message, `waiting` counts the messages in the queue."""

    schedule: Schedule
    send: Callable[[str, int], bool]
    waiting: Callable[[], int]
    lost_after: timedelta = LOST_AFTER
    #: What the leading process does besides, each look: retries of incomplete executions, retention.
    chores: Sequence[Callable[[], object]] = ()
    #: What it does in a thread beside, since it waits for services of others: messages to people, callbacks.
    errands: Sequence[Callable[[], object]] = ()
    leader_lease: timedelta = LEADER_LEASE
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    _leads: bool = False

    def tick(self) -> list[Wanted]:
        """One look, if this process leads; gives the runs that messages were sent for."""
        self._leads = self.schedule.lead(self.token, lease=self.leader_lease)
        if not self._leads:
            return []
        lost_after = self.lost_after if self.waiting() == 0 else max(self.lost_after, LOST_BEHIND_OTHERS)
        found = self.schedule.sweep(lost_after=lost_after)
        for wanted in found:
            if wanted.reason != "due":
                log.warning("run queued again", run=wanted.run, reason=wanted.reason)
            if not self.send(wanted.run, wanted.fence):
                # The rest would wait for the same broker one after the other; they are found again.
                break
        for chore in self.chores:
            _do(chore)
        return found

    def run(self, stop: Stop) -> None:
        """Look again and again until `stop` is set."""
        errands = threading.Thread(target=self._run_errands, args=(stop,), name="errands", daemon=True)
        errands.start()
        while not stop.is_set():
            try:
                self.tick()
            except RedisError:
                log.warning("ledger not reached")
            stop.wait(TICK.total_seconds())
        # One that waits for an answer is done again by the next leader.
        errands.join(ERRAND_PATIENCE.total_seconds())

    def _run_errands(self, stop: Stop) -> None:
        while not stop.is_set():
            try:
                for errand in self.errands if self._leads else ():
                    _do(errand)
            except RedisError:
                log.warning("ledger not reached")
            stop.wait(TICK.total_seconds())


def _do(chore: Callable[[], object]) -> None:
    """One chore; a fault in it must not keep the others from their turn, at each look anew."""
    try:
        chore()
    except RedisError:
        raise
    except Exception as error:
        log.error("chore failed", exc_info=error)
