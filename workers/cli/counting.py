"""The bar that a long search shows on a terminal: bundles and requests so far. In a pipe there is none."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

#: A call that is quicker shows no bar.
QUICK_SECONDS = 0.5


class Counting:
    """A context manager; `tell` moves the bar. `limit` is the number of bundles that are wanted, if it is known."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit or None
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, bundles: int, requests: int) -> None:
        """So many bundles have come from so many requests."""
        if not sys.stderr.isatty() or time.monotonic() - self._began < QUICK_SECONDS:
            return
        bar = self._bar or self._open()
        bar.update(self._task, completed=bundles, requests=requests)

    def _open(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.completed:.0f} bundles"),
            BarColumn(),
            TextColumn("{task.fields[requests]} requests"),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=self._limit, requests=0)
        self._bar.start()
        return self._bar
