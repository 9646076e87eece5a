"""Schedules on a real server: activated with checks, due runs made once, deferred, missed, ended, repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.dates import zone
from runtime.errors import UsageError, module_error
from runtime.scenario.blueprint import Settings
from runtime.scenario.ending import at_end
from tests.worker_kit import Installation, Peer, blueprint, call, installation, peer
from workers.due import DueRuns
from workers.imports import Refusal
from workers.ledger.records import Checkpoint, Move, RunHeader, ScenarioChange
from workers.ledger.scenarios import ScenarioState
from workers.ledger.schedules import Due, Schedules
from workers.ledger.states import RunState
from workers.views import RunReport, ScenarioRow

QUARTER = {"type": "indefinitely", "interval": 900}
MINUTE = 60_000


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


def ledger(place: Installation) -> Schedules:
    """The schedules of an installation."""
    return Schedules(place.service.runner.runs.client, place.keys)


def due_runs(place: Installation) -> list[RunHeader]:
    """One look of the scheduler: gives the runs that it made."""
    return DueRuns(place.service.runner, ledger(place), lambda _run, _fence: True).start_due()


def state(place: Installation, scenario: str) -> ScenarioState:
    """A scenario's record."""
    return place.service.runner.library.scenarios.get(scenario)


def activate(place: Installation, scenario: str, **wanted: Any) -> ScenarioRow:
    """Switch a scenario on; gives how it is shown then."""
    place.service.schedules.activate(scenario, **wanted)
    return place.service.scenarios.show(scenario)


def pass_time(place: Installation, scenario: str, passed: timedelta) -> None:
    """The clock moves: every instant of a scenario lies so much earlier."""
    client, key, by = ledger(place).client, place.keys.scenario(scenario), passed // timedelta(milliseconds=1)
    for field in ("next", "again", "opens", "closes", "not_before", "paused", "activated"):
        value = client.hget(key, field)
        if value:
            client.hset(key, field, int(float(value)) - by)
    form = json.loads(client.hget(key, "schedule") or "{}")
    if "date" in form:
        form["date"] = (datetime.fromisoformat(form["date"]) - passed).isoformat()
    if "between" in form:
        form["between"] = [(datetime.fromisoformat(end) - passed).isoformat() for end in form["between"]]
    client.hset(key, "schedule", json.dumps(form))
    if client.zscore(place.keys.scenarios_due, scenario) is not None:
        client.zincrby(place.keys.scenarios_due, -by, scenario)


def due_in(place: Installation, scenario: str) -> float | None:
    """Milliseconds until a scenario is due by its index; None when it is not."""
    score = ledger(place).client.zscore(place.keys.scenarios_due, scenario)
    return None if score is None else score - ledger(place).now_ms()


def work(place: Installation, run: RunHeader) -> RunReport:
    """Do a queued run in this process, as its worker would."""
    runner = place.service.runner
    runner.run_message(run.id, runner.runs.header(run.id).fence)
    return place.service.runs.show(run.id)


def told(place: Installation) -> list[str]:
    """Kinds of what people were told, oldest first."""
    return [row.kind for row in place.service.notifications.list()]


def test_interval_runs_at_once_and_then_by_its_grid(place: Installation, api: Peer) -> None:
    """Activated, a scenario is due at once; its next instant is an interval after its activation."""
    scenario = place.scenario(call(1, "a"))
    shown = activate(place, scenario, schedule=QUARTER)

    (run,) = due_runs(place)
    report = work(place, run)

    assert shown.active
    assert shown.schedule.text == "every 15 minutes"
    assert (report.status, run.kind) == ("success", "auto")
    assert api.count("/a") == 1
    assert due_runs(place) == []
    live = state(place, scenario).live
    assert live.activated_ms is not None
    assert live.next_ms == live.activated_ms + 15 * MINUTE
    assert place.service.scenarios.show(scenario).schedule.next_ms[1] == live.next_ms + 15 * MINUTE


