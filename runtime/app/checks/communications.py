"""
Communications: every request spec of an app against the matrix, and the mistakes of app-format.md 7 in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime.app.checks import directives as table
from runtime.app.checks.context import Check, Request, Spot, has_iml, spot
from runtime.app.checks.requests import check_request
from runtime.app.checks.schema import check_limits
from runtime.app.roles import OAUTH1_KEYS, OAUTH2_KEYS
from runtime.app.specs import CodeFile, ConnectionSpec

#: Module type -> its column of the directive matrix.
MODULE_KINDS = {
    "action": "ACT",
    "search": "SEA",
    "trigger": "TRG",
    "universal": "UNI",
    "instant_trigger": "INS",
    "responder": "RES",
}
#: Most requests of one run (communication.md 12).
MAX_REQUESTS = 100
#: Kinds that are one request, never an array of them.
_SINGLE = frozenset({"BASE", "CB", "INS", "RES", "EPO", "WHK", "O1", "O2"})


def is_oauth1(keys: set[str]) -> bool:
    """True when the root keys are those of an OAuth 1 connection (connections.md 1)."""
    return bool(keys & {"requestToken", "accessToken"}) or (
        "oauth" in keys and not keys & {"token", "refresh", "preauthorize"}
    )


def requests(check: Check) -> Iterator[Request]:
    """Every request spec of the app, in the order of its components."""
    app = check.app
    yield from _requests(check, "app", app.base, "BASE", [])
    for connection in app.connections.values():
        yield from _connection(check, connection)
    for webhook in app.webhooks.values():
        links = [link for link in (webhook.connection, webhook.alt_connection) if link]
        yield from _requests(check, webhook.title, webhook.communication, "WHK", links)
        for file in (webhook.attach, webhook.detach, webhook.update):
            yield from _requests(check, webhook.title, file, "ATT", links)
    for module in app.modules.values():
        links = [link for link in (module.connection, module.alt_connection) if link]
        kind = MODULE_KINDS.get(module.type)
        if kind:
            yield from _requests(check, module.title, module.communication, kind, links)
        if module.type == "trigger" and module.epoch.value:
            yield from _requests(check, module.title, module.epoch, "EPO", links)
    for rpc in app.rpcs.values():
        links = [link for link in (rpc.connection, rpc.alt_connection) if link]
        yield from _requests(check, rpc.title, rpc.communication, "RPC", links)


def _requests(check: Check, title: str, file: CodeFile, kind: str, links: list[str]) -> Iterator[Request]:
    whole = spot(check, title, file)
    value = file.value
    if isinstance(value, dict):
        if value:
            yield Request(whole, kind, connections=links)
        return
    if not isinstance(value, list):
        return
    if kind in _SINGLE and kind != "CB" and len(value) > 0:
        whole.say(
            "warning", "M434", f"{table.NAMES[kind]} is one request, not a list of them", hint="remove the brackets"
        )
    if len(value) > MAX_REQUESTS:
        whole.say("error", "M433", f"{len(value)} requests; one run makes at most {MAX_REQUESTS}")
    for index, item in enumerate(value[:MAX_REQUESTS]):
        inner = whole.at(index)
        if not isinstance(item, dict):
            inner.say("error", "M433", "a request must be an object")
            continue
        yield Request(inner, kind, index, single=len(value) == 1, connections=links)


def _connection(check: Check, connection: ConnectionSpec) -> Iterator[Request]:
    file = connection.communication
    if connection.type == "basic":
        yield from _requests(check, connection.title, file, "CB", [connection.id])
        return
    whole = spot(check, connection.title, file)
    if not isinstance(file.value, dict):
        return
    first = is_oauth1(set(file.value))
    known = OAUTH1_KEYS if first else OAUTH2_KEYS
    for phase in file.value:
        inner = whole.at(phase)
        if phase not in known:
            _unknown_phase(inner, phase, known)
        elif phase != "oauth":
            value = inner.value
            several = isinstance(value, list)
            if several and phase not in ("preauthorize", "token"):
                inner.say("warning", "M434", f"{phase} is one request, not a list of them")
            for index, item in enumerate(value if several else [value]):
                place = inner.at(index) if several else inner
                if isinstance(item, dict):
                    request = Request(place, "O1" if first else "O2", index, connections=[connection.id])
                    yield request
                    _phase(place, phase)
                elif item is not None:
                    place.say("error", "M433", f"{phase} must be a request")


def _unknown_phase(inner: Spot, phase: str, known: frozenset[str]) -> None:
    if phase in OAUTH1_KEYS | OAUTH2_KEYS:
        message = f'"{phase}" belongs to the other version of OAuth; the keys of both cannot be mixed'
        inner.say("error", "C107", message, key=True, hint="keep the phases of one version")
        return
    near = inner.check.report.near(phase, known)
    hint = f'did you mean "{near}"?' if near else f"phases: {', '.join(sorted(known))}"
    inner.say("warning", "C107", f'unknown root key "{phase}" in an OAuth connection', key=True, hint=hint)


def _phase(request: Spot, phase: str) -> None:
    """Directives that only some phases have."""
    response = request.at("response")
    for name, phases in table.PHASES.items():
        if name in response and phase not in phases:
            message = f"response.{name} is not available in the phase {phase}"
            response.at(name).say("error", "C101", message, key=True, hint=f"move it to {', '.join(sorted(phases))}")


def check_communications(check: Check) -> None:
    """All rules about request specs."""
    base: Any = check.app.base.value
    for request in requests(check):
        _directives(request)
        check_request(request, base if isinstance(base, dict) else {})
        check_limits(request)


def _directives(request: Request) -> None:
    whole, kind = request.spot, request.kind
    for name in whole.value:
        if whole.check.report.full:
            return
        _directive(whole.at(name), name, "", table.REQUEST, kind)
        _inner(whole.at(name), name)
        if name == "digest":
            whole.at(name).say("info", "M443", "extension: not available in Make", key=True)
        elif name in table.BEYOND_SCHEMA:
            whole.at(name).say("info", "M436", f'"{name}" is not in the published schema', key=True)
    response = whole.at("response")
    if kind != "WHK" and isinstance(response.value, dict):
        for name in response.value:
            _directive(response.at(name), name, "response.", table.RESPONSE, kind)
            _inner(response.at(name), f"response.{name}")


def _directive(place: Spot, name: str, prefix: str, known: dict[str, frozenset[str]], kind: str) -> None:
    """Unknown, misplaced and unavailable directives."""
    kinds = known.get(name)
    severity = "error" if kind in table.STRICT_KINDS else "warning"
    code = "C101" if kind in table.STRICT_KINDS else "M421"
    if kinds is not None and kind in kinds:
        return
    other = table.REQUEST if prefix else table.RESPONSE
    if kind in other.get(name, ()) and not (prefix and name in ("headers", "body", "type")):
        target = "the request itself" if prefix else "response"
        message = f'"{prefix}{name}" is not available here; "{name}" belongs to {target}'
        place.say("warning", "M420", message, key=True, hint=f"move it to {target}")
    elif kinds is not None:
        hint = "delete it: it has no effect" if name != "aws" else "use a module for this request"
        place.say(severity, code, f"{prefix}{name} is not available in {table.NAMES[kind]}", key=True, hint=hint)
    elif name == "sanitize":
        place.say("warning", "M420", '"sanitize" belongs to log', key=True, hint='write `"log": {"sanitize": [...]}`')
    elif not prefix or name != "sanitize":
        near = place.check.report.near(name, [known_name for known_name, where in known.items() if kind in where])
        hint = f'did you mean "{near}"?' if near else "it is ignored"
        place.say("warning", "M420", f'unknown directive "{prefix}{name}"', key=True, hint=hint)


def _inner(place: Spot, name: str) -> None:
    """Keys and shape of what stands in a directive."""
    value = place.value
    shapes = table.SHAPES.get(name)
    if shapes and value is not None and not _has_shape(value, shapes):
        wanted = " or ".join([_WORDS[letter] for letter in shapes])
        if name in table.STATIC and has_iml(value):
            place.say("warning", "M422", f"{name} is read as it stands; an expression has no effect in it")
        else:
            place.say("warning", "M432", f"{name} must be {wanted}")
    elif name in table.STATIC and has_iml(value):
        place.say("warning", "M422", f"{name} is read as it stands; an expression has no effect in it")
    known = table.INNER.get(name)
    if known is None or not isinstance(value, dict):
        return
    for key in value:
        member = place.at(key)
        if key not in known:
            near = place.check.report.near(key, known)
            code = "M403" if name == "log" else "M420"
            hint = f'did you mean "{near}"?' if near else f"keys: {', '.join(sorted(known))}"
            member.say("warning", code, f'unknown key "{key}" in {name}', key=True, hint=hint)
        elif f"{name}.{key}" in table.STATIC and has_iml(member.value):
            member.say("warning", "M422", f"{name}.{key} is read as it stands; an expression has no effect in it")


_WORDS = {"o": "an object", "a": "an array", "s": "a text", "b": "a boolean", "n": "a number"}


def _has_shape(value: Any, shapes: str) -> bool:
    if isinstance(value, bool):
        return "b" in shapes
    if isinstance(value, (int, float)):
        return "n" in shapes
    letter = {dict: "o", list: "a", str: "s"}.get(type(value), "")
    return letter in shapes
