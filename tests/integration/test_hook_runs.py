"""Runs that events start, on a real worker (spec/scenarios.md 2.2, 2.9, 3.8, 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from tests.worker_kit import Installation, Peer, call, installation, peer, until
from workers.celery_app import make_app, send
from workers.dispatching import Dispatcher, dispatcher_of
from workers.ledger.hooks import HookRecord

START = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
RESPOND = {
    "id": 9, "module": "gateway:WebhookRespond", "version": 1, "parameters": {},
    "mapper": {"status": "201", "body": "got {{1.n}}", "headers": [{"key": "x-n", "value": "{{1.n}}"}]},
}  # fmt: skip


class Live:
    """An installation with one live scenario behind a webhook."""

    def __init__(self, place: Installation, peer: Peer) -> None:
        self.place, self.peer = place, peer
        self.runner = place.service.runner
        app = make_app(place.settings, place.service.server)
        self.dispatcher: Dispatcher = dispatcher_of(
            self.runner, lambda run, fence: send(app, place.settings, run, fence)
        )

    def scenario(self, *flow: dict[str, Any], **settings: Any) -> HookRecord:
        scenario = self.place.scenario(*flow, **settings)
        hook = self.runner.hooks.add(HookRecord("", "custom", "orders"))
        self.runner.hooks.bind(hook.id, scenario)
        fields = {"active": "1", "mode": "immediately"}
        self.runner.runs.client.hset(self.place.keys.scenario(scenario), mapping=fields)
        return self.runner.hooks.get(hook.id)

    def post(self, hook: HookRecord, *items: Any, channel: str = "") -> tuple[str, ...]:
        found = self.runner.events.accept(hook, items, channel=channel)
        assert isinstance(found, tuple), found
        self.dispatcher.dispatch(hook.id)
        return found

    def empty(self, hook: HookRecord) -> bool:
        return not self.runner.events.list(hook.id)

    def paths(self) -> list[str]:
        return sorted(path for _, path in self.peer.seen)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with peer() as service, installation(tmp_path, service.port) as place:
        yield Live(place, service)


def test_each_event_is_a_run_of_its_own_and_slots_bound_them(live: Live) -> None:
    hook = live.scenario(START, call(2, "/n{{1.n}}", "POST"))
    live.post(hook, *({"n": n} for n in range(25)))
    assert live.runner.runs.client.scard(live.place.keys.instant_runs(hook.scenario)) == 10
    with live.place.running("worker"), live.place.running("scheduler"):
        until(lambda: live.empty(hook), "all events are done with")
    assert live.paths() == sorted(f"/n{n}" for n in range(25))
    runs = live.runner.runs.list(scenario=hook.scenario)
    assert [(run.state, run.kind, run.cycles) for run in runs] == [("success", "auto", 1)] * 25


def test_a_sequential_scenario_takes_waiting_events_as_cycles_in_order(live: Live) -> None:
    hook = live.scenario(START, call(2, "/n{{1.n}}", "POST"), sequential=True)
    live.post(hook, *({"n": n} for n in range(7)))
    with live.place.running("worker"):
        until(lambda: live.empty(hook), "all events are done with")
    assert [path for _, path in live.peer.seen] == [f"/n{n}" for n in range(7)]
    assert sorted(run.cycles for run in live.runner.runs.list(scenario=hook.scenario)) == [7]


def test_a_responder_answers_from_the_worker(live: Live) -> None:
    hook = live.scenario(START, RESPOND, call(2, "/after", "POST"))
    assert live.dispatcher.answers(hook.id)
    (event,) = live.post(hook, {"n": 4}, channel=live.runner.events.channel())
    with live.place.running("worker"):
        answer = until(lambda: live.runner.events.answer_of(hook, event), "an answer")
        until(lambda: live.empty(hook), "the event is done with")
    assert answer.word == "answer"
    headers = [["content-type", "text/plain; charset=utf-8"], ["x-n", "4"]]
    assert answer.content == {"status": 201, "headers": headers, "body": "got 4"}
    assert live.paths() == ["/after"]


def test_an_event_that_is_bad_by_itself_is_set_apart(live: Live) -> None:
    parse = {"id": 2, "module": "json:ParseJSON", "version": 1, "parameters": {}, "mapper": {"json": "{{1.text}}"}}
    hook = live.scenario(START, parse, call(3, "/after", "POST"))
    bad, _ = live.post(hook, {"text": "{"}, {"text": "{}"})
    with live.place.running("worker"):
        until(lambda: [row.place for row in live.runner.events.list(hook.id)] == ["dead"], "the bad one is set apart")
    assert [row.id for row in live.runner.events.list(hook.id)] == [bad]
    assert live.paths() == ["/after"]


def test_a_run_by_hand_waits_for_the_next_event(live: Live) -> None:
    hook = live.scenario(START, call(2, "/n{{1.n}}", "POST"))
    run = live.place.service.runs.enqueue(hook.scenario)
    assert live.dispatcher.listening(hook.id) == "run"
    with live.place.running("worker"), live.place.running("scheduler"):
        until(lambda: live.runner.runs.header(run.id).state == "parked", "the run waits")
        live.post(hook, {"n": 1})
        until(lambda: live.runner.runs.header(run.id).state == "success", "the run has ended")
    assert live.empty(hook)
    assert live.paths() == ["/n1"]
    assert live.runner.runs.header(run.id).kind == "manual"


def test_a_run_by_hand_takes_a_queued_event(live: Live) -> None:
    hook = live.scenario(START, call(2, "/n{{1.n}}", "POST"))
    live.runner.runs.client.hset(live.place.keys.scenario(hook.scenario), "active", "0")
    with pytest.raises(UsageError, match="No event waits"):
        live.place.service.runs.enqueue(hook.scenario, queued=True)
    live.post(hook, {"n": 1}, {"n": 2})
    run = live.place.service.runs.enqueue(hook.scenario, queued=True)
    with live.place.running("worker"):
        until(lambda: live.runner.runs.header(run.id).state == "success", "the run has ended")
    assert live.paths() == ["/n1"]
    assert live.runner.events.waiting(hook.id) == 1


def test_a_flood_of_one_scenario_does_not_hold_up_another(live: Live) -> None:
    """The flood waits at its webhook, with no more runs on the way than its slots; another event comes in between."""
    flood = live.scenario(START, call(2, "/flood/{{1.n}}", "POST"))
    other = live.scenario(START, call(2, "/other", "POST"))
    live.post(flood, *({"n": n} for n in range(300)))
    live.post(other, {"n": 1})
    with live.place.running("worker"), live.place.running("scheduler"):
        until(lambda: live.peer.count("/other"), "the other event runs")
        assert live.runner.events.waiting(flood.id) > 100
        until(lambda: live.empty(flood), "the flood is done with")
    assert len({path for _, path in live.peer.seen if path.startswith("/flood/")}) == 300


def test_who_listens(live: Live) -> None:
    client, keys = live.runner.runs.client, live.place.keys
    free = live.runner.hooks.add(HookRecord("", "custom", "free"))
    assert live.dispatcher.listening(free.id) == "reject"
    hook = live.scenario(START, call(2, "/n", "POST"))
    assert not live.dispatcher.answers(hook.id)
    expected = {
        ("1", "immediately", ""): "run", ("1", "timed", ""): "queue", ("1", "on-demand", ""): "forget",
        ("0", "immediately", ""): "reject", ("0", "immediately", "3 runs failed"): "queue",
    }  # fmt: skip
    for (active, mode, reason), word in expected.items():
        fields = {"active": active, "mode": mode, "stop_reason": reason}
        client.hset(keys.scenario(hook.scenario), mapping=fields)
        assert live.dispatcher.listening(hook.id) == word
    assert live.dispatcher.listening(hook.id, "reject") == "reject"
