"""
One refresh for any number of runs and workers, and none lost: also when the worker that refreshes is killed with -9 at
any of its steps (connections.md 7.7).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connections.record import ConnectionRecord, ConnectionState
from tests.ledger_kit import settings_in
from tests.oauth_apps import COMMON, agree, callback, code_flow, write_app
from tests.oauth_provider import Provider
from tests.spine import Scenarist
from tests.worker_kit import until
from workers.authorizing import Waiting
from workers.service import Service, open_service
from workers.settings import load_settings

#: The whole form of the issue: `make test-renewal`.
LONG = bool(os.environ.get("SCENARIST_TEST_LONG"))
RUNS, WORKERS = (200, 4) if LONG else (60, 2)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().running() as running:
        yield running


def prepared(service: Service, provider: Provider, folder: Path) -> ConnectionRecord:
    """The app is registered, a connection made, and its access token ends in a minute."""
    app = write_app(folder, provider.url, code_flow(provider.url))
    service.apps.set_common(str(app), COMMON)
    added = service.apps.add(app)
    assert added.row is not None, added.findings
    waiting = service.connections.begin("mailer", "acc", name="main", parameters={}, redirect_uri=callback())
    assert isinstance(waiting, Waiting)
    record = service.connections.finish(*agree(waiting)).record
    provider.end_access_tokens()
    data = {**record.data, "expires": datetime.now(UTC) + timedelta(minutes=1)}
    return service.runner.vault.update(replace(record, data=data))


def flow() -> bytes:
    step = {"id": 1, "module": "mailer:whoami", "version": 1, "parameters": {"__IMTCONN__": 1}, "mapper": {}}
    return json.dumps({"name": "me", "flow": [step], "metadata": {"version": 1}}).encode()


def test_many_runs_make_one_refresh(tmp_path: Path, cli: Scenarist, provider: Provider) -> None:
    """All runs of several workers share one rotating refresh token: exactly one refresh reaches the provider."""
    answered = threading.Event()
    provider.before_token = lambda form: form.get("grant_type") == "refresh_token" and answered.wait(1.5)
    with open_service(load_settings(cli.variables())) as service:
        prepared(service, provider, tmp_path / "app")
        imported = service.scenarios.import_(flow(), bindings={"1": "main"})
        assert imported.row is not None
        runs = [service.runs.enqueue(imported.row.id).id for _ in range(RUNS)]
        with ExitStack() as stack:
            stack.enter_context(cli.process("scheduler"))
            for _ in range(WORKERS):
                stack.enter_context(cli.process("worker", "--processes", "1", "--threads", "8"))
            ledger = service.runner.runs
            until(lambda: all(ledger.header(run).ended_ms for run in runs), "all runs end")
            states = [str(ledger.header(run).state) for run in runs]
        record = service.runner.vault.find("main")

    assert states == ["success"] * RUNS
    assert provider.count("/token", grant_type="refresh_token") == 1
    assert provider.reused == 0
    assert record.data["refreshToken"] in provider.grants.refresh


CHILD = """
import os, signal, sys
from datetime import timedelta
from workers.ledger.renewals import RenewalLease
from workers.service import open_service
from workers.settings import load_settings

step = sys.argv[1]

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

with open_service(load_settings()) as service:
    runner = service.runner
    if step == "before sending":
        RenewalLease.keep = die
    elif step == "sending":
        runner.http.send = die
    elif step == "answered":
        RenewalLease.put = die
    elif step == "stored":
        put = RenewalLease.put
        RenewalLease.put = lambda self, *args, **more: (put(self, *args, **more), die())
    object.__setattr__(runner.renewals, "send", lambda request: runner.http.send(request))
    service.local.module("mailer", "whoami", parameters={}, connection="main")
