"""
Answers to the caller of a webhook: shared by `respond`, `verification`, responders and `WebhookRespond`.

Source: spec/modules.md 5.5; the answers of built-in modules are spec/scenarios.md 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runtime.coercion import parse_number_text
from runtime.communication.plan import Directive
from runtime.communication.url import encode_pairs, flatten, scalar_text
from runtime.errors import DataError, ModuleRuntimeError
from runtime.iml import Environment, Place, compile_document
from runtime.values import UNDEFINED, Buffer, compact_json, is_empty, to_text
from runtime.webhooks.incoming import Answer

JSON: Final = "application/json; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"
BYTES: Final = "application/octet-stream"
#: Longest body of an answer, in bytes.
MAX_BODY: Final = 5 * 1024 * 1024
#: Most header lines of an answer, and longest value.
MAX_HEADERS: Final = 100
MAX_VALUE: Final = 8192
_TOKEN: Final = re.compile(r"\A[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}\Z")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
#: Framing and the connection belong to the server: an app that set them could break or split its answers.
_SERVER: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"})
#: Statuses that have no body.
_BODILESS: Final = frozenset({204, 205, 304})
_TYPES: Final = ("json", "urlencoded", "text")


@dataclass(frozen=True, slots=True)
class RespondPlan:
    """A compiled `respond`, or the `response` of a responder."""

    status: Directive | None = None
    headers: Directive | None = None
    body: Directive | None = None
    type: Directive | None = None

    def answer(self, context: Mapping[str, Any], environment: Environment) -> Answer:
        """
        The answer in this context.

        Raises:
            ModuleError: An expression failed, or its value cannot be sent.
        """
        values = [
            UNDEFINED if part is None else part.evaluate(context, environment)
            for part in (self.status, self.headers, self.body, self.type)
        ]
        return render(*values)


def compile_respond(source: Any, *, component: str, path: str) -> RespondPlan | None:
    """The plan of a `respond`; None when it is no object."""
    if not isinstance(source, dict):
        return None

    def directive(key: str) -> Directive | None:
        if source.get(key) is None:
            return None
        place = Place(component=component, pointer=f"/{path.replace('.', '/')}/{key}")
        return Directive(compile_document(source[key], place=place), f"{path}.{key}")

    return RespondPlan(directive("status"), directive("headers"), directive("body"), directive("type"))


def render(status: Any = UNDEFINED, headers: Any = UNDEFINED, body: Any = UNDEFINED, type_: Any = UNDEFINED) -> Answer:
    """
    The answer of evaluated values. Without a `type` a text goes out as it is and everything else as JSON.

    Raises:
        ModuleRuntimeError: The status is none, or there is no such type.
        DataError: A header or the body cannot be sent.
    """
    number = status_of(status)
    lines = header_lines(headers)
    data, content_type = _encoded(body, _type(type_))
    if len(data) > MAX_BODY:
        raise DataError(f"The answer has {len(data)} bytes; {MAX_BODY} are allowed.")
    if number < 200 or number in _BODILESS:
        return Answer(number, tuple(lines))
    if content_type and not any(name == "content-type" for name, _ in lines):
        lines.insert(0, ("content-type", content_type))
    return Answer(number, tuple(lines), data)


def status_of(value: Any) -> int:
    """
    A status, 200 for nothing.

    Raises:
        ModuleRuntimeError: It is no whole number from 100 to 999.
    """
    if is_empty(value):
        return 200
    number = parse_number_text(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 100 <= number <= 999:
        raise ModuleRuntimeError("status: must be a whole number from 100 to 999")
    if number != int(number):
        raise ModuleRuntimeError("status: must be a whole number from 100 to 999")
    return int(number)


def header_lines(headers: Any) -> list[tuple[str, str]]:
    """
    Header lines with lower-case names: undefined and null left out, arrays as several lines.

    Raises:
        DataError: It is no collection, or a name or value is none.
    """
    if is_empty(headers):
        return []
    if not isinstance(headers, dict):
        raise DataError("headers must be a collection")
    lines: list[tuple[str, str]] = []
    for key, value in headers.items():
        name = str(key).strip().lower()
        if not _TOKEN.match(name):
            raise DataError("invalid header name")
        if name in _SERVER:
            continue
        lines += [
            (name, _header_value(name, item))
            for item in (value if isinstance(value, list) else [value])
            if item is not None and item is not UNDEFINED
        ]
    if len(lines) > MAX_HEADERS:
        raise DataError(f"An answer may have {MAX_HEADERS} header lines, not {len(lines)}.")
    return lines


def _header_value(name: str, value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise DataError(f"invalid header value for {name}")
    text = scalar_text(value, f"the header {name}")
    if _CONTROL.search(text) or len(text) > MAX_VALUE:
        raise DataError(f"invalid header value for {name}")
    return text.strip(" \t").encode("utf-8", "replace").decode("latin-1")


def _type(value: Any) -> str:
    if is_empty(value):
        return ""
    if value not in _TYPES:
        raise ModuleRuntimeError(f"type: there is no such type; known are {', '.join(_TYPES)}")
    return value


def _encoded(body: Any, type_: str) -> tuple[bytes, str]:
    """Bytes of a body and the Content-Type that goes with it."""
    if body is None or body is UNDEFINED:
        return b"", ""
    if isinstance(body, Buffer):
        return body.data, BYTES
    if type_ == "urlencoded":
        if not isinstance(body, dict):
            raise DataError("body must be a collection for the type urlencoded")
        return encode_pairs(flatten(body, "a form")).encode("ascii"), FORM
    if type_ == "text" or (type_ == "" and isinstance(body, str)):
        return to_text(body).encode("utf-8", "replace"), TEXT
    return compact_json(body).encode("utf-8", "replace"), JSON


def remembered(answer: Answer) -> dict[str, Any]:
    """An answer as the value that a module hands to its run: the body is text, or a buffer when it is none."""
    try:
        body: Any = answer.body.decode()
    except UnicodeDecodeError:
        body = Buffer(answer.body)
    return {"status": answer.status, "headers": [list(line) for line in answer.headers], "body": body}
