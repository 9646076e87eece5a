"""
Typical mistakes in one request spec (spec/app-format.md 7, communication.md 3, 4).
"""

from __future__ import annotations

import re
from typing import Any

from runtime.app.checks.context import Request, Spot, has_iml
from runtime.app.checks.directives import STRICT_KINDS

_CODE = re.compile(r"\d{3}")
_RANGE = re.compile(r"\d{3}|\d{3}-\d{3}|\*")
_TYPES = frozenset({"automatic", "json", "urlencoded", "text", "string", "raw", "binary", "xml"})
_REQUEST_TYPES = frozenset({"json", "urlencoded", "multipart/form-data", "text", "string", "raw", "binary"})
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
#: Methods whose request needs a body (S).
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_PLACEHOLDER = re.compile(r"https?://(?:www\.)?example\.(?:com|org|net)(?![\w.-])", re.IGNORECASE)
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
#: What an app may raise (modules.md 1.3).
ERROR_TYPES = frozenset({
    "RuntimeError", "DataError", "RateLimitError", "OutOfSpaceError", "ConnectionError", "InvalidConfigurationError",
    "InvalidAccessTokenError", "IncompleteDataError", "DuplicateDataError",
})  # fmt: skip


def check_request(request: Request, base: dict[str, Any]) -> None:
    """All rules that look at one request and Base."""
    _url(request, base)
    if request.kind not in ("WHK", "RES"):
        _method(request, base)
        _headers(request, base)
    _condition(request.spot.at("condition"))
    _paging(request)
    response = request.spot.at("response")
    if isinstance(response.value, dict) and request.kind not in ("WHK", "RES"):
        _response(request, response)
        _errors(response)
    if request.kind == "TRG":
        _trigger(response)
    if request.kind == "EPO":
        _epoch(response)


def _url(request: Request, base: dict[str, Any]) -> None:
    url = request.spot.at("url")
    for place in (url, request.spot.at("baseUrl")):
        if isinstance(place.value, str) and _PLACEHOLDER.search(place.value):
            place.say("warning", "M414", "placeholder host", hint="write the real address of the service")
    text = url.value
    if not isinstance(text, str) or not text or text.startswith("{{"):
        return
    if not _ABSOLUTE.match(text):
        if request.kind in STRICT_KINDS:
            url.say(
                "error", "C103", "relative url in a connection", hint="write the whole address: Base is not inherited"
            )
        elif request.kind != "BASE" and not base.get("baseUrl"):
            url.say("warning", "M429", "relative url, and Base has no baseUrl", hint="add baseUrl to Base")
    literal = re.sub(r"\{\{.*?\}\}", "", text)
    if "?" in literal and request.spot.at("qs").value:
        url.say("info", "M413", "the url has a query of its own; both are sent, and of equal names the one in qs wins")


def _method(request: Request, base: dict[str, Any]) -> None:
    method = request.spot.at("method")
    text = method.value
    if not isinstance(text, str) or has_iml(text):
        return
    if text.upper() not in _METHODS:
        method.say("warning", "M432", f'unknown method "{text[:40]}"', hint="one of GET, POST, PUT, PATCH, DELETE")
        return
    needs_body = text.upper() in _BODY_METHODS or (text.upper() == "DELETE" and request.kind == "EPO")
    if not needs_body or request.kind == "BASE":
        return
    inherits = request.kind not in STRICT_KINDS
    if "body" not in request.spot and not (inherits and "body" in base):
        hint = 'add `"body": {}` to say that it is empty'
        # The schema demands it and some working apps leave it out: the request goes out with an empty body.
        method.say("warning", "M431", f"a {text.upper()} request has no body; an empty one is sent", hint=hint)
    if "url" not in request.spot and request.kind not in ("EPO", "ATT"):
        method.say("warning", "M431", f"a {text.upper()} request has no url; nothing is sent")


def _headers(request: Request, base: dict[str, Any]) -> None:
    inherits = request.kind not in STRICT_KINDS and request.kind != "BASE"
    for name in ("headers", "qs"):
        place = request.spot.at(name)
        if inherits and isinstance(place.value, str) and base.get(name):
            hint = 'use the `"{{...}}"` key to merge'
            place.say("warning", "M401", f"this replaces the Base {name}", hint=hint)
    body_type = request.spot.at("type")
    if isinstance(body_type.value, str) and not has_iml(body_type.value) and body_type.value not in _REQUEST_TYPES:
        body_type.say(
            "warning", "M432", f'unknown request type "{body_type.value[:40]}"', hint=", ".join(sorted(_REQUEST_TYPES))
        )
    headers = request.spot.at("headers")
    for name in headers.value if isinstance(headers.value, dict) else ():
        value = headers.at(name)
        if (
            name.lower() == "content-type"
            and isinstance(value.value, str)
            and value.value.startswith("multipart/form-data")
        ):
            value.say("info", "M412", "ignored: the engine writes the boundary", hint="delete the header")


def _condition(condition: Spot) -> None:
    value = condition.value
    if isinstance(value, dict):
        condition = condition.at("condition")
        value = condition.value
    if isinstance(value, str) and not has_iml(value):
        what = "is always true: a text that is not empty" if value else "is always false: an empty text"
        condition.say(
            "warning", "M423", f"the condition {what}", hint="write an expression, or true or false without quotes"
        )


