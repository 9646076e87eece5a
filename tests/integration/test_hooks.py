"""The life of webhooks against a service on loopback, and requests to them (spec/modules.md 5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.webhook import HookDetachedError
from runtime.errors import BundleValidationError, ModuleError, UsageError
from runtime.webhooks import ACCEPTED, Incoming
from tests.hook_apps import TOKEN, Desk, write_hook_app
from tests.ledger_kit import settings_in
from tests.servers import Script, ScriptServer
from workers.due import DueRuns
from workers.hooking import Hooking
from workers.ledger.hooks import SharedAddress
from workers.ledger.schedules import Schedules
from workers.receiving import Receiver
from workers.service import Service, open_service


class Place:
    """An installation with the app `desk` and one connection of it."""

    def __init__(self, service: Service, desk: Desk, url: str, folder: Path) -> None:
        self.service, self.desk = service, desk
        added = service.apps.add(write_hook_app(folder / "app", url))
        assert added.row is not None, added.findings
        service.connections.add("desk", "desk", name="main", parameters={"token": TOKEN})
        self.receiver = Receiver(service.runner, service.secrets)
        desk.seen.clear()

    def add(self, webhook: str = "ticket", name: str = "tickets", **rest: Any) -> Any:
        given = {"connection": "main", "parameters": {"event": "new"}, **rest}
        return self.service.hooks.add("desk", webhook, name=name, **given).view

    def record(self, name: str = "tickets") -> Any:
        return self.service.runner.hooks.find(name)

    def post(self, name: str, body: Any) -> Any:
        return self.receiver.receive(self.record(name), posted(body))


def posted(body: Any, *headers: tuple[str, str]) -> Incoming:
    return Incoming("POST", "", (("content-type", "application/json"), *headers), json.dumps(body).encode())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    desk = Desk()
    settings = settings_in(
        tmp_path / "home", SCENARIST_ALLOW_NETS="127.0.0.0/8", SCENARIST_PUBLIC_URL="https://hooks.test"
    )
    with ScriptServer(Script(handler=desk)) as server, open_service(settings) as service:
        yield Place(service, desk, server.url, tmp_path)


def test_a_webhook_is_attached_when_it_is_made_and_detached_when_it_is_removed(place: Place) -> None:
    """With its connection and its address; what the service gave is kept, and its secret is shown nowhere."""
    view = place.add()

    assert view.state == "attached"
    assert view.url.startswith("https://hooks.test/hook/")
    assert place.desk.hooks == {"x1": {"url": view.url, "event": "new"}}
    assert place.desk.seen == [("POST", "/hooks", f"Bearer {TOKEN}")]
    assert place.record().data == {"externalHookId": "x1", "secret": "sign-1-9fWq"}
    shown = json.dumps([view.to_json(), [row.to_json() for row in place.service.hooks.list()]])
    assert view.url not in shown
    assert "9fWq" not in shown

    assert place.service.hooks.remove("tickets") == ("tickets", ())
    assert place.desk.hooks == {}
    assert place.service.hooks.list() == []


def test_the_address_is_live_before_the_service_is_told(place: Place) -> None:
    """A service that calls back during the registration gets its verification answered, though no scenario listens."""
    answers: list[Any] = []

    def call_back(body: dict[str, Any]) -> None:
        token = body["url"].rpartition("/")[2]
        record = place.service.runner.hooks.by_token(token)
        assert record is not None
        assert not isinstance(record, SharedAddress)
        answers.append((place.receiver.receive(record, posted({"challenge": "c1"})), record.id))

    place.desk.on_register = call_back
    place.add()

    (received, hook) = answers[0]
    assert received.verdict.verification
    assert json.loads(received.verdict.answer.body) == {"challenge": "c1", "hook": hook}
    assert received.deliveries == ()


def test_an_address_that_no_service_can_reach_is_a_warning(place: Place) -> None:
    """Without a public address the gateway's own one is told."""
    settings = replace(place.service.settings, public_url=None)
    runner = replace(place.service.runner, settings=settings)
    hooking = Hooking(runner, place.service.secrets)
    app, spec = hooking.component("desk", "ticket")
    connection = hooking.connection(app, spec, "main")

    record = hooking.create(app, spec, name="local", connection=connection, parameters={"event": "new"})

    assert record.state == "attached"
    assert "SCENARIST_PUBLIC_URL" in hooking.warnings[0]
    assert record.token not in hooking.warnings[0]


