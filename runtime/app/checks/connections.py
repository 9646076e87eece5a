"""
Rules of spec/connections.md 13 that are not about single directives: C102, C104, C105, C108, C109, C113 to C116.
"""

from __future__ import annotations

import re
from typing import Any

from runtime.app.checks.communications import is_oauth1, requests
from runtime.app.checks.context import Check, Request, Spot, spot, strings
from runtime.app.specs import ConnectionSpec
from runtime.parameters.fields import SECRET_TYPES

#: Names that a secret input has; `key` alone is too common to mean one.
SECRET_NAME = re.compile(r"passw|secret|api_?-?key|token|private_?key|passphrase", re.IGNORECASE)
#: Secret inputs that are looked for in a communication; real connections have up to four.
_MAX_SECRETS = 50
#: Sanitize paths of one list that are looked at.
_MAX_PATHS = 500
_RESERVED = frozenset({"accountName", "teamID"})
_PATH_PART = re.compile(r"`([^`]*)`|([^.`\[\]<>]+)")


def check_connections(check: Check) -> None:
    """All rules about connections and their logs."""
    for connection in check.app.connections.values():
        _inputs(check, connection)
        _communication(check, connection)
    every = list(requests(check))
    for request in every:
        _sanitize(check, request, every)
    _unlogged(check, every)


def _inputs(check: Check, connection: ConnectionSpec) -> None:
    stack = [spot(check, connection.title, connection.params)]
    while stack:
        place = stack.pop()
        if isinstance(place.value, list):
            stack.extend([place.at(index) for index in range(len(place.value))])
        elif isinstance(place.value, dict):
            stack.extend([place.at(key) for key in ("nested", "options", "store", "spec") if key in place])
            name = place.value.get("name")
            kind = place.value.get("type", "text")
            if not isinstance(name, str):
                continue
            if name in _RESERVED:
                place.at("name").say("warning", "C116", f'the input name "{name}" is reserved', hint="rename the input")
            elif SECRET_NAME.search(name) and kind == "text":
                message = f'the input "{name}" looks like a secret and is not of type password'
                place.say("warning", "C114", message, hint='write `"type": "password"`')


def _communication(check: Check, connection: ConnectionSpec) -> None:
    whole = spot(check, connection.title, connection.communication)
    value: Any = whole.value
    if not value or value == [{}]:
        whole.say(
            "warning",
            "C115",
            "empty communication: the connection cannot be verified",
            hint="add a request that tests it",
        )
        return
    if connection.type == "basic":
        if isinstance(value, list) and len(value) > 1:
            message = f"a basic connection can perform only a single request (found {len(value)})"
            whole.at(1).say("error", "C102", message, hint="keep one request")
        elif isinstance(value, list):
            whole.say(
                "info", "M407", "the single request of a basic connection stands in a list", hint="remove the brackets"
            )
    elif isinstance(value, dict):
        phases = set(value)
        token = whole.at("token")
        if "token" in phases and "authorize" not in phases and not _has_condition(token.value):
            token.say(
                "warning",
                "C108",
                "token without authorize and without condition",
                key=True,
                hint="add `authorize` or a condition",
            )
        if "refresh" in phases and not _has_condition(value["refresh"]):
            hint = "without one it runs at each use"
            whole.at("refresh").say("warning", "C109", "refresh without condition", key=True, hint=hint)
        if not is_oauth1(phases) and not phases & {"token", "authorize", "preauthorize", "info"}:
            whole.say("warning", "C115", "none of the phases authorizes: the connection cannot be verified")
    _secrets_logged(connection, whole)


def _has_condition(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_condition(item) for item in value)
    return isinstance(value, dict) and "condition" in value


def _secrets_logged(connection: ConnectionSpec, whole: Spot) -> None:
    """C104: a secret input is sent and no `log.sanitize` stands in the file."""
    secrets = [
        item["name"]
        for item in _objects(connection.params.value)
        if isinstance(item.get("name"), str)
        and (str(item.get("type")) in SECRET_TYPES or SECRET_NAME.search(item["name"]) is not None)
    ][:_MAX_SECRETS]
    texts = [text.text for text in strings(whole.value)]
    sent = any(f"parameters.{name}" in text for name in secrets for text in texts)
    if sent and not any(isinstance(item.get("sanitize"), list) and item["sanitize"] for item in _objects(whole.value)):
        hint = 'add `"log": {"sanitize": ["request.headers.authorization"]}` with the paths of the secrets'
        whole.say("warning", "C104", "a secret input is sent and there is no log.sanitize", hint=hint)


def _objects(value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    stack: list[Any] = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            found.append(current)
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
    return found


def _unlogged(check: Check, every: list[Request]) -> None:
    """C104 for the rest of the app: neither Base nor the request has a list, so no log shows more than the status."""
    base = spot(check, "app", check.app.base)
    if base.at("log").at("sanitize").value or not check.app.base.linked:
        return
    without = [
        request
        for request in every
        if request.kind not in ("BASE", "CB", "O1", "O2", "WHK", "RES")
        and not request.spot.at("log").at("sanitize").value
    ]
    if without:
        message = f"Base has no log.sanitize, nor have {len(without)} requests: their headers and bodies are not logged"
        base.say(
            "warning", "C104", message, hint='add `"log": {"sanitize": ["request.headers.authorization"]}` to Base'
        )


def _sanitize(check: Check, request: Request, every: list[Request]) -> None:
    """C105: a path that matches nothing which is sent."""
    paths = request.spot.at("log").at("sanitize")
    if not isinstance(paths.value, list):
        return
    for index, path in enumerate(paths.value[:_MAX_PATHS]):
        place = paths.at(index)
        parts = [quoted or plain for quoted, plain in _PATH_PART.findall(path)] if isinstance(path, str) else []
        if not parts or parts[0].lower() not in ("request", "response"):
            place.say("warning", "C105", "a sanitize path begins with request or response; this one is ignored")
            continue
        if parts[0].lower() != "request" or len(parts) < 3 or "<" in path:
            continue
        known = _sent(request, parts[1].lower(), check, every)
        if known is not None and parts[2].lower() not in known:
            near = check.report.near(parts[2].lower(), known)
            hint = f'did you mean "{near}"?' if near else "remove the path or correct it"
            place.say("warning", "C105", f'nothing that is sent matches "{path[:100]}"', hint=hint)


def _sent(request: Request, part: str, check: Check, every: list[Request]) -> frozenset[str] | None:
    """Lower-case names sent in headers, qs or body; None when they cannot be known."""
    if part not in ("headers", "qs", "body"):
        return None
    bases = [check.app.base.value] if request.kind not in ("CB", "O1", "O2") else []
    sources: list[Any] = [request.spot.value, *bases]
    if request.kind == "BASE":
        # Base's list counts for every module.
        sources += [other.spot.value for other in every if other.kind not in ("CB", "O1", "O2")]
    names: set[str] = set()
    for source in sources:
        pagination = source.get("pagination") if isinstance(source, dict) else None
        for holder in (source, pagination):
            value = holder.get(part) if isinstance(holder, dict) else None
            if isinstance(value, (str, list)) or (isinstance(value, dict) and any("{{" in key for key in value)):
                return None
            if isinstance(value, dict):
                names.update(key.lower() for key in value)
        if isinstance(source, dict) and any(key in source for key in ("aws", "oauth", "digest")):
            names.add("authorization")
    return frozenset(names)
