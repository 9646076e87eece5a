"""
The record of one HTTP exchange, redacted (spec/communication.md section 21).

Shape: `{"component", "page", "repeat", "number", "request": {"method", "url", "headers", "qs", "body", "type"},
"response": {"statusCode", "headers", "body"} | null, "error": {"type", "message"}, "ms"}`; a redirected answer has
`response.url`. Without any list of paths only method, host, path, status and timing are there. If redaction itself
fails, the record is withheld: method, component and status remain.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from runtime.codec import CodecError, parse_json
from runtime.counters import count
from runtime.effects import HttpRequest, HttpResponse
from runtime.errors import ModuleError
from runtime.sanitize.encodings import MASK
from runtime.sanitize.names import (
    SECRET_HEADERS,
    NameTest,
    always_secret,
    has_names,
    mask_names,
    name_spans,
    phase_secret,
)
from runtime.sanitize.paths import Part, SanitizePath, apply_path, mask_pairs, mask_query, names_match, parse_path
from runtime.sanitize.secrets import Secrets
from runtime.values import UNDEFINED, Buffer, compact_json, date_text

#: Longest body in a record, in characters; also the size up to which a JSON body is shown as data instead of text.
MAX_BODY: Final = 16 * 1024
#: A longer body is not parsed to follow a path into it, but masked as a whole.
MAX_PARSED: Final = 1024 * 1024
#: A path below a part of the record, and a value to mask in the texts that stand there.
Inside: TypeAlias = "tuple[tuple[Part, ...], str]"
#: Headers whose value is an address.
_ADDRESS_HEADERS: Final = frozenset({"location", "content-location", "referer", "refresh", "link"})
_USER: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#@]*@")
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_TEXT_TYPE: Final = re.compile(r"text/|[/+](?:json|xml|javascript|x-www-form-urlencoded)\b", re.IGNORECASE)


def exchange_record(
    request: HttpRequest,
    response: HttpResponse | None,
    error: ModuleError | None,
    secrets: Secrets,
    *,
    elapsed: timedelta | None = None,
    connection_phase: bool | None = None,
) -> dict[str, Any]:
    """
    The redacted record of one exchange as plain JSON data. Never raises.

    `connection_phase` turns the masks of spec/connections.md 12 on; by default they are on for a component that
    names itself a connection. `elapsed` is the time of an exchange without an answer.
    """
    try:
        phase = connection_phase
        if phase is None:
            phase = request.log.component.startswith("connection")
        return _Recorder(request, response, error, secrets, phase).record(elapsed)
    except Exception:  # noqa: BLE001  whatever failed, an unredacted record must not get out, and a run must go on
        return withheld_record(request, response)


def withheld_record(request: HttpRequest, response: HttpResponse | None) -> dict[str, Any]:
    """What remains of a record whose redaction failed."""
    count("records_withheld")
    return {
        "component": request.log.component,
        "request": {"method": request.method},
        "response": {"statusCode": response.status} if response is not None else None,
        "withheld": "The record could not be redacted, so it is not shown.",
    }


@dataclass(slots=True)
class _Recorder:
    request: HttpRequest
    response: HttpResponse | None
    error: ModuleError | None
    secrets: Secrets
    phase: bool

    def record(self, elapsed: timedelta | None) -> dict[str, Any]:
        request, response, log = self.request, self.response, self.request.log
        taken = response.elapsed if response is not None else elapsed
        record: dict[str, Any] = {
            "component": log.component,
            "page": log.page,
            "repeat": log.repeat,
            "number": request.number,
        }
        if log.index:
            record["index"] = log.index
        if log.sanitize is None:
            record["request"] = {"method": request.method, "url": _without_query(request.url)}
            record["response"] = {"statusCode": response.status} if response is not None else None
            record = self.secrets.redact(record)
        else:
            parsed = [path for text in log.sanitize if (path := parse_path(text)) is not None]
            paths = [path for path in parsed if path.inner is None or not path.exact]
            record["request"] = self.request_part(paths)
            record["response"] = self.response_part(paths) if response is not None else None
            # Bodies are redacted already: they are long, and cut at the same time.
            sides = [side for side in ("request", "response") if "body" in (record[side] or {})]
            bodies = {side: record[side].pop("body") for side in sides}
            record = self.secrets.redact(record)
            for side, body in bodies.items():
                record[side]["body"] = body
        if self.error is not None:
            message = self.secrets.redact_text(self.error.message, limit=MAX_BODY)
            record["error"] = {"type": self.error.name, "message": message}
        record["ms"] = round(taken / timedelta(milliseconds=1), 3) if taken is not None else None
        return record

    @property
    def names(self) -> NameTest:
        return phase_secret if self.phase else always_secret

    # request

    def request_part(self, paths: list[SanitizePath]) -> dict[str, Any]:
        request = self.request
        own = [path for path in paths if path.root == "request"]
        part: dict[str, Any] = {
            "method": request.method,
            "url": self.address(request.url, own),
            "headers": _headers(request.headers),
            "qs": _grouped(request.log.qs),
            "type": request.log.body_type,
        }
        part["headers"] = self.header_masks(part["headers"], own)
        part["qs"] = {name: MASK if self.names(name) else value for name, value in part["qs"].items()}
        body_paths = [path.parts[1:] for path in own if path.names[:1] == ("body",)]
        body, data = request.body, request.log.body
        if body is not None or not (data is None or data is UNDEFINED):
            part["body"] = self.body(
                body if isinstance(body, bytes) else b"", data, "", body_paths, self.inside("request", "body")
            )
        for path in own:
            if not path.parts:
                return dict.fromkeys(part, MASK) | {"method": request.method}
            if path.names[:1] == ("qs",):
                part["qs"] = mask_pairs(part["qs"], path.parts[1:])
            elif path.names[:1] not in (("body",), ("headers",)):
                part = apply_path(part, path.parts)
        for name in ("url", "headers", "qs"):
            part[name] = _mask_all_inside(part[name], self.inside("request", name))
        return part

    def response_part(self, paths: list[SanitizePath]) -> dict[str, Any]:
        response = self.response
        assert response is not None  # noqa: S101  for the type checker; the caller has looked
        own = [path for path in paths if path.root == "response"]
        asked = [path for path in paths if path.root == "request"]
        part: dict[str, Any] = {"statusCode": response.status}
        if response.url and response.url != self.request.url:
            part["url"] = self.address(response.url, asked)
        headers = _headers(response.headers)
        for name, value in headers.items():
            if name.lower() in _ADDRESS_HEADERS:
                headers[name] = _each(value, lambda text: self.address(text, asked))
        part["headers"] = self.header_masks(headers, own)
        body_paths = [path.parts[1:] for path in own if path.names[:1] == ("body",)]
        content_type = next((value for name, value in response.headers if name.lower() == "content-type"), "")
        part["body"] = self.body(response.body, None, content_type, body_paths, self.inside("response", "body"))
        for path in own:
            if not path.parts:
                return dict.fromkeys(part, MASK) | {"statusCode": response.status}
            if path.names[:1] not in (("body",), ("headers",)):
                part = apply_path(part, path.parts)
        part["headers"] = _mask_all_inside(part["headers"], self.inside("response", "headers"))
        return part

    def inside(self, root: str, name: str) -> list[Inside]:
        """Values of the form `request.body<parameters.secret>` for this part: the path below it, and the value."""
        found: list[Inside] = []
        for text, value in self.request.log.within:
            path = parse_path(text)
            if path is not None and value and path.root == root and path.names[:1] in ((), (name,)):
                found.append((path.parts[1:], value))
        return found

    def header_masks(self, headers: dict[str, Any], paths: list[SanitizePath]) -> Any:
        """Credential headers masked, in connection phases those of telling names too; paths of `headers` applied."""
        masked: Any = {
            name: MASK if name.lower() in SECRET_HEADERS or self.names(name) else value
            for name, value in headers.items()
        }
        for path in paths:
            if path.names[:1] == ("headers",):
                masked = apply_path(masked, path.parts[1:])
        return masked

    def address(self, url: str, paths: list[SanitizePath]) -> str:
        """A URL with user, named parameters and parameters of secret names masked; all of it for `request.url`."""
        if any(not path.parts or path.names == ("url",) for path in paths):
            return MASK
        wanted = [path.names[1:] for path in paths if path.names[:1] == ("qs",)]
        head, question, query = _USER.sub(rf"\1{MASK}@", url).partition("?")
        if not question:
            return head
        if () in wanted:
            return f"{head}?{MASK}"
        query, sharp, fragment = query.partition("#")
        pieces = mask_query(query, wanted).split("&")
        for number, piece in enumerate(pieces):
            name, equals, _ = piece.partition("=")
            if equals and name_is_secret(name, self.names):
                pieces[number] = f"{name}={MASK}"
        return f"{head}?{'&'.join(pieces)}{sharp}{fragment and MASK}"

    # bodies

    def body(
        self, raw: bytes, data: Any, content_type: str, paths: list[tuple[Part, ...]], inside: list[Inside]
    ) -> Any:
        """
        A body as it may be shown: data up to `MAX_BODY`, a longer one as the beginning of its text.

        Args:
            raw: The bytes that were sent or received.
            data: The value that they were made from; None for an answer.
            content_type: Header of an answer.
            paths: What to mask, below the body.
            inside: Values to mask in the texts at a path below the body.
        """
        if () in paths:
            return MASK
        exact = bool(paths or inside or self.phase)
        text = None
        if data is None or data is UNDEFINED:
            text = _text(raw, content_type)
            if text is None:
                return MASK if paths or inside else _buffer(raw)
            data = text
            if text.lstrip()[:1] in ("{", "[") and (len(raw) <= MAX_BODY or exact):
                if len(raw) > MAX_PARSED:
                    return MASK
                try:
                    data = parse_json(raw)
                except CodecError:
                    data = text
                if not exact and self.clean(text):
                    return data
        elif len(raw) > MAX_PARSED:
            if exact:
                return MASK
            text = _text(raw, "")
            data = text if text is not None else data
        elif isinstance(data, str):
            text = data
        if isinstance(data, str) and len(data) > MAX_BODY:
            if not exact:
                return self.cut(data, len(raw))
            if len(data) > MAX_PARSED:
                return MASK
        shown = _plain(data)
        for path in paths:
            shown = apply_path(shown, path)
        shown = mask_names(_mask_all_inside(shown, inside), self.names)
        if isinstance(shown, str):
            return self.cut(shown, len(raw)) if len(shown) > MAX_BODY else self.secrets.redact_text(shown)
        if len(raw) > MAX_BODY or text is None:
            written = compact_json(shown)
            if len(written) > MAX_BODY:
                return self.cut(written, len(raw))
        return self.secrets.redact(shown)

    def clean(self, text: str) -> bool:
        """Whether a text has nothing to mask. Most answers have nothing, and are spared the walk through their data."""
        return "\\" not in text and not has_names(text, self.names) and not self.secrets.may_know(text)

    def cut(self, text: str, size: int) -> str:
        shown = self.secrets.redact_text(text, limit=MAX_BODY, also=lambda window: name_spans(window, self.names))
        # Masks may be longer than what they hide.
        return f"{shown[:MAX_BODY]}… (cut; {size} bytes in all)"


def _mask_all_inside(value: Any, inside: list[Inside]) -> Any:
    """The value of `request.body<parameters.secret>` masked wherever it occurs in the texts at the path."""
    for parts, plain in inside:
        with Secrets() as secrets:
            secrets.add(plain)
            value = _mask_inside(value, parts, secrets, plain)
    return value


def _mask_inside(value: Any, parts: tuple[Part, ...], secrets: Secrets, plain: str) -> Any:
    if not parts:
        return _in_texts(value, lambda text: secrets.redact_text(text).replace(plain, MASK))
    part, rest = parts[0], parts[1:]
    if isinstance(value, dict) and isinstance(part, str):
        wanted = part.lower()
        return {
            key: _mask_inside(member, rest, secrets, plain) if names_match(str(key), [(wanted,)]) else member
            for key, member in value.items()
        }
    if isinstance(value, list):
        below = rest if isinstance(part, int) else parts
        return [_mask_inside(item, below, secrets, plain) for item in value]
    # The path leads into a text, or was meant for a body that is shown as text.
    return _mask_inside(value, (), secrets, plain)


def _in_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value == MASK else change(value)
    if isinstance(value, dict):
        return {key: _in_texts(member, change) for key, member in value.items()}
    if isinstance(value, list):
        return [_in_texts(item, change) for item in value]
    return value


def name_is_secret(name: str, secret: NameTest) -> bool:
    """Whether a parameter's name, `a[token]` included, is a secret one."""
    return any(secret(part) for part in re.split(r"[\[\]]+|%5[BbDd]", name) if part)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    return [change(item) for item in value] if isinstance(value, list) else change(value)


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return _grouped(headers, ignore_case=True)