def test_blueprints_own_schedule_is_the_default(place: Installation) -> None:
    """Without a schedule from a person the file's counts, also after a new version; without both it is 15 minutes."""
    raw = blueprint(call(1, "a")).replace(b'"flow"', b'"scheduling": {"type": "daily", "time": "08:00"}, "flow"')
    imported = place.service.scenarios.import_(raw, name="own")
    assert imported.row is not None

    assert activate(place, "own").schedule.text == "daily at 08:00"
    place.service.scenarios.import_(raw.replace(b"08:00", b"09:30"), name="own")
    assert place.service.scenarios.show("own").schedule.text == "daily at 09:30"
    assert activate(place, place.scenario(call(1, "a"))).schedule.text == "every 15 minutes"


def test_activation_says_what_is_missing(place: Installation) -> None:
    """Immediately without an instant start, required inputs on a timer, a schedule that never runs: refused."""
    plain = place.scenario(call(1, "a"))
    raw = blueprint(call(1, "a")).replace(
        b'"flow"', b'"interface": {"input": [{"name": "n", "type": "text", "required": true}]}, "flow"'
    )
    assert place.service.scenarios.import_(raw, name="asks").row is not None

    with pytest.raises(Refusal, match="instant trigger"):
        activate(place, plain, schedule={"type": "immediately"})
    with pytest.raises(Refusal, match="required input"):
        activate(place, "asks", schedule=QUARTER)
    with pytest.raises(UsageError, match="never runs"):
        activate(place, plain, schedule={"type": "once", "date": "2001-01-01T00:00:00Z"})
    with pytest.raises(UsageError, match="interval is 7"):
        activate(place, plain, schedule='{"type": "indefinitely", "interval": 7}')
    with pytest.raises(UsageError, match="no time zone"):
        activate(place, plain, schedule=QUARTER, timezone="Mars/Olympus")
    assert activate(place, "asks").schedule.text == "on demand"
    assert not state(place, plain).active


def test_unbound_store_refuses_activation(place: Installation) -> None:
    """E-BIND: a module whose data store is not bound here."""
    module = {"id": 1, "module": "datastore:GetRecord", "version": 1, "parameters": {"datastore": 7}}
    scenario = place.scenario(module | {"mapper": {"key": "x"}})

    with pytest.raises(Refusal) as caught:
        activate(place, scenario, schedule=QUARTER)

    assert caught.value.code == "E-BIND"


def test_deactivated_scenario_is_never_due(place: Installation) -> None:
    """Switched off by hand, nothing of it is planned; switched on again, it starts anew."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    place.service.schedules.deactivate(scenario)

    assert due_runs(place) == []
    assert (state(place, scenario).active, due_in(place, scenario)) == (False, None)
    activate(place, scenario)
    assert len(due_runs(place)) == 1


def test_change_of_the_schedule_plans_anew(place: Installation) -> None:
    """An active scenario gets another schedule: its next instant is of that one, and it does not run at once."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    activate(place, scenario, schedule={"type": "indefinitely", "interval": 7200})

    wait = due_in(place, scenario)

    assert wait is not None
    assert 7190_000 < wait <= 7200_000


def test_change_of_the_zone_plans_anew(place: Installation) -> None:
    """A schedule stands in the scenario's zone: another zone moves its next instant."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "daily", "time": "08:00"}, timezone="UTC")
    before = state(place, scenario).live.next_ms
    place.service.scenarios.change(scenario, timezone="Asia/Tokyo")
    after = state(place, scenario).live.next_ms

    assert before is not None
    assert after is not None
    assert (before - after) % (24 * 60 * MINUTE) == 9 * 60 * MINUTE


def test_due_run_waits_for_the_former_one_and_comes_once(place: Installation) -> None:
    """While a scheduled run goes on, due ones are deferred, and several of them become one (5.1)."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    (first,) = due_runs(place)
    for _ in range(3):
        pass_time(place, scenario, timedelta(minutes=15))
        assert due_runs(place) == []
    assert due_in(place, scenario) is None

    work(place, first)

    (second,) = due_runs(place)
    work(place, second)
    assert due_runs(place) == []
    assert second.id != first.id


