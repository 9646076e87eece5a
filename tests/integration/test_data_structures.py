"""Data structures: of data stores, and of JSON modules by a file beside the blueprint (spec/scenarios.md 4.4, 4.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from runtime.scenario.structures import read_structure, read_structures
from tests.conformance.scenario_spec import Place, service_in
from tests.spine import Scenarist
from tests.unit.scenario.flows import directive, handled
from tests.unit.scenario.helpers import compose, fail, module, scenario, start
from workers.service import Service

PERSON = [
    {"name": "name", "type": "text", "required": True},
    {"name": "age", "type": "number"},
    {"name": "since", "type": "date"},
    {"name": "home", "type": "collection", "spec": [{"name": "town", "type": "text"}]},
    {"name": "tags", "type": "array", "spec": [{"name": "t", "type": "text"}]},
]
LOOSE: dict[str, Any] = {"strict": False, "spec": PERSON}
STRICT: dict[str, Any] = {"strict": True, "spec": PERSON}
STORE = {"datastore": 1}


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over a server of its own."""
    with service_in(tmp_path_factory.mktemp("structures")) as service:
        yield service


def stored(service: Service, structure: Any, name: str, mapper: Any, before: Any = None) -> tuple[str, Any, Any]:
    """(status, class of the error or outputs, the records) of one module on a store with this structure."""
    service.stores.replace("people", before or {})
    service.stores.set_structure("people", structure)
    step = module(2, f"datastore:{name}", mapper, parameters=STORE)
    report = service.runs.inline(json.dumps(scenario(start({}), step)).encode(), bound_stores={"1": "people"}).to_json()
    found = report["steps"][1]
    shown = found["error"]["type"] if found["error"] else found["output"]
    service.stores.set_structure("people", None)
    return report["status"], shown, service.stores.export("people")


def parsed(service: Service, structure: Any, text: str, *more: Any, **options: Any) -> dict[str, Any]:
    """What a run prints that parses this text with the data structure 77."""
    step = module(2, "json:ParseJSON", {"json": "{{1.t}}"}, parameters={"type": 77}, **options)
    raw = json.dumps(scenario(start({"t": text}), step, *more)).encode()
    return service.runs.inline(raw, structures=structure and {"77": structure}).to_json()


@pytest.mark.parametrize("structure", [LOOSE, STRICT])
def test_values_of_a_record_get_the_types_of_its_store(service: Service, structure: Any) -> None:
    """Also without any snapshot in the blueprint."""
    data = {"name": "Ada", "age": "36", "since": "2026-01-02", "home": {"town": "Paris"}}

    status, _, records = stored(service, structure, "AddRecord", {"key": "a", "overwrite": True, "data": data})

    assert status == "success"
    assert records["a"] == data | {"age": 36, "since": {"$date": "2026-01-02T00:00:00.000Z"}}


@pytest.mark.parametrize(
    ("data", "loose"),
    [
        pytest.param({"name": "Ada", "email": "x"}, True, id="top level"),
        pytest.param({"name": "Ada", "home": {"town": "x", "zip": "1"}}, True, id="in a collection"),
        pytest.param({"name": "Ada", "tags": [{"t": "x", "u": "1"}]}, True, id="in an array"),
        pytest.param({"name": "Ada", "age": "old"}, False, id="wrong type"),
        pytest.param({"age": "36"}, False, id="missing field"),
    ],
)
def test_what_a_record_may_not_be(service: Service, data: Any, loose: bool) -> None:
    """A strict structure refuses fields that it does not have; any refuses wrong types and missing fields."""
    mapper = {"key": "a", "overwrite": True, "data": data}

    assert stored(service, STRICT, "AddRecord", mapper) == ("error", "BundleValidationError", {})
    status, shown, records = stored(service, LOOSE, "AddRecord", mapper)
    assert status == ("success" if loose else "error")
    assert records == ({"a": shown[0]["data"]} if loose else {})


