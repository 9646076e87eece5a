"""
Whether a long-running command of one kind runs on this machine: what `worker --check` and `scheduler --check` answer.

The command holds a shared lock on a file in the data folder while it runs. The system gives the lock back at its death,
however it dies, so there is nothing to clean up and nothing that can be stale.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_mark(home: Path, *roles: str) -> Generator[None]:
    """While the block runs, this machine counts as running these roles."""
    marks = [_open(home, role) for role in roles]
    try:
        for mark in marks:
            fcntl.flock(mark, fcntl.LOCK_SH)
        yield
    finally:
        for mark in marks:
            os.close(mark)


def is_running(home: Path, role: str) -> bool:
    """True when a process with this data folder holds the mark of the role."""
    mark = _open(home, role)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(mark)
    return False


def _open(home: Path, role: str) -> int:
    return os.open(home / f"{role}.running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
