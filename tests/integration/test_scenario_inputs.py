"""Scenario inputs and outputs, increments and names of runs over a real ledger (spec/scenarios.md 4.3, 4.8, 5.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.scenario.helpers import compose, fail, module, scenario, start
from workers.service import Service, open_service
from workers.settings import load_settings


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over a server of its own."""
    home = tmp_path_factory.mktemp("inputs")
    with open_service(load_settings({"SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec"})) as service:
        yield service


START = module(1, "scenario-service:StartSubscenario")


def ran(service: Service, declared: list[Any], given: Any, *flow: Any, outputs: Any = (), **file: Any) -> Any:
    """What a run with these inputs prints."""
    raw = scenario(*(flow or (START,))) | {"io": {"input_spec": declared, "output_spec": list(outputs)}} | file
    return service.runs.inline(json.dumps(raw).encode(), inputs=given).to_json()


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        pytest.param({"type": "number"}, "4.5", 4.5, id="number"),
        pytest.param({"type": "boolean"}, "false", False, id="boolean"),
        pytest.param({"type": "boolean"}, "yes", True, id="any other text is true"),
        pytest.param({"type": "date"}, "2026-01-02", {"$date": "2026-01-02T00:00:00.000Z"}, id="date"),
        pytest.param({"type": "array", "spec": {"type": "number"}}, '["1", 2]', [1, 2], id="array is JSON"),
        pytest.param(
            {"type": "collection", "spec": [{"name": "a", "type": "number"}]}, '{"a":"1"}', {"a": 1}, id="JSON"
        ),
        pytest.param({"type": "text", "default": "d"}, None, "d", id="default"),
        pytest.param({"type": "number", "default": 5}, "", None, id="a given empty value is no default"),
    ],
)
def test_inputs_are_converted(service: Service, field: Any, given: Any, expected: Any) -> None:
    """Text of the command line becomes the declared type."""
    report = ran(service, [{"name": "x", **field}], {} if given is None else {"x": given})

    assert report["steps"][0]["output"] == [{} if expected is None else {"x": expected}]


@pytest.mark.parametrize(
    ("field", "given", "text"),
    [
        pytest.param({"type": "number"}, {"x": "no"}, "x", id="wrong type"),
        pytest.param({"type": "text", "required": True}, {}, "x", id="missing"),
        pytest.param({"type": "text", "required": True}, {"x": ""}, "x", id="empty"),
        pytest.param({"type": "array"}, {"x": "[1"}, "x", id="no JSON"),
        pytest.param({"type": "number", "validate": {"max": 3}}, {"x": "4"}, "x", id="range"),
    ],
)
def test_inputs_that_do_not_fit_refuse_the_run(service: Service, field: Any, given: Any, text: str) -> None:
    """Nothing runs and nothing is recorded."""
    report = ran(service, [{"name": "x", **field}], given)

    assert (report["run"], report["status"], report["steps"]) == (None, "error", [])
    assert report["error"]["type"] == "BundleValidationError"


def test_a_required_input_needs_the_schedule_on_demand(service: Service) -> None:
    """On another schedule nobody could give it."""
    report = ran(service, [{"name": "x", "type": "text", "required": True}], {"x": "a"},
                 scheduling={"type": "indefinitely", "interval": 900})  # fmt: skip

    assert report["error"]["type"] == "E-IO"


def test_outputs_have_their_declared_types(service: Service) -> None:
    """Missing ones are null, further ones are kept, the last ReturnData wins; modules behind it never run."""
    declared = [{"name": "n", "type": "number"}, {"name": "none", "type": "text", "required": True}]
    returned = module(2, "scenario-service:ReturnData", {"n": "{{1.value}}", "more": "{{1.value}}"})

    report = ran(service, [], {}, start("1", "2"), returned, compose(3, "x"), outputs=declared)

    assert report["outputs"] == {"n": 2, "none": None, "more": "2"}
    assert [step["module"] for step in report["steps"]] == [1, 2, 2]


