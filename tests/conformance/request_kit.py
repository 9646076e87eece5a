"""
Sample values for the parameters of an app's module, an answer that its response path understands, and a performer that
sends each request over loopback in place of the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from modules import MODULE_TYPES
from modules.prepare import prepare_job
from runtime.app.checks.expressions import produced
from runtime.app.specs import App, ConnectionSpec, ModuleSpec
from runtime.communication.scope import Limits
from runtime.effects import Effect, Emit, HttpRequest, drive
from runtime.errors import ModuleError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.iml import Environment, compile_document
from runtime.parameters import Field, parse_fields
from runtime.values import Buffer, compact_json
from tests.conformance.test_corpus_apps import ABSENT_FUNCTIONS
from tests.servers import Answer, Received, ScriptServer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Requests of one module that are answered; a module that polls for longer is told that the service is out of order.
MOST = 4
#: Headers that say nothing about the app.
_OURS = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection", "content-length"})
#: What an expression makes up at random.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
#: What a module waits for: `repeat` while the status is not this one.
_AWAITED = re.compile(r"body\.([\w.]+)\s*!==?\s*['\"](\w+)['\"]|body\.([\w.]+)\s*!=\s*['\"](\w+)['\"]")
_WHOLE = re.compile(r"\{\{\s*body\.([\w.]+)\s*\}\}")
_BOUNDARY = re.compile(r"(boundary=|--)[0-9a-zA-Z'()+_,./:=?-]{12,}")
#: Deepest structure that is made up.
_DEEP = 5

_TEXTS = {
    "date": "2026-02-03T04:05:06.000Z",
    "timestamp": 1_770_000_000,
    "time": "07:30",
    "email": "ada@example.com",
    "url": "https://files.test/a.png",
    "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "color": "#336699",
    "filename": "a.png",
    "json": '{"a": 1}',
    "timezone": "Europe/Prague",
    "path": "/a/b",
    "file": "/a/b.txt",
    "folder": "/a",
    "boolean": True,
    "integer": 3,
    "uinteger": 3,
    "number": 2.5,
    "port": 8080,
}


def sample(item: Field, depth: int = 0) -> Any:
    """A value that the field takes, the same each time."""
    if item.has_default and not (isinstance(item.default, str) and "{{" in item.default):
        return item.default
    if item.type == "select":
        chosen = next((option.value for option in item.options.items if option.value not in (None, "")), item.name)
        return [chosen] if item.multiple else chosen
    if item.type == "array":
        if item.element is not None:
            return [sample(replace(item.element, name=item.name), depth + 1)]
        return [sample_values(item.spec, depth + 1)] if item.spec else ["one", "two"]
    if item.type == "collection":
        return sample_values(item.spec, depth + 1) if item.spec else {"key": "value"}
    if item.type == "filter":
        entry = {"a": "name", "o": (item.options.operators or ("text:equal",))[0], "b": "x"}
        return [entry] if item.logic in ("and", "or") else [[entry]]
    if item.type == "buffer":
        return Buffer(b"bytes of a file", codepage="binary")
    low, high = item.validate.min, item.validate.max
    # A key of a header or a member stands where no blanks may; elsewhere they show how they are encoded.
    value = _TEXTS.get(item.type, item.name if item.name in ("key", "name") else f"{item.name} & more")
    if item.type in ("integer", "uinteger", "number"):
        value = min(max(value, low if low is not None else value), high if high is not None else value)
    return value


def sample_values(fields: Any, depth: int = 0) -> dict[str, Any]:
    """Values for all fields of a list that are active with the values themselves."""
    values: dict[str, Any] = {}
    for item in fields if depth <= _DEEP else ():
        if not isinstance(item, Field) or item.visual or not item.name or item.name in values:
            continue
        values[item.name] = sample(item, depth)
        branches = [item.nested, item.options.nested]
        chosen = values[item.name] if isinstance(values[item.name], list) else [values[item.name]]
        branches += [option.nested or () for option in item.options.items if option.value in chosen]
        for branch in branches:
            values = {**sample_values(branch, depth + 1), **values}
    return values


def connection_data(spec: ConnectionSpec | None) -> dict[str, Any] | None:
    """What a connection of this kind would hold: its inputs, and what it saves."""
    if spec is None:
        return None
    values: dict[str, Any] = {}
    for item in parse_fields(spec.params.value):
        if isinstance(item, Field) and item.name:
            slug = re.sub(r"[^a-z0-9]+", "-", item.name.lower())
            known = item.options.items[0].value if item.options.items else slug
            values[item.name] = "https://service.test" if item.type == "url" else known
    return {**{name: f"saved-{name}" for name in sorted(produced(spec) or ())}, **values}


def _leaf(path: tuple[str | int, ...]) -> Any:
    name = str(next((part for part in reversed(path) if isinstance(part, str)), "value"))
    if re.search(r"(?:^|_)(?:id|count|total|size)$|Id$", name):
        return 7
    if re.search(r"_at$|At$|date|time", name, re.IGNORECASE):
        return "2026-02-03T04:05:06Z"
    return f"{name} text"


def _put(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The tree with a value at this path, lists with one element where the path has a number."""
    if not path:
        return tree if tree is not None else value
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        old = tree[0] if isinstance(tree, list) and tree else None
        return [_put(old, rest, value)]
    if isinstance(tree, list):
        return [_put(tree[0] if tree else None, path, value)]
    members = dict(tree) if isinstance(tree, dict) else {}
    members[head] = _put(members.get(head), rest, value)
    return members


