"""
Tells the end of API runs at their callback addresses (spec/scenarios.md 5.2): at least once, with a few tries.

The script that ends such a run notes it; the leading scheduler posts `{"executionId", "status", "outputs", "error"}`
through the same guarded client as any request of a module.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast
from urllib.parse import urlsplit

from runtime.effects import HttpRequest
from runtime.errors import ModuleError, ScenaristError, UsageError
from runtime.logs import get_logger
from workers import history
from workers.ledger.states import RunState
from workers.runner import SegmentRunner

#: Waits between tries; after the last one it is given up.
DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600))
_TIMEOUT: Final = timedelta(seconds=10)
#: Posts of one look, so that slow addresses do not hold the scheduler up for long.
_A_LOOK: Final = 5
_NUMBERS: Final = {"success": 1, "warning": 2}

log = get_logger(__name__)


def checked_address(address: str) -> str:
    """
    A callback's address.

    Raises:
        UsageError: It is none that can be posted to.
    """
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise UsageError("callbackUrl has to be an address that starts with http:// or https://, without a user name.")
    return address


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
        try:
            answer = self.runner.http.send(
                HttpRequest(
                    "POST",
                    request.callback,
                    (("Content-Type", "application/json"), ("X-Delivery-Id", _delivery(run))),
                    json.dumps(body).encode(),
                    timeout=_TIMEOUT,
                    follow_redirects=False,
                    follow_all_redirects=False,
                )
            )
            good, reason = 200 <= answer.status < 300, f"status {answer.status}"
        except ModuleError as error:
            good, reason = False, error.name
        if good:
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


def _delivery(run: str) -> str:
    """The same for each try, so that a receiver can tell them."""
    return hashlib.sha256(f"callback {run}".encode()).hexdigest()[:32]
