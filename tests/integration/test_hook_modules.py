"""An app's webhook from the request to the answer, on a real worker: spec/modules.md 1.7, 1.9, 5.4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.webhooks import Incoming
from tests.hook_apps import TOKEN, Desk, write_hook_app
from tests.servers import Script, ScriptServer
from tests.worker_kit import blueprint, installation, until
from workers.celery_app import make_app, send
from workers.dispatching import dispatcher_of
from workers.receiving import Receiver

WATCH = {"id": 1, "module": "app#desk:watchTickets", "version": 1, "parameters": {"__IMTHOOK__": 3}, "mapper": {}}
ANSWER = {
    "id": 2, "module": "app#desk:answer", "version": 1, "parameters": {},
    "mapper": {"title": "{{1.title}} {{1.event}} {{1.p}}"},
}  # fmt: skip


def test_an_event_of_an_app_is_enriched_and_answered(tmp_path: Path) -> None:
    """The webhook's connection is the trigger's, and its parameters are seen; the responder answers each caller."""
    desk = Desk()
    with ScriptServer(Script(handler=desk)) as server, installation(tmp_path, server.port) as place:
        service, runner = place.service, place.service.runner
        added = service.apps.add(write_hook_app(tmp_path / "desk", server.url))
        assert added.row is not None, added.findings
        service.connections.add("desk", "desk", name="main", parameters={"token": TOKEN})
        view = service.hooks.add("desk", "ticket", name="t", connection="main", parameters={"event": "new"}).view
        imported = service.scenarios.import_(blueprint(WATCH, ANSWER), hooks={"3": "t"})
        assert imported.row is not None, imported.findings
        runner.runs.client.hset(place.keys.scenario(imported.row.id), mapping={"active": "1", "mode": "immediately"})
        app = make_app(place.settings, service.server)
        dispatcher = dispatcher_of(runner, lambda run, fence: send(app, place.settings, run, fence))

        body = {"event": "new", "tickets": [{"id": "a1"}, {"id": "a2"}]}
        incoming = Incoming("POST", "", (("content-type", "application/json"),), json.dumps(body).encode())
        received = Receiver(runner, service.secrets).receive(runner.hooks.get(view.id), incoming)
        assert received.verdict.answer is None
        (delivery,) = received.deliveries
        record = delivery.record
        events = runner.events.accept(record, delivery.items, channel=runner.events.channel())
        assert isinstance(events, tuple)
        assert len(events) == 2
        assert dispatcher.answers(record.id)
        dispatcher.dispatch(record.id)
        with place.running("worker"):
            answers: list[Any] = [
                until(lambda event=event: runner.events.answer_of(record, event), "an answer") for event in events
            ]
            until(lambda: not runner.events.list(record.id), "the events are done with")

        assert [(answer.word, json.loads(answer.content["body"])) for answer in answers] == [
            ("answer", {"title": "Ticket a1 new new", "hook": view.id}),
            ("answer", {"title": "Ticket a2 new new", "hook": view.id}),
        ]
        assert {answer.content["status"] for answer in answers} == {203}
        asked = sorted(line for line in desk.seen if line[1].startswith("/tickets/"))
        assert asked == [("GET", f"/tickets/{name}", f"Bearer {TOKEN}") for name in ("a1", "a2")]
        states = [run.state for run in runner.runs.list(scenario=imported.row.id)]
        assert states == ["success", "success"]
        assert TOKEN not in "".join(log.read_text() for log in place.logs)