def _references(template: Any, root: str) -> list[tuple[str | int, ...]]:
    return [reference.path for reference in compile_document(template).references if reference.root == root]


def service_answer(module: ModuleSpec, communication: Mapping[str, Any]) -> Any:
    """What the service could say: shaped by what the response reads, filled from samples and interface."""
    response = communication.get("response")
    parts: Mapping[str, Any] = response if isinstance(response, dict) else {}
    samples: Any = module.samples.value if isinstance(module.samples.value, dict) else {}
    made = samples or sample_values(parse_fields(module.interface.value)) or {"id": 7, "name": "Ada"}
    item = json.loads(compact_json(made))
    for name in ("output", "trigger"):
        for path in _references(parts.get(name), "item"):
            if path:
                item = _put(item, path, _leaf(path))
    reads = {key: value for key, value in parts.items() if key != "error"}
    wanted = [path for path in _references([reads, communication.get("pagination")], "body") if path]
    body: Any = None
    for path in wanted:
        body = _put(body, path, _leaf(path))
    repeat = communication.get("repeat")
    for first, value, second, other in _AWAITED.findall(str(repeat)):
        body = _replace(body, tuple((first or second).split(".")), value or other)
    whole = _WHOLE.fullmatch(parts["output"]) if isinstance(parts.get("output"), str) else None
    if whole:
        body = _replace(body, tuple(whole[1].split(".")), item)
    iterate = parts.get("iterate")
    container = iterate.get("container") if isinstance(iterate, dict) else iterate
    if isinstance(container, str):
        text = container if "{{" in container else f"{{{{{container}}}}}"
        paths = _references(text, "body")
        if paths and paths[0]:
            return _replace(body, paths[0], [item, item])
        return [item, item]
    made = body if body is not None else item
    return [made] if "first(body)" in str(parts.get("output")) else made


