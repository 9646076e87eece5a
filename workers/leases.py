"""The heartbeat: one thread a process prolongs the leases of all runs that the process holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from runtime.logs import get_logger
from workers.ledger.runs import Runs
from workers.ledger.schedule import Presence

#: Signs of life come at least so often.
_LONGEST_PAUSE = 5.0

log = get_logger(__name__)


class Leases:
    """Holds runs by (id, fence). Use as a context manager: the thread lives inside."""

    def __init__(self, runs: Runs, presence: Presence | None = None) -> None:
        #: Called once when a step has outlived its deadline: take no more work, hand the other runs back.
        self.on_overdue: Callable[[], None] | None = None
        #: Called when only such steps are left: a thread cannot be killed, so the process has to end.
        self.on_alone: Callable[[], None] | None = None
        self._runs = runs
        self._deadlines: dict[tuple[str, int], float] = {}
        self._overdue = False
        self._presence = presence
        self._held: dict[tuple[str, int], threading.Event] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)

    def __enter__(self) -> Self:
        if self._presence is not None:
            self._presence.beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if self._presence is not None:
            with suppress(RedisError):
                self._presence.leave()

    def hold(self, run: str, fence: int) -> threading.Event:
        """Keep this lease alive until `release`. The event is set when the run turns out to be lost."""
        lost = threading.Event()
        with self._lock:
            self._held[run, fence] = lost
        return lost

    def release(self, run: str, fence: int) -> None:
        """Stop keeping this lease alive."""
        with self._lock:
            self._held.pop((run, fence), None)
            self._deadlines.pop((run, fence), None)

    def step(self, run: str, fence: int, *, until: float) -> None:
        """A step of this run has to end by this instant of the monotonic clock (design section 10.14)."""
        with self._lock:
            self._deadlines[run, fence] = until

    def count(self) -> int:
        """How many runs the process holds."""
        with self._lock:
            return len(self._held)

    def _beat(self) -> None:
        # A third of the lease: two beats may fail before it ends.
        pause = min(self._runs.lease.total_seconds() / 3, _LONGEST_PAUSE)
        while not self._end.wait(pause):
            self.beat()

    def beat(self) -> None:
        """Prolong all leases once, except those of steps that have outlived their deadline."""
        with self._lock:
            held = dict(self._held)
            overdue = self._past_deadline()
        for key in overdue:
            del held[key]
        try:
            lost = self._runs.renew(held)
            if self._presence is not None and not overdue:
                self._presence.beat()
        except RedisError:
            # Every write prolongs its own lease and is refused once the run is lost, so a missed beat is harmless.
            log.warning("leases not renewed", held=len(held))
            return
        for (run, _), event in held.items():
            if run in lost:
                event.set()
        if not overdue:
            return
        if not self._overdue:
            self._overdue = True
            log.error("step outlived its deadline", runs=[run for run, _ in overdue])
            if self.on_overdue is not None:
                self.on_overdue()
        if not held and self.on_alone is not None:
            self.on_alone()

    def _past_deadline(self) -> list[tuple[str, int]]:
        # Without somebody who ends the process there is no use in giving a lease up.
        if self.on_overdue is None:
            return []
        now = time.monotonic()
        return [key for key, until in self._deadlines.items() if now > until and key in self._held]