def _grouped(pairs: Iterable[tuple[str, str]], *, ignore_case: bool = False) -> dict[str, Any]:
    """Pairs as an object; a repeated name gives a list."""
    result: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for name, value in pairs:
        key = spelled.setdefault(name.lower() if ignore_case else name, name)
        if key not in result:
            result[key] = value
        elif isinstance(result[key], list):
            result[key].append(value)
        else:
            result[key] = [result[key], value]
    return result


def _without_query(url: str) -> str:
    return _USER.sub(r"\1", url.partition("?")[0].partition("#")[0])


def _text(raw: bytes, content_type: str) -> str | None:
    """Bytes as text; None when they are none."""
    if not raw:
        return ""
    charset = _CHARSET.search(content_type)
    if charset is not None:
        try:
            return raw.decode(charset[1])
        except (LookupError, UnicodeDecodeError):
            return raw.decode("utf-8", "replace")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if _TEXT_TYPE.search(content_type) else None
    return None if "\0" in text and not _TEXT_TYPE.search(content_type) else text


def _buffer(data: bytes) -> dict[str, Any]:
    return {"buffer": True, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _plain(value: Any) -> Any:
    """A value of the value model as JSON data, buffers as their description."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Buffer):
        return _buffer(value.data)
    if isinstance(value, (bytes, bytearray)):
        return _buffer(bytes(value))
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items() if member is not UNDEFINED}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return date_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if value is UNDEFINED:
        return None
    return repr(value)
