"""Runs on real worker processes: accepted, done once, parked, stopped, handed back at a drain."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_kit import Installation, Peer, call, installation, peer, sleep, until
from workers.ledger.records import RunHeader


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation."""
    with installation(tmp_path, api.port) as made:
        yield made


def status(place: Installation, header: RunHeader) -> str:
    """The run's state now."""
    return str(place.service.runner.runs.header(header.id).state)


def test_accepted_run_is_done_by_a_worker(place: Installation, api: Peer) -> None:
    """A run is accepted with no worker there, and done when one comes; its steps can be read afterwards."""
    header = place.service.runs.enqueue(place.scenario(call(1, "a"), call(2, "b", "POST"), call(3, "c")))
    assert header.state == "queued"

    with place.running("worker"):
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert [step["module"] for step in report.steps] == [1, 2, 3]
    assert [step["output"][0]["path"] for step in report.steps] == ["/a", "/b", "/c"]
    assert api.seen == [("GET", "/a"), ("POST", "/b"), ("GET", "/c")]


def test_many_runs_are_each_done_once(place: Installation, api: Peer) -> None:
    """Every accepted run is done, and none twice, with several threads and doubled messages."""
    scenario = place.scenario(call(1, "n", "POST"))
    headers = [place.service.runs.enqueue(scenario) for _ in range(30)]
    for header in headers[::3]:
        place.service.context.send(header.id, header.fence)

    with place.running("worker"):
        reports = [place.service.runs.wait(header.id) for header in headers]

    assert [report.status for report in reports] == ["success"] * 30
    assert api.count("/n") == 30


def test_lost_message_is_found(place: Installation, api: Peer) -> None:
    """A run whose message never reached the queue is done all the same."""
    scenario = place.scenario(call(1, "a"))
    service = place.service
    header = service.runs.enqueue(scenario)
    service.server.client.delete(f"{place.settings.prefix}:queue")

    with place.running("up"):
        assert service.runs.wait(header.id).status == "success"

    assert api.seen == [("GET", "/a")]


def test_long_sleep_gives_the_worker_back(place: Installation, api: Peer) -> None:
    """A run that sleeps longer than the park limit is held by no worker meanwhile, and goes on when it is due."""
    header = place.service.runs.enqueue(place.scenario(call(1, "a"), sleep(2, 6), call(3, "b")))

    with place.running("up"):
        until(lambda: status(place, header) == "parked", "the run parks")
        assert place.service.server.client.zcard(place.keys.leased) == 0
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert [step["module"] for step in report.steps] == [1, 2, 3]
    assert api.seen == [("GET", "/a"), ("GET", "/b")]
    assert report.header is not None
    assert report.header.claims == 2


def test_stop_ends_a_run_after_its_operation(place: Installation, api: Peer) -> None:
    """A stop lets the running operation finish; later modules do not run."""
    header = place.service.runs.enqueue(place.scenario(call(1, "hold"), call(2, "b")))

    with place.running("worker"):
        until(lambda: api.count("/hold"), "the first request arrives")
        assert place.service.runs.cancel(header.id).stopping
        api.release.set()
        report = place.service.runs.wait(header.id)

    assert report.status == "cancelled"
    assert report.error == {
        "type": "ExecutionInterruptedError",
        "message": "The execution was stopped by the user.",
        "module": None,
    }
    assert api.count("/b") == 0


def test_drain_hands_the_run_back(place: Installation, api: Peer) -> None:
    """A worker that is told to end finishes its step and hands the run to the next one; nothing is done twice."""
    header = place.service.runs.enqueue(place.scenario(call(1, "hold", "POST"), call(2, "b", "POST")))

    with place.running("worker") as first:
        until(lambda: api.count("/hold"), "the first request arrives")
        first.terminate()
        until(lambda: "worker draining" in place.logs[0].read_text(), "the worker drains")
        api.release.set()
        first.wait(60)
    assert status(place, header) == "queued"
    with place.running("worker"):
        report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert api.seen == [("POST", "/hold"), ("POST", "/b")]


def test_nothing_secret_travels(place: Installation, api: Peer) -> None:
    """A message on the queue holds the run's id and fence, nothing else of the run."""
    header = place.service.runs.enqueue(
        place.scenario(call(1, "{{var.input.word}}")), inputs={"word": "very-secret-word"}
    )

    queued = place.service.server.client.lrange(f"{place.settings.prefix}:queue", 0, -1)

    (envelope,) = map(json.loads, queued)
    arguments, named, _ = json.loads(base64.b64decode(envelope["body"]))
    assert (arguments, named) == ([header.id, 0], {})
    assert "very-secret-word" not in json.dumps(envelope)


def test_confidential_run_keeps_no_bundles(place: Installation, api: Peer) -> None:
    """Of a confidential run that has ended, neither inputs nor outputs of its steps are left."""
    report = place.service.runs.inline(place.scenario(call(1, "a"), call(2, "b"), confidential=True))

    assert report.header is not None
    assert report.status == "success"
    assert [(step["input"], step["output"]) for step in report.steps] == [({}, []), ({}, [])]
    client = place.service.server.client
    assert not client.exists(place.keys.bundles(report.header.id))


def test_runs_of_a_sequential_scenario_follow_each_other_without_a_scheduler(place: Installation, api: Peer) -> None:
    """Whoever ends a run sends the message of the next one in line."""
    scenario = place.scenario(call(1, "x", "POST"), sequential=True)
    runs = [place.service.runs.enqueue(scenario).id for _ in range(8)]

    with place.running("worker"):
        reports = [place.service.runs.wait(run) for run in runs]

    assert [report.status for report in reports] == ["success"] * 8
    started = [place.service.runner.runs.header(run).started_ms for run in runs]
    assert started == sorted(started)
    assert api.count("/x") == 8
