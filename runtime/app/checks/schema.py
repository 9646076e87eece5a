"""
Limits of the published request schemas beyond shapes of directives (spec/app-format.md 6, communication.md 3, 4, 22).

The runtime takes what breaks them and warns; the official tool refuses it when the app is deployed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.app.checks.context import Request, Spot, has_iml
from runtime.app.checks.directives import STRICT_KINDS

#: Longest texts in the file, before evaluation, by their place in a request.
MAX_LENGTHS: Final[dict[tuple[str, ...], int]] = {
    ("url",): 512,
    ("baseUrl",): 512,
    ("ca",): 8192,
    ("iterate",): 512,
    ("iterate", "container"): 512,
    ("response", "error"): 1024,
    ("response", "error", "message"): 1024,
    ("response", "expires"): 512,
    ("response", "iterate"): 512,
    ("response", "iterate", "container"): 512,
    ("response", "metadata", "value"): 512,
}
#: Longest text of a key of `aws` and `oauth`.
MAX_SIGNING: Final = 512
#: Longest time of one exchange in milliseconds.
MAX_TIMEOUT: Final = 300_000
#: Directives that an endpoint call leaves to the endpoint (modules.md 1.11).
_OF_ENDPOINT: Final = (
    "url", "method", "headers", "qs", "body", "encodeUrl", "ca", "type", "gzip", "aws", "followRedirects",
    "followAllRedirects", "oauth",
)  # fmt: skip
_STATUS: Final = re.compile(r"[1-9]\d\d")
#: Expressions that give a collection or a list, whatever the values.
_COLLECTION: Final = re.compile(r"\s*\{\{\s*(?:parameters\s*\}\}|(?:omit|pick|toCollection|toArray|map|parseJSON)\()")
_ANSWERS: Final = ("json", "urlencoded", "text")
#: Place -> what a plain text there must be.
_CHOICES: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("respond", "type"): _ANSWERS,
    ("verification", "respond", "type"): _ANSWERS,
    ("response", "trigger", "type"): ("id", "date"),
    ("response", "trigger", "order"): ("asc", "desc", "unordered"),
    ("aws", "sign_version"): ("2", "4"),
}


def check_limits(request: Request) -> None:
    """Lengths, enumerations and flat objects of one request spec, and what only the documentation knows."""
    whole = request.spot
    for path, most in MAX_LENGTHS.items():
        _length(_inside(whole, path), path[-1], most)
    for name in ("aws", "oauth"):
        signing = whole.at(name)
        for key in signing.value if isinstance(signing.value, dict) else ():
            _length(signing.at(key), f"{name}.{key}"[:60], MAX_SIGNING)
    errors = whole.at("response").at("error")
    for status in errors.value if isinstance(errors.value, dict) else ():
        if isinstance(errors.value[status], dict):
            _length(errors.at(status).at("message"), f"error.{status[:20]}.message", 1024)
    for path, allowed in _CHOICES.items():
        _choice(_inside(whole, path), ".".join(path), allowed, request)
    for place in (whole, whole.at("pagination")):
        for name in ("headers", "qs"):
            _flat(place.at(name), name)
    for place in (whole.at("respond"), whole.at("verification").at("respond")):
        _status(place.at("status"))
    _text_body(request)
    _numbers(whole)
    _webhook(request)
    _endpoint(whole)
    _beyond(request)


def _inside(place: Spot, path: tuple[str, ...]) -> Spot:
    for name in path:
        place = place.at(name)
    return place


def _length(place: Spot, name: str, most: int) -> None:
    if isinstance(place.value, str) and len(place.value) > most:
        message = f"{name} has {len(place.value)} characters; the published schema allows {most}"
        place.say("warning", "M438", message, hint="move parts of it to temp")


def _choice(place: Spot, name: str, allowed: tuple[str, ...], request: Request) -> None:
    if (
        isinstance(place.value, str)
        and not has_iml(place.value)
        and place.value not in allowed
        and (request.kind == "TRG" or name.partition(".")[0] != "response")
    ):
        place.say("warning", "M432", f'{name} must not be "{place.value[:40]}"', hint=f"one of {', '.join(allowed)}")


def _flat(place: Spot, name: str) -> None:
    """`headers` and `qs` hold plain values and lists of them."""
    for key in place.value if isinstance(place.value, dict) else ():
        value: Any = place.value[key]
        if isinstance(value, dict) and not (name == "qs" and "{{" in key):
            what = "is sent as name[key]=value" if name == "qs" else "cannot be sent"
            place.at(key).say(
                "warning", "M439", f'"{key[:60]}" in {name} is an object, which {what}', hint="write plain values"
            )


def _status(place: Spot) -> None:
    value = place.value
    if value is None or has_iml(value):
        return
    if isinstance(value, bool) or not _STATUS.fullmatch(str(value)):
        place.say("warning", "M432", "status must be a number from 100 to 999")


def _numbers(whole: Spot) -> None:
    timeout = whole.at("timeout")
    if isinstance(timeout.value, (int, float)) and not 1 <= timeout.value <= MAX_TIMEOUT:
        timeout.say("warning", "M432", f"timeout is in milliseconds, from 1 to {MAX_TIMEOUT}")
    repeat = whole.at("repeat")
    for name in ("delay", "limit"):
        place = repeat.at(name)
        value = place.value
        if (
            value is not None
            and not has_iml(value)
            and (isinstance(value, bool) or not isinstance(value, (int, float)))
        ):
            place.say("warning", "M432", f"repeat.{name} must be a number")
    if isinstance(repeat.value, dict) and "condition" not in repeat.value:
        repeat.say("warning", "M432", "repeat has no condition; it never repeats")
    merge = whole.at("pagination").at("mergeWithParent")
    if merge.value is not None and not isinstance(merge.value, bool):
        merge.say("warning", "M432", "pagination.mergeWithParent must be true or false")
    container = whole.at("response").at("iterate")
    if isinstance(container.value, dict) and "container" not in container.value:
        container.say("warning", "M432", "response.iterate has no container")


def _text_body(request: Request) -> None:
    """M442: a body that is one expression is sent as a JSON string when the expression gives a text."""
    whole, base = request.spot, request.spot.check.app.base.value
    body: Any = whole.at("body").value
    kind: Any = whole.at("type").value
    if kind is None and request.kind not in (*STRICT_KINDS, "BASE") and isinstance(base, dict):
        kind = base.get("type")
    if (
        not has_iml(body)
        or _COLLECTION.match(body)
        or kind not in (None, "json")
        or request.kind in ("BASE", "WHK", "RES")
    ):
        return
    severity = "warning" if request.kind == "UNI" else "info"
    if request.kind == "UNI" or kind is None:
        hint = 'write `"type": "text"` if it may be a text'
        whole.at("body").say(severity, "M442", "a text in this body is sent as a JSON string, in quotes", hint=hint)


def _webhook(request: Request) -> None:
    verification = request.spot.at("verification")
    if request.kind == "WHK" and isinstance(verification.value, dict) and "respond" not in verification.value:
        hint = "add `respond`, or delete `verification`"
        verification.say("warning", "M440", "verification without respond is ignored", key=True, hint=hint)


def _endpoint(whole: Spot) -> None:
    if "endpoint" in whole:
        hint = "write url, method and the rest into the request"
        whole.at("endpoint").say("warning", "M441", "a request of an endpoint cannot be run yet", key=True, hint=hint)
        for name in _OF_ENDPOINT:
            if name in whole:
                whole.at(name).say("warning", "M441", f"{name} belongs to the endpoint that is called", key=True)
    elif "input" in whole:
        whole.at("input").say("warning", "M441", "input without endpoint has no effect", key=True)


def _beyond(request: Request) -> None:
    """M436: what the documentation has and the published schema has not."""
    whole, kind = request.spot, request.kind

    def say(place: Spot, what: str) -> None:
        place.say("info", "M436", f"{what} is not in the published schema", key=True)

    if kind != "BASE" and "timeout" in whole:
        say(whole.at("timeout"), '"timeout" outside of Base')
    if kind == "BASE" and "gzip" in whole:
        say(whole.at("gzip"), '"gzip" in Base')
    if kind in STRICT_KINDS and request.kind == "O1" and request.index == 0 and "oauth" in whole:
        say(whole.at("oauth"), "OAuth 1")
    if kind == "WHK" and "uid" in whole:
        say(whole.at("uid"), '"uid" of a webhook')
    base: Any = whole.check.app.base.value
    for name in ("headers", "qs"):
        # Where Base has the same directive, M401 says more.
        if has_iml(whole.at(name).value) and not (isinstance(base, dict) and base.get(name)):
            say(whole.at(name), f"{name} as one expression")
    for name in ("service", "region"):
        if name in whole.at("aws"):
            say(whole.at("aws").at(name), f"aws.{name}")
