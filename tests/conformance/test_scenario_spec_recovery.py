"""The paragraphs of spec/scenarios.md 3.5 to 3.8: incomplete executions, back-off, deactivation, trigger position."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from runtime.errors import DataError, RateLimitError, module_error
from runtime.scenario.blueprint import Settings
from runtime.scenario.ending import at_end, repeat_delay
from runtime.scenario.incomplete import PARALLEL_RETRIES, STORED_LADDER, Schedule, Status
from tests.conformance.scenario_spec import Place, paragraph
from tests.unit.scenario.flows import directive, gather, handled, remember
from tests.unit.scenario.helpers import compose, fail, module, router, scenario, start
from tests.worker_kit import Peer, call, installation, peer
from workers.ledger.incompletes import IncompleteRow
from workers.ledger.retention import Retention
from workers.retries import Retries
from workers.views import RunReport


@pytest.fixture(name="api", scope="module")
def api_fixture() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture(name="shared_place", scope="module")
def shared_place_fixture(tmp_path_factory: pytest.TempPathFactory, api: Peer) -> Iterator[Place]:
    """A ledger with the app `peer`; nothing else works on it."""
    with installation(tmp_path_factory.mktemp("spec"), api.port, SCENARIST_FSYNC="everysec") as made:
        yield Place(made.service)


@pytest.fixture(name="place")
def place_fixture(shared_place: Place, api: Peer) -> Place:
    """The same with a service that works and no records."""
    api.broken.clear()
    api.seen.clear()
    for record in shared_place.service.incompletes.list(resolved=True):
        shared_place.service.incompletes.drop(record.id)
    return shared_place


def records(place: Place, *, resolved: bool = False) -> list[IncompleteRow]:
    """All records, oldest first."""
    return place.service.incompletes.list(resolved=resolved)


def start_due(place: Place) -> list[str]:
    """Everything that waits is due, and the scheduler looks: the runs that it starts."""
    runner = place.service.runner
    client, due = runner.runs.client, runner.runs.keys.incompletes_due
    for record in client.zrange(due, 0, -1):
        client.zadd(due, {record: 1})
    return [made.id for made in Retries(runner.incompletes, runner.runs, lambda _run, _fence: True).start_due()]


def retry(place: Place, record: str) -> RunReport:
    """Retry a record by hand, to the end."""
    run = place.service.incompletes.retry(record)[1]
    assert run is not None
    return place.work(run.id)


def failing(place: Place, api: Peer, *behind: Any, values: str = "ab", status: int = 400, **settings: Any) -> str:
    """A scenario in which `call` of the last value fails; run once. Gives its id."""
    api.broken[f"/{values[-1]}"] = status
    flow = (start(*({"k": value} for value in values)), call(2, "{{1.k}}"), *behind)
    target = place.scenario(scenario(*flow, dlq=True, **settings))
    place.auto(target)
    return target


# -- 3.5 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.5", "Record: {id, scenarioId, executionId (origin)")
def test_3_5_what_a_record_holds(place: Place, api: Peer) -> None:
    """Where it comes from, why, how large, and all bundles that the failed module could see."""
    target = failing(place, api)
    (record,) = records(place)

    _, bundles = place.service.incompletes.show(record.id)

    assert (record.scenario, record.module, record.app, record.cycle) == (target, 2, "peer:call", 1)
    assert (record.error["type"], record.attempts, record.status) == ("RuntimeError", 0, Status.UNRESOLVED)
    assert record.size > 0 and record.created_ms > 0 and record.retries == ()
    assert place.service.runs.show(record.run).status == "warning"
    assert bundles["1"]["k"] == "b"


@paragraph("3.5", "Record: {id, scenarioId, executionId (origin)")
def test_3_5_variables_are_part_of_a_record(place: Place, api: Peer) -> None:
    """A retry reads what the failing run had set."""
    get = module(4, "util:GetVariable2", {"name": "v"})
    flow = (start({}), remember(2, "v", "kept"), call(3, "b"), get, call(5, "{{4.v}}"))
    api.broken["/b"] = 400
    place.auto(place.scenario(scenario(*flow, dlq=True)))
    api.broken.clear()

    assert retry(place, records(place)[0].id).status == "success"
    assert api.count("/kept") == 1


@paragraph("3.5", "One record per failing bundle")
def test_3_5_each_failing_bundle_has_a_record_of_its_own(place: Place, api: Peer) -> None:
    """Two of three fail."""
    api.broken["/a"] = 400
    failing(place, api, values="acb")

    assert [place.service.incompletes.show(record.id)[1]["1"]["k"] for record in records(place)] == ["a", "b"]


@paragraph("3.5", "Snapshot of the blueprint at failure time")
def test_3_5_an_edited_scenario_leaves_its_records_alone(place: Place, api: Peer) -> None:
    """The retry calls what the old version called."""
    target = failing(place, api, call(3, "old"))
    name = place.service.scenarios.show(target).name
    newer = scenario(start({"k": "b"}), call(2, "{{1.k}}"), call(3, "new"), dlq=True)
    assert place.service.scenarios.import_(json.dumps(newer).encode(), name=name).updated
    api.broken.clear()
    api.seen.clear()

    retry(place, records(place)[0].id)

    assert [path for _, path in api.seen] == ["/b", "/old"]


@paragraph("3.5", "A retry is an execution of its own")
def test_3_5_a_retry_runs_the_rest_of_the_failed_path_only(place: Place, api: Peer) -> None:
    """From the failed module; no module before it, no sibling bundle, no later route."""
    routes = router(3, [call(4, "{{1.k}}"), call(5, "after-{{1.k}}")], [call(6, "other")])
    api.broken["/b"] = 400
    flow = (start({"k": "a"}, {"k": "b"}), call(2, "before"), routes)
    place.auto(place.scenario(scenario(*flow, dlq=True)))
    api.broken.clear()

    report = retry(place, records(place)[0].id)

    assert report.header is not None
    assert (report.status, report.header.kind) == ("success", "incomplete")
    assert [step["module"] for step in report.steps] == [4, 5]


@paragraph("3.5", "An aggregator downstream of the failed module")
def test_3_5_the_aggregator_of_a_retry_collects_its_one_bundle(place: Place, api: Peer) -> None:
    """n = 1."""
    failing(place, api, gather(3, 1, {"k": "{{1.k}}"}), call(4, "n{{length(3.array)}}"), values="acb")
    api.broken.clear()

    retry(place, records(place)[0].id)

    assert (api.count("/n2"), api.count("/n1")) == (1, 1)


@paragraph("3.5", "Statuses: Unresolved, Pending (scheduled for retry)")
def test_3_5_the_life_of_a_record(place: Place, api: Peer) -> None:
    """Pending, in progress, resolved; resolved ones stay for 30 days, any may be deleted."""
    failing(place, api, status=503)
    states = [records(place)[0].status]
    (run,) = start_due(place)
    states.append(records(place)[0].status)
    api.broken.clear()
    place.work(run)
    (record,) = records(place, resolved=True)
    states.append(record.status)
    runs = place.service.runner.runs
    retention = Retention(runs.client, runs.keys, timedelta(days=365), 1 << 40)

    assert states == [Status.PENDING, Status.IN_PROGRESS, Status.RESOLVED]
    retention.step()
    assert records(place, resolved=True)
    assert record.resolved_ms is not None
    old = record.resolved_ms - timedelta(days=31) // timedelta(milliseconds=1)
    runs.client.hset(runs.keys.incomplete(record.id), "resolved", old)
    runs.client.zadd(runs.keys.incompletes, {record.id: old})
    retention.step()
    assert not records(place, resolved=True)


@paragraph("3.5", "Retry result: success → resolved")
@pytest.mark.parametrize(
    ("status", "left", "attempts"),
    [(200, Status.RESOLVED, 1), (503, Status.PENDING, 1), (400, Status.UNRESOLVED, 1)],
)
def test_3_5_what_the_result_of_a_retry_means(
    place: Place, api: Peer, status: int, left: Status, attempts: int
) -> None:
    """Success, the same back-off class again, any other error."""
    failing(place, api, status=503)
    api.broken["/b"] = status

    place.work(start_due(place)[0])

    (record,) = records(place, resolved=True)
    assert (record.status, record.attempts) == (left, attempts)


@paragraph("3.5", "Retry result: success → resolved")
def test_3_5_exhausted_attempts_leave_the_record_to_a_person(place: Place, api: Peer) -> None:
    """A Break with two retries."""
    api.broken["/b"] = 400
    broken = call(2, "b", **handled(directive(9, "Break", {"retry": True, "count": 2, "interval": 1})))
    place.auto(place.scenario(scenario(start({}), broken, dlq=True)))

    states: list[Status] = []
    while runs := start_due(place):
        place.work(runs[0])
        states.append(records(place)[0].status)

    assert states == [Status.PENDING, Status.UNRESOLVED]


@paragraph("3.5", "With sequential:true: while any record is unresolved or pending")
def test_3_5_a_sequential_scenario_waits_for_its_records(place: Place, api: Peer) -> None:
    """New runs wait; its retries go one by one, the oldest first."""
    api.broken["/a"] = 503
    target = failing(place, api, status=503, sequential=True)
    waiting = place.accept(target)
    first, second = records(place)
    api.broken.clear()

    assert place.work(waiting).status == "queued"
    (run,) = start_due(place)
    assert [record.status for record in records(place)] == [Status.IN_PROGRESS, Status.PENDING]
    place.work(run)
    place.work(start_due(place)[0])

    assert [record.id for record in records(place, resolved=True)] == [first.id, second.id]
    assert place.work(waiting).status == "success"


@paragraph("3.5", "Parallel retries of one scenario: at most 3")
def test_3_5_at_most_three_retries_run_at_a_time(place: Place, api: Peer) -> None:
    """The fourth waits for one of them."""
    for value in "abc":
        api.broken[f"/{value}"] = 503
    failing(place, api, values="abcd", status=503)
    api.broken.clear()

    runs = start_due(place)

    assert len(runs) == PARALLEL_RETRIES == 3
    assert start_due(place) == []
    place.work(runs.pop())
    runs += start_due(place)
    assert len(runs) == 3
    assert [place.work(run).status for run in runs] == ["success"] * 3


@paragraph("3.5", "Storage limits per scenario")
def test_3_5_a_full_store_refuses(place: Place, api: Peer) -> None:
    """Over the limit rule 2 of 3.2 holds."""
    kept = place.service.settings.options
    object.__setattr__(place.service.settings, "options", {**kept, "incomplete_max_records": 1})
    try:
        api.broken["/a"] = 400
        target = failing(place, api)
    finally:
        object.__setattr__(place.service.settings, "options", kept)

    (header,) = place.service.runs.list(scenario=target)
    assert (str(header.state), len(records(place))) == ("error", 1)
    assert place.service.scenarios.show(target).stop_reason == "DLQ limit per scenario has been exceeded"


# -- 3.6 ---------------------------------------------------------------------------------------------------------------


def minutes(delays: Any) -> list[float]:
    """Delays in minutes."""
    return [delay / timedelta(minutes=1) for delay in delays]


@paragraph("3.6", "| situation | schedule (delay before attempt n)")
@pytest.mark.parametrize("name", ["RateLimitError", "ConnectionError", "ModuleTimeoutError"])
def test_3_6_the_two_ladders(name: str) -> None:
    """The whole scenario with the store off; the record with it on."""
    error = module_error(name, "x")
    whole = [repeat_delay(error, failures) for failures in range(9)]
    record = [Schedule(ladder=True).next_delay(attempts, error) for attempts in range(9)]

    assert minutes(whole[:8]) == [1, 2, 5, 10, 60, 180, 720, 1440]
    assert minutes(record[:8]) == [1, 10, 10, 30, 30, 30, 180, 180]
    assert (whole[8], record[8]) == (None, None)


@paragraph("3.6", "| situation | schedule (delay before attempt n)")
def test_3_6_break_retries_at_its_own_interval() -> None:
    """`count` times every `interval` minutes."""
    delays = [Schedule(breaks=(3, 7)).next_delay(attempts, DataError("x")) for attempts in range(4)]

    assert (minutes(delays[:3]), delays[3]) == ([7, 7, 7], None)


@paragraph("3.6", "| situation | schedule (delay before attempt n)")
def test_3_6_behind_the_last_step_the_scenario_stays_active(place: Place, api: Peer) -> None:
    """The record stays unresolved."""
    target = failing(place, api, status=503)
    for _ in STORED_LADDER:
        place.work(start_due(place)[0])

    assert (records(place)[0].status, place.service.scenarios.show(target).active) == (Status.UNRESOLVED, True)


@paragraph("3.6", "Rules: an explicit delay on the error")
def test_3_6_a_delay_of_the_service_replaces_the_first_step() -> None:
    """And only that, on both ladders."""
    error = RateLimitError("x", delay_ms=5000)
    ladder = Schedule(ladder=True)

    assert repeat_delay(error, 0) == ladder.next_delay(0, error) == timedelta(seconds=5)
    assert minutes([repeat_delay(error, 1), ladder.next_delay(1, error)]) == [2, 10]


# -- 3.7 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.7", "Counter per scenario: +1 for each execution")
def test_3_7_errors_in_a_row_switch_off(place: Place) -> None:
    """At `maxErrors`; runs by hand do not count."""
    target = place.scenario(scenario(start({}), fail(2, "broken"), maxErrors=2))
    for kind in ("manual", "auto", "manual"):
        place.work(place.accept(target, kind))
    before = place.service.scenarios.show(target)
    place.auto(target)
    after = place.service.scenarios.show(target)

    assert (before.active, before.errors, before.stop_reason) == (True, 1, "")
    assert (after.active, after.errors) == (False, 2)
    assert "RuntimeError: broken" in after.stop_reason


@paragraph("3.7", "Counter per scenario: +1 for each execution")
def test_3_7_a_good_run_starts_the_count_anew(place: Place, api: Peer) -> None:
    """Success and warning reset, also the warning of a run that is repeated by itself."""
    target = place.scenario(scenario(call(1, "b"), maxErrors=9))

    def after(status: int) -> int:
        api.broken["/b"] = status
        place.auto(target)
        return place.service.scenarios.show(target).errors

    assert [after(status) for status in (400, 400, 503, 400, 200, 400)] == [1, 2, 0, 1, 0, 1]


@paragraph("3.7", "Counter per scenario: +1 for each execution")
@pytest.mark.parametrize(
    "name", ["DataError", "DuplicateDataError", "ConnectionError", "RateLimitError", "ModuleTimeoutError"]
)
def test_3_7_excluded_classes_count_only_by_the_directive(name: str) -> None:
    """Rollback counts as an error for any class."""
    error = module_error(name, "x")
    plain = at_end("error", error, Settings())
    directed = at_end("error", error, Settings(), directed=True)

    assert plain is None or plain.word == "again"
    assert directed is not None and directed.word == "count"


@paragraph("3.7", "Instant start and schedule immediately")
def test_3_7_an_immediate_instant_start_has_no_second_chance() -> None:
    """The first counted error is the last; with a timed schedule the counter holds."""
    error = module_error("RuntimeError", "x")
    once = at_end("error", error, Settings(max_errors=5), immediate=True)
    timed = at_end("error", error, Settings(max_errors=5))

    assert once is not None and timed is not None
    assert (once.most, timed.most) == (1, 5)


@paragraph("3.7", "Reactivation: by hand")
def test_3_7_switching_on_by_hand_starts_anew(place: Place, api: Peer) -> None:
    """Counter 0, no reason any more; a polling trigger goes on from where it was."""
    target = place.scenario(scenario(module(1, "peer:watch"), call(2, "b"), maxErrors=1))
    place.auto(target)
    assert position(place, target) == 2
    api.broken["/b"] = 400
    failing_one = place.scenario(scenario(call(1, "b"), maxErrors=1))
    place.auto(failing_one)
    assert not place.service.scenarios.show(failing_one).active

    place.service.schedules.activate(failing_one)
    place.service.schedules.activate(target)

    row = place.service.scenarios.show(failing_one)
    assert (row.active, row.errors, row.stop_reason) == (True, 0, "")
    assert position(place, target) == 2
    for name in (failing_one, target):
        place.service.schedules.deactivate(name)


# -- 3.8 ---------------------------------------------------------------------------------------------------------------

WATCH = module(1, "peer:watch")


def position(place: Place, target: str) -> Any:
    """The last id that the polling trigger has in its memory; None when it has none."""
    state = place.service.runner.runs.trigger(target, "1")[0]
    return state["last_id"] if state else None


@paragraph("3.8", "| event | polling trigger | instant trigger |")
@pytest.mark.parametrize(
    ("handler", "settings", "last", "done"),
    [
        pytest.param(None, {}, None, 0, id="unhandled"),
        pytest.param(None, {"autoCommit": False}, None, 0, id="unhandled, no auto commit"),
        pytest.param("Rollback", {}, None, 0, id="rollback"),
        pytest.param("Ignore", {}, 2, 1, id="ignore"),
        pytest.param("Resume", {}, 2, 2, id="resume"),
        pytest.param("Break", {"dlq": True}, 2, 1, id="break"),
        pytest.param(None, {"dlq": True}, 2, 1, id="stored"),
        pytest.param("Commit", {}, 2, 0, id="commit: past everything read"),
        pytest.param(None, {"autoCommitTriggerLast": False}, 2, 0, id="saved right after reading"),
    ],
)
def test_3_8_where_a_polling_trigger_stands_afterwards(
    place: Place, api: Peer, handler: str | None, settings: Any, last: Any, done: int
) -> None:
    """It reads the items 1 and 2; the call for item 1 fails. `done`: calls behind that one."""
    api.broken["/bad-1"] = 400
    rest = handled(directive(9, handler)) if handler else {}
    target = place.scenario(scenario(WATCH, call(2, "bad-{{1.id}}", **rest), call(3, "then"), **settings))

    place.auto(target)

    assert (position(place, target), api.count("/then")) == (last, done)


@paragraph("3.8", "| event | polling trigger | instant trigger |")
def test_3_8_a_cycle_that_commits_saves_the_position(place: Place) -> None:
    """The next run finds nothing new."""
    target = place.scenario(scenario(WATCH, compose(2, "{{1.id}}")))

    assert [len(place.auto(target).steps) for _ in range(2)] == [3, 1]
    assert position(place, target) == 2


@paragraph("3.8", "| event | polling trigger | instant trigger |")
def test_3_8_a_stop_is_as_a_rollback(place: Place) -> None:
    """The same items are read again."""
    target = place.scenario(scenario(WATCH, module(2, "util:FunctionSleep", {"duration": "60"})))
    run = place.accept(target)
    assert place.work(run).status == "parked"

    place.service.runs.cancel(run)

    assert position(place, target) is None


@paragraph("3.8", "The vendor states the rollback")
def test_3_8_a_rollback_puts_the_trigger_back(place: Place, api: Peer) -> None:
    """The run after it has the same bundles."""
    api.broken["/bad-2"] = 400
    target = place.scenario(scenario(WATCH, call(2, "bad-{{1.id}}")))
    first = place.auto(target)
    api.broken.clear()
    second = place.auto(target)

    assert (first.status, second.status) == ("error", "success")
    assert [report.steps[0]["output"] for report in (first, second)] == [first.steps[0]["output"]] * 2
