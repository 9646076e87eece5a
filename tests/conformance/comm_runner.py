"""Runs one case of `comm-cases.json` through the real engine, performer and modules (notation: comm-cases.md)."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from connections.basic import authorize_basic
from connections.job import ConnectionJob
from modules import MODULE_TYPES
from modules.prepare import prepare_job
from modules.rpc import RpcJob, rows_of, run_rpc
from modules.trigger import list_start_points
from runtime.effects import Conceal, Effect, Emit, HttpRequest, Recall, Remember, Sleep, Steps, Warn, drive
from runtime.errors import ModuleError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.iml import Environment
from runtime.module_job import ModuleJob
from runtime.sanitize import MASK, Secrets, exchange_record
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer, date_text
from tests.module_apps import app_of, connection_spec, module_spec, rpc_spec
from tests.servers import Answer, Received, Script, ScriptServer

Json = dict[str, Any]
POLICY = NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.0/8"),))
MARKS = {"{{erase}}": ERASE, "{{emptystring}}": FORCED_EMPTY}


class Servers:
    """`$SERVER` and `$ALT`, which answer from one list."""

    def __init__(self) -> None:
        self.script = Script()
        self.main = ScriptServer(self.script)
        self.other = ScriptServer(self.script, host="127.0.0.2")

    def __enter__(self) -> Servers:
        self.main.__enter__()
        self.other.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.main.__exit__(*details)
        self.other.__exit__(*details)

    def fill(self, text: str) -> str:
        """A case's text with the addresses put in."""
        return text.replace("$SERVER", self.main.url).replace("$ALT", self.other.url)


@dataclass
class Outcome:
    """What one run did."""

    bundles: list[Any] = field(default_factory=list)
    error: ModuleError | None = None
    requests: list[Received] = field(default_factory=list)
    records: list[Json] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    state: Json | None = None
    connection: Any = None
    beyond: int = 0
    unused: int = 0


def value_of(data: Any) -> Any:
    """A value of a case in our value model."""
    if isinstance(data, list):
        return [value_of(item) for item in data]
    if isinstance(data, dict):
        if data.keys() == {"$date"}:
            return datetime.fromisoformat(data["$date"]).astimezone(UTC)
        if data.keys() == {"$buffer"}:
            return Buffer(base64.b64decode(data["$buffer"]))
        if data.keys() == {"$undefined"}:
            return UNDEFINED
        return {key: member for key, value in data.items() if (member := value_of(value)) is not UNDEFINED}
    return data


def answer_of(data: Json) -> Answer:
    """An answer of a case (comm-cases.md 3)."""
    body, kind = b"", None
    if "body" in data:
        given = data["body"]
        if isinstance(given, dict) and given.keys() == {"$text"}:
            body, kind = given["$text"].encode("utf-8"), "text/plain; charset=utf-8"
        elif isinstance(given, dict) and given.keys() == {"$base64"}:
            body, kind = base64.b64decode(given["$base64"]), "application/octet-stream"
        else:
            body, kind = (
                json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode("utf-8"),
                "application/json",
            )
    headers: list[tuple[str, str]] = []
    names = {name.lower() for name in data.get("headers", {})}
    if kind is not None and "content-type" not in names:
        headers.append(("Content-Type", kind))
    for name, value in data.get("headers", {}).items():
        headers += [(name, item) for item in (value if isinstance(value, list) else [value]) if item is not None]
    return Answer(
        data.get("status", 200), tuple(headers), body, data.get("delay_ms", 0) / 1000, close=data.get("close", False)
    )


