"""A worker is killed with -9 in the middle of a run: nothing accepted is lost, and nothing is done twice unseen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker_kit import Installation, Peer, alive, call, installation, peer, until
from workers.ledger.records import RunHeader
from workers.ledger.scenarios import ScenarioState


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation with short leases."""
    with installation(tmp_path, api.port) as made:
        yield made


def kill_worker(place: Installation) -> None:
    """Kill the one worker process with -9."""
    (pid,) = until(place.worker_pids, "a worker is there")
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the worker is gone")


def started(place: Installation, api: Peer, method: str, scenario: str | None = None) -> RunHeader:
    """A run whose second request is being held by the service."""
    flow = (call(1, "a", "POST"), call(2, "hold", method), call(3, "c", "POST"))
    header = place.service.runs.enqueue(scenario or place.scenario(*flow))
    until(lambda: api.count("/hold"), "the second request arrives")
    return header


def test_safe_request_is_asked_again(place: Installation, api: Peer) -> None:
    """A read that a killed worker was waiting for is repeated by the next one; the steps before it are not."""
    with place.running("up"):
        header = started(place, api, "GET")
        kill_worker(place)
        api.release.set()
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert api.seen == [("POST", "/a"), ("GET", "/hold"), ("GET", "/hold"), ("POST", "/c")]
    assert [step["module"] for step in report.steps] == [1, 2, 3]


def test_write_of_unknown_outcome_stops_the_run(place: Installation, api: Peer) -> None:
    """A write that may have been carried out is not repeated: the run waits, and goes on when a person says so."""
    with place.running("up"):
        header = started(place, api, "POST")
        kill_worker(place)
        report = place.service.runs.wait(header.id)
        assert report.status == "incomplete"
        assert [step["status"] for step in report.steps] == ["success", "unknown"]
        assert api.count("/hold") == 1

        api.release.set()
        place.service.runs.retry(header.id)
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert [step["status"] for step in report.steps] == ["success", "success", "success"]
    assert api.seen == [("POST", "/a"), ("POST", "/hold"), ("POST", "/hold"), ("POST", "/c")]


def test_write_of_unknown_outcome_can_be_given_up(place: Installation, api: Peer) -> None:
    """A run that waits for a decision can be cancelled; nothing more is sent."""
    with place.running("up"):
        header = started(place, api, "POST")
        kill_worker(place)
        place.service.runs.wait(header.id)

        assert place.service.runs.cancel(header.id).state == "cancelled"

    assert api.seen == [("POST", "/a"), ("POST", "/hold")]


def test_scenario_may_ask_for_repetition(place: Installation, api: Peer) -> None:
    """With `on_unknown` = repeat the write is sent again without asking."""
    scenario = place.scenario(call(1, "a", "POST"), call(2, "hold", "POST"), call(3, "c", "POST"))
    scenarios = place.service.runner.library.scenarios
    state: ScenarioState = replace(scenarios.get(scenario), on_unknown="repeat")
    scenarios._write(state)

    with place.running("up"):
        header = started(place, api, "POST", scenario)
        kill_worker(place)
        api.release.set()
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert api.count("/hold") == 2


def test_all_processes_end_with_their_supervisor(place: Installation, api: Peer) -> None:
    """A supervisor that is killed with -9 leaves no process behind; what it ran is taken over later."""
    with place.running("up") as supervisor:
        header = started(place, api, "GET")
        (worker,) = until(place.worker_pids, "a worker is there")
        supervisor.kill()
        api.release.set()
        until(lambda: not alive(worker), "the worker ends")

    with place.running("up"):
        assert place.service.runs.wait(header.id).status == "success"
    assert api.count("/a") == 1


@pytest.mark.parametrize("victim", ["server", "keeper"])
def test_server_is_killed_under_a_run(place: Installation, api: Peer, victim: str) -> None:
    """A killed server comes back with everything that it had acknowledged, and the run goes on."""
    with place.running("up"):
        header = started(place, api, "GET")
        place.kill(victim)
        api.release.set()
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert api.count("/a") == 1
    assert api.count("/c") == 1