def _replace(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        return [_replace(tree[0] if isinstance(tree, list) and tree else None, rest, value)]
    members = dict(tree) if isinstance(tree, dict) else {}
    members[head] = _replace(members.get(head), rest, value)
    return members


@dataclass(slots=True)
class Exchange:
    """One module's requests, as they came in, and what came of them."""

    requests: list[tuple[str, Received]] = field(default_factory=list[tuple[str, Received]])
    bundles: list[Any] = field(default_factory=list[Any])
    error: str = ""


def run_module(app: App, module: ModuleSpec, server: ScriptServer, http: HttpPerformer) -> Exchange:
    """Run a module with sample values against the loopback server."""
    found = Exchange()
    # One app links its template's connection, which has none of the inputs that are read: the others fill in.
    linked = app.connections.get(module.connection or "")
    connection = connection_data(linked)
    for other in app.connections.values():
        connection = {**(connection_data(other) or {}), **(connection or {})}
    # The corpus has no JavaScript: a custom function gives its first argument back.
    functions = {name: (lambda *values: values[0] if values else None) for name in (*app.functions, *ABSENT_FUNCTIONS)}
    environment = Environment(now=NOW, timezone="Europe/Prague", execution_id="1", functions=functions)
    value: Any = module.communication.value
    listed: list[Any] = value if isinstance(value, list) else [value]

    def handler(request: Received) -> Answer:
        number = len(server.received)
        if number > MOST:
            return Answer(503, body=b"out of order")
        communication = listed[min(number, len(listed)) - 1]
        body = service_answer(module, communication if isinstance(communication, dict) else {})
        return Answer(200, (("Content-Type", "application/json"),), json.dumps(body).encode())

    server.script.reset([])
    server.script.handler = handler

    def perform(effect: Effect) -> Any:
        if isinstance(effect, HttpRequest):
            whole = urlsplit(effect.url)
            local = urlunsplit(("http", f"{server.host}:{server.port}", whole.path, whole.query, ""))
            answer = http.send(replace(effect, url=local))
            found.requests.append((f"{whole.scheme}://{whole.netloc}", server.received[-1]))
            return replace(answer, url=effect.url)
        if isinstance(effect, Emit):
            found.bundles += effect.bundles
        return None

    try:
        prepared = prepare_job(
            app,
            module.id,
            environment=environment,
            static=sample_values(parse_fields(module.static_params.value)),
            mapped={**sample_values(parse_fields(module.mappable_params.value)), **_own_url(module)},
            connection=connection if linked else None,
            limits=Limits(),
        )
        drive(MODULE_TYPES[module.type](prepared.job), perform)
    except ModuleError as error:
        found.error = f"{error.name}: {error.message}"
    return found


def _own_url(module: ModuleSpec) -> dict[str, Any]:
    return {"url": "/v1/things"} if module.type == "universal" else {}


def loopback() -> HttpPerformer:
    """A performer that reaches nothing but this machine."""
    return HttpPerformer(NetworkPolicy(allow_nets=(ip_network("127.0.0.0/8"),)))


def shown(title: str, exchange: Exchange) -> str:
    """A module's requests and result as text for people."""
    lines = [f"## {title}", ""]
    for origin, request in exchange.requests:
        lines.append(f"{request.method} {origin}{request.target}")
        lines += [f"{name}: {_unbounded(value)}" for name, value in request.headers if name.lower() not in _OURS]
        body = _body(request)
        lines += ["", *body] if body else []
        lines.append("")
    if not exchange.requests:
        lines += ["(no request)", ""]
    if exchange.error:
        lines.append(f"=> {exchange.error}"[:400])
    else:
        lines.append(f"=> {len(exchange.bundles)} bundle(s)")
        lines += [f"   {_unbounded(compact_json(bundle))[:300]}" for bundle in exchange.bundles[:1]]
    return "\n".join(line.rstrip() for line in [*lines, ""]) + "\n"


def _body(request: Received) -> list[str]:
    text = request.body.decode("utf-8", "backslashreplace")
    kind = (request.header("content-type") or "").partition(";")[0]
    if not text:
        return []
    if kind == "application/x-www-form-urlencoded":
        return [f"{name} = {value}" for name, value in parse_qsl(text, keep_blank_values=True)]
    try:
        return _unbounded(json.dumps(json.loads(text), indent=2, ensure_ascii=False)).splitlines()
    except ValueError:
        return [_unbounded(line) for line in text.splitlines()]


def _unbounded(text: str) -> str:
    return _UUID.sub("UUID", _BOUNDARY.sub(r"\1BOUNDARY", text))
