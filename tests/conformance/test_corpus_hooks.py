"""The webhooks of the real apps: attach, receive, detach over loopback, as their authors wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from modules.webhook import HookJob, attach, attachable, detach, has_requests, update
from runtime.app.loader import load_app
from runtime.app.specs import App, WebhookSpec
from runtime.effects import Effect, HttpRequest, drive
from runtime.iml import Environment, compile_document
from runtime.parameters import parse_fields
from runtime.webhooks import RECEIVING, HookScope, Incoming, receiving
from tests.conformance.request_kit import NOW, connection_data, loopback, sample_values
from tests.servers import Answer, Received, ScriptServer

ENVIRONMENT = Environment(now=NOW)
URL = "https://hooks.test/hook/token"


class Api:
    """A service that keeps hooks: a POST makes one and tells its id wherever the app looks, a DELETE takes it away."""

    def __init__(self, webhook: WebhookSpec) -> None:
        self.hooks: dict[str, bytes] = {}
        self._reads = [
            reference.path
            for reference in compile_document(webhook.attach.value).references
            if reference.root == "body" and reference.path
        ]

    def __call__(self, request: Received) -> Answer:
        if request.method == "DELETE":
            name = request.target.rpartition("/")[2]
            return Answer(204 if self.hooks.pop(name, None) else 404)
        name = f"hook{len(self.hooks) + 1}"
        self.hooks[name] = request.body
        body: dict[str, Any] = {}
        for path in self._reads:
            place = body
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = name
        return Answer(201, (("Content-Type", "application/json"),), json.dumps(body).encode())


def apps(shared: Path) -> list[App]:
    """All apps of the corpus that load and have a webhook."""
    root = shared / "corpus" / "apps"
    folders = {file.parent for file in root.rglob("makecomapp.json")} | set(root.iterdir())
    loaded = [load_app(folder).app for folder in sorted(folders) if folder.is_dir()]
    return [app for app in loaded if app is not None and app.webhooks]


def test_hooks_of_real_apps_are_attached_and_detached(shared: Path) -> None:
    """One registration each, with the hook's URL; the id that the service gave is the one that is deleted."""
    attached = by_hand = 0
    with ScriptServer([]) as server, loopback() as http:
        for app in apps(shared):
            for webhook in app.webhooks.values():
                if webhook.problems:
                    continue
                api = Api(webhook)
                server.script.reset([])
                server.script.handler = api

                def perform(effect: Effect) -> Any:
                    if not isinstance(effect, HttpRequest):
                        return None
                    whole = urlsplit(effect.url)
                    local = urlunsplit(("http", f"{server.host}:{server.port}", whole.path, whole.query, ""))
                    return http.send(replace(effect, url=local))

                values = sample_values(parse_fields(webhook.params.value))
                linked = connection_data(app.connections.get(webhook.connection or ""))
                job = HookJob(app, webhook, "h1", URL, values, ENVIRONMENT, connection=linked or {})
                data = drive(attach(job), perform)
                if not attachable(webhook):
                    assert (data, server.received) == ({}, []), webhook.title
                    by_hand += 1
                    continue
                attached += 1
                assert len(api.hooks) == 1, webhook.title
                assert URL.encode() in next(iter(api.hooks.values())), webhook.title
                assert "hook1" in data.values(), webhook.title

                job = replace(job, data=data)
                if not has_requests(webhook.update):
                    job = replace(job, data=drive(update(job, values), perform))
                    assert list(api.hooks) == ["hook1"], webhook.title
                drive(detach(job), perform)
                assert api.hooks == {}, webhook.title
                # Taken away already: that is what was wanted.
                drive(detach(job), perform)
    assert attached >= 4
    assert by_hand >= 3


def test_webhooks_of_real_apps_take_an_event(shared: Path) -> None:
    """Every one hands out what it has received, whole or element by element."""
    seen = 0
    for app in apps(shared):
        for webhook in app.webhooks.values():
            plan = RECEIVING.plan(app, webhook)
            incoming = Incoming(
                "POST", headers=(("content-type", "application/json"),), body=b'{"event": "e", "id": 7}'
            )
            verdict = receiving.receive(plan, incoming, HookScope("h1", URL), ENVIRONMENT)
            assert (verdict.refused, verdict.items) == ("", ({"event": "e", "id": 7},)), webhook.title
            assert RECEIVING.plan(app, webhook) is plan
            seen += 1
    assert seen >= 7
