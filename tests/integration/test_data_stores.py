"""Data stores over a real server: contracts of the modules, commit and rollback, at rest (spec/scenarios.md 4.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from runtime.values import Buffer
from tests.unit.scenario.helpers import fail, module, scenario, start
from workers.service import Service, open_service
from workers.settings import load_settings

STORE = {"datastore": 1}


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over a server of its own; a store may hold little."""
    home = tmp_path_factory.mktemp("stores")
    environment = {"SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec", "SCENARIST_STORE_BYTES": "4000"}
    with open_service(load_settings(environment)) as service:
        yield service


def ran(service: Service, store: Any, *flow: Any, **settings: Any) -> dict[str, Any]:
    """What a run over one given store prints."""
    raw = json.dumps(scenario(*flow, **settings)).encode()
    return service.runs.inline(raw, stores={"1": store}).to_json()


def outputs(service: Service, store: Any, name: str, mapper: Any, given: Any = None, **parameters: Any) -> Any:
    """(outputs or error class of one module, the store afterwards)."""
    step = module(2, f"datastore:{name}", mapper, parameters=STORE | parameters)
    report = ran(service, store, start(given or {}), step)
    shown = report["steps"][1]
    return shown["error"]["type"] if shown["error"] else shown["output"], report["stores"]["1"]


def test_add_and_replace(service: Service) -> None:
    """An existing key is refused without `overwrite`; nothing, null and "" are left out, marks are values."""
    data = {"n": "{{1.n}}", "no": "{{1.none}}", "e": "", "forced": "{{emptystring}}", "gone": "{{erase}}"}
    given = {"n": 5}

    added = outputs(service, {}, "AddRecord", {"key": "a", "overwrite": False, "data": data}, given)
    again = outputs(service, {"a": {"x": 1}}, "AddRecord", {"key": "a", "overwrite": False, "data": data}, given)
    over = outputs(service, {"a": {"x": 1}}, "AddRecord", {"key": "a", "overwrite": True, "data": data}, given)

    record = {"n": 5, "forced": "", "gone": None}
    assert added == ([{"key": "a", "overwritten": False, "data": record}], {"a": record})
    assert again == ("DuplicateDataError", {"a": {"x": 1}})
    assert over == ([{"key": "a", "overwritten": True, "data": record}], {"a": record})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"n": "", "t": "{{1.none}}"}, {"n": 1, "t": "x", "l": ["a"]}, id="nothing changes nothing"),
        pytest.param({"t": "{{emptystring}}"}, {"n": 1, "t": "", "l": ["a"]}, id="emptystring clears"),
        pytest.param({"n": "{{erase}}"}, {"n": None, "t": "x", "l": ["a"]}, id="erase clears"),
        pytest.param({"l": "{{1.l}}"}, {"n": 1, "t": "x", "l": ["a", "b"]}, id="arrays are appended"),
        pytest.param({"new": "1"}, {"n": 1, "t": "x", "l": ["a"], "new": "1"}, id="new field"),
        pytest.param("{{1.all}}", {"n": 9, "t": "x", "l": ["a"]}, id="data from one expression"),
    ],
)
def test_update(service: Service, data: Any, expected: Any) -> None:
    """Only mapped values change, by the rules of empty values."""
    store = {"a": {"n": 1, "t": "x", "l": ["a"]}}

    found, after = outputs(service, store, "UpdateRecord", {"key": "a", "data": data}, {"l": ["b"], "all": {"n": 9}})

    assert (found, after) == ([{"key": "a", "data": expected}], {"a": expected})


def test_update_of_a_missing_record(service: Service) -> None:
    """An error without `upsert`, else a new record."""
    mapper = {"key": "a", "data": {"n": "1"}}

    assert outputs(service, {}, "UpdateRecord", mapper) == ("DataError", {})
    assert outputs(service, {}, "UpdateRecord", mapper | {"upsert": True}) == (
        [{"key": "a", "data": {"n": "1"}}],
        {"a": {"n": "1"}},
    )


def test_get_exist_delete_and_count(service: Service) -> None:
    """Missing records are no errors."""
    store = {"a": {"n": 1}, "b": {}}

    assert outputs(service, store, "GetRecord", {"key": "a"})[0] == [{"n": 1}]
    assert outputs(service, store, "GetRecord", {"key": "a", "returnWrapped": True})[0] == [
        {"key": "a", "data": {"n": 1}}
    ]
    assert outputs(service, store, "GetRecord", {"key": "z"})[0] == [{}]
    assert outputs(service, store, "ExistRecord", {"key": "b"})[0] == [{"exist": True}]
    assert outputs(service, store, "DeleteRecord", {"key": "a"}) == ([{"key": "a", "data": {"n": 1}}], {"b": {}})
    assert outputs(service, store, "DeleteRecord", {"key": "z"}) == ([{}], store)
    assert outputs(service, store, "DeleteAllRecords", {}) == ([{}], {})
    assert outputs(service, store, "Stats", {})[0][0]["count"] == 2


