"""
The children of one worker process: who gets which, the warm spare, what happens when one dies (design section 10.7).
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from runtime.iml.javascript.builtins import builtin_names
from runtime.iml.javascript.process import Answer, Child, ChildDied, ChildTimedOut

__all__ = ["Answer", "ChildFailed", "ChildTimedOut", "Pool"]

#: Starting takes some 40 ms; a machine that needs longer than this cannot run functions at all.
START_TIMEOUT = timedelta(seconds=30)
#: Opening a context runs nothing of the app, so this too only ends a broken child.
OPEN_TIMEOUT = timedelta(seconds=30)
#: What the parent gives on top of the engine's own time limit for a regular expression (interrupted up to 250 ms late).
REGEX_GRACE = timedelta(milliseconds=300)
#: A call whose child died is made again on another one: perhaps it was killed from outside, and a call has no effects.
ATTEMPTS = 2


class ChildFailed(Exception):  # noqa: N818  becomes the reason in an ImlFunctionError
    """No child could give an answer; the text is for a person."""


class Pool:
    """
    Up to `size` children at work and one spare. Thread-safe; starts nothing before the first call.

    A thread of its own starts the children, since the system ends a child with the *thread* that started it.
    """

    def __init__(self, *, size: int) -> None:
        self.size = size
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._starting = 0
        self._failure: str | None = None
        self._closings = 0
        self._orders: queue.SimpleQueue[bool] | None = None
        self._starter: threading.Thread | None = None

    def call_app(
        self,
        key: tuple[str, int],
        sources: Mapping[str, str | None],
        meta: dict[str, Any],
        body: bytes,
        *,
        timeout: timedelta,
        debug: Callable[[str], None],
    ) -> Answer:
        """
        One request in the context of an app, `key` = (hash of the app, memory limit in bytes).

        Raises:
            ChildTimedOut: The request took longer than `timeout`; its child is gone.
            ChildFailed: No child could do it.
        """
        app_hash, memory = key
        name = f"{app_hash}:{memory}"
        request = {**meta, "key": name}

        def work(child: Child, lines: list[str]) -> Answer:
            if name in child.keys:
                answer = child.exchange(request, body, time.monotonic() + timeout.total_seconds(), lines)
                if "missing" not in answer.meta:
                    return answer
                child.keys.discard(name)
                lines.clear()
            opening = {
                "op": "open", "key": name, "memory": memory, "sources": dict(sources), "builtins": builtin_names(),
            }  # fmt: skip
            opened = child.exchange(opening, b"", time.monotonic() + OPEN_TIMEOUT.total_seconds(), lines)
            if "error" in opened.meta:
                return opened
            child.keys.add(name)
            return child.exchange(request, body, time.monotonic() + timeout.total_seconds(), lines)

        return self._on_child(work, wanted=name, debug=debug)

    def call_plain(self, meta: dict[str, Any], body: bytes, *, timeout: timedelta) -> Answer:
        """
        One request that belongs to no app (regular expressions); the engine's own limit is `timeout`.

        Raises:
            ChildTimedOut, ChildFailed: As `call_app`.
        """
        request = {**meta, "seconds": timeout.total_seconds()}

        def work(child: Child, lines: list[str]) -> Answer:
            deadline = time.monotonic() + (timeout + REGEX_GRACE).total_seconds()
            return child.exchange(request, body, deadline, lines)

        return self._on_child(work, wanted="", debug=lambda _: None)

    def close(self) -> None:
        """End all children, also those at work: their calls fail. A later call starts new ones."""
        with self._changed:
            orders, starter = self._orders, self._starter
            self._orders = self._starter = None
            self._closings += 1
        if orders is not None and starter is not None:
            orders.put(False)
            starter.join()
        with self._changed:
            children = [*self._idle, *self._busy]
            self._idle.clear()
            self._busy.clear()
            self._starting = 0
            self._changed.notify_all()
        for child in children:
            child.kill()

    def pids(self) -> list[int]:
        """Process ids of the children that are up now."""
        with self._changed:
            return [child.pid for child in (*self._idle, *self._busy)]

    def _on_child(
        self, work: Callable[[Child, list[str]], Answer], *, wanted: str, debug: Callable[[str], None]
    ) -> Answer:
        closings = self._closings
        for attempt in range(1, ATTEMPTS + 1):
            child = self._acquire(wanted)
            lines: list[str] = []
            keep = False
            try:
                answer = work(child, lines)
                keep = not child.retired
            except ChildDied as error:
                if attempt == ATTEMPTS or closings != self._closings:
                    _hand_over(lines, debug)
                    raise ChildFailed("The JavaScript process ended unexpectedly.") from error
                continue
            except ChildTimedOut:
                _hand_over(lines, debug)
                raise
            finally:
                self._release(child, keep=keep)
            _hand_over(lines, debug)
            return answer
        raise AssertionError("the last attempt returns or raises")

    def _acquire(self, wanted: str) -> Child:
        with self._changed:
            self._failure = None
            self._bury()
            while len(self._busy) >= self.size or not self._idle:
                if len(self._busy) < self.size and self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise ChildFailed(failure)
                self._order()
                self._changed.wait()
                self._bury()
            known = [child for child in self._idle if wanted in child.keys]
            # The one used last is the likeliest to have its memory at hand.
            child = known[-1] if known else self._idle[-1]
            self._idle.remove(child)
            self._busy.add(child)
            self._order()
            return child

    def _bury(self) -> None:
        """Forget children that were killed while they waited for work. Needs the lock."""
        for child in [child for child in self._idle if not child.alive]:
            self._idle.remove(child)
            child.kill()

    def _release(self, child: Child, *, keep: bool) -> None:
        with self._changed:
            ours = child in self._busy  # not so when the pool was closed meanwhile
            self._busy.discard(child)
            if ours and keep:
                self._idle.append(child)
            else:
                keep = False
                self._order()
            self._changed.notify_all()
        if ours and not keep:
            child.kill()

    def _order(self) -> None:
        """Have a child started when none is free or coming. Needs the lock."""
        if self._idle or self._starting or len(self._busy) > self.size:
            return
        self._starting += 1
        if self._orders is None:
            self._orders = queue.SimpleQueue()
            self._starter = threading.Thread(
                target=self._start_children, args=(self._orders,), name="javascript-starter", daemon=True
            )
            self._starter.start()
        self._orders.put(True)

    def _start_children(self, orders: queue.SimpleQueue[bool]) -> None:
        while orders.get():
            child, failure = _started()
            if child is None:
                # Perhaps it was killed from outside before it was ready.
                child, failure = _started()
            with self._changed:
                self._starting = max(self._starting - 1, 0)
                self._failure = failure
                if child is not None:
                    self._idle.append(child)
                self._changed.notify_all()

    def after_fork(self) -> None:
        """In a forked process: the children belong to the parent. Forget them, and start own ones when needed."""
        inherited = [*self._idle, *self._busy]
        for child in inherited:
            child.forget()
        _inherited.extend(inherited)
        self._reset()


def _started() -> tuple[Child | None, str | None]:
    """A child that is ready, or why there is none."""
    child: Child | None = None
    try:
        child = Child()
        child.wait_ready(time.monotonic() + START_TIMEOUT.total_seconds())
    except Exception as error:  # noqa: BLE001  whoever waits for this child is told; the thread must live on
        if child is not None:
            child.kill()
        return None, f"The JavaScript process does not start ({str(error) or type(error).__name__})."
    return child, None


def _hand_over(lines: list[str], debug: Callable[[str], None]) -> None:
    for line in lines:
        debug(line)


#: Handles of a parent's children, kept so that their clean-up never runs in a forked process.
_inherited: list[Child] = []
_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
