"""Scenarios behind a webhook and their schedules: timed ones take what waits, immediate ones rest after a failure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_schedules import activate, due_runs, pass_time, state, told, work
from tests.worker_kit import Installation, Peer, call, installation, peer
from workers.dispatching import dispatcher_of
from workers.imports import Refusal
from workers.ledger.hooks import HookRecord
from workers.ledger.records import RunHeader

START = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
HOURLY = {"type": "indefinitely", "interval": 3600}


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation; no worker and no scheduler runs, the tests do their work step by step."""
    with installation(tmp_path, api.port) as made:
        yield made


def bound(place: Installation, *flow: dict[str, Any], **settings: Any) -> HookRecord:
    """A scenario behind a webhook, not active."""
    scenario = place.scenario(START, *flow, **settings)
    hook = place.service.runner.hooks.add(HookRecord("", "custom", scenario))
    place.service.runner.hooks.bind(hook.id, scenario)
    return place.service.runner.hooks.get(hook.id)


def post(place: Installation, hook: HookRecord, *numbers: int) -> None:
    """Events arrive."""
    assert isinstance(place.service.runner.events.accept(hook, [{"n": n} for n in numbers]), tuple)


def dispatched(place: Installation) -> list[RunHeader]:
    """One look of the scheduler at waiting events: gives the runs that it made."""
    return dispatcher_of(place.service.runner, lambda _run, _fence: True).dispatch_all()


def test_timed_scenario_takes_what_waits(place: Installation, api: Peer) -> None:
    """All events that wait are the cycles of its due run, in order; with none there is no run (2.2)."""
    hook = bound(place, call(2, "n{{1.n}}"))
    activate(place, hook.scenario, schedule=HOURLY)
    assert due_runs(place) == []
    post(place, hook, 1, 2, 3)
    assert dispatched(place) == []

    pass_time(place, hook.scenario, timedelta(hours=1))
    (run,) = due_runs(place)
    report = work(place, run)

    assert (report.status, report.to_json()["cycles"]) == ("success", 3)
    assert [path for _, path in api.seen] == ["/n1", "/n2", "/n3"]
    assert place.service.runner.events.list(hook.id) == []


def test_old_rule_takes_as_many_events_as_cycles(tmp_path: Path, api: Peer) -> None:
    """The setting `webhook_batch = roundtrips`: the rest waits for the next instant."""
    with installation(tmp_path, api.port, SCENARIST_WEBHOOK_BATCH="roundtrips") as place:
        hook = bound(place, call(2, "n{{1.n}}"), roundtrips=2)
        activate(place, hook.scenario, schedule=HOURLY)
        post(place, hook, 1, 2, 3)
        (run,) = due_runs(place)
        work(place, run)

        assert [path for _, path in api.seen] == ["/n1", "/n2"]
        assert place.service.runner.events.waiting(hook.id) == 1


def test_immediate_scenario_rests_until_its_repetition(place: Installation, api: Peer) -> None:
    """An unreachable service: the event goes back; nothing is started until the ladder says so (3.6)."""
    api.broken["/n1"] = 503
    hook = bound(place, call(2, "n{{1.n}}"))
    activate(place, hook.scenario, schedule={"type": "immediately"})
    post(place, hook, 1)
    (run,) = dispatched(place)
    assert work(place, run).status == "warning"
    assert place.service.runner.events.waiting(hook.id) == 1
    assert dispatched(place) == []
    api.broken.clear()

    pass_time(place, hook.scenario, timedelta(minutes=1))
    assert due_runs(place) == []
    (again,) = dispatched(place)

    assert work(place, again).status == "success"
    live = state(place, hook.scenario).live
    assert (live.backoffs, live.again_ms, live.paused_ms) == (0, None, None)
    assert place.service.runner.events.list(hook.id) == []


def test_first_counted_error_switches_an_immediate_scenario_off(place: Installation, api: Peer) -> None:
    """With an instant start and the schedule immediately there is no second chance; events queue on (3.7, 5.3)."""
    api.broken["/n1"] = 400
    hook = bound(place, call(2, "n{{1.n}}"), maxErrors=5)
    activate(place, hook.scenario, schedule={"type": "immediately"})
    post(place, hook, 1)
    (run,) = dispatched(place)

    assert work(place, run).status == "error"

    found = state(place, hook.scenario)
    assert (found.active, found.errors) == (False, 1)
    assert dispatcher_of(place.service.runner, lambda _run, _fence: True).listening(hook.id) == "queue"
    assert sorted(told(place)) == ["deactivated", "error"]
    api.broken.clear()
    activate(place, hook.scenario)
    (again,) = dispatched(place)
    assert work(place, again).status == "success"


def test_active_range_opens_and_closes_for_events(place: Installation, api: Peer) -> None:
    """`between` with immediately: before it events wait, in it they run, after it the scenario is off."""
    hook = bound(place, call(2, "n{{1.n}}"))
    now = datetime.fromtimestamp(place.service.runner.runs.client.time()[0]).astimezone()
    between = [(now + timedelta(hours=1)).isoformat(), (now + timedelta(hours=2)).isoformat()]
    activate(place, hook.scenario, schedule={"type": "immediately", "between": between})
    post(place, hook, 1)
    assert (due_runs(place), dispatched(place)) == ([], [])

    pass_time(place, hook.scenario, timedelta(minutes=61))
    assert due_runs(place) == []
    (run,) = dispatched(place)
    assert work(place, run).status == "success"
    assert state(place, hook.scenario).active

    pass_time(place, hook.scenario, timedelta(hours=1))
    due_runs(place)
    assert not state(place, hook.scenario).active
    assert "until" in state(place, hook.scenario).live.finished


def test_instant_start_without_a_webhook_is_refused(place: Installation) -> None:
    """E-BIND: nobody could send it an event."""
    scenario = place.scenario(START, call(2, "n"))

    with pytest.raises(Refusal) as caught:
        activate(place, scenario, schedule={"type": "immediately"})

    assert caught.value.code == "E-BIND"


def test_scenario_that_calls_its_own_webhook_again_and_again_is_switched_off(tmp_path: Path, api: Peer) -> None:
    """Eleven calls within two minutes are a loop (3.7); calls of other addresses are none."""
    with installation(tmp_path, api.port, SCENARIST_PUBLIC_URL=f"http://127.0.0.1:{api.port}") as place:
        hook = bound(place, call(2, "hook/{{1.token}}?again=1"), call(3, "hook/other"))
        activate(place, hook.scenario, schedule={"type": "immediately"})
        active: list[bool] = []
        for _ in range(12):
            assert isinstance(place.service.runner.events.accept(hook, [{"token": hook.token}]), tuple)
            for run in dispatched(place):
                work(place, run)
            active.append(state(place, hook.scenario).active)

        assert active == [True] * 10 + [False] * 2
        assert "its own webhook" in state(place, hook.scenario).stop_reason