def test_an_output_that_does_not_fit_is_an_error_of_its_module(service: Service) -> None:
    """As every mapped value."""
    declared = [{"name": "n", "type": "number"}]

    report = ran(service, [], {}, start({}), module(2, "scenario-service:ReturnData", {"n": "x"}), outputs=declared)

    assert (report["error"]["type"], report["error"]["module"]) == ("BundleValidationError", 2)


def test_a_run_can_name_itself(service: Service) -> None:
    """The name is that of the run's header."""
    report = ran(service, [], {}, start({"n": "A"}), module(2, "scenario-service:NameExecution",
                 {"executionName": "order {{1.n}}"}))  # fmt: skip

    assert service.runs.show(report["run"]).header is not None
    assert service.runs.show(report["run"]).header.name == "order A"  # type: ignore[union-attr]


def counts(report: Any) -> list[int]:
    """What the increment gave."""
    return [step["output"][0]["i"] for step in report["steps"] if step["module"] == 2 and step["output"]]


@pytest.mark.parametrize(
    ("reset", "expected"),
    [("run", [[1, 2, 1, 2]] * 2), ("execution", [[1, 2, 3, 4]] * 2), ("scenario", [[1, 2, 3, 4], [5, 6, 7, 8]])],
)
@pytest.mark.parametrize("auto", [True, False])
def test_increments(service: Service, reset: str, expected: list[list[int]], auto: bool) -> None:
    """They begin anew with each cycle, with each run, or never; one that is not a scenario's keeps nothing."""
    flow = scenario(start({}, {}), module(2, "util:FunctionIncrement", parameters={"reset": reset}),
                    roundtrips=2, autoCommit=auto)  # fmt: skip
    row = service.scenarios.import_(json.dumps(flow).encode(), new=True).row
    assert row is not None

    assert [counts(service.runs.inline(row.id).to_json()) for _ in range(2)] == expected
    of_files = [counts(service.runs.inline(json.dumps(flow).encode()).to_json()) for _ in range(2)]
    assert of_files == [expected[0]] * 2


def test_a_rollback_takes_an_increment_back(service: Service) -> None:
    """The counter of a scenario commits with its module."""
    only = {"conditions": [[{"a": "{{var.input.fail}}", "o": "exist"}]]}
    flow = scenario(start({}), module(2, "util:FunctionIncrement", parameters={"reset": "scenario"}),
                    fail(3, filter=only), autoCommit=False)  # fmt: skip
    row = service.scenarios.import_(json.dumps(flow).encode(), new=True).row
    assert row is not None

    seen = [counts(service.runs.inline(row.id, inputs=given).to_json()) for given in ({}, {"fail": "1"}, {})]

    assert seen == [[1], [2], [2]]


@pytest.mark.parametrize(
    ("mapper", "expected"),
    [
        pytest.param({"input": "abc", "useRegExpMatch": True, "casesTable": [{"pattern": "b.", "output": 1}]},
                     [{"output": 1}], id="searched"),
        pytest.param({"input": "a.c", "casesTable": [{"pattern": "abc", "output": 1}], "elseOutput": ""},
                     [], id="no pattern without the switch"),
        pytest.param({"input": "{{1.none}}", "casesTable": [{"pattern": "", "output": "empty"}]},
                     [{"output": "empty"}], id="empty input"),
        pytest.param({"input": "x", "casesTable": [], "elseOutput": "{{1.l}}"}, [{"output": [1]}], id="any type"),
        pytest.param({"input": "{{1.n}}", "casesTable": [{"pattern": "5", "output": "five"}]},
                     [{"output": "five"}], id="number as text"),
    ],
)  # fmt: skip
def test_switch(service: Service, mapper: Any, expected: Any) -> None:
    """The first case that fits, else `elseOutput`, else no bundle."""
    report = ran(service, [], {}, start({"l": [1], "n": 5}), module(2, "util:Switcher", mapper))

    assert report["steps"][1]["output"] == expected
