"""
Requests for the eyes of an app's author: where each directive stands in its file, what it became, and as a command.

Everything comes from redacted records, so nothing secret can get in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from runtime.app.specs import CodeFile
from runtime.effects import HttpRequest
from runtime.sanitize import MASK, Secrets, exchange_record
from runtime.sanitize.exchange import MAX_BODY
from runtime.values import compact_json

#: Directives that are shown against their source line, in the order of the file format.
DIRECTIVES: Final = ("url", "method", "qs", "headers", "body", "type")
#: Headers that every HTTP client adds itself.
_OWN: Final = frozenset({"accept-encoding", "content-length", "host", "connection"})
_NAME: Final = re.compile(r"[^A-Z0-9]+")


def place_of(exchanges: Iterable[dict[str, Any]], code: CodeFile) -> None:
    """Add `source`, the `file:line:column` of its request spec, to records that have none yet."""
    for exchange in exchanges:
        if "source" not in exchange:
            place = locate(code, int(exchange.pop("index", 0)))
            if place:
                exchange["source"] = place


def locate(code: CodeFile, index: int, directive: str = "") -> str:
    """`file:line:column` of a request spec, or of a directive in it; empty when no file stands behind it."""
    if not code.file:
        return ""
    pointer = f"/{index}" if isinstance(code.value, list) else ""
    if directive:
        pointer += f"/{directive}"
    line, column = code.locate(pointer)
    return f"{code.file}:{line}:{column}"


def request_spec(code: CodeFile, index: int) -> Mapping[str, Any]:
    """The request spec at a position of a communication as its file has it."""
    value = code.value
    if isinstance(value, list):
        value = value[index] if index < len(value) else {}
    return value if isinstance(value, dict) else {}


def rendered_request(request: HttpRequest, code: CodeFile, secrets: Secrets) -> dict[str, Any]:
    """A request that was not sent: redacted, with the place of each directive and the same as a `curl` command."""
    # A request without a list of its own shows only its address; its author wants to see it whole.
    log = replace(request.log, sanitize=request.log.sanitize or ())
    record = exchange_record(replace(request, log=log), None, None, secrets)
    shown: dict[str, Any] = dict(record.get("request") or {})
    index = request.log.index
    return {
        **shown,
        "source": locate(code, index),
        "directives": rendered_directives(shown, code, index),
        "curl": curl_command(shown),
    }


def rendered_directives(request: Mapping[str, Any], code: CodeFile, index: int) -> list[dict[str, Any]]:
    """Each directive of a request: where it stands, how it is written, what it became."""
    spec = request_spec(code, index)
    return [
        {"directive": name, "at": locate(code, index, name), "template": spec[name], "value": request.get(name)}
        for name in DIRECTIVES
        if name in spec and name in request
    ]


def curl_command(request: Mapping[str, Any]) -> str:
    """A redacted request as a `curl` command for a POSIX shell; what was masked is a variable that the user sets."""
    words = ["curl"]
    method = str(request.get("method", "GET"))
    if method != "GET":
        words += ["-X", shlex.quote(method)]
    words.append(_quoted(str(request.get("url", "")), "URL_SECRET", address=True))
    for name, value in dict(request.get("headers") or {}).items():
        if name.lower() not in _OWN:
            for item in value if isinstance(value, list) else [value]:
                words += ["-H", _quoted(f"{name}: {item}", name)]
    body = request.get("body")
    if body not in (None, ""):
        if isinstance(body, dict) and body.get("buffer") is True:
            words += ["--data-binary", "@body.bin"]
        else:
            text = body if isinstance(body, str) else compact_json(body)
            cut = len(text) > MAX_BODY
            words += ["--data-binary", "@body.txt" if cut else _quoted(text, "BODY_SECRET")]
    return " ".join(words)


def _quoted(text: str, label: str, *, address: bool = False) -> str:
    """The text as one word of a shell; each mask in it becomes a variable named after what it belongs to."""
    pieces = text.split(MASK)
    variable = _NAME.sub("_", label.upper()).strip("_") or "SECRET"
    word = shlex.quote(pieces[0]) if pieces[0] or len(pieces) == 1 else ""
    for number, piece in enumerate(pieces[1:], 1):
        name = variable if number == 1 else f"{variable}_{number}"
        if address and (match := re.search(r"[?&]([\w.-]+)=\Z", pieces[number - 1])):
            name = _NAME.sub("_", match[1].upper()).strip("_") or name
        word += f'"${{{name}}}"' + (shlex.quote(piece) if piece else "")
    return word
