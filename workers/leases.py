"""The heartbeat: one thread a process prolongs the leases of all runs that the process holds."""

from __future__ import annotations

import threading
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
        self._runs = runs
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

    def count(self) -> int:
        """How many runs the process holds."""
        with self._lock:
            return len(self._held)

    def _beat(self) -> None:
        # A third of the lease: two beats may fail before it ends.
        pause = min(self._runs.lease.total_seconds() / 3, _LONGEST_PAUSE)
        while not self._end.wait(pause):
            with self._lock:
                held = dict(self._held)
            try:
                lost = self._runs.renew(held)
                if self._presence is not None:
                    self._presence.beat()
            except RedisError:
                # Every write prolongs its own lease and is refused once the run is lost, so a missed beat is harmless.
                log.warning("leases not renewed", held=len(held))
                continue
            for (run, _), event in held.items():
                if run in lost:
                    event.set()