def test_keys_are_text(service: Service) -> None:
    """A number as a key is its text."""
    assert outputs(service, {"5": {"n": 1}}, "GetRecord", {"key": "{{1.k}}"}, {"k": 5})[0] == [{"n": 1}]


@pytest.mark.parametrize(
    ("mapper", "parameters", "expected"),
    [
        pytest.param({}, {}, ["a", "b", "c"], id="all, in order of insertion"),
        pytest.param({"filter": [[]]}, {}, ["a", "b", "c"], id="empty filter"),
        pytest.param({"filter": [[{"a": "n", "o": "number:greater", "b": 1}]]}, {}, ["a", "c"], id="column"),
        pytest.param({"filter": [[{"a": "key", "o": "text:equal", "b": "b"}]]}, {}, ["b"], id="the key is a column"),
        pytest.param(
            {"filter": [[{"a": "n", "o": "number:equal", "b": 1}], [{"a": "c", "o": "text:equal", "b": "red"}]]},
            {}, ["a", "b"], id="or",
        ),
        pytest.param({"filter": [[{"a": "c"}]]}, {}, ["a", "b"], id="exist"),
        pytest.param({"filter": [[{"a": "c", "o": "notexist"}]]}, {}, ["c"], id="absent column"),
        pytest.param({"filter": [[{"a": "d.x", "o": "number:equal", "b": 7}]]}, {}, ["c"], id="nested column"),
        pytest.param({"sort": [{"key": "c", "order": "asc"}, {"key": "n", "order": "desc"}]}, {}, ["b", "a", "c"],
                     id="two columns, absent last"),
        pytest.param({"sort": [{"key": "key", "order": "desc"}]}, {"limit": 2}, ["c", "b"], id="limit after sorting"),
        pytest.param({"sort": [{"key": "n"}]}, {"limit": ""}, ["b", "c", "a"], id="ascending by default"),
        pytest.param({"filter": "x"}, {}, "BundleValidationError", id="no filter"),
        pytest.param({"filter": [[{"a": "n", "o": "number:like"}]]}, {}, "BundleValidationError", id="operator"),
    ],
)  # fmt: skip
def test_search(service: Service, mapper: Any, parameters: Any, expected: Any) -> None:
    """Filter, then sort, then limit; always wrapped."""
    store = {"a": {"n": 3, "c": "red"}, "b": {"n": 1, "c": "blue"}, "c": {"n": 2, "d": {"x": 7}}}

    found, _ = outputs(service, store, "SearchRecord", mapper, **parameters)

    assert (found if isinstance(found, str) else [bundle["key"] for bundle in found]) == expected
    if not isinstance(found, str):
        assert all(bundle["data"] == store[bundle["key"]] for bundle in found)


def test_a_search_without_results_can_go_on(service: Service) -> None:
    """One empty bundle behind the marker."""
    assert outputs(service, {}, "SearchRecord", {}, continueWhenNoRes=True)[0] == [{}]
    assert outputs(service, {}, "SearchRecord", {})[0] == []


def test_fields_of_the_snapshot_convert(service: Service) -> None:
    """With `metadata.expect` the values have the declared types; a value that does not fit fails."""
    spec = [{"name": "n", "type": "number"}, {"name": "d", "type": "date"}]
    expect = {"expect": [{"name": "data", "type": "collection", "spec": spec}]}

    def add(value: Any) -> Any:
        mapper = {"key": "a", "overwrite": True, "data": {"n": value, "d": "2026-01-02", "more": "x"}}
        step = module(2, "datastore:AddRecord", mapper, parameters=STORE, metadata=expect)
        return ran(service, {}, start({}), step)

    assert add("5")["stores"]["1"] == {"a": {"n": 5, "d": {"$date": "2026-01-02T00:00:00.000Z"}, "more": "x"}}
    assert add("five")["error"]["type"] == "BundleValidationError"


