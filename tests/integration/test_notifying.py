"""Notifications reach their address in order, at least once (spec/scenarios.md 6.4)."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from tests.ledger_kit import settings_in
from tests.servers import Answer, Received, Script, ScriptServer
from tests.worker_kit import blueprint, call, installation, peer, until
from workers.notifying import Notifier, notify_url


def test_what_happened_is_sent_until_it_is_taken(tmp_path: Path) -> None:
    got: list[Received] = []

    def told(received: Received) -> Answer:
        got.append(received)
        return Answer(503 if len(got) == 1 else 204)

    with ExitStack() as stack:
        api, listener = stack.enter_context(peer()), stack.enter_context(ScriptServer(Script(handler=told)))
        url = f"{listener.url}/told"
        with installation(tmp_path, api.port, SCENARIST_NOTIFY_URL=url) as place:
            notifications = place.service.notifications
            notifications.add("s1", "error", "It failed.", run="r1")
            notifications.add("s1", "error", "It failed again.", run="r2")
            notifications.add("s1", "deactivated", "3 runs in a row failed")
            with place.running("scheduler"):
                until(lambda: len(got) == 1, "it is tried")
                # The clock moves: the next try is due.
                until(lambda: notifications.attempts()[0] == 1, "the failure is noted")
                place.service.server.client.hset(place.keys.notified, "retry", 1)
                until(lambda: len(got) == 3, "both are sent")
    bodies = [json.loads(received.body) for received in got]
    assert [body["message"] for body in bodies] == ["It failed.", "It failed.", "3 runs in a row failed"]
    assert {"at", "kind", "scenario", "run"} <= bodies[0].keys()
    ids = [received.header("X-Delivery-Id") for received in got]
    assert ids[0] == ids[1] != ids[2]


def test_it_is_given_up_after_the_last_try(tmp_path: Path) -> None:
    script = Script(handler=lambda _: Answer(500))
    with peer() as api, ScriptServer(script) as listener, installation(tmp_path, api.port) as place:
        place.service.notifications.add("s1", "error", "It failed.")
        notifier = Notifier(place.service.runner, f"{listener.url}/told")
        for _ in range(6):
            notifier.step()
            place.service.server.client.hset(place.keys.notified, "retry", 1)
        assert len(listener.received) == 6
        assert notifier.step() == 0


def test_a_run_that_fails_is_told_once_an_hour(tmp_path: Path) -> None:
    with peer() as api, installation(tmp_path, api.port) as place:
        api.broken["/x"] = 400
        imported = place.service.scenarios.import_(blueprint(call(1, "/x")), name="T")
        assert imported.row is not None
        place.service.schedules.activate(imported.row.id, schedule={"type": "indefinitely", "interval": 900})
        with place.running("worker"), place.running("scheduler"):
            until(lambda: place.service.notifications.list(), "it is told")
        (told,) = place.service.notifications.list()
        assert (told.kind, told.scenario, told.name) == ("error", imported.row.id, "T")


def test_a_wrong_address_is_refused_without_repeating_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, SCENARIST_NOTIFY_URL="https://user:s3cret@example.com/")
    with pytest.raises(SettingsError, match="notify_url") as caught:
        notify_url(settings)
    assert "s3cret" not in caught.value.message
