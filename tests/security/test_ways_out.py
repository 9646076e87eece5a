"""
Every way by which a request leaves, led to the inside of the network by whoever may choose its address: modules, RPCs,
both kinds of connections, webhooks, the `http` app, callbacks, notifications, mail (issue S6).
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.effects import MailServer, SendMail
from runtime.errors import ModuleError
from tests.ledger_kit import settings_in
from tests.servers import Answer, Script, ScriptServer
from tests.worker_kit import blueprint, sleep
from workers.callbacks import Callbacks
from workers.notifying import Notifier
from workers.service import Service, open_service

#: Host names that the patched resolver knows: inside, and a public address with one inside.
NAMES = {"inside.test": ["127.0.0.1"], "mixed.test": ["93.184.216.34", "127.0.0.1"], "six.test": ["::1"],
         "localhost.": ["127.0.0.1"]}  # fmt: skip
HOSTS = (
    "127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]", "0.0.0.0", "169.254.169.254", "[fd00:ec2::254]", "192.0.0.192", "[fec0::1]", "100.64.0.1",
    "１２７.0.0.1", *NAMES,
)  # fmt: skip


@pytest.fixture(name="canary", scope="module")
def canary_fixture() -> Iterator[ScriptServer]:
    """What must not be reached."""
    with ScriptServer(Script(handler=lambda _: Answer(200, body=b"{}"))) as server:
        yield server


@pytest.fixture(name="connected")
def connected_fixture(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a connection was opened to; no name is asked for outside."""
    seen: list[str] = []
    resolve, connect = socket.getaddrinfo, socket.create_connection

    def resolved(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in NAMES:
            return resolve(host, port, *rest, **more)
        return [entry for address in NAMES[name] for entry in resolve(address, port, *rest, **more)]

    def noted(address: Any, *rest: Any, **more: Any) -> Any:
        seen.append(address[0])
        return connect(address, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "create_connection", noted)
    return seen


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An installation whose operator has allowed nothing."""
    home = tmp_path_factory.mktemp("ways")
    with open_service(settings_in(home / "home")) as service:
        added = service.apps.add(write_way_app(home / "app"))
        assert added.row is not None, added.findings
        yield service


def write_way_app(folder: Path) -> Path:
    """The app `way`: each of its parts sends its request to the parameter `url`."""
    folder.mkdir()
    there = {"url": "{{parameters.url}}", "method": "POST", "body": {"n": 1}, "response": {"output": "{{body}}"}}
    files: dict[str, Any] = {
        "there": there,
        "basic": {"url": "{{parameters.url}}", "response": {"data": {}}},
        "oauth": {"token": {"url": "{{parameters.url}}", "method": "POST", "response": {"data": {"t": "{{body.t}}"}}}},
        "params": [{"name": "url", "type": "text", "label": "Address"}],
        "nothing": {},
        "list": [],
    }
    for name, content in files.items():
        (folder / f"{name}.imljson").write_text(json.dumps(content))

    def code(**roles: str) -> dict[str, str]:
        return {role: f"{file}.imljson" for role, file in roles.items()}

    connection = {
        kind: {
            "label": kind, "connectionType": kind_of, "codeFiles": code(communication=kind, params="params"),
        }
        for kind, kind_of in (("basic", "basic"), ("oauth", "oauth-client"))
    }  # fmt: skip
    hook = code(communication="nothing", params="params", requiredScope="list", attach="there", detach="nothing")
    module = code(
        communication="there", staticParams="list", mappableParams="params", interface="list", samples="nothing"
    )
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "nothing.imljson"},
        "components": {
            "connection": connection,
            "webhook": {"hook": {"label": "Hook", "webhookType": "web", "codeFiles": hook}},
            "rpc": {"rows": {"label": "Rows", "codeFiles": code(communication="there", params="params")}},
            "module": {"call": {"label": "Call", "description": "", "moduleType": "action", "codeFiles": module}},
        },
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": "way", "appVersion": 1}],
    }
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    return folder


# -- the ways: each gives the name of the error ------------------------------------------------------------------------


def refused(act: Callable[[], Any]) -> str:
    try:
        act()
    except ModuleError as error:
        return error.name
    return ""


def module(service: Service, url: str) -> str:
    error = service.local.module("way", "call", parameters={"url": url}).error
    return "" if error is None else error["type"]


def rpc(service: Service, url: str) -> str:
    error = service.local.rpc("way", "rows", parameters={"url": url}).error
    return "" if error is None else error["type"]


def basic_connection(service: Service, url: str) -> str:
    return refused(lambda: service.connections.add("way", "basic", name="b", parameters={"url": url}))


def oauth_connection(service: Service, url: str) -> str:
    return refused(lambda: service.connections.add("way", "oauth", name="o", parameters={"url": url}))


def webhook(service: Service, url: str) -> str:
    return refused(lambda: service.hooks.add("way", "hook", name="h", parameters={"url": url}))


def http_app(service: Service, url: str) -> str:
    step = {
        "id": 1, "module": "http:ActionSendData", "version": 3, "parameters": {"handleErrors": False},
        "mapper": {"url": url, "method": "get"},
    }  # fmt: skip
    report = service.runs.inline(blueprint(step))
    assert report.error is not None, report
    return report.error["type"]


def callback(service: Service, url: str) -> str:
    """The end of a run; it stays to be told as long as it is not taken."""
    runs = service.runner.runs
    row = service.scenarios.import_(blueprint(sleep(1, 1)), name="callback").row
    assert row is not None
    run = service.runs.enqueue(row.id, kind="api", callback=url)
    service.runs.cancel(run.id)
    Callbacks(service.runner).step()
    tries = runs.client.hget(runs.keys.run(run.id), "callback")
    runs.client.zrem(runs.keys.callbacks, run.id)
    return "InvalidConfigurationError" if tries == b"2" else str(tries)


def notification(service: Service, url: str) -> str:
    messages = service.notifications
    messages.add(secrets.token_hex(4), "error", "It failed.")
    Notifier(service.runner, url).step()
    attempts = messages.attempts()[0]
    messages.done(messages.list()[-1])
    return "InvalidConfigurationError" if attempts == 1 else str(attempts)


def mail(service: Service, url: str) -> str:
    host, _, port = url.removeprefix("http://").removesuffix("/").rpartition(":")
    message = SendMail(MailServer(host.strip("[]"), int(port), "none"), "a@example.com", ("b@example.com",), b"x")
    return refused(lambda: service.http.deliver(message))


WAYS = (module, rpc, basic_connection, oauth_connection, webhook, http_app, callback, notification, mail)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_inside(
    way: Callable[[Service, str], str], service: Service, canary: ScriptServer, connected: list[str]
) -> None:
    """Neither by address nor by name: nothing is connected to, and the error says that the address is refused."""
    for host in HOSTS:
        assert way(service, f"http://{host}:{canary.port}/") == "InvalidConfigurationError", host
    assert connected == []
    assert canary.connections == 0


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "unix:///var/run/docker.sock", "ftp://127.0.0.1/"]
)
@pytest.mark.parametrize("way", [module, rpc, basic_connection, oauth_connection, webhook, http_app])
def test_no_other_scheme_is_spoken(
    way: Callable[[Service, str], str], url: str, service: Service, canary: ScriptServer, connected: list[str]
) -> None:
    assert way(service, url.format(port=canary.port)) != ""
    assert connected == []
    assert canary.connections == 0


def test_nothing_is_left_of_what_was_refused(service: Service) -> None:
    assert service.connections.list() == []
    assert service.hooks.list() == []