@pytest.mark.parametrize(
    ("auto", "handler", "expected"),
    [
        pytest.param(False, None, [], id="no auto commit, unhandled"),
        pytest.param(True, None, ["a", "b"], id="auto commit, unhandled"),
        pytest.param(False, "Rollback", [], id="no auto commit, rollback"),
        pytest.param(False, "Commit", ["a", "b"], id="no auto commit, commit"),
        pytest.param(False, "Ignore", ["a", "b", "c"], id="no auto commit, ignore"),
        pytest.param(True, "Rollback", ["a", "b"], id="auto commit, rollback"),
    ],
)
def test_writes_commit_with_their_cycle(service: Service, auto: bool, handler: str | None, expected: Any) -> None:
    """Bundle 2 of 3 fails behind the write."""
    onerror = {"onerror": [module(9, f"builtin:{handler}")]} if handler else {}
    add = module(2, "datastore:AddRecord", {"key": "{{1.k}}", "overwrite": True, "data": {}}, parameters=STORE)
    fault = fail(3, filter={"conditions": [[{"a": "{{1.k}}", "o": "text:equal", "b": "b"}]]}, **onerror)

    report = ran(service, {}, start({"k": "a"}, {"k": "b"}, {"k": "c"}), add, fault, autoCommit=auto)

    assert list(report["stores"]["1"]) == expected


def test_a_run_reads_its_own_writes_first(service: Service) -> None:
    """Staged puts, deletes and a clearing are seen in order by get, search and count; nothing is committed yet."""

    def put(number: int, key: str) -> Any:
        mapper = {"key": key, "overwrite": True, "data": {"v": "new"}}
        return module(number, "datastore:AddRecord", mapper, parameters=STORE)

    steps = [
        put(2, "a"),
        module(3, "datastore:SearchRecord", {}, parameters=STORE | {"limit": 1}),
        module(4, "datastore:DeleteRecord", {"key": "b"}, parameters=STORE),
        module(5, "datastore:ExistRecord", {"key": "b"}, parameters=STORE),
        module(6, "datastore:DeleteAllRecords", {}, parameters=STORE),
        put(7, "c"),
        module(8, "datastore:Stats", {}, parameters=STORE),
        fail(9),
    ]

    report = ran(service, {"a": {"v": "old"}, "b": {}}, start({}), *steps, autoCommit=False)

    seen = {step["module"]: step["output"] for step in report["steps"]}
    assert seen[3] == [{"key": "a", "data": {"v": "new"}}]
    assert seen[5] == [{"exist": False}]
    assert seen[8][0]["count"] == 1
    assert report["stores"]["1"] == {"a": {"v": "old"}, "b": {}}


def test_a_replaced_record_keeps_its_place(service: Service) -> None:
    """Order is that of the first insertion; a record that was deleted and added again comes last."""
    steps = [
        module(2, "datastore:AddRecord", {"key": "a", "overwrite": True, "data": {"n": 1}}, parameters=STORE),
        module(3, "datastore:DeleteRecord", {"key": "b"}, parameters=STORE),
        module(4, "datastore:AddRecord", {"key": "b", "overwrite": True, "data": {}}, parameters=STORE),
    ]

    report = ran(service, {"a": {}, "b": {}, "c": {}}, start({}), *steps)

    assert list(report["stores"]["1"]) == ["a", "c", "b"]


def test_a_full_store_is_an_error_of_the_module(service: Service) -> None:
    """`OutOfSpaceError`, which handlers can take; smaller writes go on."""

    def add(number: int, value: str, **rest: Any) -> Any:
        mapper = {"key": "{{1.k}}", "overwrite": True, "data": {"v": value}}
        return module(number, "datastore:AddRecord", mapper, parameters=STORE, **rest)

    big = add(2, "x" * 5000, onerror=[module(9, "builtin:Resume", {"x": "1"})])

    report = ran(service, {}, start({"k": "a"}), big, add(3, "small"))

    assert report["steps"][1]["error"]["type"] == "OutOfSpaceError"
    assert (report["status"], report["stores"]["1"]) == ("success", {"a": {"v": "small"}})


def test_writes_that_fill_the_store_together_are_refused_as_a_whole(service: Service) -> None:
    """The commit of a cycle is all or nothing."""
    add = module(
        2, "datastore:AddRecord", {"key": "{{1.k}}", "overwrite": True, "data": {"v": "x" * 900}}, parameters=STORE
    )
    bundles = [{"k": str(number)} for number in range(6)]

    report = ran(service, {}, start(*bundles), add, autoCommit=False)

    assert (report["status"], report["error"]["type"]) == ("error", "OutOfSpaceError")
    assert report["stores"]["1"] == {}