"""


@pytest.mark.parametrize(
    ("step", "refreshes", "state"),
    [
        ("before sending", 1, ConnectionState.VALID),
        ("sending", 0, ConnectionState.NEEDS_REAUTHORIZATION),
        ("answered", 1, ConnectionState.NEEDS_REAUTHORIZATION),
        ("stored", 1, ConnectionState.VALID),
    ],
)
def test_killed_while_refreshing(
    tmp_path: Path, provider: Provider, step: str, refreshes: int, state: ConnectionState
) -> None:
    """
    Killed before it sends: another one refreshes. Killed after: nobody can know, and nobody tries with the used token.
    Killed when the answer is stored: it is simply used.
    """
    variables = {"SCENARIST_ALLOW_NETS": "127.0.0.0/8", "SCENARIST_CONNECTION_LEASE_SECONDS": "0.6"}
    home = tmp_path / "home"
    with open_service(settings_in(home, **variables)) as service:
        before = prepared(service, provider, tmp_path / "app")
        environment = {"PATH": os.environ["PATH"], "SCENARIST_HOME": str(home), **variables}
        killed = subprocess.run(
            [sys.executable, "-P", "-c", CHILD, step], env=environment, capture_output=True, timeout=60, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()

        if state is ConnectionState.VALID:
            assert service.local.module("mailer", "whoami", parameters={}, connection="main").error is None
        else:
            error = service.local.module("mailer", "whoami", parameters={}, connection="main").error
            assert error is not None
            assert error["type"] == "InvalidAccessTokenError"
            assert "scenarist connection reauthorize main" in error["message"]
        record = service.runner.vault.find("main")
        assert record.state is state
        assert provider.count("/token", grant_type="refresh_token") == refreshes
        assert provider.reused == 0
        assert service.runner.runs.client.hgetall("scenarist:connection:" + before.id + ":lease") == {}

        if state is not ConnectionState.VALID:
            again = service.connections.begin(
                "mailer", "acc", name="main", parameters={}, redirect_uri=callback(), stored=record.id
            )
            assert isinstance(again, Waiting)
            service.connections.finish(*agree(again))
            assert service.local.module("mailer", "whoami", parameters={}, connection="main").error is None


def test_known_reusable_token_is_sent_again(tmp_path: Path) -> None:
    """A refresh token that has stayed the same once is still good after a holder's death: another one refreshes."""
    variables = {"SCENARIST_ALLOW_NETS": "127.0.0.0/8", "SCENARIST_CONNECTION_LEASE_SECONDS": "0.6"}
    home = tmp_path / "home"
    with Provider(rotate=False).running() as provider, open_service(settings_in(home, **variables)) as service:
        prepared(service, provider, tmp_path / "app")
        service.connections.renew("main")
        vault = service.runner.vault
        record = vault.find("main")
        vault.update(replace(record, data={**record.data, "expires": datetime.now(UTC)}))
        environment = {"PATH": os.environ["PATH"], "SCENARIST_HOME": str(home), **variables}
        killed = subprocess.run(
            [sys.executable, "-P", "-c", CHILD, "answered"],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert service.local.module("mailer", "whoami", parameters={}, connection="main").error is None
        assert vault.find("main").state is ConnectionState.VALID


def test_late_answer_heals_the_connection(tmp_path: Path, provider: Provider) -> None:
    """A holder that was only slow comes back with the new tokens: they are kept, although it had been given up."""
    variables = {"SCENARIST_ALLOW_NETS": "127.0.0.0/8"}
    with open_service(settings_in(tmp_path / "home", **variables)) as service:
        record = prepared(service, provider, tmp_path / "app")
        renewals = service.runner.renewals
        slow, other = renewals.lease(record.id), renewals.lease(record.id)
        assert slow.take(record.version)[0] == "ok"
        assert slow.keep(sending=True)
        assert other.take(record.version)[0] == "busy"
        service.runner.runs.client.hset(f"scenarist:connection:{record.id}:lease", "ends", 1)
        assert other.take(record.version)[0] == "lost"
        assert service.runner.vault.get(record.id).state is ConnectionState.NEEDS_REAUTHORIZATION

        fresh = replace(record, data={**record.data, "refreshToken": "new"}, state=ConnectionState.VALID)
        renewals._write(fresh, slow, lambda current: replace(current, data=fresh.data, state=fresh.state))
        healed = service.runner.vault.get(record.id)
        assert (healed.state, healed.data["refreshToken"]) == (ConnectionState.VALID, "new")


def test_rename_during_a_renewal_loses_nothing(tmp_path: Path, provider: Provider) -> None:
    """The record is renamed while the provider is asked: the new tokens and the new name are both there."""
    with open_service(settings_in(tmp_path / "home", SCENARIST_ALLOW_NETS="127.0.0.0/8")) as service:
        record = prepared(service, provider, tmp_path / "app")
        provider.before_token = lambda _form: service.connections.rename("main", "other")
        service.connections.renew("main")
        after = service.runner.vault.get(record.id)

    assert after.name == "other"
    assert after.data["refreshToken"] in provider.grants.refresh


def test_waiting_threads_get_the_new_data(tmp_path: Path, provider: Provider) -> None:
    """After a 401 in several threads at once, one refreshes and the others take what it brought."""
    with open_service(settings_in(tmp_path / "home", SCENARIST_ALLOW_NETS="127.0.0.0/8")) as service:
        prepared(service, provider, tmp_path / "app")
        vault = service.runner.vault
        record = vault.find("main")
        vault.update(replace(record, data={**record.data, "expires": datetime(2099, 1, 1, tzinfo=UTC)}))
        started = threading.Event()
        provider.before_token = lambda _form: started.wait(0.5)
        reports: list[object] = []

        def run() -> None:
            reports.append(service.local.module("mailer", "whoami", parameters={}, connection="main").error)

        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert reports == [None] * 6
    assert provider.count("/token", grant_type="refresh_token") == 1
    until(lambda: provider.reused == 0, "no reuse")
