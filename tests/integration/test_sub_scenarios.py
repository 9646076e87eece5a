"""Scenarios that call scenarios: inline in one process, and on the queue (spec/scenarios.md 4.8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker_kit import Installation, installation
from workers.service import Service, open_service
from workers.settings import load_settings


def child(*, fail: bool = False, **more: Any) -> bytes:
    """A scenario with the required input `n` that returns `double`, or fails."""
    last = {"id": 2, "module": "scenario-service:ReturnData", "version": 2, "mapper": {"double": "{{1.n * 2}}"}}
    if fail:
        last = {"id": 2, "module": "builtin:ThrowError", "version": 1, "mapper": {"message": "no luck"}}
    return json.dumps({
        "name": "child",
        "flow": [{"id": 1, "module": "scenario-service:StartSubscenario", "version": 2, "mapper": {}}, last],
        "io": {
            "input_spec": [{"name": "n", "type": "number", "required": True}],
            "output_spec": [{"name": "double", "type": "number"}, {"name": "other", "type": "text"}],
        },
        "metadata": {"version": 1},
        **more,
    }).encode()  # fmt: skip


def parent(data: Any, *, wait: bool = True, name: str = "parent") -> bytes:
    """A scenario that calls the scenario SCN_7 and shows what it gave."""
    call = {
        "id": 2, "module": "scenario-service:CallSubscenario", "version": 2,
        "parameters": {"scenario": "SCN_7", "shouldWaitForExecutionEnd": wait}, "mapper": {"data": data},
    }  # fmt: skip
    start = {"id": 1, "module": "json:ParseJSON", "version": 1, "mapper": {"json": '{"n":21}'}}
    shown = {"id": 3, "module": "util:ComposeTransformer", "version": 1, "mapper": {"value": "{{2.double}}"}}
    return json.dumps({"name": name, "flow": [start, call, shown], "metadata": {"version": 1}}).encode()


@pytest.fixture(name="service")
def service_fixture(tmp_path: Path) -> Any:
    """A service over a server of its own."""
    with open_service(load_settings({"SCENARIST_HOME": str(tmp_path), "SCENARIST_FSYNC": "everysec"})) as service:
        yield service


def imported(service: Service, raw: bytes, **bound: Any) -> str:
    """The id of an imported scenario."""
    row = service.scenarios.import_(raw, **bound).row
    assert row is not None
    return row.id


def test_a_call_waits_for_the_outputs(service: Service) -> None:
    """The child's outputs stand beside its run's id; a declared output without a value is null."""
    callee = imported(service, child())

    report = service.runs.inline(parent({"n": "{{1.n}}"}), scenarios={"SCN_7": callee}).to_json()

    run = report["steps"][1]["output"][0]["executionId"]
    assert report["steps"][1]["output"] == [{"double": 42, "other": None, "executionId": run}]
    assert report["steps"][2]["output"] == [{"value": "42"}]
    assert service.runs.show(run).to_json()["outputs"] == {"double": 42, "other": None}


def test_without_waiting_only_the_id_comes_back(service: Service) -> None:
    """The call ends as soon as the child is accepted."""
    callee = imported(service, child())

    report = service.runs.inline(parent({"n": "1"}, wait=False), scenarios={"SCN_7": callee}).to_json()

    assert list(report["steps"][1]["output"][0]) == ["executionId"]


@pytest.mark.parametrize(
    ("raw", "data", "error", "message"),
    [
        pytest.param(child(fail=True), {"n": "1"}, "RuntimeError", "no luck", id="child failed"),
        pytest.param(child(), {}, "BundleValidationError", "", id="missing input"),
        pytest.param(
            child(scheduling={"type": "daily", "time": "10:00"}), {"n": "1"}, "RuntimeError", "", id="schedule"
        ),
    ],
)
def test_what_goes_wrong_with_a_child_is_the_callers_error(
    service: Service, raw: bytes, data: Any, error: str, message: str
) -> None:
    """A failed child, a missing input, a scenario that does not run on demand."""
    raw = raw.replace(b'"required": true', b'"required": false') if b"daily" in raw else raw
    callee = imported(service, raw)

    report = service.runs.inline(parent(data), scenarios={"SCN_7": callee}).to_json()

    assert (report["status"], report["error"]["type"], report["error"]["module"]) == ("error", error, 2)
    assert message in report["error"]["message"]


def test_a_scenario_that_calls_itself_is_stopped(service: Service) -> None:
    """Calls nest ten deep."""
    raw = parent({})
    first = imported(service, child())
    scenario = imported(service, raw, scenarios={"SCN_7": first})
    state = service.runner.library.scenarios.get(scenario)
    service.runner.runs.client.hset(
        service.runner.runs.keys.scenario(state.id), "scenarios", json.dumps({"SCN_7": state.id})
    )

    report = service.runs.inline(scenario).to_json()

    assert "10 deep" in report["error"]["message"]


def test_an_unbound_scenario_refuses_the_run(service: Service) -> None:
    """Nothing runs, and the finding names the id."""
    report = service.runs.inline(parent({"n": "1"})).to_json()

    assert (report["error"]["type"], report["error"]["module"], report["steps"]) == ("E-BIND", 2, [])


def test_a_waiting_parent_gets_its_childs_end_on_the_queue(tmp_path: Path) -> None:
    """One worker is enough for both: the parent gives it back while it waits."""
    with installation(tmp_path, 9, SCENARIST_FSYNC="everysec") as made, made.running("up"):
        assert isinstance(made, Installation)
        callee = imported(made.service, child())
        caller = imported(made.service, parent({"n": "4"}), scenarios={"SCN_7": "child"})

        report = made.service.runs.wait(made.service.runs.enqueue(caller).id).to_json()

        assert report["steps"][2]["output"] == [{"value": "8"}]
        assert [run.kind for run in made.service.runs.list(scenario=callee)] == ["sub"]