def test_deferred_calendar_run_is_not_missed(place: Installation) -> None:
    """A daily run that had to wait for hours is made when the former one ends."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "daily", "time": "08:00"})
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0))
    (first,) = due_runs(place)
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0))
    assert due_runs(place) == []
    pass_time(place, scenario, timedelta(hours=5))
    work(place, first)

    assert len(due_runs(place)) == 1


def test_missed_interval_is_caught_up_once(place: Installation) -> None:
    """After hours without a scheduler one run makes up for all, and the grid goes on."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    pass_time(place, scenario, timedelta(hours=5))

    (run,) = due_runs(place)
    work(place, run)

    assert due_runs(place) == []
    live = state(place, scenario).live
    assert live.next_ms is not None
    assert live.activated_ms is not None
    assert (live.next_ms - live.activated_ms) % (15 * MINUTE) == 0
    assert live.next_ms > ledger(place).now_ms()


def test_missed_calendar_run_is_left_out(place: Installation) -> None:
    """A daily run that no scheduler saw within the grace is not made up for; within it, it is made."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "daily", "time": "08:00"})
    wait = timedelta(milliseconds=due_in(place, scenario) or 0)

    pass_time(place, scenario, wait + timedelta(minutes=30))
    assert due_runs(place) == []
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0) + timedelta(minutes=2))
    assert len(due_runs(place)) == 1


def test_once_runs_once_and_switches_off(place: Installation) -> None:
    """After its one run has ended the scenario is off, by its schedule and not by an error."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "once", "date": "2999-01-01T00:00:00Z"})
    pass_time(place, scenario, timedelta(milliseconds=(due_in(place, scenario) or 0) + 1000))

    (run,) = due_runs(place)
    assert state(place, scenario).active
    work(place, run)
    assert due_runs(place) == []

    found = state(place, scenario)
    assert (found.active, found.stop_reason) == (False, "")
    assert "come to its end" in found.live.finished
    assert told(place) == ["deactivated"]


def test_once_that_was_missed_says_so(place: Installation) -> None:
    """Nobody was there at its instant: it is not run later, and the scenario says why it is off."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "once", "date": "2999-01-01T00:00:00Z"})
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0, hours=1))

    assert due_runs(place) == []
    assert "missed" in state(place, scenario).live.finished


def test_active_range_ends_with_a_reason(place: Installation) -> None:
    """`between`: no run after its end; then the scenario is switched off."""
    scenario = place.scenario(call(1, "a"))
    now = place.service.schedules._now()
    between = [(now - timedelta(days=1)).isoformat(), (now + timedelta(minutes=20)).isoformat()]
    activate(place, scenario, schedule=QUARTER | {"between": between})
    for _ in range(2):
        (run,) = due_runs(place)
        work(place, run)
        pass_time(place, scenario, timedelta(minutes=15))

    assert due_runs(place) == []
    assert not state(place, scenario).active
    assert "until" in state(place, scenario).live.finished


def test_sequential_scenario_waits_for_its_incomplete_executions(place: Installation, api: Peer) -> None:
    """While a record is open, scheduled runs of a sequential scenario are left out (spec/scenarios.md 2.9)."""
    api.broken["/b"] = 400
    feeder = {"id": 1, "module": "builtin:BasicFeeder", "version": 1, "parameters": {}, "mapper": {"array": ["x"]}}
    scenario = place.scenario(feeder, call(2, "b"), dlq=True, sequential=True)
    activate(place, scenario, schedule=QUARTER)
    (run,) = due_runs(place)
    assert work(place, run).status == "warning"
    assert told(place) == ["warning"]

    pass_time(place, scenario, timedelta(minutes=15))
    assert due_runs(place) == []
    place.service.incompletes.resolve(place.service.incompletes.list()[0].id)
    pass_time(place, scenario, timedelta(minutes=15))

    assert len(due_runs(place)) == 1


def test_settled_instant_is_refused_to_a_second_scheduler(place: Installation) -> None:
    """Who saw an instant that another one has settled since makes nothing of it."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    _, (seen,) = ledger(place).look(10)
    (first,) = due_runs(place)
    runner = place.service.runner
    request = runner.runs.request(first.id, runner.runs.cipher(first.id))

    assert runner.runs.create_scheduled(request, due_ms=seen.due_ms, next_ms=None, keep=False) == "moved"
    assert not ledger(place).move(seen, None, keep=False)
    assert not ledger(place).switch_off(Due(scenario, seen.due_ms), "off", "x")
    assert len(place.service.runs.list(scenario=scenario)) == 1