def test_an_update_checks_what_it_changes(service: Service) -> None:
    """Required fields only where a record is made; the rest of the old record stays."""
    before = {"a": {"name": "Ada", "odd": 1}}

    good = stored(service, STRICT, "UpdateRecord", {"key": "a", "data": {"age": "5"}}, before)
    bad = stored(service, STRICT, "UpdateRecord", {"key": "a", "data": {"email": "x"}}, before)
    made = stored(service, STRICT, "UpdateRecord", {"key": "b", "upsert": True, "data": {"age": "5"}}, before)

    assert good == ("success", [{"key": "a", "data": {"name": "Ada", "odd": 1, "age": 5}}], {
        "a": {"name": "Ada", "odd": 1, "age": 5}
    })  # fmt: skip
    assert bad == ("error", "BundleValidationError", before)
    assert made == ("error", "BundleValidationError", before)


def test_a_structure_stays_with_its_store(service: Service) -> None:
    """Through an import, which has to fit it; until it is taken away."""
    service.stores.replace("kept", {"a": {"name": "Ada"}})
    service.stores.set_structure("kept", STRICT)

    row = service.stores.replace("kept", {"b": {"name": "Bob", "age": "7", "home": ""}})

    assert (row.fields, row.strict, service.stores.structure("kept")) == (5, True, STRICT)
    assert service.stores.export("kept") == {"b": {"name": "Bob", "age": 7, "home": ""}}
    with pytest.raises(UsageError, match='"c" does not fit'):
        service.stores.replace("kept", {"c": {"name": "Cy", "x": 1}})
    assert list(service.stores.export("kept")) == ["b"]
    assert service.stores.set_structure("kept", None).fields is None
    assert service.stores.replace("kept", {"c": {"x": 1}}).count == 1


def test_a_structure_is_not_readable_at_rest(service: Service) -> None:
    """It may hold defaults and labels of people's data; with a rotated key it is still there."""
    service.stores.replace("sealed", {})
    service.stores.set_structure(
        "sealed", {"strict": False, "spec": [{"name": "pin", "type": "text", "default": "4711"}]}
    )
    raw = service.runner.runs.client.hgetall(service.runner.runs.keys.store("sealed"))
    assert b"4711" not in b"".join(raw.values())

    service.keys.rotate()

    structure = service.stores.structure("sealed")
    assert structure is not None
    assert structure["spec"][0]["default"] == "4711"


def test_parse_json_with_a_structure(service: Service) -> None:
    """Types of the structure; a strict one refuses other keys, and an error route can take that."""
    text = '{"name": "Ada", "age": "36", "more": 1}'

    loose = parsed(service, LOOSE, text)
    strict = parsed(service, STRICT, text)
    taken = parsed(service, STRICT, text, compose(3, "{{2.r}}"), **handled(directive(9, "Resume", {"r": "ok"})))

    assert loose["steps"][1]["output"] == [{"name": "Ada", "age": 36, "more": 1}]
    assert strict["steps"][1]["error"]["type"] == "BundleValidationError"
    assert "Unknown field 'more'." in strict["steps"][1]["error"]["message"]
    assert taken["steps"][-1]["output"] == [{"value": "ok"}]
    assert parsed(service, None, text)["steps"][1]["output"] == [{"name": "Ada", "age": "36", "more": 1}]


@pytest.mark.parametrize("name", ["json:CreateJSON", "json:AggregateToJSON"])
def test_made_json_has_the_fields_of_its_structure(service: Service, name: str) -> None:
    """In its order and types, without other keys."""
    parameters = {"type": 77} | ({"feeder": 1} if "Aggregate" in name else {})
    step = module(2, name, {"more": "1", "age": "36", "name": "Ada"}, parameters=parameters)

    report = service.runs.inline(json.dumps(scenario(start({}), step)).encode(), structures={"77": STRICT}).to_json()

    made = '{"name":"Ada","age":36}'
    assert report["steps"][1]["output"] == [{"json": made if "Create" in name else f"[{made}]"}]


