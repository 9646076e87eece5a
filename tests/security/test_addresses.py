"""No spelling of a private address is reached by any way out, unless the operator has allowed it (issue S6)."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.effects import HttpRequest, MailServer, SendMail
from runtime.errors import InvalidConfigurationError, ModuleError
from runtime.http import HttpPerformer, NetworkPolicy
from tests.ledger_kit import settings_in
from tests.servers import Answer, Script, ScriptServer
from tests.worker_kit import blueprint, call, write_app
from workers.posting import post
from workers.service import open_service

HOSTS = """
127.0.0.1 127.0.0.2 127.255.255.254 127.1 127.0.1 2130706433 017700000001 0177.0.0.1 0177.0.01 0x7f000001
0x7f.0.0.1 0x7f.1 0X7F.0x0.0x0.0x1 127.0.0.1. localhost LOCALHOST localhost. 0 0.0.0.0 0.0.0.1 00.0.0.0
10.0.0.1 10.255.255.255 10.1 167772161 012.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.257 3232235521
0xc0a80001 100.64.0.1 100.127.255.255 169.254.169.254 169.254.0.1 2852039166 0xa9fea9fe 0251.0376.0251.0376
168.63.129.16 192.0.0.1 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250
240.0.0.1 255.255.255.255 [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1]
[::ffff:169.254.169.254] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::169.254.169.254] [2002:7f00:1::]
[2002:a9fe:a9fe::] [2001:0:7f00:1::] [fe80::1] [fe80::1%25lo] [fc00::1] [fd00:ec2::254] [ff02::1]
[2001:db8::1] [3fff::1] [fec0::1] [5f00::1] [64:ff9b:1::7f00:1] [2606:4700::5efe:7f00:1] [2606:4700::200:5efe:a00:1]
[::ffff:0:127.0.0.1] [100::1] 192.88.99.1 ①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1
""".split()  # noqa: SIM905  more than 70 words

URLS = [
    *(f"http://{host}:{{port}}/" for host in HOSTS),
    "http://user@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@example.com/",
    "http://127.0.0.1:{port}#@example.com/", "http://[::1]:{port}@127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://127.0.0.1:{port}\t/",
    "http://\t127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "unix:///var/run/docker.sock",
    "ftp://127.0.0.1:{port}/", "data:text/plain,x", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "http://", "http:///x",
    "http://%31%32%37.0.0.1:{port}/", "https://127.0.0.1:{port}/",
]  # fmt: skip


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a connection was opened to: what must not be reached may lie beyond this machine."""
    seen: list[str] = []
    real = socket.create_connection

    def noted(address: Any, *rest: Any, **more: Any) -> Any:
        seen.append(address[0])
        return real(address, *rest, **more)

    monkeypatch.setattr(socket, "create_connection", noted)
    return seen


@pytest.fixture(scope="module")
def canary() -> Iterator[ScriptServer]:
    """What must not be reached."""
    with ScriptServer(Script(handler=lambda _: Answer(200, body=b"reached"))) as server:
        yield server


def test_there_are_enough_of_them() -> None:
    assert len(set(URLS)) >= 90


@pytest.mark.parametrize("url", URLS)
def test_a_request_to_it_is_refused_before_anything_is_sent(
    url: str, canary: ScriptServer, connected: list[str]
) -> None:
    with HttpPerformer() as http, pytest.raises(ModuleError) as caught:
        http.send(HttpRequest("GET", url.format(port=canary.port), timeout=timedelta(seconds=5)))
    assert connected == []
    assert canary.connections == 0
    assert caught.value.name in ("InvalidConfigurationError", "ConnectionError", "RuntimeError", "DataError")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://127.0.0.3:{port}/", "//127.0.0.3:{port}/", "http://[::ffff:127.0.0.3]:{port}/",
                                   "http://2130706435:{port}/", "https://127.0.0.3:{port}/"])  # fmt: skip
def test_an_allowed_service_cannot_lead_there(status: int, where: str) -> None:
    with ScriptServer(Script(handler=lambda _: Answer(200)), host="127.0.0.3") as inside:
        location = where.format(port=inside.port)
        with ScriptServer([Answer(status, (("Location", location),))]) as server:
            policy = NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.1/32"),))
            with HttpPerformer(policy) as http, pytest.raises(ModuleError):
                http.send(HttpRequest("GET", server.url + "/", timeout=timedelta(seconds=5)))
        assert inside.connections == 0


@pytest.mark.parametrize("later", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_name_that_changes_its_answer_is_reached_where_it_was_checked(
    later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is the one that is connected to: the name is not asked again in between."""
    answers = iter(["127.0.0.2"] + [later] * 50)
    real = socket.getaddrinfo

    def changing(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real(next(answers) if name == "rebind.test" else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    policy = NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.2/32"),))
    with ScriptServer(Script(handler=lambda _: Answer(200, body=b"ok")), host="127.0.0.2") as good:
        with HttpPerformer(policy) as http:
            first = http.send(HttpRequest("GET", f"http://rebind.test:{good.port}/"))
            assert first.body == b"ok"
        with HttpPerformer(policy) as http, pytest.raises(InvalidConfigurationError):
            http.send(HttpRequest("GET", f"http://rebind.test:{good.port}/"))
        assert good.connections == 1


def test_no_other_way_out_is_open(tmp_path: Path, canary: ScriptServer) -> None:
    """Modules, connections, RPCs, built-in modules, callbacks, notifications, mail: all go through the same guard."""
    before = canary.connections
    settings = settings_in(tmp_path / "home")
    with open_service(settings) as service:
        app = write_app(tmp_path / "app", canary.port)
        (app / "acc.imljson").write_text(json.dumps({"url": f"{canary.url}/me", "response": {"data": {}}}))
        (app / "rpc.imljson").write_text(json.dumps({"url": f"{canary.url}/rpc", "response": {"output": "{{body}}"}}))
        manifest = json.loads((app / "makecomapp.json").read_text())
        empty = "modules/empty.imljson"
        files = {"communication": "acc.imljson", "params": empty}
        manifest["components"]["connection"] = {"acc": {"label": "A", "connectionType": "basic", "codeFiles": files}}
        rpc = {"communication": "rpc.imljson", "params": empty}
        manifest["components"]["rpc"] = {"rows": {"label": "R", "codeFiles": rpc}}
        (app / "makecomapp.json").write_text(json.dumps(manifest))
        added = service.apps.add(app)
        assert added.row is not None, added.findings

        module = service.local.module("peer", "call", parameters={"path": "/x", "method": "POST"})
        assert module.error is not None
        assert service.local.rpc("peer", "rows", parameters={}).error is not None
        with pytest.raises(ModuleError):
            service.connections.add("peer", "acc", name="main", parameters={})
        http_step = {
            "id": 1, "module": "http:ActionSendData", "version": 3, "parameters": {"handleErrors": False},
            "mapper": {"url": f"{canary.url}/h", "method": "get"},
        }  # fmt: skip
        for flow in (blueprint(call(1, "/y")), blueprint(http_step)):
            assert service.runs.inline(flow).status == "error"
        assert post(service.http, f"{canary.url}/callback", {}, delivery="x") == "InvalidConfigurationError"
        mail = SendMail(MailServer("127.0.0.1", canary.port, "none"), "a@example.com", ("b@example.com",), b"x")
        with pytest.raises(InvalidConfigurationError):
            service.http.deliver(mail)
    assert canary.connections == before
