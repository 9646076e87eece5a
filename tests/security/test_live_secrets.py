"""
Fifty secrets of a live installation, in all their encodings: addresses of webhooks, tokens of the API, connections,
what events hold. None is in a log, on the server, in metrics, in answers of the API, in what commands print, or in an
argument.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.canaries import canary, forms, plain_values, processes
from tests.integration.test_gateway_intake import free_port
from tests.servers import Answer, Received, Script, ScriptServer
from tests.spine import Scenarist
from tests.worker_kit import PATIENCE, blueprint, call, installation, until, write_app
from workers.gateway.api.endpoints import ENDPOINTS
from workers.gateway.api.serving import PREFIX
from workers.ledger.hooks import HookRecord

HOOKS, TOKENS, CONNECTIONS, EVENTS = 15, 15, 10, 10
START = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}


def keyed_app(folder: Path, port: int) -> Path:
    """The peer's app, whose module sends the key of its connection."""
    write_app(folder, port)
    manifest = json.loads((folder / "makecomapp.json").read_text())
    (folder / "acc.json").write_text("{}")
    (folder / "acc.params.json").write_text(json.dumps([{"name": "key", "type": "password", "label": "Key"}]))
    files = {"communication": "acc.json", "params": "acc.params.json"}
    manifest["components"]["connection"] = {"acc": {"label": "A", "connectionType": "basic", "codeFiles": files}}
    manifest["components"]["module"]["call"]["connection"] = "acc"
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    base = json.loads((folder / "base.imljson").read_text())
    base |= {"headers": {"x-key": "{{connection.key}}"}, "response": {"error": {"message": "No: {{body.heard}}"}}}
    (folder / "base.imljson").write_text(json.dumps(base))
    return folder


def found(values: dict[str, str], data: bytes) -> list[tuple[str, str]]:
    """Which values are in the data, in which form."""
    return [(name, form) for name, value in values.items() for form, text in forms(value).items() if text in data]


def test_fifty_secrets_stay_where_they_belong(tmp_path: Path) -> None:
    port = free_port()

    def echo(received: Received) -> Answer:
        # A service that repeats what it was sent, and refuses it.
        body = json.dumps({"heard": received.header("x-key")}).encode()
        return Answer(400, (("Content-Type", "application/json"),), body)

    with (
        ScriptServer(Script(handler=echo)) as api,
        installation(tmp_path, api.port, SCENARIST_GATEWAY_PORT=str(port), SCENARIST_LOG_LEVEL="debug") as place,
    ):
        service = place.service
        added = service.apps.add(keyed_app(tmp_path / "keyed", api.port))
        assert added.row is not None, added.findings
        secrets = {f"token {n}": service.tokens.add(f"t{n}", ["all"], expires=None)[1] for n in range(TOKENS)}
        admin = secrets["token 0"]
        hooks: list[HookRecord] = []
        for number in range(HOOKS):
            scenario = place.scenario(START)
            hook = service.runner.hooks.add(HookRecord("", "custom", f"h{number}"))
            service.runner.hooks.bind(hook.id, scenario)
            service.schedules.activate(
                scenario, schedule={"type": "immediately" if number else "daily", "time": "08:00"}
            )
            hooks.append(hook)
            secrets[f"hook {number}"] = hook.token
        for number in range(CONNECTIONS):
            secrets[f"connection {number}"] = canary(f"connection {number}")
            key = {"key": secrets[f"connection {number}"]}
            service.connections.add("peer", "acc", name=f"c{number}", parameters=key)
        owned = {f"event {number}": canary(f"event {number}") for number in range(EVENTS)}
        assert len(secrets) + len(owned) == 50

        sinks: dict[str, bytes] = {}
        cli = Scenarist(place.home, place.environment)
        url = f"http://127.0.0.1:{port}"
        with place.running("gateway"), place.running("worker"), place.running("scheduler"):
            until(lambda: _ready(url), "the gateway is ready")
            for number in range(CONNECTIONS):
                flow = [call(1, f"/x{number}", "POST")]
                made = service.scenarios.import_(blueprint(*flow), name=f"s{number}", bindings={"peer": f"c{number}"})
                assert made.row is not None, made.findings
                run = service.runs.enqueue(made.row.id)
                assert service.runs.wait(run.id).status == "error"
            for number, value in enumerate(owned.values()):
                # The first webhook's events wait, the others' run.
                httpx.post(f"{url}/hook/{hooks[number % 2].token}", json={"v": value}, trust_env=False)
            httpx.post(f"{url}/hook/{hooks[0].token}x", json={}, trust_env=False)
            until(lambda: not service.runner.events.waiting(hooks[1].id), "the events have run")
            headers = {"Authorization": f"Bearer {admin}"}
            ids = {"scenario": "s0", "hook": hooks[0].id, "connection": "c0", "store": "none", "record": "none",
                   "run": service.runs.list()[0].id, "event": "none"}  # fmt: skip
            answers = b""
            for endpoint in ENDPOINTS:
                if endpoint.method == "GET":
                    path = re.sub(r"{(\w+)}", lambda match: ids[match[1]], endpoint.path)
                    answers += httpx.get(f"{url}{PREFIX}{path}", headers=headers, trust_env=False).content
            for wrong in secrets.values():
                answers += httpx.get(f"{url}{PREFIX}/runs", params={"token": wrong}, trust_env=False).content
            sinks["answers of the API"] = answers
            sinks["metrics"] = httpx.get(f"{url}/metrics", trust_env=False).content
            sinks["arguments of processes"] = processes()
            client = service.server.client
            keys = list(client.scan_iter(count=1000))
            sinks["the server"] = b"\n".join([*keys, *(value for key in keys for value in plain_values(client, key))])
        for words in ("hook list", "token list", "connection list", "runs list", "scenario list", "notifications list",
                      "hook queue h0"):  # fmt: skip
            sinks[words] = cli(*words.split(), "--json").encode()
        sinks["doctor"] = cli("doctor", "--json").encode()
        sinks["a run with its trace"] = cli(
            "runs", "show", service.runs.list(limit=500)[-1].id, "--trace", "--json"
        ).encode()
        for log in place.logs:
            sinks[f"log {log.name}"] = log.read_bytes()

    leaks: list[Any] = [(sink, found(secrets | owned, data)) for sink, data in sinks.items()]
    assert [leak for leak in leaks if leak[1]] == []
    assert sum(len(data) for data in sinks.values()) > 100_000


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", trust_env=False, timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False