def run_case(case: Json, servers: Servers, http: HttpPerformer) -> Outcome:
    """Run a case whose addresses are filled in."""
    servers.script.reset([answer_of(data) for data in case.get("responses", [])])
    outcome = Outcome(state=value_of(case["state"]) if "state" in case else None)
    if "start" in case:
        outcome.state = {**(outcome.state or {}), "start": value_of(case["start"])}
    secrets = Secrets()
    secrets.add_all(_texts(case.get("common", {})))

    def perform(effect: Effect) -> Any:
        match effect:
            case HttpRequest():
                return exchange(effect)
            case Emit(bundles):
                outcome.bundles += bundles
            case Sleep(duration):
                outcome.delays.append(duration.total_seconds() * 1000)
            case Conceal():
                pass
            case Warn(message):
                outcome.warnings.append(message)
            case Recall():
                return outcome.state
            case Remember(value=value):
                outcome.state = value
            case _:
                raise AssertionError(effect)
        return None

    def exchange(request: HttpRequest) -> Any:
        try:
            response = http.send(request)
        except ModuleError as error:
            outcome.records.append(exchange_record(request, None, error, secrets))
            raise
        outcome.records.append(exchange_record(request, response, None, secrets))
        return response

    try:
        drive(_steps(case, outcome), perform)
    except ModuleError as error:
        outcome.error = error
        outcome.bundles = []
    outcome.requests = list(servers.script.received)
    outcome.beyond = servers.script.beyond
    outcome.unused = len(servers.script.answers)
    return outcome


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for member in value.values() for text in _texts(member)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _steps(case: Json, outcome: Outcome) -> Steps[None]:
    now = datetime.fromisoformat(case.get("now", "2024-05-01T12:00:00.000Z")).astimezone(UTC)
    environment = Environment(now=now, timezone=case.get("timezone", "UTC"))
    kind, common = case["kind"], case.get("common", {})
    parameters = value_of(case.get("parameters", {}))
    connection = value_of(case["connection"]) if "connection" in case else None
    if kind == "connection":
        fields = case.get("params", [{"name": name, "type": "any"} for name in parameters])
        spec = connection_spec(case["communication"], params=fields, common=common)
        job = ConnectionJob(app_of(base=case.get("base")), spec, environment, parameters)
        outcome.connection = yield from authorize_basic(job)
        return
    if kind == "rpc":
        spec = rpc_spec(case["communication"], params=case.get("params"))
        app = app_of(base=case.get("base"), common=common)
        output = yield from run_rpc(RpcJob(app, spec, parameters, environment, connection, common))
        outcome.bundles = rows_of(output)
        return
    params = case.get("params")
    module = module_spec(
        kind,
        case["communication"],
        epoch=case.get("epoch"),
        static=params if kind == "trigger" else None,
        mappable=params if kind != "trigger" else None,
    )
    app = app_of(module, base=case.get("base"), common=common)
    if params is None:
        job = ModuleJob(app, module, parameters, environment, connection=connection, common=common)
    else:
        given = {key: _marked(value) for key, value in parameters.items()}
        static, mapped = (given, {}) if kind == "trigger" else ({}, given)
        job = prepare_job(app, "case", environment=environment, static=static, mapped=mapped, connection=connection).job
    if case.get("run") == "epoch":
        outcome.bundles = yield from list_start_points(job)
    else:
        yield from MODULE_TYPES[kind](job)


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return MARKS.get(value, value)
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, dict):
        return {key: _marked(member) for key, member in value.items()}
    return value


# -- comparing ----------------------------------------------------------------------------------------------------


