"""
Secrets of live parts (addresses and parameters of webhooks, what was attached, API tokens, addresses of callbacks and
notifications, mail passwords, client certificates, connections): none of them in any sink, in any encoding (issue S6).
"""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from runtime.logs import configure_logging
from runtime.sanitize import Secrets
from tests.acceptance.test_oauth_cli import gateway, reached
from tests.canaries import Canaries, canary, environments, processes, watched
from tests.certificates import Authority
from tests.hook_apps import Desk, write_hook_app
from tests.mail_server import Post, mail_server
from tests.servers import Answer, Received, Script, ScriptServer
from tests.spine import Scenarist, blueprint, step
from tests.worker_kit import until
from workers.gateway.api.endpoints import ENDPOINTS
from workers.gateway.api.serving import PREFIX
from workers.service import Service, open_service
from workers.settings import load_settings

__all__ = ["gateway"]

#: Webhooks of the app; each has an address, a secret parameter and a secret from its service.
HOOKS = 14
START = {"id": 1, "module": "app#desk:watchTickets", "version": 1, "parameters": {"__IMTHOOK__": 3}, "mapper": {}}
#: What prints them; the lists are looked at in `test_live_secrets`.
COMMANDS = (
    ("hook", "show", "h0"), ("connection", "show", "post"), ("connection", "show", "cert"), ("incomplete", "list"),
    ("notifications", "list"),
)  # fmt: skip


class Told(Desk):
    """The service, which issues canaries and repeats what it was sent when it refuses."""

    def __init__(self, canaries: Canaries) -> None:
        super().__init__()
        self.canaries = canaries

    def __call__(self, request: Received) -> Answer:
        path = request.target.partition("?")[0]
        if path in ("/callback", "/notified"):
            self.seen.append((request.method, path, ""))
            return Answer(500, body=request.target.encode())
        if request.method == "GET" and path.startswith("/tickets/bad"):
            said = f"no {request.header('authorization')} {self.canaries('connection token')} {request.headers}"
            return Answer(422, (("Content-Type", "application/json"),), json.dumps({"reason": said}).encode())
        answer = super().__call__(request)
        if request.method == "POST" and path == "/hooks":
            body = json.loads(answer.body) | {"secret": self.canaries(f"attached {self.made}")}
            return Answer(201, answer.headers, json.dumps(body).encode())
        return answer


def prepared(service: Service, canaries: Canaries, folder: Path, url: str, mail_port: int) -> dict[str, str]:
    """Everything that holds secrets; gives the ids of the scenarios by name."""
    added = service.apps.add(write_hook_app(folder / "desk", url))
    assert added.row is not None, added.findings
    service.connections.add("desk", "desk", name="main", parameters={"token": canaries("connection token")})
    # Letters beyond ASCII would not be sent to a mail server at all.
    canaries.values["mail password"] = canary("mail").replace("é", "e")
    mail = {
        "host": "127.0.0.1", "port": mail_port, "security": "none", "from": "a@example.com", "username": "ann",
        "password": canaries("mail password"),
    }  # fmt: skip
    service.connections.add("email", "smtp", name="post", parameters=mail)
    issued = Authority().issue("client")
    canaries.values["client key"] = issued.key.splitlines()[2]
    parameters = {"certificate": issued.certificate, "key": issued.key}
    service.connections.add("http", "clientcertauth", name="cert", parameters=parameters)
    for number in range(HOOKS):
        parameters = {"event": "new", "key": canaries(f"hook key {number}")}
        view = service.hooks.add("desk", "ticket", name=f"h{number}", connection="main", parameters=parameters).view
        canaries.values[f"hook token {number}"] = service.runner.hooks.get(view.id).token
    for number in range(3):
        canaries.values[f"api token {number}"] = service.tokens.add(f"t{number}", ["all"], expires=None)[1]
    sending = step(2, "email:ActionSendEmail", {"to": ["b@example.com"], "subject": "S", "text": "T"}, version=7,
                   parameters={"account": 5, "saveAfterSent": False})  # fmt: skip
    found: dict[str, str] = {}
    for name, flow in (("live", [START]), ("mail", [step(1, "util:FunctionSleep", {"duration": "1"}), sending])):
        bindings: dict[str, Any] = {"hooks": {"3": "h0"}} if name == "live" else {"bindings": {"5": "post"}}
        imported = service.scenarios.import_(json.dumps(blueprint(name, *flow)).encode(), **bindings)
        assert imported.row is not None, imported.findings
        found[name] = imported.row.id
    service.schedules.activate(found["live"], schedule={"type": "immediately"})
    return found


