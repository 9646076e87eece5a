"""A connection whose service limits the rate rests for all steps that need it, without holding a worker (issue S6)."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.ledger_kit import Keys, server  # noqa: F401, RUF100  the fixture
from tests.worker_kit import blueprint, call, installation, peer, until
from workers.ledger.pauses import LONGEST_PAUSE, Pauses
from workers.server import Server


def test_the_longer_pause_stays_and_no_service_can_stop_us_for_long(server: Server) -> None:  # noqa: F811
    pauses = Pauses(server.client, Keys(f"test-{secrets.token_hex(6)}"))
    assert pauses.left("c") == timedelta(0)
    pauses.learn("c", timedelta(seconds=100))
    pauses.learn("c", None)
    assert timedelta(seconds=90) < pauses.left("c") <= timedelta(seconds=100)
    pauses.learn("c", timedelta(days=9))
    assert timedelta(minutes=14) < pauses.left("c") <= LONGEST_PAUSE
    assert pauses.left("other") == timedelta(0)


def with_connection(folder: Path) -> None:
    """Give the peer's app a connection that needs no request, and its module `call` that connection."""
    manifest = json.loads((folder / "makecomapp.json").read_text())
    (folder / "acc.imljson").write_text("{}")
    files = {"communication": "acc.imljson", "params": "modules/empty.imljson", "common": "acc.imljson"}
    manifest["components"]["connection"] = {"acc": {"label": "Acc", "connectionType": "basic", "codeFiles": files}}
    manifest["components"]["module"]["call"]["connection"] = "acc"
    (folder / "makecomapp.json").write_text(json.dumps(manifest))


def test_a_step_waits_while_its_connection_rests(tmp_path: Path) -> None:
    with peer() as service, installation(tmp_path, service.port, SCENARIST_CONNECTIONS__PAUSE_SECONDS="600") as place:
        with_connection(tmp_path / "app")
        added = place.service.apps.add(tmp_path / "app")
        assert added.row is not None, added.findings
        place.service.connections.add("peer", "acc", name="main", parameters={})
        connection = place.service.runner.vault.find("main").id
        service.broken["/limited"] = 429

        def run(path: str) -> Any:
            imported = place.service.scenarios.import_(blueprint(call(1, path)), name=path, bindings={"peer": "main"})
            assert imported.row is not None, imported.findings
            return place.service.runs.enqueue(imported.row.id)

        runner = place.service.runner
        with place.running("worker"), place.running("scheduler"):
            limited = run("/limited")
            until(lambda: runner.runs.header(limited.id).state == "error", "the limit is met")
            assert runner.pauses.left(connection) > timedelta(0)
            other = run("/other")
            until(lambda: runner.runs.header(other.id).state == "parked", "the next step waits")
            assert service.count("/other") == 0
            # The clock moves: the rest is over, and the scheduler wakes the run.
            runner.runs.client.delete(place.keys.connection_pause(connection))
            runner.runs.client.hset(place.keys.run(other.id), "woken", "1")
            runner.runs.client.zadd(place.keys.due, {other.id: 1})
            until(lambda: runner.runs.header(other.id).state == "success", "it goes on by itself")
        assert service.count("/other") == 1