def test_a_refused_attach_leaves_nothing_behind(place: Place) -> None:
    """The app's words are told, without its secrets."""
    place.desk.broken["POST /hooks"] = 409

    with pytest.raises(ModuleError) as refused:
        place.add()

    assert "[409] broken for" in refused.value.message
    assert TOKEN not in str(refused.value)
    assert place.service.hooks.list() == []
    client, keys = place.service.runner.runs.client, place.service.runner.runs.keys
    assert list(client.scan_iter(f"{keys.prefix}:hook*")) == []


def test_what_a_webhook_needs_is_said_before_anything_is_sent(place: Place) -> None:
    """Connection, parameters, names."""
    for wrong in (
        {"connection": None},
        {"connection": "other"},
        {"parameters": {}},
        {"webhook": "gone"},
        {"name": " "},
    ):
        with pytest.raises((UsageError, BundleValidationError)):
            place.add(**wrong)
    place.add()
    with pytest.raises(UsageError, match="already"):
        place.add()
    assert len(place.desk.seen) == 1
    with pytest.raises(UsageError, match="webhook tickets"):
        place.service.connections.remove("main")
    with pytest.raises(UsageError, match="tickets"):
        place.service.apps.remove("desk")


@pytest.mark.parametrize("status", [500, 403])
def test_a_service_that_does_not_let_go(place: Place, status: int) -> None:
    """`strict` keeps the webhook; else it is forgotten with a warning, free of secrets."""
    place.add()
    place.desk.broken["DELETE /hooks"] = status

    with pytest.raises(ModuleError):
        place.service.hooks.remove("tickets", strict=True)
    assert place.record().state == "attached"
    _, warnings = place.service.hooks.remove("tickets")

    assert f"[{status}]" in warnings[0]
    assert TOKEN not in warnings[0]
    assert place.service.hooks.list() == []


def test_a_webhook_that_the_service_has_lost_is_removed_without_fuss(place: Place) -> None:
    """404 is what was wanted; the log of the command says what happened."""
    place.add()
    place.desk.hooks.clear()

    place.service.hooks.remove("tickets", strict=True)
    assert place.service.hooks.list() == []


def test_new_parameters_are_told(place: Place) -> None:
    """By the app's update request, or by detaching and attaching again."""
    place.add("changed", "one")
    place.add("ticket", "two")
    place.desk.seen.clear()

    place.service.hooks.edit("one", parameters={"event": "closed"})
    place.service.hooks.edit("two", parameters={"event": "closed"})
    place.service.hooks.edit("two", parameters={"event": "closed"})

    assert [line[:2] for line in place.desk.seen] == [("PUT", "/hooks/x1"), ("DELETE", "/hooks/x2"), ("POST", "/hooks")]
    assert {name: hook["event"] for name, hook in place.desk.hooks.items()} == {"x1": "closed", "x3": "closed"}
    assert place.record("one").data["externalHookId"] == "x1"
    assert place.record("two").data["externalHookId"] == "x3"


def test_an_edit_that_fails_half_way(place: Place) -> None:
    """A refused detach changes nothing; a refused attach leaves the webhook detached, to be attached again."""
    place.add()
    place.desk.broken["DELETE /hooks"] = 500
    with pytest.raises(ModuleError):
        place.service.hooks.edit("tickets", parameters={"event": "closed"})
    assert (place.record().state, place.record().parameters["event"]) == ("attached", "new")

    place.desk.broken = {"POST /hooks": 500}
    with pytest.raises(HookDetachedError):
        place.service.hooks.edit("tickets", parameters={"event": "closed"})
    assert (place.record().state, place.record().data) == ("detached", {})
    assert place.record().parameters["event"] == "closed"

    place.desk.broken = {}
    assert place.service.hooks.attach("tickets").view.state == "attached"
    assert [hook["event"] for hook in place.desk.hooks.values()] == ["closed"]
    with pytest.raises(UsageError, match="attached already"):
        place.service.hooks.attach("tickets")


