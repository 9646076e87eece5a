"""A polling trigger in a real scenario: its memory moves with the commit of its run and with nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from tests.faults.test_worker_kills import kill_worker
from tests.worker_kit import Installation, Peer, call, installation, peer, until

WATCH: dict[str, Any] = {"id": 1, "module": "peer:watch", "version": 1, "parameters": {}, "mapper": {}}


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service: always the items 1 and 2."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation with short leases."""
    with installation(tmp_path, api.port) as made:
        yield made


def memory(place: Installation, scenario: str) -> Any:
    """The trigger's memory as it is stored."""
    return place.service.runner.runs.trigger(scenario, "1")[0]


def read(place: Installation, scenario: str) -> list[Any]:
    """What the trigger of one more run gives."""
    report = place.service.runs.inline(scenario)
    return [bundle["id"] for step in report.steps if step["module"] == 1 for bundle in step["output"]]


def test_killed_worker_neither_skips_nor_doubles(place: Installation, api: Peer) -> None:
    """The worker dies between the two items: the next one goes on with the same items, and no later run has them."""
    scenario = place.scenario(WATCH, call(2, "hold/{{1.id}}"), call(3, "n{{1.id}}", "POST"))
    with place.running("up"):
        header = place.service.runs.enqueue(scenario)
        until(lambda: api.count("/hold/1"), "the first item is being worked on")
        assert memory(place, scenario) is None
        kill_worker(place)
        api.release.set()
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert [api.count("/n1"), api.count("/n2")] == [1, 1]
    assert memory(place, scenario)["last_id"] == 2
    assert read(place, scenario) == []


def test_failed_run_leaves_the_memory(place: Installation) -> None:
    """A run that fails after the trigger is rolled back: its items come again."""
    broken = call(2, "x", "POST") | {"mapper": {"path": "x", "method": ""}}
    scenario = place.scenario(WATCH, broken)

    assert place.service.runs.inline(scenario).status == "error"
    assert memory(place, scenario) is None
    assert read(place, scenario) == [1, 2]


def test_start_can_be_chosen(place: Installation) -> None:
    """From now on there is nothing; from an id on there are that item and the later ones, and then nothing more."""
    scenario = place.scenario(WATCH)
    service = place.service
    service.epochs.choose(scenario, {"mode": "now"})
    assert read(place, scenario) == []
    service.epochs.choose(scenario, {"mode": "id", "id": 2})
    assert service.epochs.show(scenario).state == {"start": {"mode": "id", "id": 2}}
    assert read(place, scenario) == [2]
    assert read(place, scenario) == []
    service.epochs.choose(scenario, {"mode": "all"})
    assert read(place, scenario) == [1, 2]
    assert service.epochs.show(scenario).to_json()["state"]["last_id"] == 2

    with pytest.raises(UsageError, match="modes"):
        service.epochs.choose(scenario, {"mode": "tomorrow"})
    with pytest.raises(UsageError, match="polling trigger"):
        service.epochs.show(place.scenario(call(1, "a")))


def test_choice_during_a_run_wins(place: Installation, api: Peer) -> None:
    """A run that polled before the choice does not overwrite it at its end."""
    scenario = place.scenario(WATCH, call(2, "hold/{{1.id}}"))
    with place.running("up"):
        header = place.service.runs.enqueue(scenario)
        until(lambda: api.count("/hold/1"), "the run has polled")
        place.service.epochs.choose(scenario, {"mode": "all"})
        api.release.set()
        place.service.runs.wait(header.id)

    assert memory(place, scenario) == {"start": {"mode": "all"}}
    assert json.dumps(read(place, scenario)) == "[1, 2]"


def test_cycles_read_on(place: Installation, api: Peer) -> None:
    """With several cycles a run polls until nothing is new, and each cycle sees what the one before has read."""
    scenario = place.scenario(WATCH, call(2, "n{{1.id}}", "POST"), roundtrips=5)
    report = place.service.runs.inline(scenario)

    assert report.status == "success"
    assert [api.count("/n1"), api.count("/n2"), api.count("/items")] == [1, 1, 2]
