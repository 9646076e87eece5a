"""
A Celery worker process that renews the token of many queued runs is killed with -9 at each step of the renewal, and
other workers take the runs over: at most one refresh reaches the provider, and no refresh token is sent twice
(connections.md 7.7). `make test-renewal` does all steps with 200 runs and 4 workers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from connections.record import ConnectionState
from tests.faults.test_renewal import LONG, flow, prepared
from tests.oauth_apps import agree, callback
from tests.oauth_provider import Provider
from tests.spine import Scenarist
from tests.worker_kit import alive, until
from workers.authorizing import Waiting
from workers.service import open_service
from workers.settings import load_settings

RUNS, WORKERS = (200, 4) if LONG else (12, 1)

#: A worker process whose renewal stands still at a step, and says so by a file, until it is killed.
HELD = """
import sys, threading
from pathlib import Path
from workers.ledger.renewals import RenewalLease
from workers.processes import child
from workers.settings import load_settings

step, mark = sys.argv[1], Path(sys.argv[2])
keep, put = RenewalLease.keep, RenewalLease.put

def stand_still():
    mark.touch()
    threading.Event().wait()

def keep_held(self, *, sending=False):
    if sending and step == "before sending":
        stand_still()
    kept = keep(self, sending=sending)
    if sending and step == "before the request":
        stand_still()
    return kept

def put_held(self, *args, **more):
    if step == "answered":
        stand_still()
    written = put(self, *args, **more)
    if step == "stored":
        stand_still()
    return written

RenewalLease.keep, RenewalLease.put = keep_held, put_held
child("worker", 8, load_settings())
"""

#: Step -> refreshes that reach the provider, and whether the connection is good afterwards.
STEPS = {
    "before sending": (1, True),
    "before the request": (0, False),
    "at the provider": (1, False),
    "answered": (1, False),
    "stored": (1, True),
}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().running() as running:
        yield running


@contextmanager
def held_worker(cli: Scenarist, step: str, mark: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that stands still at a step; killed at the end in any case."""
    log = (cli.home / "held.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HELD, step, str(mark)], env=cli.variables(), stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.mark.parametrize("step", list(STEPS) if LONG else ["at the provider", "stored"])
def test_worker_is_killed_while_it_renews(tmp_path: Path, cli: Scenarist, provider: Provider, step: str) -> None:
    """
    Killed before anything can have been sent, or after the answer was stored: all runs succeed with one refresh. Killed
    between: nobody can know, so every run ends with the same clear error, and a person puts it right once.
    """
    cli.environment |= {
        "SCENARIST_LEASE_SECONDS": "1.5",
        "SCENARIST_LOST_AFTER_SECONDS": "1",
        "SCENARIST_CONNECTION_LEASE_SECONDS": "1",
    }
    refreshes, good = STEPS[step]
    mark, released = tmp_path / "mark", threading.Event()

    def at_provider(form: dict[str, str]) -> None:
        if step == "at the provider" and form.get("grant_type") == "refresh_token":
            mark.touch()
            released.wait(60)

    provider.before_token = at_provider
    with open_service(load_settings(cli.variables())) as service, ExitStack() as stack:
        record = prepared(service, provider, tmp_path / "app")
        imported = service.scenarios.import_(flow(), bindings={"1": "main"})
        assert imported.row is not None
        runs = [service.runs.enqueue(imported.row.id).id for _ in range(RUNS)]
        with held_worker(cli, step, mark) as worker:
            until(mark.exists, f"the worker is at the step: {step}")
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
            assert not alive(worker.pid)
        released.set()

        stack.enter_context(cli.process("scheduler"))
        for _ in range(WORKERS):
            stack.enter_context(cli.process("worker", "--processes", "1", "--threads", "8"))
        ledger = service.runner.runs
        until(lambda: all(ledger.header(run).ended_ms for run in runs), "all runs end")
        states = {str(ledger.header(run).state) for run in runs}
        after = service.runner.vault.find("main")

        assert provider.count("/token", grant_type="refresh_token") == refreshes
        assert provider.reused == 0
        assert states == ({"success"} if good else {"error"})
        if good:
            assert after.state is ConnectionState.VALID
            assert after.data["refreshToken"] in provider.grants.refresh
            return
        assert after.state is ConnectionState.NEEDS_REAUTHORIZATION
        error = service.runs.wait(runs[-1]).error
        assert error is not None
        assert "scenarist connection reauthorize main" in error["message"]
        waiting = service.connections.begin(
            "mailer", "acc", name="main", parameters={}, redirect_uri=callback(), stored=record.id
        )
        assert isinstance(waiting, Waiting)
        service.connections.finish(*agree(waiting))
        assert service.runs.wait(service.runs.enqueue(imported.row.id).id).status == "success"
