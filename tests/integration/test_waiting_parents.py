"""A run that waits for its sub-scenario: woken by the child's end, and only by that (design section 10.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from modules.builtin import scenario_service
from tests.conformance.scenario_spec import Place, service_in
from tests.unit.scenario.flows import directive, handled, sleep
from tests.unit.scenario.helpers import compose, fail, module, scenario, start
from workers.ledger.schedule import Schedule
from workers.ledger.states import RunState
from workers.service import Service


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over a server of its own; nothing else works on it."""
    with service_in(tmp_path_factory.mktemp("parents")) as service:
        yield service


@pytest.fixture(name="place")
def place_fixture(service: Service, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Parents park at once."""
    monkeypatch.setattr(scenario_service, "QUICK", ())
    return Place(service)


def returning(*before: Any, **settings: Any) -> dict[str, Any]:
    """A scenario that returns `r`."""
    last = module(9, "scenario-service:ReturnData", {"r": "done"}, version=2)
    made = scenario(module(1, "scenario-service:StartSubscenario", version=2), *before, last, **settings)
    return {**made, "io": {"input_spec": [], "output_spec": [{"name": "r", "type": "text"}]}}


def calling(number: int, *, wait: bool = True, **rest: Any) -> dict[str, Any]:
    """Calls the scenario SCN_7."""
    parameters = {"scenario": "SCN_7", "shouldWaitForExecutionEnd": wait}
    return module(number, "scenario-service:CallSubscenario", {"data": {}}, version=2, parameters=parameters, **rest)


def pair(place: Place, child: dict[str, Any], *flow: Any, **settings: Any) -> tuple[str, str]:
    """Ids of a child scenario and of a parent with this flow that calls it."""
    made = place.service.scenarios.import_(json.dumps(child).encode(), new=True).row
    assert made is not None
    row = place.service.scenarios.import_(
        json.dumps(scenario(start({}), *flow, **settings)).encode(), new=True, scenarios={"SCN_7": made.id}
    ).row
    assert row is not None
    return made.id, row.id


def child_of(place: Place, scenario_id: str) -> str:
    """The newest run of a scenario."""
    return place.service.runs.list(scenario=scenario_id)[0].id


def due(place: Place) -> list[str]:
    """Parked runs that one look of the scheduler queues now."""
    runs = place.service.runner.runs
    return [found.run for found in Schedule(runs.client, runs.keys).sweep(lost_after=timedelta(hours=1))]


def test_end_of_a_child_wakes_its_parent(place: Place) -> None:
    """Long before it would look again, and with the outputs."""
    callee, caller = pair(place, returning(), calling(2), compose(3, "{{2.r}}"))
    run = place.accept(caller, "manual")
    assert place.work(run).status == "parked"
    assert due(place) == []
    child = child_of(place, callee)
    assert place.service.runner.runs.header(child).parent == run

    place.work(child)

    assert due(place) == [run]
    assert place.work(run).steps[2]["output"] == [{"value": "done"}]


@pytest.mark.parametrize("how", ["error", "stop"])
def test_any_end_wakes(place: Place, how: str) -> None:
    """A child that fails, and one that is stopped before a worker has it: the parent fails at once."""
    callee, caller = pair(place, returning(fail(2, "no luck")), calling(2))
    run = place.accept(caller, "manual")
    place.work(run)
    child = child_of(place, callee)
    if how == "stop":
        place.service.runs.cancel(child)
    else:
        place.work(child)

    assert due(place) == [run]
    report = place.work(run)
    assert report.error is not None
    assert (report.status, report.error["type"], report.error["module"]) == ("error", "RuntimeError", 2)


def test_child_that_ends_before_its_parent_parks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent has looked, then the child ends, then the parent parks: it is woken nevertheless."""
    callee, caller = pair(place, returning(), calling(2), compose(3, "{{2.r}}"))
    runs = type(place.service.runner.runs)
    whole = runs.checkpoint

    def late(self: Any, claim: Any, seq: int, step: Any) -> Any:
        if step.move is not None and step.move.state is RunState.PARKED and claim.run == run:
            place.work(child_of(place, callee))
        return whole(self, claim, seq, step)

    monkeypatch.setattr(runs, "checkpoint", late)
    run = place.accept(caller, "manual")
    assert place.work(run).status == "parked"

    assert due(place) == [run]
    assert place.work(run).status == "success"


def test_end_of_a_child_does_not_end_the_sleep_of_its_caller(place: Place) -> None:
    """A child that nobody waits for, and one whose parent goes on without it, wake nobody."""
    callee, caller = pair(place, returning(), calling(2, wait=False), sleep(3, 300))
    run = place.accept(caller, "manual")
    assert place.work(run).status == "parked"
    child = child_of(place, callee)
    assert place.service.runner.runs.header(child).parent == ""

    place.work(child)

    assert due(place) == []
    assert place.service.runs.show(run).status == "parked"
    place.service.runs.cancel(run)


def test_late_child_does_not_wake_a_parent_that_gave_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent waited too long, handles that and sleeps: the child's late end leaves its sleep alone."""
    monkeypatch.setattr(scenario_service, "MAX_WAIT", timedelta(seconds=-1))
    callee, caller = pair(place, returning(), calling(2, **handled(sleep(3, 300), directive(4, "Ignore"))))
    run = place.accept(caller, "manual")
    report = place.work(run)
    assert (report.status, report.steps[1]["error"]["type"]) == ("parked", "RuntimeError")

    place.work(child_of(place, callee))

    assert due(place) == []
    place.service.runs.cancel(run)


def test_call_in_the_foreground_does_not_wait_in_line(place: Place) -> None:
    """Another run of the called sequential scenario has not ended: said at once, and the line is free after."""
    callee, caller = pair(place, returning(sequential=True), calling(2))
    first = place.accept(callee, "manual")

    report = place.service.runs.inline(caller)

    assert report.error is not None
    assert (report.status, report.error["module"]) == ("error", 2)
    assert "sequential" in report.error["message"]
    assert place.service.runs.list(scenario=callee)[0].state is RunState.CANCELLED
    assert place.work(first).status == "success"
    assert place.service.runs.inline(caller).status == "success"


def test_sequential_scenario_cannot_wait_for_itself(place: Place) -> None:
    """An error at once, not two runs that wait for each other."""
    _, caller = pair(place, returning(), calling(2), sequential=True)
    client, keys = place.service.runner.runs.client, place.service.runner.runs.keys
    client.hset(keys.scenario(caller), "scenarios", json.dumps({"SCN_7": caller}))

    report = place.work(place.accept(caller, "manual"))

    assert report.error is not None
    assert "sequential" in report.error["message"]


def test_two_scenarios_cannot_wait_for_each_other(place: Place) -> None:
    """A (sequential) calls B, and B calls A."""
    _, first = pair(place, returning(), calling(2), sequential=True)
    _, second = pair(place, returning(), calling(2))
    client, keys = place.service.runner.runs.client, place.service.runner.runs.keys
    client.hset(keys.scenario(first), "scenarios", json.dumps({"SCN_7": second}))
    client.hset(keys.scenario(second), "scenarios", json.dumps({"SCN_7": first}))
    run = place.accept(first, "manual")
    assert place.work(run).status == "parked"

    inner = place.work(child_of(place, second))

    assert inner.error is not None
    assert "sequential" in inner.error["message"]
    assert due(place) == [run]
    assert place.work(run).status == "error"
