"""Incomplete executions on a real server: stored with the failing step, retried from the failed module, closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import DataError, UsageError
from runtime.scenario.incomplete import Schedule, Status
from tests.worker_kit import Installation, Peer, blueprint, call, installation, peer, until
from workers.ledger.incompletes import IncompleteRow
from workers.retries import Retries
from workers.views import RunReport


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


def items(number: int, *names: str) -> dict[str, Any]:
    """An iterator that gives one bundle a name."""
    return {
        "id": number, "module": "builtin:BasicFeeder", "version": 1, "parameters": {},
        "mapper": {"array": list(names)},
    }  # fmt: skip


def on_error(directive: str, number: int, mapper: dict[str, Any] | None = None) -> dict[str, Any]:
    """An error route of one directive."""
    route = [{"id": number, "module": f"builtin:{directive}", "version": 1, "parameters": {}, "mapper": mapper or {}}]
    return {"onerror": route}


def records(place: Installation, *, resolved: bool = False) -> list[IncompleteRow]:
    """All records."""
    return place.service.incompletes.list(resolved=resolved)


def pass_time(place: Installation) -> None:
    """Everything that waits for its retry is due."""
    client = place.service.runner.runs.client
    for record in client.zrange(place.keys.incompletes_due, 0, -1):
        client.zadd(place.keys.incompletes_due, {record: 1})


def start_due(place: Installation) -> list[str]:
    """One look of the scheduler: gives the runs that it started."""
    runner = place.service.runner
    return [made.id for made in Retries(runner.incompletes, runner.runs, lambda _run, _fence: True).start_due()]


def work(place: Installation, run: str) -> RunReport:
    """Do a queued run in this process, as its worker would."""
    runner = place.service.runner
    runner.run_message(run, runner.runs.header(run).fence)
    return place.service.runs.show(run)


def retried(place: Installation) -> list[RunReport]:
    """Let the time pass, and do what is due then."""
    pass_time(place)
    return [work(place, run) for run in start_due(place)]


def test_failing_bundle_is_stored_and_the_others_go_on(place: Installation, api: Peer) -> None:
    """One record per failing bundle; its siblings are processed and the run is a warning (spec/scenarios.md 3.2)."""
    api.broken["/b"] = 400
    scenario = place.scenario(items(1, "a", "b", "c"), call(2, "{{1.value}}"), call(3, "then-{{1.value}}"), dlq=True)

    report = place.service.runs.inline(scenario)

    (record,) = records(place)
    assert report.status == "warning"
    assert api.count("/then-a") == api.count("/then-c") == 1
    assert (record.module, record.app, record.run) == (2, "peer:call", report.header and report.header.id)
    assert record.status is Status.UNRESOLVED
    assert record.error["type"] == "RuntimeError"


def test_record_holds_what_can_be_mapped_at_the_failed_module(place: Installation, api: Peer) -> None:
    """A record shows the bundles that the failed module could see, by module id (spec/scenarios.md 6.3)."""
    api.broken["/b"] = 400
    scenario = place.scenario(items(1, "a", "b"), call(2, "first-{{1.value}}"), call(3, "{{1.value}}"), dlq=True)
    place.service.runs.inline(scenario)

    _, bundles = place.service.incompletes.show(records(place)[0].id)

    assert bundles["1"]["value"] == "b"
    assert bundles["1"]["__IMTINDEX__"] == 2
    assert bundles["2"]["path"] == "/first-b"


def test_retry_runs_the_rest_of_the_failed_path_only(place: Installation, api: Peer) -> None:
    """A retry begins at the failed module with the stored bundles; siblings, former modules and later routes rest."""
    api.broken["/b"] = 400
    routes = [
        {"flow": [call(4, "{{1.value}}"), call(5, "after-{{1.value}}-{{1.`__IMTINDEX__`}}-{{4.path}}")]},
        {"flow": [call(6, "other-{{1.value}}")]},
    ]
    router = {"id": 3, "module": "builtin:BasicRouter", "version": 1, "mapper": None, "routes": routes}
    scenario = place.scenario(items(1, "a", "b", "c"), call(2, "before-{{1.value}}"), router, dlq=True)
    place.service.runs.inline(scenario)
    api.broken.clear()
    api.seen.clear()

    _, run = place.service.incompletes.retry(records(place)[0].id)
    assert run is not None
    report = work(place, run.id)

    assert report.status == "success"
    assert [step["module"] for step in report.steps] == [4, 5]
    assert api.seen == [("GET", "/b"), ("GET", "/after-b-2-/b")]
    assert records(place) == []
    assert records(place, resolved=True)[0].retries == (run.id,)
    assert report.header is not None
    assert report.header.kind == "incomplete"


def test_retry_flushes_open_aggregations_with_its_one_bundle(place: Installation, api: Peer) -> None:
    """An aggregator behind the failed module collects this bundle only and hands it on (spec/scenarios.md 3.5)."""
    api.broken["/b"] = 400
    aggregate = {
        "id": 3, "module": "builtin:BasicAggregator", "version": 1, "parameters": {"feeder": 1},
        "mapper": {"path": "{{2.path}}"},
    }  # fmt: skip
    scenario = place.scenario(
        items(1, "a", "b", "c"), call(2, "{{1.value}}"), aggregate, call(4, "sum-{{length(3.array)}}"), dlq=True
    )
    place.service.runs.inline(scenario)
    assert api.count("/sum-2") == 1
    api.broken.clear()

    _, run = place.service.incompletes.retry(records(place)[0].id)
    assert run is not None
    report = work(place, run.id)

    assert [step["module"] for step in report.steps] == [2, 3, 4]
    assert report.steps[1]["output"][0]["array"] == [{"path": "/b"}]
    assert api.count("/sum-1") == 1


def test_edited_scenario_leaves_its_records_alone(place: Installation, api: Peer) -> None:
    """A retry uses the blueprint of the failing run, whatever the scenario has become (design section 10.9)."""
    api.broken["/b"] = 400
    scenario = place.scenario(items(1, "b"), call(2, "{{1.value}}"), call(3, "old"), dlq=True)
    place.service.runs.inline(scenario)
    later = blueprint(items(1, "b"), call(2, "{{1.value}}"), call(3, "new"), dlq=True)
    assert place.service.scenarios.import_(later, name=place.service.scenarios.show(scenario).name).updated
    api.broken.clear()

    retry = place.service.incompletes.retry(records(place)[0].id)[1]
    assert retry is not None
    work(place, retry.id)

    assert api.count("/old") == 1
    assert api.count("/new") == 0


def test_break_retries_as_often_and_as_late_as_it_says(place: Installation, api: Peer) -> None:
    """Break with retry: count times at its interval, then the record stays for a person (spec/scenarios.md 3.3)."""
    api.broken["/b"] = 400
    broken = on_error("Break", 3, {"retry": True, "count": 2, "interval": 7})
    scenario = place.scenario(items(1, "b"), call(2, "{{1.value}}", **broken), dlq=True)

    assert place.service.runs.inline(scenario).status == "success"

    (record,) = records(place)
    assert record.status is Status.PENDING
    assert record.next_ms is not None
    assert record.next_ms - record.created_ms == 7 * 60_000
    assert start_due(place) == []
    assert [report.status for report in retried(place)] == ["error"]
    (record,) = records(place)
    assert (record.status, record.attempts) == (Status.PENDING, 1)
    assert [report.status for report in retried(place)] == ["error"]
    (record,) = records(place)
    assert (record.status, record.attempts, record.next_ms) == (Status.UNRESOLVED, 2, None)
    assert api.count("/b") == 3


def test_break_without_retry_waits_for_a_person(place: Installation, api: Peer) -> None:
    """Break with retry off stores the bundle, and the run is a warning."""
    api.broken["/b"] = 503
    scenario = place.scenario(items(1, "b"), call(2, "{{1.value}}", **on_error("Break", 3, {"retry": False})), dlq=True)

    assert place.service.runs.inline(scenario).status == "warning"
    assert [record.status for record in records(place)] == [Status.UNRESOLVED]


def test_back_off_class_climbs_its_ladder(place: Installation, api: Peer) -> None:
    """An unreachable service: 1, 10, 10, 30, 30, 30 min, 3, 3 h, then unresolved (spec/scenarios.md 3.6)."""
    api.broken["/b"] = 503
    scenario = place.scenario(items(1, "b"), call(2, "{{1.value}}"), dlq=True)
    place.service.runs.inline(scenario)
    waits: list[float] = []
    client = place.service.runner.runs.client

    while (record := records(place)[0]).status is Status.PENDING:
        assert record.next_ms is not None
        seconds, micros = client.time()
        waits.append((record.next_ms - seconds * 1000 - micros // 1000) / 60_000)
        retried(place)

    assert [round(minutes) for minutes in waits] == [1, 10, 10, 30, 30, 30, 180, 180]
    assert (record.status, record.attempts) == (Status.UNRESOLVED, 8)
    assert record.error["type"] == "ConnectionError"


def test_another_error_ends_the_ladder(place: Installation, api: Peer) -> None:
    """A retry that fails in another class leaves the record to a person, with the new reason."""
    api.broken["/b"] = 503
    place.service.runs.inline(place.scenario(items(1, "b"), call(2, "{{1.value}}"), dlq=True))
    api.broken["/b"] = 400

    retried(place)

    (record,) = records(place)
    assert (record.status, record.attempts, record.error["type"]) == (Status.UNRESOLVED, 1, "RuntimeError")


def test_failure_further_down_is_a_record_of_its_own(place: Installation, api: Peer) -> None:
    """A retry whose module now works, but a later one fails, resolves its record and stores the new failure."""
    api.broken |= {"/b": 400, "/later": 400}
    scenario = place.scenario(items(1, "b"), call(2, "{{1.value}}"), call(3, "later"), dlq=True)
    place.service.runs.inline(scenario)
    (first,) = records(place)
    del api.broken["/b"]

    run = place.service.incompletes.retry(first.id)[1]
    assert run is not None
    report = work(place, run.id)

    (second,) = records(place)
    assert report.status == "warning"
    assert (second.module, second.run) == (3, run.id)
    assert second.id != first.id
    assert place.service.incompletes.show(second.id)[1]["2"]["path"] == "/b"


def test_full_store_fails_the_run(place: Installation, api: Peer) -> None:
    """Over the limit a run without `dataloss` fails and is rolled back (spec/scenarios.md 3.2, rule 2)."""
    api.broken |= {"/a": 400, "/b": 400}
    object.__setattr__(place.settings, "options", {"incomplete_max_records": 1})
    scenario = place.scenario(items(1, "a", "b"), call(2, "{{1.value}}"), dlq=True)

    report = place.service.runs.inline(scenario)

    assert report.status == "error"
    assert report.error is not None
    assert report.error["module"] == 2
    assert len(records(place)) == 1


def test_full_store_drops_with_dataloss(place: Installation, api: Peer) -> None:
    """Over the limit with `dataloss` the bundle is dropped, the run goes on and is a warning."""
    api.broken |= {"/a": 400, "/b": 400}
    object.__setattr__(place.settings, "options", {"incomplete_max_bytes": 10})
    scenario = place.scenario(items(1, "a", "b", "c"), call(2, "{{1.value}}"), dlq=True, dataloss=True)

    report = place.service.runs.inline(scenario)

    assert report.status == "warning"
    assert [step["status"] for step in report.steps] == ["success", "error", "error", "success"]
    assert records(place) == []


def test_at_most_three_retries_of_a_scenario_run_at_a_time(place: Installation, api: Peer) -> None:
    """The fourth starts when one of them has ended (spec/scenarios.md 3.5)."""
    names = ["a", "b", "c", "d"]
    api.broken |= {f"/{name}": 503 for name in names}
    place.service.runs.inline(place.scenario(items(1, *names), call(2, "{{1.value}}"), dlq=True))
    api.broken.clear()
    pass_time(place)

    first = start_due(place)
    assert len(first) == 3
    assert start_due(place) == []
    work(place, first[0])
    assert len(start_due(place)) == 1


def test_resolving_and_dropping_by_hand(place: Installation, api: Peer) -> None:
    """A resolved record keeps its line without data, a dropped one is gone; one whose retry runs is left alone."""
    api.broken |= {f"/{name}": 400 for name in "abc"}
    place.service.runs.inline(place.scenario(items(1, "a", "b", "c"), call(2, "{{1.value}}"), dlq=True))
    first, second, third = (record.id for record in records(place))
    client, keys = place.service.runner.runs.client, place.keys

    assert place.service.incompletes.resolve(first).status is Status.RESOLVED
    place.service.incompletes.drop(second)
    place.service.incompletes.retry(third)

    with pytest.raises(UsageError, match="in progress"):
        place.service.incompletes.drop(third)
    with pytest.raises(UsageError, match="resolved"):
        place.service.incompletes.retry(first)
    with pytest.raises(UsageError, match="no incomplete execution"):
        place.service.incompletes.show(second)
    assert not client.exists(f"{keys.incomplete(first)}:bundles", keys.incomplete(second))
    assert [record.id for record in records(place)] == [third]


def test_stopped_retry_gives_its_record_back(place: Installation, api: Peer) -> None:
    """A retry that is stopped before a worker has it leaves the record to a person, not in progress for ever."""
    api.broken["/b"] = 400
    place.service.runs.inline(place.scenario(items(1, "b"), call(2, "{{1.value}}"), dlq=True))
    record = records(place)[0].id
    run = place.service.incompletes.retry(record)[1]
    assert run is not None

    place.service.runs.cancel(run.id)
    start_due(place)

    assert [row.status for row in records(place)] == [Status.UNRESOLVED]


def test_nothing_of_a_record_is_readable_on_the_server(place: Installation, api: Peer) -> None:
    """Bundles, variables and inputs of a record lie encrypted on the server, and follow a rotation of the keys."""
    api.broken["/b"] = 400
    scenario = place.scenario(items(1, "verysecret"), call(2, "b"), dlq=True)
    place.service.runs.inline(scenario)
    client, keys = place.service.runner.runs.client, place.keys
    record = records(place)[0].id

    stored = b"".join(client.dump(key) for key in client.keys(f"{keys.prefix}:incomplete*"))
    assert b"verysecret" not in stored
    assert place.service.keys.rotate() > 0
    assert place.service.incompletes.show(record)[1]["1"]["value"] == "verysecret"


def test_variables_come_with_the_record(place: Installation, api: Peer) -> None:
    """A retry sees the scenario variables as they were when the module failed."""
    api.broken["/b"] = 400
    setting = {
        "id": 2, "module": "util:SetVariable2", "version": 1, "parameters": {},
        "mapper": {"name": "n", "scope": "roundtrip", "value": "kept"},
    }  # fmt: skip
    reading = {"id": 4, "module": "util:GetVariable2", "version": 1, "parameters": {}, "mapper": {"name": "n"}}
    scenario = place.scenario(items(1, "b"), setting, call(3, "{{1.value}}"), reading, call(5, "{{4.n}}"), dlq=True)
    place.service.runs.inline(scenario)
    api.broken.clear()

    run = place.service.incompletes.retry(records(place)[0].id)[1]
    assert run is not None
    work(place, run.id)

    assert api.count("/kept") == 1


def test_sequential_scenario_waits_for_its_records(place: Installation, api: Peer) -> None:
    """While a record is open no new run of a sequential scenario starts; retries go one by one, oldest first."""
    api.broken |= {"/a": 503, "/b": 503}
    scenario = place.scenario(items(1, "a", "b"), call(2, "{{1.value}}"), call(3, "ok"), dlq=True, sequential=True)
    place.service.runs.inline(scenario)
    api.broken.clear()
    waiting = place.service.runs.enqueue(scenario)
    assert work(place, waiting.id).status == "queued"
    first, second = (record.id for record in records(place))

    pass_time(place)
    runs = start_due(place)
    assert [record.status for record in records(place)] == [Status.IN_PROGRESS, Status.PENDING]
    work(place, runs[0])
    runs = start_due(place)
    assert [record.id for record in records(place)] == [second] != [first]
    work(place, runs[0])

    assert records(place) == []
    assert work(place, waiting.id).status == "success"


def test_sequential_runs_go_one_at_a_time_in_order(place: Installation, api: Peer) -> None:
    """The second run of a sequential scenario is claimed only when the first has ended (spec/scenarios.md 2.9)."""
    scenario = place.scenario(call(1, "a"), sequential=True)
    first, second = place.service.runs.enqueue(scenario), place.service.runs.enqueue(scenario)
    client, keys = place.service.runner.runs.client, place.keys

    assert work(place, second.id).status == "queued"
    assert client.zscore(keys.queued, second.id) is None
    assert work(place, first.id).status == "success"
    assert client.zscore(keys.queued, second.id) == 0
    assert work(place, second.id).status == "success"


@pytest.mark.parametrize(("count", "attempts", "left"), [(3, 0, True), (3, 2, True), (3, 3, False)])
def test_break_schedule_counts(count: int, attempts: int, left: bool) -> None:
    """A Break gives so many retries and no more."""
    assert (Schedule((count, 5)).next_delay(attempts, DataError("x")) is not None) is left


def test_inline_run_of_a_waiting_scenario_is_refused(place: Installation, api: Peer) -> None:
    """A run in the foreground does not wait in line: it says why, and leaves nothing that blocks the line."""
    api.broken["/a"] = 400
    scenario = place.scenario(items(1, "a"), call(2, "{{1.value}}"), dlq=True, sequential=True)
    place.service.runs.inline(scenario)
    api.broken.clear()

    with pytest.raises(UsageError, match="sequential"):
        place.service.runs.inline(scenario)

    place.service.incompletes.drop(records(place)[0].id)
    assert place.service.runs.inline(scenario).status == "success"


def test_scheduler_starts_due_retries_and_workers_end_them(place: Installation, api: Peer) -> None:
    """The whole way with real processes: stored, due, started by the scheduler, done by a worker, resolved."""
    api.broken["/b"] = 503
    place.service.runs.inline(place.scenario(items(1, "b"), call(2, "{{1.value}}"), call(3, "ok"), dlq=True))
    api.broken.clear()
    pass_time(place)

    with place.running("up"):
        until(lambda: not records(place), "the record is resolved")

    assert api.count("/ok") == 1