def test_a_webhook_can_follow_its_scenario(place: Place) -> None:
    """Attached on activation, detached on deactivation; the address stays. A service that refuses then is a warning."""
    url = place.add(follow=True).url
    assert (place.record().state, place.desk.hooks) == ("detached", {})
    flow = [{"id": 1, "module": "app#desk:watchTickets", "version": 1, "parameters": {}, "mapper": {}}]
    blueprint = json.dumps({"name": "S", "flow": flow, "metadata": {"version": 1}}).encode()
    imported = place.service.scenarios.import_(blueprint, hooks={"desk": "tickets"})
    assert imported.row is not None
    schedules, states = place.service.schedules, place.service.runner.library.scenarios

    place.desk.broken["POST /hooks"] = 500
    with pytest.raises(ModuleError):
        schedules.activate("S")
    assert (states.get("S").active, place.record().state) == (False, "detached")
    place.desk.broken = {}
    schedules.activate("S")
    schedules.activate("S")
    assert [hook["url"] for hook in place.desk.hooks.values()] == [url]
    schedules.deactivate("S")
    assert (place.desk.hooks, place.record().state) == ({}, "detached")

    schedules.activate("S", schedule={"type": "once", "date": "2999-01-01"})
    assert place.record().state == "attached"
    runner = place.service.runner
    due = DueRuns(runner, Schedules(runner.runs.client, runner.runs.keys), lambda _run, _fence: True)
    # The clock moves: its one run is missed by far.
    scenario = states.get("S").id
    runner.runs.client.hset(runner.runs.keys.scenario(scenario), "next", 1)
    runner.runs.client.zadd(runner.runs.keys.scenarios_due, {scenario: 1})
    assert due.start_due() == []
    due.detach_finished()
    assert (states.get("S").active, place.record().state) == (False, "detached")

    schedules.activate("S", schedule={"type": "immediately"})
    place.desk.broken["DELETE /hooks"] = 500
    schedules.deactivate("S")
    assert (states.get("S").active, place.record().state) == (False, "attached")


def test_a_webhook_that_its_app_does_not_attach_shows_its_address(place: Place) -> None:
    """Nothing is sent; a person gives the address to the service."""
    view = place.add("byhand", "hand")

    assert (view.state, view.to_json()["url"], place.desk.seen) == ("manual", view.url, [])
    with pytest.raises(UsageError, match="by hand"):
        place.service.hooks.attach("hand")
    place.service.hooks.edit("hand", parameters={"event": "x"})
    place.service.hooks.remove("hand")
    assert place.desk.seen == []


def test_requests_become_deliveries(place: Place) -> None:
    """Items, conditions, keys of deliveries; an app that is broken says so in the log and not to the sender."""
    place.add("byhand", "hand", dedupe="{{headers.x-id}}")
    record = place.record("hand")
    body = {"event": "new", "tickets": [{"id": 1}, {"id": 2}]}

    received = place.receiver.receive(record, posted(body, ("x-id", "d1")))
    ignored = place.receiver.receive(record, posted(body | {"event": "old"}))

    assert [(d.record.id, d.items, d.key) for d in received.deliveries] == [
        (record.id, ({"id": 1, "event": "new"}, {"id": 2, "event": "new"}), "d1")
    ]
    assert (received.verdict.answer, received.verdict.refused) == (None, "")
    assert (ignored.deliveries, ignored.verdict.answer) == ((), ACCEPTED)


def test_a_shared_address_reaches_the_hooks_of_its_uid(place: Place) -> None:
    """All of them have one address; who has no connection of this uid gets nothing."""
    one = place.add("team", "one", parameters={"event": "a"})
    two = place.add("team", "two", parameters={"event": "b"})
    assert one.url == two.url
    address = place.service.runner.hooks.by_token(one.url.rpartition("/")[2])
    assert address == SharedAddress("desk", "team")
    assert isinstance(address, SharedAddress)

    received = place.receiver.shared(address, posted({"team": "u7", "id": 5}))
    nobody = place.receiver.shared(address, posted({"team": "u8", "id": 5}))

    assert {d.record.name: d.items for d in received.deliveries} == {
        "one": ({"id": 5, "name": "a"},),
        "two": ({"id": 5, "name": "b"},),
    }
    assert received.verdict.answer is None
    assert (nobody.deliveries, nobody.verdict.answer) == ((), ACCEPTED)


def test_custom_webhooks(place: Place) -> None:
    """Options are checked when they are set, and hold when requests come."""
    hooks = place.service.hooks
    view = hooks.add_custom("orders", {"headers": True, "method": "post", "ip": ["10.0.0.0/8"]}).view

    assert (view.kind, view.state, view.options["method"]) == ("custom", "manual", "POST")
    refused = place.post("orders", {"a": 1})
    assert refused.verdict.answer.status == 403
    hooks.edit("orders", options={"ip": None, "structure": [{"name": "a", "type": "number", "required": True}]})
    assert place.post("orders", {"a": "1"}).deliveries[0].items[0]["a"] == 1
    assert place.post("orders", {"b": "1"}).verdict.answer.status == 400
    for wrong in ({"ip": ["x"]}, {"method": "fetch"}, {"structure": ["a"]}, {"dedupe": "{{a(}}"}):
        with pytest.raises(UsageError):
            hooks.edit("orders", options=wrong)
    for refused_here in ({"parameters": {"a": 1}},):
        with pytest.raises(UsageError):
            hooks.edit("orders", **refused_here)
    with pytest.raises(UsageError):
        hooks.detach("orders")