def test_a_store_needs_to_be_bound(service: Service) -> None:
    """A run of a file names its stores by number or label; without one it is refused."""
    step = module(2, "datastore:GetRecord", {"key": "a"}, parameters=STORE,
                  metadata={"restore": {"parameters": {"datastore": {"label": "Customers"}}}})  # fmt: skip
    raw = json.dumps(scenario(start({}), step)).encode()

    refused = service.runs.inline(raw).to_json()
    other = service.runs.inline(raw, stores={"2": {}}).to_json()
    named = service.runs.inline(raw, stores={"Customers": {"a": {"n": 1}}}).to_json()

    assert (refused["error"]["type"], refused["error"]["module"], refused["run"]) == ("E-BIND", 2, None)
    assert other["error"]["type"] == "E-BIND"
    assert named["steps"][1]["output"] == [{"n": 1}]
    assert named["stores"] == {"Customers": {"a": {"n": 1}}}


def test_stores_of_one_run_leave_nothing_behind(service: Service) -> None:
    """Neither a name nor a record is kept."""
    before = set(service.runner.runs.client.keys("*store*"))

    ran(service, {"a": {}}, start({}))

    assert set(service.runner.runs.client.keys("*store*")) == before


def test_a_stored_scenario_uses_a_store_of_the_installation(service: Service) -> None:
    """Imported with a binding, two runs share the store; dates and buffers keep their type."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    service.stores.replace("customers", {"a": {"when": moment, "file": Buffer(b"\xff", name="f")}})
    step = module(2, "datastore:UpdateRecord", {"key": "a", "data": {"n": "1"}}, parameters=STORE)
    row = service.scenarios.import_(json.dumps(scenario(start({}), step)).encode(), stores={"1": "customers"}).row
    assert row is not None

    for _ in range(2):
        assert service.runs.inline(row.id).status == "success"

    assert [binding.bound for binding in row.bindings] == ["customers"]
    assert dict(service.runner.stores.records("customers")) == {
        "a": {"when": moment, "file": Buffer(b"\xff", name="f"), "n": "1"}
    }
    assert [(found.name, found.count) for found in service.stores.list()] == [("customers", 1)]
    with pytest.raises(UsageError, match="no data store"):
        service.stores.show("others")
    with pytest.raises(UsageError, match="Known: customers"):
        service.scenarios.import_(json.dumps(scenario(start({}), step)).encode(), stores={"1": "others"})


def test_a_store_replaced_meanwhile_is_left_alone(service: Service) -> None:
    """A write sealed for the old store is not applied to the new one."""
    stores = service.runner.stores
    stores.replace("moving", {"a": {}})
    write = stores.write("moving", "put", "b", {})
    stores.replace("moving", {"c": {}})

    assert write.store != stores.write("moving", "put", "b", {}).store
    assert [key for key, _ in stores.records("moving")] == ["c"]


def test_the_commands(tmp_path: Path, cli: Any) -> None:
    """Import, list, show, export and `run --stores` from standard input."""
    records = {"a": {"n": 1, "when": {"$date": "2026-01-02T00:00:00.000Z"}}}
    step = module(2, "datastore:DeleteRecord", {"key": "a"}, parameters=STORE)
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(scenario(start({}), step)))

    assert cli.json("store", "import", "main", "-", stdin=json.dumps(records))["records"] == 1
    assert json.loads(cli("store", "export", "main")) == records
    once = cli.json("run", str(file), "--inline", "--stores", "-", stdin=json.dumps({"1": records}))
    assert (once["status"], once["stores"]) == ("success", {"1": {}})
    assert cli.json("run", str(file), "--inline", "--store", "1=main")["status"] == "success"
    assert cli.json("store", "list") == [{"name": "main", "records": 0, "bytes": 0, "fields": None, "strict": False}]
    cli("store", "import", "main", "-", stdin="[1]", exit_code=2)
    cli("run", "x", "--stores", "-", exit_code=2)


def test_nothing_of_a_record_is_readable_at_rest(service: Service) -> None:
    """Neither keys nor values stand in the server's memory in clear text, and a rotation of keys changes nothing."""
    service.stores.replace("secret", {"key-in-clear": {"value-name": "value-in-clear"}})

    client, held = service.runner.runs.client, b""
    for key in client.keys("*store*"):
        kind = client.type(key)
        held += key + (repr(client.hgetall(key)) if kind == b"hash" else repr(client.zrange(key, 0, -1))
                       if kind == b"zset" else repr(client.smembers(key))).encode()  # fmt: skip
    service.keys.rotate()

    assert b"in-clear" not in held
    assert b"value-name" not in held
    assert service.stores.export("secret") == {"key-in-clear": {"value-name": "value-in-clear"}}
    with open_service(service.settings) as fresh:
        assert fresh.stores.export("secret") == {"key-in-clear": {"value-name": "value-in-clear"}}