def same(expected: Any, actual: Any) -> bool:
    """Equality of values of a case and ours: exact types, dates and buffers by value."""
    if isinstance(expected, dict) and expected.keys() == {"$date"}:
        wanted = value_of(expected)
        return (actual == wanted) if isinstance(actual, datetime) else actual == date_text(wanted)
    if isinstance(expected, dict) and expected.keys() == {"$buffer"}:
        return isinstance(actual, Buffer) and actual.data == base64.b64decode(expected["$buffer"])
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return False
        wanted = {key: value for key, value in expected.items() if value != {"$undefined": True}}
        return wanted.keys() == actual.keys() and all(same(value, actual[key]) for key, value in wanted.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return (type(expected) is type(actual) and expected == actual) or _number(expected, actual)


def _number(expected: Any, actual: Any) -> bool:
    return isinstance(expected, (int, float)) and isinstance(actual, (int, float)) and expected == actual


def differences(case: Json, outcome: Outcome) -> list[str]:
    """What a run did otherwise than its case expects; empty when all is well."""
    expect = case["expect"]
    found: list[str] = []
    if outcome.beyond:
        found.append(f"{outcome.beyond} requests beyond the list")
    if outcome.unused and not case.get("spare_responses"):
        found.append(f"{outcome.unused} answers unused")
    if "error" in expect:
        error = outcome.error.to_json() if outcome.error is not None else None
        found += error_differences(expect["error"], error, outcome.bundles)
    elif outcome.error is not None:
        found.append(f"error {outcome.error.name}: {outcome.error.message}")
    if "requests" in expect:
        found += request_differences(expect["requests"], outcome.requests)
    if "bundles" in expect and not same(expect["bundles"], outcome.bundles):
        found.append(f"bundles {outcome.bundles!r}, expected {expect['bundles']!r}")
    if "state" in expect:
        state = outcome.state or {}
        found += [
            f"state.{key} {state.get(key)!r}, expected {value!r}"
            for key, value in expect["state"].items()
            if not same(value, state.get(key))
        ]
    if "connection" in expect:
        found += _connection_differences(expect["connection"], outcome.connection)
    if "delays" in expect and expect["delays"] != outcome.delays:
        found.append(f"delays {outcome.delays}, expected {expect['delays']}")
    return found + log_differences(expect, outcome.records)


def error_differences(expect: Json, error: Json | None, bundles: list[Any]) -> list[str]:
    """How an error in its JSON form (`ModuleError.to_json`) differs from the expected one."""
    if error is None:
        return [f"no error, expected {expect}; bundles {bundles!r}"]
    found: list[str] = []
    message = error["message"]
    if "type" in expect and expect["type"] != error["type"]:
        found.append(f"error type {error['type']} ({message}), expected {expect['type']}")
    text = "\n".join([message, *error.get("suberrors", error.get("details", []))])
    if expect.get("message", "") not in text:
        found.append(f"message {message!r}, expected {expect['message']!r}")
    if "not_message" in expect and expect["not_message"] in text:
        found.append(f"message {message!r} holds {expect['not_message']!r}")
    found += [
        f"{key} {error.get(key)}" for key in ("statusCode", "delay") if key in expect and expect[key] != error.get(key)
    ]
    return found


def request_differences(expected: list[Json], actual: list[Received]) -> list[str]:
    """How the requests that came in differ from the expected ones."""
    if len(expected) != len(actual):
        return [f"{len(actual)} requests {[request.target for request in actual]}, expected {len(expected)}"]
    found: list[str] = []
    for number, (want, got) in enumerate(zip(expected, actual, strict=True), 1):
        where = f"request {number}: "
        if "method" in want and want["method"] != got.method:
            found.append(f"{where}method {got.method}")
        if "path" in want and not _matches(want["path"], got.target):
            found.append(f"{where}path {got.target}, expected {want['path']}")
        for name, value in want.get("headers", {}).items():
            values = got.header_list(name)
            wanted = value if isinstance(value, list) else [value]
            if name == "content-type" and not isinstance(value, dict):
                values = [item.partition(";")[0] for item in values]
            if len(values) != len(wanted) or not all(map(_matches, wanted, values)):
                found.append(f"{where}header {name} {values}, expected {value}")
        found += [
            f"{where}header {name} was sent" for name in want.get("absent_headers", []) if got.header(name) is not None
        ]
        names = [name for name, _ in got.headers]
        found += [f"{where}no {name} in {names}" for name in want.get("raw_header_names", []) if name not in names]
        if "body" in want and (difference := _body_difference(want["body"], got)):
            found.append(where + difference)
    return found


def _matches(wanted: Any, actual: str) -> bool:
    if isinstance(wanted, dict):
        return re.search(wanted["$match"], actual) is not None
    return wanted == actual


def _body_difference(want: Any, got: Received) -> str:
    key = next(iter(want)) if isinstance(want, dict) and len(want) == 1 else ""
    if key == "$none":
        return f"body {got.body!r}, expected none" if got.body else ""
    if key == "$text":
        return "" if got.body == want[key].encode("utf-8") else f"body {got.body!r}, expected {want[key]!r}"
    if key == "$base64":
        return "" if got.body == base64.b64decode(want[key]) else f"body {got.body!r}"
    if key == "$form":
        pairs = [list(pair) for pair in parse_qsl(got.body.decode("ascii"), keep_blank_values=True)]
        return "" if pairs == want[key] else f"form {pairs}, expected {want[key]}"
    if key == "$multipart":
        return _multipart_difference(want[key], got)
    try:
        body = json.loads(got.body)
    except ValueError:
        return f"body {got.body!r} is no JSON"
    return "" if same(want, body) else f"body {body!r}, expected {want!r}"


def _multipart_difference(want: list[Json], got: Received) -> str:
    head = f"Content-Type: {got.header('content-type')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + got.body)
    parts = list(message.iter_parts())
    if len(parts) != len(want):
        return f"{len(parts)} parts, expected {len(want)}"
    for expected, part in zip(want, parts, strict=True):
        content = part.get_payload(decode=True) or b""
        actual = {
            "name": part.get_param("name", header="content-disposition"),
            "filename": part.get_filename(),
            "type": part.get_content_type() if part["content-type"] is not None else None,
            "text": content.decode("utf-8", "replace"),
            "base64": base64.b64encode(content).decode("ascii"),
        }
        for key, value in expected.items():
            if actual[key] != value:
                return f"part {actual}, expected {expected}"
    return ""


def _connection_differences(expect: Any, grant: Any) -> list[str]:
    if expect is None:
        return [] if grant is None else [f"stored {grant!r}"]
    if grant is None:
        return ["nothing stored"]
    found: list[str] = []
    for key, value in expect.items():
        actual = getattr(grant, key)
        if not same(value, actual):
            found.append(f"connection.{key} {actual!r}, expected {value!r}")
    return found


def log_differences(expect: Json, records: list[Json]) -> list[str]:
    """How the records of the exchanges differ from the expected log."""
    found: list[str] = []
    if "log_redacted" in expect or "log_omitted" in expect:
        record = records[0] if records else {}
        for path in expect.get("log_redacted", []):
            value = _look_up(record, path)
            if value is UNDEFINED or MASK not in json.dumps(value):
                found.append(f"log {path} is {value!r}")
        found += [
            f"log has {path}" for path in expect.get("log_omitted", []) if _look_up(record, path) is not UNDEFINED
        ]
    text = json.dumps(records, ensure_ascii=False)
    found += [f"log lacks {part}" for part in expect.get("log_contains", []) if part not in text]
    found += [f"log has {part}" for part in expect.get("log_never", []) if part in text]
    return found


def _look_up(record: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(record, dict):
            return UNDEFINED
        record = next((value for key, value in record.items() if key.lower() == name.lower()), UNDEFINED)
    return record
