"""
Tells the end of API runs at their callback addresses (spec/scenarios.md 5.2): at least once, with a few tries.

The script that ends such a run notes it; the leading scheduler posts `{"executionId", "status", "outputs", "error"}`
through the same guarded client as any request of a module.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from runtime.errors import ScenaristError
from runtime.logs import get_logger
from workers import history
from workers.ledger.states import RunState
from workers.posting import DELAYS, post
from workers.runner import SegmentRunner

#: Posts of one look, so that slow addresses do not hold the scheduler up for long.
_A_LOOK: Final = 5
_NUMBERS: Final = {"success": 1, "warning": 2}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The callbacks of ended runs."""

    runner: SegmentRunner

    def step(self) -> int:
        """Post what is due; gives how many were."""
        runs = self.runner.runs
        seconds, micros = runs.client.time()
        now = seconds * 1000 + micros // 1000
        due = cast("list[bytes]", runs.client.zrangebyscore(runs.keys.callbacks, 0, now, start=0, num=_A_LOOK))
        for run in due:
            self._tell(run.decode(), now)
        return len(due)

    def _tell(self, run: str, now_ms: int) -> None:
        runs = self.runner.runs
        try:
            request = runs.request(run, runs.cipher(run))
            report = history.report(runs, self.runner.library, self.runner.vault, run, self.runner.secrets)
        except ScenaristError as error:
            # Its data are gone or cannot be read: nothing can be told any more.
            log.warning("callback dropped", run=run, reason=error.message)
            runs.client.zrem(runs.keys.callbacks, run)
            return
        body = {
            "executionId": run,
            "status": _NUMBERS.get(report.status, 0 if report.status == RunState.INCOMPLETE else 3),
            "outputs": report.outputs,
            "error": report.error,
        }
        reason = post(self.runner.http, request.callback, body, delivery=f"callback {run}")
        if not reason:
            runs.client.zrem(runs.keys.callbacks, run)
            return
        tries = int(cast("bytes | None", runs.client.hget(runs.keys.run(run), "callback")) or 1)
        if tries > len(DELAYS):
            log.error("callback given up", run=run, reason=reason)
            runs.client.zrem(runs.keys.callbacks, run)
            return
        log.warning("callback failed", run=run, reason=reason, tries=tries)
        runs.client.hset(runs.keys.run(run), "callback", tries + 1)
        runs.client.zadd(runs.keys.callbacks, {run: now_ms + DELAYS[tries - 1] // timedelta(milliseconds=1)})
