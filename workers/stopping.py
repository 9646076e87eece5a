"""
How a process learns from a signal that it is to end.

A `threading.Event` cannot be set in a signal handler: the handler runs in the main thread, which may hold the event's
lock while it waits on it, and would then wait for itself for ever. Writing to a pipe takes no lock.
"""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType


class Stop:
    """Set by SIGTERM and SIGINT after `listen`, or by `set`; `count` says how often."""

    def __init__(self) -> None:
        self.count = 0
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def listen(self) -> None:
        """Take the signals; from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def set(self) -> None:
        """The process is to end."""
        self.count += 1
        try:
            os.write(self._write, b"x")
        except BlockingIOError:
            # Nobody has read the ones before: that is enough.
            return

    def is_set(self) -> bool:
        """Whether the process is to end."""
        return self.count > 0

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; gives whether it is."""
        deadline = time.monotonic() + seconds
        while not self.count and (left := deadline - time.monotonic()) > 0:
            select.select([self._read], [], [], left)
        return self.is_set()

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.set()
