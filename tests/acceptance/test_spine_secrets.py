"""
Twenty canary secrets in parameters, common data, connection data, headers and bodies: none of them, in plain or encoded
form, in logs, journal, values on the server, queue messages, output of commands or arguments of processes (issue S1,
"What must be shown" 4).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.canaries import Canaries, processes, server_values
from tests.servers import Answer, Received, ScriptServer
from tests.spine import Scenarist, blueprint, step


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def b64(header: str | None) -> str:
    """The user and password of a Basic header."""
    return base64.b64decode((header or "").removeprefix("Basic ")).decode()


def manifest() -> dict[str, Any]:
    def module(name: str) -> dict[str, Any]:
        return {
            "moduleType": "action",
            "connection": "vaultly",
            "codeFiles": {
                "communication": f"{name}.json",
                "mappableParams": "params.json",
                "staticParams": "static.json",
            },
        }

    return {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json", "common": "common.json", "readme": None, "groups": None},
        "components": {
            "connection": {
                "vaultly": {
                    "label": "Vaultly",
                    "connectionType": "basic",
                    "codeFiles": {
                        "communication": "connection.json",
                        "params": "connection-params.json",
                        "common": "connection-common.json",
                    },
                }
            },
            "webhook": {},
            "rpc": {},
            "function": {},
            "endpoint": {},
            "module": {name: module(name) for name in ("store", "fetch", "refuse")},
        },
        "origins": [
            {
                "label": "Production",
                "baseUrl": "https://eu1.make.com/api",
                "appId": "vaultly",
                "appVersion": 1,
                "apikeyFile": "none",
            }
        ],
    }


def app_files(server: str, canaries: Canaries) -> dict[str, Any]:
    sanitize = [
        "request.headers.authorization",
        "request.headers.x-tenant-key",
        "request.qs.sig",
        "request.body.secret",
        "request.body.nested[].pin",
        "response.body.token",
        "response.body.items[].key",
        "response.headers.x-next-key",
    ]
    return {
        "makecomapp.json": manifest(),
        "common.json": {"clientSecret": canaries("app common")},
        "connection-common.json": {"salt": canaries("connection common"), "pepper": canaries("connection pepper")},
        "connection-params.json": [
            {"name": "user", "type": "text", "required": True},
            {"name": "password", "type": "password", "required": True},
            {"name": "apiKey", "type": "password", "required": True},
            {"name": "otp", "type": "password"},
        ],
        "connection.json": {
            "url": f"{server}/login",
            "method": "POST",
            "headers": {
                "authorization": "Basic {{base64(parameters.user + ':' + parameters.password)}}",
                "x-api-key": "{{parameters.apiKey}}",
                "x-salt": "{{base64(common.salt)}}",
            },
            "body": {"otp": "{{parameters.otp}}", "pepper": "{{common.pepper}}"},
            "response": {
                "data": {
                    "accessToken": "{{body.access_token}}",
                    "refreshToken": "{{body.refresh_token}}",
                    "sessionSecret": "{{body.session.secret}}",
                },
                "uid": "{{body.id}}",
                "metadata": {"type": "text", "value": "{{body.name}}"},
                "error": {"message": "{{body.message}}"},
            },
            "log": {"sanitize": ["request.headers.authorization", "request.headers.x-api-key", "request.body.otp"]},
        },
        "base.json": {
            "baseUrl": server,
            "headers": {
                "authorization": "Bearer {{connection.accessToken}}",
                "x-tenant-key": "{{connection.apiKey}}",
                "x-client": "{{common.clientSecret}}",
            },
            "qs": {"sig": "{{sha256(connection.sessionSecret)}}", "s": "{{connection.sessionSecret}}"},
            "response": {"error": {"message": "Refused: {{body.message}}", "type": "DataError"}},
            "log": {"sanitize": sanitize},
        },
        "params.json": [
            {"name": "title", "type": "text"},
            {"name": "secret", "type": "password"},
            {"name": "pins", "type": "array", "spec": [{"name": "pin", "type": "password"}]},
        ],
        "static.json": [{"name": "signingKey", "type": "password"}],
        "store.json": {
            "url": "/store",
            "method": "POST",
            "body": {
                "title": "{{parameters.title}}",
                "secret": "{{parameters.secret}}",
                "nested": "{{parameters.pins}}",
                "echo": "{{connection.refreshToken}} and {{encodeURL(connection.password)}}",
            },
            "response": {"output": {"token": "{{body.token}}", "items": "{{body.items}}", "id": "{{body.id}}"}},
        },
        "fetch.json": {
            "url": "/fetch/{{encodeURL(parameters.secret)}}",
            "qs": {"again": "{{base64(connection.apiKey)}}"},
            "response": {"output": "{{body}}"},
        },
        "refuse.json": {
            "url": "/refuse",
            "method": "PUT",
            "type": "urlencoded",
            "body": {
                "secret": "{{parameters.secret}}",
                "token": "{{connection.accessToken}}",
                "pins": "{{parameters.pins}}",
                "signature": "{{sha1(parameters.title; 'hex'; parameters.signingKey)}} {{parameters.signingKey}}",
            },
        },
    }


@pytest.fixture
def api(canaries: Canaries) -> Iterator[ScriptServer]:
    """A service that answers with secrets of its own and repeats what it was sent in its errors."""

    def body(request: Received) -> tuple[int, dict[str, Any], tuple[tuple[str, str], ...]]:
        path = request.target.split("?")[0]
        if path == "/login" and canaries("wrong password") in b64(request.header("authorization")):
            return 403, {"message": f"wrong: {request.header('authorization')} {canaries('wrong password')}"}, ()
        if path == "/login":
            return (
                200,
                {
                    "id": 7,
                    "name": "Ann",
                    "access_token": canaries("access token"),
                    "refresh_token": canaries("refresh token"),
                    "session": {"secret": canaries("session secret")},
                },
                (("Set-Cookie", f"sid={quote(canaries('cookie'))}"),),
            )
        if path == "/store":
            items = [{"key": canaries("item key 1")}, {"key": canaries("item key 2")}]
            answer = {"id": 1, "token": canaries("body token"), "items": items}
            return 201, answer, (("X-Next-Key", quote(canaries("header key"))),)
        if path.startswith("/fetch/"):
            return 200, {"id": 2, "echo": canaries("access token")}, ()
        message = f"no {canaries('access token')} {request.body.decode()} {request.header('authorization')}"
        return 422, {"message": message}, ()

    def handler(request: Received) -> Answer:
        status, data, headers = body(request)
        return Answer(status, (("Content-Type", "application/json"), *headers), json.dumps(data).encode())

    with ScriptServer() as server:
        server.script.handler = handler
        yield server


def test_no_canary_leaves_the_runtime(tmp_path: Path, cli: Scenarist, api: ScriptServer, canaries: Canaries) -> None:
    """Connect, refuse a connection, run three modules on a worker with debug logs, one of them failing."""
    cli.environment |= {"SCENARIST_LOG_LEVEL": "debug", "SCENARIST_LOG_FORMAT": "json"}
    folder = tmp_path / "app"
    folder.mkdir()
    for name, content in app_files(api.url, canaries).items():
        (folder / name).write_text(json.dumps(content))
    parameters = {
        "user": "ann",
        "password": canaries("password"),
        "apiKey": canaries("api key"),
        "otp": canaries("one-time code"),
    }
    mapper = {
        "title": "Note",
        "secret": canaries("module password"),
        "pins": [{"pin": canaries("pin 1")}, {"pin": canaries("pin 2")}],
    }
    use = {"parameters": {"__IMTCONN__": 1}}
    flow = blueprint(
        "canaries",
        step(1, "vaultly:store", {"title": "{{var.input.note}}", "secret": "{{var.input.secret}}",
                                  "pins": "{{var.input.pins}}"}, **use),
        step(2, "vaultly:fetch", {"title": "{{1.token}}", "secret": "{{var.input.secret}}"}, **use),
        step(3, "vaultly:refuse", {"secret": "{{2.echo}}", "pins": [{"pin": canaries("blueprint pin")}]},
             parameters={"__IMTCONN__": 1, "signingKey": canaries("signing key")}),
    )  # fmt: skip
    spec = [
        {"name": "note", "type": "text"},
        {"name": "secret", "type": "text"},
        {"name": "pins", "type": "array", "spec": [{"name": "pin", "type": "text"}]},
    ]
    flow["io"] = {"input_spec": spec, "output_spec": []}
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    inputs = json.dumps({"note": mapper["title"], "secret": mapper["secret"], "pins": mapper["pins"]})

    cli("app", "add", str(folder))
    cli("connection", "add", "vaultly", "vaultly", "--name", "main", "--params", "-", stdin=json.dumps(parameters))
    cli("connection", "show", "main")
    wrong = parameters | {"password": canaries("wrong password")}
    refused = ("connection", "add", "vaultly", "vaultly", "--name", "other", "--params", "-")
    cli(*refused, stdin=json.dumps(wrong), exit_code=1)
    cli("scenario", "import", str(tmp_path / "flow.json"), "--connection", "1=main")
    stop, looked = threading.Event(), []
    arguments: list[bytes] = []

    def look() -> None:
        looked.append(server_values(cli, stop))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with cli.process("worker"), cli.process("scheduler"):
            result = cli.json(
                "run", "canaries", "--inputs", "-", "--wait", "--timeout", "60", stdin=inputs, exit_code=1
            )
            arguments.append(processes())
            cli("runs", "show", result["run"])
            cli("runs", "watch", result["run"], exit_code=1)
    finally:
        stop.set()
        watcher.join()

    assert len(canaries.values) >= 20
    assert [entry["status"] for entry in result["steps"]] == ["success", "success", "error"]
    assert result["error"]["message"].startswith("Refused: no")
    assert len(api.received) == 5
    canaries.assert_absent("output of commands and processes", "\n".join(cli.seen).encode())
    canaries.assert_absent("values on the server", looked[0])
    canaries.assert_absent("arguments of processes", b"\n".join(arguments))
    for file in cli.home.rglob("*"):
        if file.is_file():
            canaries.assert_absent(str(file), file.read_bytes())
