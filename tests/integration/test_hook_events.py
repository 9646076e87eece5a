"""Webhooks and their events in the ledger: order, limits, what a run takes and gives back (spec 3.8, 5.3)."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from connections.keyring import KeyRing, generate_key
from runtime.errors import UsageError
from runtime.values import Buffer
from tests.ledger_kit import claimed, server  # noqa: F401, RUF100  the fixture
from workers.ledger.events import Events
from workers.ledger.hooks import HookRecord, Hooks, SharedAddress
from workers.ledger.keys import Keys
from workers.ledger.records import Checkpoint, Claim, EventWrite, Move, RunHeader, RunRequest
from workers.ledger.runs import Runs
from workers.ledger.states import RunState
from workers.server import Server

SCENARIO = "s1"


class Kit:
    """A ledger with one active scenario and its webhook."""

    def __init__(self, server: Server) -> None:  # noqa: F811  the fixture
        self.client = server.client
        self.keys = Keys(f"test-{secrets.token_hex(6)}")
        self.ring = KeyRing([generate_key()])
        self.runs = Runs(self.client, self.keys, self.ring, timedelta(hours=1))
        self.hooks = Hooks(self.client, self.keys, self.ring)
        self.events = Events(self.client, self.keys, queue_max=5, rate=4)
        self.client.hset(self.keys.scenario(SCENARIO), mapping={"active": "1", "mode": "immediately", "name": "S"})
        self.hook = self.hooks.add(HookRecord("", "custom", "orders"))
        self.hooks.bind(self.hook.id, SCENARIO)

    def accept(self, *items: object, **more: str) -> tuple[str, ...]:
        found = self.events.accept(self.hook, items, **more)
        assert isinstance(found, tuple), found
        return found

    def take(self, how: str = "instant", *, most: int = 1, slots: int = 10) -> RunHeader | str:
        request = RunRequest(SCENARIO, "blueprint", kind="auto", instant=True)
        return self.runs.create_for_events(request, self.hook.id, how, most=most, slots=slots)  # type: ignore[arg-type]

    def claim(self, **more: int) -> Claim:
        made = self.take(**more)
        assert isinstance(made, RunHeader), made
        return claimed(self.runs, made.id)

    def end(self, claim: Claim, state: RunState, *, seq: int = 1, events: str = "back", ack: bool = False) -> None:
        writes = tuple(EventWrite("ack", claim.hook, event) for event in claim.events) if ack else ()
        self.runs.checkpoint(claim, seq, Checkpoint({}, events=writes, move=Move(state, events=events)))  # type: ignore[arg-type]

    def places(self) -> list[tuple[str, str]]:
        return [(row.id, row.place) for row in self.events.list(self.hook.id)]


@pytest.fixture
def kit(server: Server) -> Kit:  # noqa: F811  the fixture
    return Kit(server)


def test_an_address_is_found_by_its_token_alone(kit: Kit) -> None:
    found = kit.hooks.by_token(kit.hook.token)
    assert isinstance(found, HookRecord)
    assert found.id == kit.hook.id
    assert kit.hooks.by_token(kit.hook.token[:-1] + "x") is None
    assert kit.hooks.by_token("") is None
    everything = b" ".join(
        key + b" " + (kit.client.dump(key) or b"") for key in kit.client.scan_iter(f"{kit.keys.prefix}:*")
    )
    assert kit.hook.token.encode() not in everything


def test_a_record_keeps_parameters_and_data_and_refuses_a_lost_update(kit: Kit) -> None:
    changed = kit.hooks.change(
        replace(kit.hook, parameters={"board": 7}, data={"externalHookId": "x1"}, state="attached")
    )
    assert (changed.parameters, changed.data, changed.state) == ({"board": 7}, {"externalHookId": "x1"}, "attached")
    with pytest.raises(UsageError, match="changed meanwhile"):
        kit.hooks.change(replace(kit.hook, name="other"))


def test_hooks_of_a_shared_component_have_one_address_and_are_found_by_uid(kit: Kit) -> None:
    made = [
        kit.hooks.add(HookRecord("", "web-shared", f"h{uid}", app="crm", component="all", uid=uid))
        for uid in ("1", "2")
    ]
    assert made[0].token == made[1].token
    assert kit.hooks.by_token(made[0].token) == SharedAddress("crm", "all")
    assert [record.id for record in kit.hooks.recipients("crm", "all", "2")] == [made[1].id]
    assert kit.hooks.recipients("crm", "all", "3") == []
    kit.hooks.remove(made[1].id)
    assert kit.hooks.recipients("crm", "all", "2") == []
    assert kit.hooks.by_token(made[0].token) == SharedAddress("crm", "all")


def test_one_hook_serves_one_scenario(kit: Kit) -> None:
    kit.client.hset(kit.keys.scenario("s2"), mapping={"active": "0", "name": "Z"})
    with pytest.raises(UsageError, match="one webhook serves one scenario"):
        kit.hooks.bind(kit.hook.id, "s2")
    kit.hooks.bind(kit.hook.id, "")
    kit.hooks.bind(kit.hook.id, "s2")
    assert kit.hooks.get(kit.hook.id).scenario == "s2"


def test_events_keep_their_order_and_their_buffers(kit: Kit) -> None:
    file = {"name": "a.txt", "data": Buffer(b"\x00\xff" * 1000), "n": 12345678901234567890}
    first, second = kit.accept(file, {"b": 1})
    assert kit.events.event(kit.hook, first) == file
    assert [row.id for row in kit.events.list(kit.hook.id)] == [first, second]
    stored = kit.client.hget(kit.keys.hook_events(kit.hook.id), first)
    assert b"a.txt" not in stored


def test_a_full_queue_refuses_all_events_of_a_request(kit: Kit) -> None:
    kit.accept(*({"n": n} for n in range(4)))
    assert kit.events.accept(kit.hook, [{"n": 5}, {"n": 6}]) == "full"
    assert kit.events.waiting(kit.hook.id) == 4


def test_a_delivery_is_stored_once(kit: Kit) -> None:
    kit.accept({"n": 1}, delivery="d-1")
    assert kit.events.accept(kit.hook, [{"n": 1}], delivery="d-1") == "seen"
    kit.accept({"n": 1}, delivery="d-2")
    assert kit.events.waiting(kit.hook.id) == 2


def test_requests_over_the_rate_are_refused(kit: Kit) -> None:
    answers = [kit.events.admit(kit.hook.id) for _ in range(6)]
    assert answers[:4] == [None] * 4
    assert answers[4] == "rate"
    assert kit.events.admit("nothing") == "gone"


def test_a_committed_event_is_gone(kit: Kit) -> None:
    (event,) = kit.accept({"n": 1})
    claim = kit.claim()
    assert claim.events == (event,)
    assert kit.places() == [(event, "taken")]
    kit.end(claim, RunState.SUCCESS, ack=True)
    assert kit.places() == []
    assert kit.events.event(kit.hook, event) is None


def test_an_event_that_was_not_committed_goes_back_to_its_place(kit: Kit) -> None:
    first, second, third = kit.accept({"n": 1}, {"n": 2}, {"n": 3})
    claims = [kit.claim(), kit.claim()]
    kit.end(claims[1], RunState.ERROR)
    kit.end(claims[0], RunState.ERROR)
    assert kit.places() == [(first, "waiting"), (second, "waiting"), (third, "waiting")]
    assert kit.claim().events == (first,)


def test_a_dead_event_waits_for_a_person(kit: Kit) -> None:
    (event,) = kit.accept({"n": 1})
    kit.end(kit.claim(), RunState.ERROR, events="dead")
    assert kit.places() == [(event, "dead")]
    assert kit.take() == "empty"
    assert kit.events.revive(kit.hook.id) == 1
    assert kit.claim().events == (event,)


def test_a_sequential_run_takes_what_waits_and_gives_back_what_it_did_not_commit(kit: Kit) -> None:
    events = kit.accept(*({"n": n} for n in range(4)))
    claim = kit.claim(how="sequential", most=3, slots=1)  # type: ignore[arg-type]
    assert claim.events == events[:3]
    assert kit.take("sequential", slots=1) == "busy"
    kit.runs.checkpoint(claim, 1, Checkpoint({}, events=(EventWrite("ack", claim.hook, events[0]),)))
    kit.end(claim, RunState.ERROR, seq=2)
    assert kit.places() == [(event, "waiting") for event in events[1:]]


def test_slots_pause_and_an_inactive_scenario_hold_events_back(kit: Kit) -> None:
    kit.accept({"n": 1}, {"n": 2})
    claim = kit.claim(slots=1)
    assert kit.take(slots=1) == "busy"
    kit.end(claim, RunState.SUCCESS, ack=True)
    kit.client.hset(kit.keys.scenario(SCENARIO), "paused", "99999999999999")
    assert kit.take() == "paused"
    kit.client.hset(kit.keys.scenario(SCENARIO), mapping={"paused": "0", "active": "0"})
    assert kit.take() == "inactive"
    kit.client.hset(kit.keys.scenario(SCENARIO), "active", "1")
    assert isinstance(kit.take(), RunHeader)


def test_a_stopped_run_of_unknown_outcome_does_not_let_its_event_run_again(kit: Kit) -> None:
    (event,) = kit.accept({"n": 1})
    claim = kit.claim()
    kit.end(claim, RunState.INCOMPLETE)
    assert kit.places() == [(event, "taken")]
    kit.runs.cancel(claim.run)
    assert kit.places() == [(event, "dead")]


def test_a_cancelled_run_gives_its_event_back(kit: Kit) -> None:
    (event,) = kit.accept({"n": 1})
    made = kit.take()
    assert isinstance(made, RunHeader)
    kit.runs.cancel(made.id)
    assert kit.places() == [(event, "waiting")]


def test_the_first_answer_reaches_the_caller(kit: Kit) -> None:
    channel, told, stop = kit.events.channel(), [], threading.Event()
    heard = threading.Event()
    listener = threading.Thread(
        target=kit.events.listen, args=(channel, lambda event: (told.append(event), heard.set()), stop)
    )
    listener.start()
    try:
        while not kit.client.pubsub_numsub(channel)[0][1]:
            stop.wait(0.01)
        (event,) = kit.accept({"n": 1}, channel=channel)
        claim = kit.claim()
        assert kit.events.caller(claim.hook, event) == "waiting"
        answers = [
            {"status": 201, "headers": [["x-a", "1"]], "body": "made"},
            {"status": 500, "headers": [], "body": ""},
        ]
        for seq, answer in enumerate(answers, 1):
            write = EventWrite("answer", claim.hook, event, kit.events.seal_answer(kit.hook, answer))
            kit.runs.checkpoint(claim, seq, Checkpoint({}, events=(write,)))
        assert heard.wait(30)
    finally:
        stop.set()
        listener.join()
    assert told == [event]
    assert kit.events.caller(claim.hook, event) == "answered"
    found = kit.events.answer_of(kit.hook, event)
    assert found is not None
    assert (found.word, found.content) == ("answer", answers[0])
    kit.end(claim, RunState.ERROR, seq=3)
    assert kit.events.answer_of(kit.hook, event) == found


@pytest.mark.parametrize(("state", "word"), [(RunState.SUCCESS, "accepted"), (RunState.ERROR, "failed")])
def test_a_run_that_ends_without_an_answer_answers_by_itself(kit: Kit, state: RunState, word: str) -> None:
    (event,) = kit.accept({"n": 1}, channel=kit.events.channel())
    kit.end(kit.claim(), state, ack=state is RunState.SUCCESS)
    found = kit.events.answer_of(kit.hook, event)
    assert found is not None
    assert found.word == word


def test_a_run_that_waits_gets_the_next_event(kit: Kit) -> None:
    made = kit.take("await")
    assert isinstance(made, RunHeader)
    assert kit.take("await") == "awaited"
    claim = claimed(kit.runs, made.id)
    assert (claim.hook, claim.events) == (kit.hook.id, ())
    kit.runs.checkpoint(claim, 1, Checkpoint({}, move=Move(RunState.PARKED, wake_ms=99999999999999)))
    (event,) = kit.accept({"n": 1})
    assert kit.client.zscore(kit.keys.due, made.id) < 99999999999999
    assert kit.places() == [(event, "taken")]


def test_events_that_are_too_old_are_dropped_and_a_person_may_drop_them(kit: Kit) -> None:
    events = kit.accept({"n": 1}, {"n": 2}, {"n": 3})
    taken = kit.claim()
    assert kit.events.drop(kit.hook.id, [events[0], events[1]]) == 1
    assert kit.places() == [(taken.events[0], "taken"), (events[2], "waiting")]
    old = "1000-9"
    kit.client.zadd(kit.keys.hook_waiting(kit.hook.id), {old: 0})
    assert kit.events.expire() == 1
    assert kit.events.drop(kit.hook.id) == 1


def test_a_removed_hook_leaves_nothing(kit: Kit) -> None:
    kit.accept({"n": 1}, channel="c")
    kit.hooks.remove(kit.hook.id)
    left = [key for key in kit.client.scan_iter(f"{kit.keys.prefix}:hook*") if b":answer:" not in key]
    assert left == []
    assert kit.client.hget(kit.keys.scenario(SCENARIO), "hook") is None


def test_rotated_keys_open_hooks_and_events(kit: Kit) -> None:
    shared = kit.hooks.add(HookRecord("", "web-shared", "h", app="crm", component="all", uid="1"))
    (event,) = kit.accept({"n": 1})
    newer = KeyRing([generate_key(), *kit.ring.all()])
    assert kit.hooks.rotate(newer) == 3
    fresh = Hooks(kit.client, kit.keys, KeyRing([newer.all()[0]]))
    assert kit.events.event(fresh.get(kit.hook.id), event) == {"n": 1}
    assert fresh.get(shared.id).token == shared.token