def test_scenario_that_cannot_run_any_more_is_switched_off(place: Installation) -> None:
    """Its app is gone: said once, with the reason, instead of at each instant."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    place.service.runner.library.registry.remove("peer")

    assert due_runs(place) == []

    found = state(place, scenario)
    assert not found.active
    assert "cannot run" in found.stop_reason
    assert told(place) == ["deactivated"]


def test_run_that_kills_its_workers_switches_its_scenario_off(place: Installation) -> None:
    """Three workers in a row came to no checkpoint: the scenario is off with the reason, as for UnexpectedError."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    (run,) = due_runs(place)
    runs = place.service.runner.runs
    for fence in range(3):
        assert runs.claim(run.id, fence) is not None
        runs.client.hset(place.keys.run(run.id), "state", "queued")

    assert runs.claim(run.id, 3) is None

    assert "poisoned" in state(place, scenario).stop_reason
    assert sorted(told(place)) == ["deactivated", "error"]


def test_run_whose_blueprint_is_refused_switches_its_scenario_off(place: Installation) -> None:
    """A run that this release cannot use ends, and the scenario makes no more of them."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    (run,) = due_runs(place)
    place.service.runner.library._plans._kept.clear()
    place.service.runner.runs.client.delete(place.keys.blueprint(state(place, scenario).blueprint))

    assert work(place, run).status == "error"

    assert "not stored" in state(place, scenario).stop_reason
    assert sorted(told(place)) == ["deactivated", "error"]


def test_whole_scenario_climbs_the_ladder_and_is_switched_off(place: Installation, api: Peer) -> None:
    """An unreachable service: again after 1, 2, 5, 10 min, 1, 3, 12, 24 h, each a warning; then off (3.6)."""
    api.broken["/a"] = 503
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "yearly", "days": [1], "months": [1], "time": "00:00"})
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0))
    waits: list[int] = []
    statuses: list[str] = []

    while state(place, scenario).active and len(statuses) < 12:
        (run,) = due_runs(place)
        statuses.append(work(place, run).status)
        again = state(place, scenario).live.again_ms
        if again is not None:
            waits.append(round((again - ledger(place).now_ms()) / MINUTE))
            pass_time(place, scenario, timedelta(minutes=waits[-1]))

    assert waits == [1, 2, 5, 10, 60, 180, 720, 1440]
    assert statuses == ["warning"] * 8 + ["error"]
    found = state(place, scenario)
    assert found.stop_reason.startswith("8 repetitions failed")
    assert (found.live.next_ms, due_in(place, scenario)) == (None, None)
    assert set(told(place)) == {"warning", "error", "deactivated"}


def test_success_resets_the_ladder(place: Installation, api: Peer) -> None:
    """A repetition that succeeds ends the ladder; the next failure begins with its first step."""
    api.broken["/a"] = 503
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    for wait in (1, 2):
        (run,) = due_runs(place)
        work(place, run)
        pass_time(place, scenario, timedelta(minutes=wait))
    api.broken.clear()
    (run,) = due_runs(place)
    assert work(place, run).status == "success"
    assert (state(place, scenario).live.backoffs, state(place, scenario).live.again_ms) == (0, None)

    api.broken["/a"] = 503
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0))
    (run,) = due_runs(place)
    work(place, run)

    assert state(place, scenario).live.backoffs == 1


def test_regular_runs_go_on_beside_the_ladder(place: Installation, api: Peer) -> None:
    """While a repetition is planned, a regular run comes too, and its failure is no further step; not in sequence."""
    api.broken["/a"] = 503
    made: list[int] = []
    for sequential in (False, True):
        scenario = place.scenario(call(1, "a"), sequential=sequential)
        activate(place, scenario, schedule={"type": "indefinitely", "interval": 60})
        for wait in (0, 1, 2):
            pass_time(place, scenario, timedelta(minutes=wait))
            (run,) = due_runs(place)
            work(place, run)
        # A repetition in five minutes, a regular run in one.
        pass_time(place, scenario, timedelta(minutes=1))
        found = due_runs(place)
        made.append(len(found))
        for run in found:
            work(place, run)
        assert state(place, scenario).live.backoffs == 3

    assert made == [1, 0]


def test_manual_run_neither_repeats_nor_counts(place: Installation, api: Peer) -> None:
    """Back-off is for scheduled runs; a manual one is an error, and its success ends a ladder."""
    api.broken["/a"] = 503
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)

    assert place.service.runs.inline(scenario).status == "error"
    assert state(place, scenario).live.backoffs == 0
    (run,) = due_runs(place)
    work(place, run)
    assert state(place, scenario).live.backoffs == 1
    api.broken.clear()
    assert place.service.runs.inline(scenario).status == "success"
    assert (state(place, scenario).live.backoffs, state(place, scenario).live.again_ms) == (0, None)


def test_counted_errors_switch_off_at_the_limit(place: Installation, api: Peer) -> None:
    """`maxErrors` runs in a row that failed in a counted class: off, with reason and message; nothing is due."""
    api.broken["/a"] = 400
    scenario = place.scenario(call(1, "a"), maxErrors=2)
    activate(place, scenario, schedule=QUARTER)
    for _ in range(2):
        (run,) = due_runs(place)
        assert work(place, run).status == "error"
        pass_time(place, scenario, timedelta(minutes=15))

    assert due_runs(place) == []
    found = state(place, scenario)
    assert (found.active, found.errors) == (False, 2)
    assert "RuntimeError" in found.stop_reason
    assert sorted(told(place)) == ["deactivated", "error"]
    assert activate(place, scenario).errors == 0


def test_data_that_are_not_ready_wait_for_their_delay(place: Installation) -> None:
    """IncompleteDataError with a delay: the next scheduled run that is not before it (spec/scenarios.md 3.2)."""
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule=QUARTER)
    (run,) = due_runs(place)
    runs = place.service.runner.runs
    claim = runs.claim(run.id, 0)
    assert claim is not None
    consequence = at_end("error", module_error("IncompleteDataError", "x", delay_ms=40 * MINUTE), Settings())
    assert consequence is not None
    change = ScenarioChange(consequence.word, consequence.reason, consequence.most, consequence.delays)
    runs.checkpoint(claim, 1, Checkpoint({}, move=Move(RunState.ERROR), scenario=change))
    pass_time(place, scenario, timedelta(minutes=15))

    assert due_runs(place) == []

    wait = due_in(place, scenario)
    assert wait is not None
    assert 25 * MINUTE < wait <= 40 * MINUTE
    pass_time(place, scenario, timedelta(milliseconds=wait))
    assert len(due_runs(place)) == 1


def test_next_runs_are_said(place: Installation) -> None:
    """`scenario next`: of an active scenario, of one that is off, and of a schedule on trial."""
    scenario = place.scenario(call(1, "a"))
    place.service.scenarios.change(scenario, timezone="Europe/Prague")
    tried: Any = {"type": "daily", "time": "02:30"}

    runs = place.service.schedules.next_runs(scenario, 400, schedule=tried)

    assert len({run.astimezone(zone("Europe/Prague")).date() for run in runs}) == 400
    assert len(place.service.schedules.next_runs(scenario, 5)) == 5
    with pytest.raises(UsageError, match="--count"):
        place.service.schedules.next_runs(scenario, 0)


def test_once_is_repeated_before_it_is_over(place: Installation, api: Peer) -> None:
    """Its service cannot be reached: the one run is tried again by the ladder, and only then the scenario is off."""
    api.broken["/a"] = 503
    scenario = place.scenario(call(1, "a"))
    activate(place, scenario, schedule={"type": "once", "date": "2999-01-01T00:00:00Z"})
    pass_time(place, scenario, timedelta(milliseconds=due_in(place, scenario) or 0))
    (run,) = due_runs(place)
    assert work(place, run).status == "warning"
    assert due_runs(place) == []
    api.broken.clear()
    pass_time(place, scenario, timedelta(minutes=1))

    (again,) = due_runs(place)
    assert work(place, again).status == "success"
    assert due_runs(place) == []

    assert not state(place, scenario).active
    assert "come to its end" in state(place, scenario).live.finished
