"""
What a process counts: requests, operations, masked secrets. The worker side carries the numbers to the ledger.

A counter and its labels are words of this code base, never data: a label out of an app, a scenario or a request would
make the number of series unbounded, and could be a secret.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final, TypeAlias

#: Name of a counter and the values of its labels.
Place: TypeAlias = "tuple[str, ...]"

_lock: Final = threading.Lock()
_counts: Counter[Place] = Counter()


def count(name: str, *labels: str, by: int = 1) -> None:
    """Add to a counter of this process."""
    with _lock:
        _counts[name, *labels] += by


def take() -> dict[Place, int]:
    """What has been counted since the last time; it is the caller's now."""
    global _counts
    with _lock:
        taken, _counts = _counts, Counter()
    return dict(taken)


def status_class(status: int | None) -> str:
    """The label for a status of HTTP: `2xx`; `none` where there was no answer."""
    return f"{status // 100}xx" if status is not None and 100 <= status < 600 else "none"