def test_a_structure_is_learned_from_an_event_or_from_the_next_one(place: Place) -> None:
    """It is shown; with `validate` it binds."""
    hooks = place.service.hooks
    hooks.add_custom("orders")
    record = place.record("orders")
    assert hooks.learn("orders") == (None, False)
    place.post("orders", {"id": 1, "lines": [{"sku": "a"}]})
    learned = hooks.show("orders").options
    assert [field["name"] for field in learned["learned"]] == ["id", "lines"]
    assert "learn" not in learned
    assert place.post("orders", {"id": "x"}).verdict.answer is None

    events = place.service.runner.events.accept(record, [{"id": 1}])
    assert isinstance(events, tuple)
    assert hooks.event("orders", events[0]) == {"id": 1}
    found, binding = hooks.learn("orders", validate=True)
    assert (found, binding) == ([{"name": "id", "label": "id", "type": "number"}], True)
    assert place.post("orders", {"id": "x"}).verdict.answer.status == 400
    assert hooks.learn("orders", sample={"b": True})[0] == [{"name": "b", "label": "b", "type": "boolean"}]
    assert hooks.drop("orders", None) == 1


FLOW = [
    {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 55}, "mapper": {},
     "metadata": {"restore": {"parameters": {"hook": {"label": "Orders in"}}}}},
]  # fmt: skip
BLUEPRINT = json.dumps({"name": "S", "flow": FLOW, "metadata": {"version": 1}}).encode()


def bindings(imported: Any) -> dict[str, str | None]:
    assert imported.row is not None
    return {row.foreign: row.bound for row in imported.row.bindings if row.kind == "hook"}


def test_a_scenario_is_bound_to_its_webhook(place: Place) -> None:
    """By id, by label, by making one; a new version keeps it; one webhook serves one scenario."""
    scenarios, hooks = place.service.scenarios, place.service.hooks
    assert bindings(scenarios.import_(BLUEPRINT)) == {"55": None}
    assert bindings(scenarios.import_(BLUEPRINT, new_hook=True)) == {"55": "Orders in"}
    assert bindings(scenarios.import_(BLUEPRINT, new_hook=True)) == {"55": "Orders in"}
    assert hooks.show("Orders in").scenario == "S"
    hooks.add_custom("spare")
    hooks.add_custom("other")
    with pytest.raises(UsageError, match="serves the scenario"):
        scenarios.import_(BLUEPRINT, name="T", hooks={"55": "Orders in"})
    assert [row.name for row in scenarios.list()] == ["S"]
    assert bindings(scenarios.import_(BLUEPRINT, hooks={"55": "spare"})) == {"55": "spare"}
    assert hooks.show("Orders in").scenario is None
    assert bindings(scenarios.import_(BLUEPRINT, name="T")) == {"55": "Orders in"}
    assert bindings(scenarios.import_(BLUEPRINT, name="U", hooks={"Orders in": "other"})) == {"55": "other"}

    with pytest.raises(UsageError, match="serves the scenario"):
        hooks.remove("other")
    hooks.bind("other", None)
    hooks.remove("other")
    for wrong in ({"hooks": {"9": "spare"}}, {"hooks": {"55": "gone"}}, {"hooks": {"55": "spare"}, "name": "T"}):
        with pytest.raises(UsageError):
            scenarios.import_(BLUEPRINT, **wrong)


def test_only_a_webhook_that_fits_is_bound(place: Place) -> None:
    """An app's instant trigger takes its own webhook; a scenario that starts otherwise takes none."""
    place.add("changed", "wrong")
    place.add("ticket", "right")
    flow = [{"id": 1, "module": "app#desk:watchTickets", "version": 1, "parameters": {"__IMTHOOK__": 7}, "mapper": {}}]
    raw = json.dumps({"name": "A", "flow": flow, "metadata": {"version": 1}}).encode()
    plain = [{"id": 1, "module": "util:SetVariable2", "version": 1, "mapper": {"name": "a", "value": "b"}}]
    without = json.dumps({"name": "B", "flow": plain, "metadata": {"version": 1}}).encode()

    with pytest.raises(UsageError, match="needs the webhook ticket"):
        place.service.scenarios.import_(raw, hooks={"7": "wrong"})
    assert bindings(place.service.scenarios.import_(raw, hooks={"7": "right"})) == {"7": "right"}
    with pytest.raises(UsageError, match="--new-hook"):
        place.service.scenarios.import_(raw, name="C", new_hook=True)
    with pytest.raises(UsageError, match="does not start"):
        place.service.scenarios.import_(without, hooks={"7": "right"})
    place.service.scenarios.import_(without)
    with pytest.raises(UsageError, match="does not start"):
        place.service.hooks.bind("wrong", "B")
