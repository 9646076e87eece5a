"""A stored incomplete execution is edited before its retry: settings, blueprint, the module that it begins at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import UsageError
from runtime.scenario.incomplete import Status
from tests.conformance.scenario_spec import Place
from tests.unit.scenario.flows import branch, choice, feeder, gather, merge, remember, text
from tests.unit.scenario.helpers import compose, fail, module, router, scenario, start
from tests.worker_kit import Peer, call, installation, peer
from workers.views import RunReport


@pytest.fixture(name="api", scope="module")
def api_fixture() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture(name="shared_place", scope="module")
def shared_place_fixture(tmp_path_factory: pytest.TempPathFactory, api: Peer) -> Iterator[Place]:
    """A ledger with the app `peer`; nothing else works on it."""
    with installation(tmp_path_factory.mktemp("edit"), api.port, SCENARIST_FSYNC="everysec") as made:
        yield Place(made.service)


@pytest.fixture(name="place")
def place_fixture(shared_place: Place, api: Peer) -> Place:
    """The same with a service that works and no records."""
    for record in shared_place.service.incompletes.list(resolved=True):
        shared_place.service.incompletes.drop(record.id)
    api.broken.clear()
    api.seen.clear()
    return shared_place


def fails(place: Place, api: Peer, *flow: Any, **settings: Any) -> tuple[str, dict[str, Any]]:
    """A run of this flow in which calls of `/bad` fail: id of its one record, and its blueprint."""
    api.broken["/bad"] = 400
    blueprint = scenario(*flow, dlq=True, **settings)
    place.auto(place.scenario(blueprint))
    (record,) = place.service.incompletes.list()
    api.seen.clear()
    return record.id, blueprint


def edit(place: Place, record: str, blueprint: dict[str, Any] | None = None, **change: Any) -> None:
    """Edit a record."""
    raw = None if blueprint is None else json.dumps(blueprint).encode()
    place.service.incompletes.edit(record, blueprint=raw, **change)


def retry(place: Place, record: str) -> RunReport:
    """Retry a record, to the end."""
    run = place.service.incompletes.retry(record)[1]
    assert run is not None
    return place.work(run.id)


def ran(report: RunReport) -> list[int]:
    """Ids of the modules that operated."""
    return [step["module"] for step in report.steps]


ROWS = start({"k": "one"})


def test_other_value_in_the_failed_module(place: Place, api: Peer) -> None:
    """The retry uses it, with the bundles that were stored; the scenario is left alone."""
    record, blueprint = fails(place, api, ROWS, call(2, "bad"), call(3, "then-{{2.path}}"))

    edit(place, record, fields={"path": "good-{{1.k}}"})
    report = retry(place, record)

    assert (report.status, ran(report)) == ("success", [2, 3])
    assert [path for _, path in api.seen] == ["/good-one", "/then-/good-one"]
    assert place.service.incompletes.list() == []
    assert report.header is not None
    kept = place.service.scenarios.export(report.header.scenario)
    assert json.loads(kept) == blueprint


def test_other_blueprint(place: Place, api: Peer) -> None:
    """What comes behind the failed module may be quite different; what was put before it does not run and is empty."""
    record, _ = fails(place, api, ROWS, call(2, "bad"), call(3, "then"))
    newer = scenario(
        ROWS, compose(9, "new"), call(2, "good"), call(4, "-{{9.value}}{{1.k}}-"), call(5, "last"), dlq=True
    )

    edit(place, record, newer)
    row, bundles = place.service.incompletes.show(record)
    report = retry(place, record)

    assert (row.module, bundles["1"]["k"]) == (2, "one")
    assert ran(report) == [2, 4, 5]
    assert [path for _, path in api.seen] == ["/good", "/-one-", "/last"]


def test_blueprint_of_a_record_can_be_taken_out_and_put_back(place: Place, api: Peer) -> None:
    """Byte for byte; with nothing changed the retry does the same."""
    record, blueprint = fails(place, api, ROWS, call(2, "bad"))
    raw = place.service.incompletes.blueprint(record)

    place.service.incompletes.edit(record, blueprint=raw)
    api.broken.clear()

    assert json.loads(raw) == blueprint
    assert ran(retry(place, record)) == [2]


def test_other_module_to_begin_at(place: Place, api: Peer) -> None:
    """One before the failed one runs again with what it had; one behind it skips the failed one."""
    earlier, _ = fails(place, api, ROWS, call(2, "before-{{1.k}}"), call(3, "bad"), call(4, "behind{{3.path}}"))
    api.broken.clear()
    edit(place, earlier, module=2)
    first = retry(place, earlier)
    api.seen.clear()
    later, _ = fails(place, api, ROWS, call(2, "before"), call(3, "bad"), call(4, "behind-{{3.path}}-"))
    edit(place, later, module=4)

    assert ran(first) == [2, 3, 4]
    assert ran(retry(place, later)) == [4]
    assert [path for _, path in api.seen] == ["/behind--"]


def _flow(name: str, path: str) -> tuple[Any, ...]:
    """Flows in which module 5 fails, with its path; what is put in front in the second form shifts every flow."""
    fault = call(5, path)
    return {
        "route": (ROWS, router(3, [compose(8, "x")], [compose(4, "four"), fault, call(6, "{{4.value}}-{{5.path}}")])),
        "branch and merge": (
            start({"n": 1}),
            choice(3, branch([compose(4, "four"), fault], "1", merge=True), branch([], None, merge=True)),
            merge(6, "{{5.path}}", "none"),
            call(7, "{{6.r}}"),
        ),
        "behind a merge": (
            start({"n": 1}),
            choice(3, branch([compose(4, "four")], "1", merge=True), branch([], None, merge=True)),
            merge(6, "{{4.value}}", "none"),
            call(5, path),
            call(7, "{{6.r}}"),
        ),
        "open span": (
            start({"l": ["a"]}), feeder(3), fault, gather(6, 3, {"v": "{{5.path}}"}), call(7, "n{{6.array[1].v}}"),
        ),
        "behind a closed span": (
            start({"l": ["a", "b"]}), feeder(3), text(4, 3, "{{3.value}}"), fault, call(7, "{{4.text}}{{5.path}}"),
        ),
        "error route": (
            ROWS, fail(3, "first", onerror=[fault, call(7, "{{3.error.message}}")]),
        ),
        "variables": (
            ROWS, remember(3, "v", "kept"), fault, module(6, "util:GetVariable2", {"name": "v"}), call(7, "{{6.v}}"),
        ),
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("route", "/four-/good"),
        ("branch and merge", "/good"),
        ("behind a merge", "/four"),
        ("open span", "/n/good"),
        ("behind a closed span", "/ab/good"),
        ("error route", "/first"),
        ("variables", "/kept"),
    ],
)
@pytest.mark.parametrize("shifted", [False, True])
def test_place_of_the_failed_module_is_found_again(
    place: Place, api: Peer, name: str, last: str, shifted: bool
) -> None:
    """Wherever it stands; also when a module with an error route in front of it moves every flow and position."""
    record, _ = fails(place, api, *_flow(name, "bad"))
    first, *rest = _flow(name, "good")
    more = [compose(90, "new", onerror=[compose(91, "x"), module(92, "builtin:Ignore")])] if shifted else []

    edit(place, record, scenario(first, *more, *rest, dlq=True))
    report = retry(place, record)

    assert (report.status, ran(report)[0]) == ("success", 5)
    assert [path for _, path in api.seen] == ["/good", last]


def test_aggregator_that_failed(place: Place, api: Peer) -> None:
    """It hands the same elements on, in the way that the edited blueprint says."""
    wrong = module(3, "csv:CreateCSV", {"k": "{{1.k}}"}, parameters={"feeder": 1, "delimiterType": "other"})
    flow = (start({"k": "a"}, {"k": "b"}), {**wrong, "parameters": {**wrong["parameters"], "delimiter": "too long"}})
    place.auto(place.scenario(scenario(*flow, call(4, "made"), dlq=True)))
    (record,) = place.service.incompletes.list()
    assert record.module == 3

    right = {**wrong, "parameters": {"feeder": 1, "delimiterType": "comma"}}
    edit(place, record.id, scenario(flow[0], compose(2, "new"), right, call(5, "{{length(3.csv)}}"), dlq=True))

    assert ran(retry(place, record.id)) == [3, 5]
    assert [path for _, path in api.seen] == ["/7"]


@pytest.mark.parametrize(
    ("newer", "change", "message"),
    [
        pytest.param(scenario(ROWS, call(2, "x")), {}, "no module 5", id="the failed module is gone"),
        pytest.param(scenario(call(5, "x")), {}, "starts the scenario", id="it is the start module"),
        pytest.param(scenario(start({}, number=7), compose(2, "x"), call(5, "x")), {}, "module 1", id="path without 1"),
        pytest.param(scenario(ROWS, router(2, [call(5, "x")])), {}, "kind|place", id="it went into a route"),
        pytest.param(scenario(ROWS, compose(5, "x")), {}, "", id="another action is fine"),
        pytest.param(
            scenario(ROWS, feeder(3, "{{1.k}}"), call(5, "x"), gather(6, 3, {})), {}, "aggregator 6", id="open span"
        ),
        pytest.param(None, {"module": 77}, "no module 77", id="unknown module"),
        pytest.param(None, {"module": 1}, "starts the scenario", id="the start module"),
        pytest.param(scenario(ROWS, {**call(5, "x"), "module": "nobody:here"}), {}, "refused", id="unknown app"),
        pytest.param(scenario(ROWS, call(5, "{{nope(}}")), {}, "E-IML", id="broken expression"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(
    place: Place, api: Peer, newer: Any, change: Any, message: str
) -> None:
    """With the reason; the record stays as it was."""
    record, blueprint = fails(place, api, ROWS, compose(2, "x"), call(5, "bad"))
    before = place.service.incompletes.list()
    if newer is not None and not any(item["id"] == 2 for item in newer["flow"]):
        newer["flow"].insert(1, compose(2, "x"))
    if not message:
        edit(place, record, newer, **change)
        assert ran(retry(place, record)) == [5]
        return

    with pytest.raises(UsageError, match=message):
        edit(place, record, newer, **change)

    assert place.service.incompletes.list() == before
    assert json.loads(place.service.incompletes.blueprint(record)) == blueprint


def test_only_open_records_can_be_edited(place: Place, api: Peer) -> None:
    """Not one whose retry runs, not a resolved one."""
    record, blueprint = fails(place, api, ROWS, call(2, "bad"))
    run = place.service.incompletes.retry(record)[1]
    assert run is not None

    with pytest.raises(UsageError, match="in progress"):
        edit(place, record, blueprint)
    place.work(run.id)
    assert place.service.incompletes.resolve(record).status is Status.RESOLVED
    with pytest.raises(UsageError, match="resolved"):
        edit(place, record, blueprint)


def test_store_that_the_record_does_not_know_has_to_be_bound(place: Place, api: Peer) -> None:
    """A module of the edited blueprint that needs one which neither the record nor the scenario has."""
    record, _ = fails(place, api, ROWS, call(2, "bad"))
    get = module(3, "datastore:GetRecord", {"key": "a"}, parameters={"datastore": 4})

    with pytest.raises(UsageError, match="data store 4"):
        edit(place, record, scenario(ROWS, call(2, "good"), get, dlq=True))


def test_size_of_the_records_is_kept_in_step(place: Place, api: Peer) -> None:
    """Edits change what a record takes; when it goes, nothing of it is counted any more."""
    record, _ = fails(place, api, ROWS, call(2, "bad"), call(3, "x"))
    runs = place.service.runner.runs
    scenario_id = place.service.incompletes.show(record)[0].scenario
    key = f"{runs.keys.scenario(scenario_id)}:incompletes:bytes"

    edit(place, record, module=3)
    assert int(runs.client.get(key)) == place.service.incompletes.list()[0].size
    place.service.incompletes.drop(record)

    assert int(runs.client.get(key)) == 0
