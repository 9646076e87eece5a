"""Basic connections against a real server: what is sent, stored, read again and logged."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from connections.job import ConnectionJob
from connections.keyring import CipherError, KeyRing, ensure_key_file, generate_key
from connections.record import ConnectionState, Grant
from connections.types import authorize
from connections.values import secret_texts
from connections.vault import Vault
from runtime.communication import Kind, Scope, compile_communication, run_communication
from runtime.effects import Conceal, Effect, HttpRequest, HttpResponse, Warn, drive
from runtime.errors import ModuleError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.iml import Environment
from runtime.sanitize import MASK, Secrets, exchange_record
from tests.servers import Answer, ScriptServer
from tests.unit.connections.test_basic import ANY_INPUTS, app_with
from tests.unit.connections.test_vault import Memory

ENVIRONMENT = Environment(now=datetime(2024, 5, 1, 12, tzinfo=UTC))
JSON = (("Content-Type", "application/json"),)


@pytest.fixture(scope="module")
def http() -> Iterator[HttpPerformer]:
    with HttpPerformer(NetworkPolicy(allow_nets=(ip_network("127.0.0.0/8"),))) as performer:
        yield performer


class Recorder:
    """Performs effects for real and keeps the redacted record of each exchange."""

    def __init__(self, http: HttpPerformer, *known: str) -> None:
        self.http = http
        self.secrets = Secrets()
        self.secrets.add_all(known)
        self.records: list[dict[str, Any]] = []

    def __call__(self, effect: Effect) -> Any:
        if isinstance(effect, Conceal):
            self.secrets.add_all(effect.values)
            return None
        if isinstance(effect, Warn):
            return None
        assert isinstance(effect, HttpRequest)
        response: HttpResponse | None = None
        error: ModuleError | None = None
        try:
            response = self.http.send(effect)
        except ModuleError as caught:
            error = caught
            raise
        finally:
            self.records.append(exchange_record(effect, response, error, self.secrets))
        return response


def answers(*bodies: tuple[int, Any]) -> list[Answer]:
    return [Answer(status, JSON, json.dumps(body).encode()) for status, body in bodies]


def connect(app: Any, perform: Callable[[Effect], Any], parameters: dict[str, Any]) -> Grant:
    return drive(authorize(ConnectionJob(app, app.connections["acc"], ENVIRONMENT, parameters)), perform)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param((200, {}), None, id="valid"),
        pytest.param((200, {"code": "DataError", "message": "m"}), ("DataError", "m"), id="marked as invalid"),
        pytest.param((401, {"code": "x", "message": "m"}), ("RuntimeError", "m"), id="refused with an unknown type"),
    ],
)
def test_seed_example_on_the_wire(
    http: HttpPerformer, answer: tuple[int, Any], error: tuple[str, str] | None, tmp_path: Path
) -> None:
    """
    The reference example: the header goes out as written, errors come back in the app's words, nothing is stored on
    failure, and neither the key nor its base64 form occurs in a record.
    """
    vault = Vault(store := Memory(), ensure_key_file(tmp_path / "keys"))
    with ScriptServer(answers(answer)) as server:
        app = app_with(
            {
                "url": f"{server.url}/whoami",
                "headers": {"authorization": "Basic {{base64(parameters.apiKey + ':' + connection.domain)}}"},
                "response": {
                    "error": {"type": "{{body.code}}", "message": "{{body.message}}"},
                    "valid": "{{!body.code}}",
                },
                "log": {"sanitize": ["request.headers.authorization"]},
            }
        )
        recorder = Recorder(http)
        failure = None
        try:
            grant = connect(app, recorder, {"apiKey": "KEY12345", "domain": "acme"})
            vault.create(app="acme", component="acc", type="basic", name="Mine", grant=grant)
        except ModuleError as caught:
            failure = (caught.name, caught.message)

    pair = base64.b64encode(b"KEY12345:acme").decode()
    assert failure == error
    assert server.received[0].header("authorization") == f"Basic {pair}"
    assert bool(store.records) is (error is None)
    (record,) = recorder.records
    assert record["request"]["headers"]["Authorization"] == MASK
    assert "KEY12345" not in json.dumps(record)
    assert pair not in json.dumps(record)


def test_stored_token_reaches_a_module(http: HttpPerformer, tmp_path: Path) -> None:
    """Authorize once: the token of the answer is stored encrypted and read by a module through `connection`."""
    path = tmp_path / "keys"
    store = Memory()
    with ScriptServer(answers((200, {"token": "t1-secret"}), (200, {"ok": True}), (200, {"ok": True}))) as server:
        app = app_with(
            {
                "url": f"{server.url}/token",
                "method": "POST",
                "body": {"password": "{{parameters.apiKey}}"},
                "response": {"data": {"accessToken": "{{body.token}}"}},
                "log": {"sanitize": ["request.body.password"]},
            },
            [{"name": "apiKey", "type": "password"}],
        )
        spec = app.connections["acc"]
        recorder = Recorder(http, *secret_texts(app, spec, {"apiKey": "pass-secret"}))
        grant = connect(app, recorder, {"apiKey": "pass-secret"})
        made = Vault(store, ensure_key_file(path)).create(
            app="acme", component="acc", type="basic", name="Mine", grant=grant
        )
        # Another process: it has the store and the key file only.
        record = Vault(store, ensure_key_file(path)).get(made.id)
        recorder.secrets.add_all(secret_texts(app, spec, record))
        plan = compile_communication(
            {"url": f"{server.url}/me", "qs": {"token": "{{connection.accessToken}}"}, "log": {"sanitize": []}},
            kind=Kind.ACTION,
            component="module me",
        )
        for _ in range(2):
            drive(run_communication(plan, Scope({"connection": record.data}, ENVIRONMENT)), recorder)

    assert [request.target for request in server.received] == ["/token", "/me?token=t1-secret", "/me?token=t1-secret"]
    assert json.loads(server.received[0].body) == {"password": "pass-secret"}
    assert record.state is ConnectionState.VALID
    dump = b"".join(value for fields in store.records.values() for value in fields.values()).decode("latin-1")
    assert "-secret" not in json.dumps(recorder.records) + dump


def test_unreachable_service_is_recorded_masked(http: HttpPerformer) -> None:
    """A request that gets no answer leaves a record too, with the error and without the secret."""
    with ScriptServer([]) as server:
        url = server.url
    app = app_with(
        {"url": f"{url}/x", "qs": {"key": "{{parameters.apiKey}}"}, "log": {"sanitize": ["request.qs.key"]}}, ANY_INPUTS
    )
    recorder = Recorder(http)

    with pytest.raises(ModuleError) as caught:
        connect(app, recorder, {"apiKey": "KEY12345"})
    (record,) = recorder.records
    assert caught.value.name == record["error"]["type"] == "ConnectionError"
    assert record["request"]["url"] == f"{url}/x?key={MASK}"
    assert record["response"] is None
    assert "KEY12345" not in json.dumps(record)


def _cases(shared: Path, *groups: str) -> list[dict[str, Any]]:
    cases = json.loads((shared / "spec" / "comm-cases.json").read_text())
    return [case for case in cases if case["id"].partition("-")[0] in groups]


def test_connection_cases(shared: Path, http: HttpPerformer) -> None:
    """The published cases of the group `connection` hold on the wire."""
    for case in _cases(shared, "connection"):
        with ScriptServer([_answer(given) for given in case["responses"]]) as server:
            _check(case, server, http)


def _answer(given: dict[str, Any]) -> Answer:
    return Answer(given.get("status", 200), JSON, json.dumps(given.get("body")).encode())


def _check(case: dict[str, Any], server: ScriptServer, http: HttpPerformer) -> None:
    given = json.loads(json.dumps(case).replace("$SERVER", server.url))
    params = given.get("params", [{"name": name, "type": "any"} for name in given.get("parameters", {})])
    app = app_with(given["communication"], params, common=given.get("common"))
    expect = given["expect"]
    about = case["id"]
    try:
        grant = connect(app, Recorder(http), given.get("parameters", {}))
    except ModuleError as error:
        wanted = expect["error"]
        assert (error.name, error.status_code) == (wanted["type"], wanted.get("statusCode")), about
        assert wanted["message"] in error.message, about
        return
    assert "error" not in expect, about
    for name, value in (expect.get("connection") or {}).items():
        assert getattr(grant, name) == value, about
    if "requests" in expect:
        assert len(server.received) == len(expect["requests"]), about
        for sent, wanted in zip(server.received, expect["requests"], strict=True):
            assert sent.target == wanted["path"], about
            for name, value in wanted.get("headers", {}).items():
                assert sent.header(name) == value, about
            for name in wanted.get("absent_headers", []):
                assert sent.header(name) is None, about
            if "body" in wanted:
                assert json.loads(sent.body) == wanted["body"], about


def test_key_ring_of_another_machine_cannot_read(http: HttpPerformer) -> None:
    """A copy of the store is useless without the key file."""
    with ScriptServer(answers((200, {}))) as server:
        grant = connect(app_with({"url": server.url}), Recorder(http), {"apiKey": "KEY12345"})
    store = Memory()
    record = Vault(store, KeyRing([generate_key()])).create(
        app="acme", component="acc", type="basic", name="Mine", grant=grant
    )

    with pytest.raises(CipherError, match="not in the key ring"):
        Vault(store, KeyRing([generate_key()])).get(record.id)
