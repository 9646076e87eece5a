"""
Requests that are held open until the run of their event answers, maybe on another machine (spec/scenarios.md 5.3).

The ledger tells on this process's channel that an answer is there; a message can be lost, so each one that waits also
looks for itself from time to time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import timedelta

from redis.exceptions import RedisError

from workers.ledger.events import CallerAnswer, Events
from workers.ledger.hooks import HookRecord

#: How often one that waits looks for itself.
_LOOK_SECONDS = 2.0


class Callers:
    """The held requests of one gateway process. Made and used inside its event loop."""

    def __init__(self, events: Events, pool: Executor) -> None:
        self.channel = events.channel()
        self._events, self._pool = events, pool
        self._waiting: dict[str, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(
            target=events.listen, args=(self.channel, self._told, self._stop), name="answers", daemon=True
        )
        self._thread.start()

    @property
    def count(self) -> int:
        """How many requests are held."""
        return len(self._waiting)

    async def answer(self, record: HookRecord, events: Sequence[str], limit: timedelta) -> CallerAnswer | None:
        """
        The first answer of a module to one of these events; what their ends mean when no module answers; None after
        `limit`, or when the process is to end.
        """
        told = asyncio.Event()
        for event in events:
            self._waiting[event] = told
        try:
            return await self._answer(record, events, told, time.monotonic() + limit.total_seconds())
        finally:
            for event in events:
                self._waiting.pop(event, None)

    async def _answer(
        self, record: HookRecord, events: Sequence[str], told: asyncio.Event, deadline: float
    ) -> CallerAnswer | None:
        ended: dict[str, CallerAnswer] = {}
        while True:
            told.clear()
            for event in events:
                if event in ended:
                    continue
                found = await self._in_pool(lambda event=event: self._events.answer_of(record, event))
                if found is not None and found.word == "answer":
                    return found
                if found is not None:
                    ended[event] = found
            if len(ended) == len(events):
                return next((each for each in ended.values() if each.word == "failed"), ended[events[0]])
            left = deadline - time.monotonic()
            if left <= 0 or self._stopping.is_set():
                return None
            await self._pause(told, min(left, _LOOK_SECONDS))

    async def _pause(self, told: asyncio.Event, seconds: float) -> None:
        tasks = [asyncio.ensure_future(event.wait()) for event in (told, self._stopping)]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _in_pool(self, look: Callable[[], CallerAnswer | None]) -> CallerAnswer | None:
        try:
            return await self._loop.run_in_executor(self._pool, look)
        except RedisError:
            return None

    def release(self) -> None:
        """The process is to end: nobody is held any longer; their runs go on."""
        self._stopping.set()

    def close(self) -> None:
        """End the listener."""
        self._stop.set()
        self._thread.join()

    def _told(self, event: str) -> None:
        self._loop.call_soon_threadsafe(self._wake, event)

    def _wake(self, event: str) -> None:
        told = self._waiting.get(event)
        if told is not None:
            told.set()