def _paging(request: Request) -> None:
    pagination = request.spot.at("pagination")
    paged = isinstance(pagination.value, dict)
    if paged and isinstance(pagination.value.get("body"), dict) and isinstance(request.spot.at("body").value, dict):
        missing = request.spot.at("body").value.keys() - pagination.value["body"].keys()
        if missing and "{{...}}" not in pagination.value["body"]:
            message = "pagination.body replaces the request body; filters of the first request are not repeated"
            pagination.at("body").say(
                "warning", "M410", message, hint=f"repeat {', '.join(sorted(missing)[:5])} if it is wanted"
            )
    response = request.spot.at("response")
    if paged and request.kind in ("SEA", "TRG") and "iterate" not in response:
        pagination.say(
            "warning", "M435", "pagination without response.iterate: the outputs of the pages become a list", key=True
        )
    if request.kind == "SEA" and request.single and response.value:
        if "iterate" in response and "limit" not in response:
            response.say("info", "M411", "the search has no response.limit", key=True)
        elif "iterate" in response and not paged:
            response.say("info", "M411", "the search has no pagination", key=True)
    if "repeat" in request.spot and request.spot.check.says("M406"):
        condition = request.spot.at("repeat").at("condition")
        if isinstance(condition.value, str) and "body" in condition.value:
            condition.say("info", "M406", "repeat.condition looks at body")


def _response(request: Request, response: Spot) -> None:
    kind = response.at("type")
    if isinstance(kind.value, dict):
        if "*" not in kind.value:
            kind.say("info", "M430", 'the map of types has no "*"; other answers are read automatically')
        for status in kind.value:
            if not _RANGE.fullmatch(status):
                kind.at(status).say("warning", "M424", f'"{status[:40]}" is no status code, range or *', key=True)
    for place in [kind.at(status) for status in kind.value] if isinstance(kind.value, dict) else [kind]:
        if isinstance(place.value, str) and not has_iml(place.value) and place.value not in _TYPES:
            place.say("warning", "M432", f'unknown response type "{place.value[:40]}"', hint=", ".join(sorted(_TYPES)))
    metadata = response.at("metadata")
    if isinstance(metadata.value, dict) and request.kind in (*STRICT_KINDS, "BASE"):
        value = metadata.at("type")
        if value.value is None:
            metadata.say("warning", "C106", "metadata has no type; text is assumed", hint="email or text")
        elif not has_iml(value.value) and value.value not in ("email", "text"):
            value.say("error", "C106", "metadata.type must be email or text")
    output = response.at("output")
    if isinstance(output.value, dict):
        for name in ("iterate", "limit"):
            if name in output and name not in response and isinstance(output.value[name], (str, dict)):
                text = output.value[name]
                if isinstance(text, dict) and "container" in text:
                    output.at(name).say(
                        "warning", "M420", f'"{name}" stands inside of output', key=True, hint="move it to response"
                    )


def _errors(response: Spot) -> None:
    error = response.at("error")
    if not isinstance(error.value, dict):
        return
    for name in error.value:
        place = error.at(name)
        if name in ("message", "type"):
            continue
        if not _CODE.fullmatch(name):
            hint = "write one entry for each status code"
            place.say(
                "warning", "M424", f'"{name[:40]}" in error is no status code of three digits', key=True, hint=hint
            )
        elif isinstance(place.value, dict):
            if "message" not in place.value:
                place.say("warning", "M425", f"error.{name} has no message")
            _error_type(place.at("type"))
            if name.startswith("2") and "valid" not in response:
                place.say(
                    "warning",
                    "M427",
                    f"error.{name} is never used: without response.valid this status is no error",
                    key=True,
                )
    if error.value and "message" not in error.value:
        error.say("warning", "M425", "error has no message for other status codes", hint="add `message`")
    _error_type(error.at("type"))


def _error_type(place: Spot) -> None:
    if isinstance(place.value, str) and not has_iml(place.value) and place.value not in ERROR_TYPES:
        hint = f"one of {', '.join(sorted(ERROR_TYPES))}"
        place.say("warning", "M426", f'unknown error type "{place.value[:60]}"; RuntimeError is used', hint=hint)


def _trigger(response: Spot) -> None:
    trigger = response.at("trigger")
    if not isinstance(trigger.value, dict):
        return
    for name in ("id", "type", "order"):
        if name not in trigger:
            trigger.say("warning" if name == "order" else "error", "M428", f"response.trigger has no {name}")
    if trigger.value.get("type") == "date" and "date" not in trigger:
        trigger.say("error", "M428", "response.trigger of type date has no date")
    if "limit" not in response:
        response.say("info", "M411", "the trigger has no response.limit: one bundle is taken in each run", key=True)


def _epoch(response: Spot) -> None:
    output = response.at("output")
    if isinstance(output.value, dict):
        for name in ("label", "date"):
            if name not in output:
                output.say("warning", "M437", f"the epoch's output has no {name}")
    else:
        response.say("warning", "M437", "the epoch has no response.output with label and date")