def api_answers(address: str, token: str, ids: dict[str, list[str]]) -> str:
    """What every endpoint that reads says, for everything that there is."""
    said: list[str] = []
    with httpx.Client(trust_env=False, timeout=30, headers={"Authorization": f"Bearer {token}"}) as client:
        for endpoint in ENDPOINTS:
            if endpoint.method != "GET" or "{event}" in endpoint.path:
                continue
            place = endpoint.path.partition("{")[2].partition("}")[0]
            for each in ids[place] if place else [""]:
                query = "?trace=true" if endpoint.path == "/runs/{run}" else ""
                path = endpoint.path.replace(f"{{{place}}}", each)
                said.append(client.get(f"{address}{PREFIX}{path}{query}").text)
        said += [client.get(f"{address}{path}").text for path in ("/metrics", f"{PREFIX}/openapi.json", "/nowhere")]
        said.append(client.get(f"{address}/hook/{token}").text)
        said.append(client.post(f"{address}{PREFIX}/scenarios/live/run", json={"callbackUrl": f"ftp://{token}"}).text)
    return "\n".join(said)


def test_no_secret_of_the_live_parts_is_in_any_sink(cli: Scenarist, tmp_path: Path, gateway: str) -> None:
    """Fifty canaries through webhooks, failing runs, mail, callbacks, notifications, and everything that shows them."""
    canaries, bodies, operator, logs = Canaries(), Canaries(), Canaries(), io.StringIO()
    desk = Told(canaries)
    with ExitStack() as stack:
        server = stack.enter_context(ScriptServer(Script(handler=desk)))
        mail_port = stack.enter_context(mail_server(Post(), login=True))
        cli.environment["SCENARIST_NOTIFY_URL"] = f"{server.url}/notified?key={quote(operator('notify'), safe='')}"
        looked = stack.enter_context(watched(cli))
        service = stack.enter_context(open_service(load_settings(cli.variables())))
        configure_logging("json", "debug", service.secrets, logs)
        stack.callback(configure_logging, "console", "warning", Secrets())
        scenarios = prepared(service, canaries, tmp_path, server.url, mail_port)
        for role in (("gateway",), ("worker", "--processes", "1"), ("scheduler",)):
            stack.enter_context(cli.process(*role))
        until(lambda: reached(f"{gateway}/ready"), "the gateway is ready")
        token, hook = canaries.values["api token 0"], canaries.values["hook token 0"]
        ask: Any = {"trust_env": False, "timeout": 30, "headers": {"Authorization": f"Bearer {token}"}}

        tickets = [{"id": name, "note": bodies(name)} for name in ("good", "bad1")]
        posted = httpx.post(f"{gateway}/hook/{hook}", json={"event": "new", "tickets": tickets}, **ask)
        assert posted.status_code == 200, posted.text
        httpx.post(f"{gateway}/hook/{hook[:-1]}", json={}, **ask)
        httpx.post(f"{gateway}//hook/{hook}", json={}, **ask)
        callback = f"{server.url}/callback?key={quote(canaries('callback'), safe='')}"
        for body in ({"callbackUrl": callback}, {"callbackUrl": f"http://u:{quote(canaries('login'), safe='')}@h/"}):
            httpx.post(f"{gateway}{PREFIX}/scenarios/{scenarios['mail']}/run", json=body, **ask)

        until(lambda: {"/callback", "/notified"} <= {path for _, path, _ in desk.seen}, "both were told")
        runs = [header.id for header in service.runs.list()]
        until(lambda: service.runner.runs.list(states=["error"], limit=9)[1:], "two runs have failed")
        ids = {
            "scenario": list(scenarios.values()), "run": runs, "hook": [row.id for row in service.hooks.list()],
            "connection": ["main", "post", "cert"], "store": [],
            "record": [row.id for row in service.incompletes.list()],
        }  # fmt: skip
        api = api_answers(gateway, token, ids)
        for command in (*COMMANDS, *(("runs", "show", run) for run in runs)):
            cli.raw(*command, "--json")
        for command in (("hook", "show", "h1"), ("connection", "show", "main"), ("runs", "show", runs[0]), ("doctor",)):
            cli.raw(*command)
        cli.raw("hook", "add", "desk", "gone", "--param", f"key={canaries('on the command line')}")
        arguments, variables = processes(), environments(cli.home)

    assert len(canaries.values) + len(bodies.values) + len(operator.values) >= 50
    shown = "\n".join([*cli.seen, logs.getvalue()]).encode()
    assert b"refuses the login" in shown
    for known in (canaries, operator):
        known.assert_absent("output, logs and doctor", shown)
        known.assert_absent("answers of the API and metrics", api.encode())
        known.assert_absent("arguments of processes", arguments)
    canaries.assert_absent("environments of processes", variables)
    for known in (canaries, bodies, operator):
        known.assert_absent("values on the server", looked[0])
        for file in cli.home.rglob("*"):
            if file.is_file():
                known.assert_absent(str(file), file.read_bytes())