def test_a_scenario_keeps_its_structures(service: Service) -> None:
    """Through a new version without any; runs on the queue use them; another file takes their place."""
    step = module(2, "json:ParseJSON", {"json": '{"name": "Ada", "age": "36"}'}, parameters={"type": 77})
    raw = json.dumps(scenario(start({}), step)).encode()
    row = service.scenarios.import_(raw, name="structured", structures={"77": LOOSE}).row
    assert row is not None
    service.scenarios.import_(raw, name="structured")
    place = Place(service)

    def output() -> Any:
        return place.work(place.accept(row.id)).to_json()["steps"][1]["output"]

    assert output() == [{"name": "Ada", "age": 36}]
    assert [item.bound for item in service.scenarios.show(row.id).bindings] == ["5 field(s)"]
    service.scenarios.import_(raw, name="structured", structures={})
    assert output() == [{"name": "Ada", "age": "36"}]
    with pytest.raises(UsageError, match=r'no data structure "78".*77'):
        service.scenarios.import_(raw, name="structured", structures={"78": LOOSE})


def test_retry_of_a_stored_failure_has_the_structures_of_its_run(service: Service) -> None:
    """They are part of the record, whatever the scenario has now."""
    step = module(3, "json:ParseJSON", {"json": '{"name": "Ada", "age": "36"}'}, parameters={"type": 77})
    raw = json.dumps(scenario(start({}), fail(2), step, dlq=True)).encode()
    row = service.scenarios.import_(raw, name="stored", structures={"77": LOOSE}).row
    assert row is not None
    place = Place(service)
    place.work(place.accept(row.id))
    service.scenarios.import_(raw, name="stored", structures={})
    (record,) = service.incompletes.list(scenario=row.id)
    service.incompletes.edit(record.id, module=3)

    run = service.incompletes.retry(record.id)[1]

    assert run is not None
    assert place.work(run.id).to_json()["steps"][0]["output"] == [{"name": "Ada", "age": 36}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "list of fields"),
        ({"spec": 5}, "list of fields"),
        ({"spec": [], "strict": "yes"}, "strict must be"),
        ([{"type": "text"}], "needs a name"),
        ([5], "needs a name"),
        ([{"name": str(number)} for number in range(2001)], "2001 fields"),
    ],
)
def test_what_is_no_structure(data: Any, message: str) -> None:
    """Said with the place in the file."""
    with pytest.raises(UsageError, match=message):
        read_structures({"x": data}, "file.json")


def test_a_structure_as_an_export_has_it() -> None:
    """A name and other keys beside it are left alone."""
    found = read_structure({"name": "Person", "strict": True, "spec": PERSON, "id": 77}, "file.json")

    assert found == STRICT


def test_structures_on_the_command_line(cli: Scenarist, tmp_path: Path) -> None:
    """Of a store: given, shown, taken away; of a file that is run; what is none is exit code 2."""
    file, structures, wrong = (tmp_path / name for name in ("flow.json", "structures.json", "wrong.json"))
    step = module(2, "json:ParseJSON", {"json": '{"name": "Ada", "age": "36"}'}, parameters={"type": 77})
    file.write_text(json.dumps(scenario(start({}), step)))
    structures.write_text(json.dumps({"77": PERSON}))
    wrong.write_text(json.dumps({"77": 5}))
    person = tmp_path / "person.json"
    person.write_text(json.dumps(STRICT))
    cli("store", "import", "people", "-", stdin="{}")

    assert cli.json("store", "structure", "people", str(person)) == {
        "name": "people", "records": 0, "bytes": 0, "fields": 5, "strict": True
    }  # fmt: skip
    assert cli.json("store", "structure", "people") == STRICT
    assert "strict data structure of 5" in cli("store", "show", "people")
    assert "no data structure" in cli("store", "structure", "people", "none")
    shown = cli.json("run", str(file), "--inline", "--structures", str(structures))
    assert shown["steps"][1]["output"] == [{"name": "Ada", "age": 36}]
    cli("run", str(file), "--inline", "--structures", str(wrong), exit_code=2)
    cli("scenario", "import", str(file), "--structures", str(structures))
