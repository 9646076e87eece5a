"""
The whole flow of the real apps' basic connections on a loopback service that answers as their templates expect: refuse,
authorize, store, test again. Nothing leaves this machine: the host of each request is exchanged where it is sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from connections.phases import kind_of
from connections.record import ConnectionState
from runtime.app.loader import load_app
from runtime.app.specs import App
from runtime.effects import HttpRequest, HttpResponse
from runtime.errors import ModuleError
from runtime.parameters import Field, parse_fields
from tests.conformance.test_corpus_apps import APPS, EXPORTS
from tests.ledger_kit import settings_in
from tests.servers import Answer, Received, ScriptServer
from workers.service import Service, open_service

#: A member of the body that a template reads, with what stands before it.
_MEMBER = re.compile(r"(!?)\bbody((?:\.\w+)+)")
_FIRST = re.compile(r"first\(body((?:\.\w+)+)\)\.(\w+)")


def basic_connections() -> list[tuple[str, str]]:
    """Folder and id of every basic connection of an app that loads."""
    found: list[tuple[str, str]] = []
    folders = {file.parent for file in APPS.rglob("makecomapp.json")} | {APPS / name for name in EXPORTS}
    for folder in sorted(folders) if APPS.is_dir() else ():
        app = load_app(folder).app
        for spec in app.connections.values() if app is not None else ():
            if kind_of(spec) == "basic":
                found.append((str(folder.relative_to(APPS)), spec.id))
    return found


def put(body: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a member of a body, whatever lies between."""
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body.setdefault(path[-1], value)


def body_for(template: Any, word: str) -> dict[str, Any]:
    """A body in which each member that a template reads is `word`; what it wants to be absent is not there."""
    body: dict[str, Any] = {}
    text = json.dumps(template)
    for path, member in _FIRST.findall(text):
        put(body, path.split(".")[1:], [{member: word}])
    for negated, path in _MEMBER.findall(text):
        if not negated and not path.endswith(".length"):
            put(body, path.split(".")[1:], word)
    return body


@dataclass
class Case:
    """One connection: what a person gives, and what its service answers to that and to anybody else."""

    app: App
    request: dict[str, Any]
    inputs: dict[str, str]

    @property
    def secret(self) -> str:
        """What the service knows a user by: the last input that stands in a header or in the query."""
        sent = json.dumps([self.request.get("headers"), self.request.get("qs")])
        return self.inputs[[name for name in self.inputs if f"parameters.{name}" in sent][-1]]

    def answer(self, request: Received) -> Answer:
        """Good for the right credentials, a refusal with the app's own members of an error for others."""
        response = self.request.get("response", {})
        kind = (("Content-Type", "application/json"),)
        if self.secret not in _everything(request):
            return Answer(401, kind, json.dumps(body_for(response.get("error"), "refused-here")).encode())
        good = {name: response.get(name) for name in ("data", "uid", "metadata", "valid")}
        return Answer(200, kind, json.dumps(body_for(good, "given-here")).encode())


def _everything(request: Received) -> str:
    """A request as one text, with what it carries in base64 in clear."""
    text = "\n".join([unquote(request.target), request.body.decode(), *(value for _, value in request.headers)])
    for encoded in re.findall(r"Basic ([A-Za-z0-9+/=]+)", text):
        text += base64.b64decode(encoded).decode()
    return text


def case_of(folder: str, component: str) -> Case | None:
    """The case of a connection; None when it sends nothing."""
    app = load_app(APPS / folder).app
    assert app is not None
    spec = app.connections[component]
    request = spec.communication.value[0] if isinstance(spec.communication.value, list) else spec.communication.value
    fields = [item for item in parse_fields(spec.params.value) if isinstance(item, Field)]
    inputs = {item.name: f"{item.name}-0123456789" for item in fields if item.type in ("text", "password")}
    return Case(app, request, inputs) if request.get("url") else None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("home"), SCENARIST_ALLOW_NETS="127.0.0.0/8")
    with open_service(settings) as opened:
        yield opened


@pytest.fixture
def hosts(service: Service) -> Iterator[tuple[ScriptServer, list[str]]]:
    """The service that stands for every host, and the addresses that were asked for."""
    asked: list[str] = []
    renewals = service.runner.renewals
    send = renewals.send
    with ScriptServer() as server:

        def elsewhere(request: HttpRequest) -> HttpResponse:
            asked.append(request.url)
            parts = urlsplit(request.url)
            return send(replace(request, url=request.url.replace(f"{parts.scheme}://{parts.netloc}", server.url, 1)))

        object.__setattr__(renewals, "send", elsewhere)
        try:
            yield server, asked
        finally:
            object.__setattr__(renewals, "send", send)


def test_there_are_enough() -> None:
    """What the issue asks for: ten or more flows."""
    if not APPS.is_dir():
        pytest.skip("the folder `shared` does not lie beside this checkout")
    assert sum(case_of(*each) is not None for each in basic_connections()) >= 20


@pytest.mark.parametrize(("folder", "component"), basic_connections())
def test_whole_flow(service: Service, hosts: tuple[ScriptServer, list[str]], folder: str, component: str) -> None:
    """Wrong credentials are refused in the app's words, right ones are kept with the app's data and work again."""
    server, asked = hosts
    case, app = case_of(folder, component), str(APPS / folder)
    name = f"{folder} {component}"
    if case is None:
        record = service.connections.add(app, component, name=name, parameters={"apiKey": "x"}).record
        assert (record.state, asked) == (ConnectionState.UNVERIFIED, [])
        return
    server.script.handler = case.answer
    wrong = {key: value if value != case.secret else "somebody-else" for key, value in case.inputs.items()}
    with pytest.raises(ModuleError) as refused:
        service.connections.add(app, component, name=name, parameters=wrong)
    response = case.request.get("response", {})
    if "body." in json.dumps(response.get("error", "")):
        assert "refused-here" in refused.value.message
    assert name not in [view.name for view in service.connections.list()]

    record = service.connections.add(app, component, name=name, parameters=case.inputs).record
    assert record.state is ConnectionState.VALID
    assert record.parameters == case.inputs
    assert record.data.keys() >= case.inputs.keys() | response.get("data", {}).keys() - {"Organization"}
    if "body." in json.dumps(response.get("metadata", "")) and ".length" not in json.dumps(response["metadata"]):
        assert record.label == f"{name} (given-here)"
    # Not every app passes the check that registering asks for.
    assert service.connections.authorizing.verify(case.app, record).data == record.data
    method = case.request.get("method", "GET")
    assert [request.method for request in server.received] == [method] * 3
    pieces = re.split(r"\{\{.*?\}\}", case.request["url"])
    assert all(re.fullmatch(".*".join(map(re.escape, pieces)) + r"(\?.*)?", url) for url in asked)
