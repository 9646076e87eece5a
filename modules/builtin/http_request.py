"""
What the modules of the app `http` share: a request from its settings, its answer, its errors (spec/scenarios.md 4.5).

Requests go through the same guard, limits and redaction as every other request of the runtime.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from modules.builtin.job import BuiltinJob
from runtime.communication.body import Body, encode_body
from runtime.communication.cookies import Cookies
from runtime.communication.failure import retry_after
from runtime.communication.headers import header_lines
from runtime.communication.reading import decode, parse_json, read_headers
from runtime.communication.url import encode_pairs, parse_address
from runtime.communication.xml import XmlError, parse_xml
from runtime.effects import ClientCertificate, HttpRequest, HttpResponse, Recall, Remember, Steps, Warn
from runtime.errors import BundleValidationError, InvalidConfigurationError, ModuleError, module_error
from runtime.values import UNDEFINED, Buffer, Bundle, to_text

#: Time of one request without a setting of its own, and the longest (spec/scenarios.md 4.5), in seconds.
DEFAULT_TIMEOUT: Final = 40
MAX_TIMEOUT: Final = 300
#: Largest request body.
MAX_BODY: Final = 100 << 20
#: How much of an answer an error message quotes, and how much of it error routes can read.
QUOTED: Final = 200
KEPT: Final = 64 * 1024
#: Most cookies that the modules of one run share.
MAX_COOKIES: Final = 200
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: The variable in which a run keeps its cookies; no expression can name it.
_JAR: Final = "\0cookies"
_TEXT_TYPES: Final = re.compile(r"text/.*|application/(?:json|xml|javascript|x-www-form-urlencoded)|.*\+(?:json|xml)")
_FILE_NAME: Final = re.compile(r"""filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))""", re.IGNORECASE)
_FILE_NAME_STAR: Final = re.compile(r"filename\*\s*=\s*([\w-]+)'[^']*'([^\s;]+)", re.IGNORECASE)


@dataclass(slots=True)
class Draft:
    """A request in the making; what is not given has the module's default."""

    url: str
    method: str = "GET"
    headers: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    query: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: Body | None = None
    encode_url: bool = False
    timeout: timedelta = timedelta(seconds=DEFAULT_TIMEOUT)
    follow: bool = True
    follow_all: bool = False
    compressed: bool = True
    share_cookies: bool = False
    ca: str | None = None
    verify: bool = True
    client: ClientCertificate | None = None
    #: Which request of the operation it is, from 1.
    number: int = 1
    #: Header names (lower case) that hold a credential.
    secret_headers: set[str] = field(default_factory=set[str])

    def request(self) -> HttpRequest:
        """
        The request exactly as it goes out.

        Raises:
            BundleValidationError: The address, the method or a header is none.
        """
        method = self.method.upper()
        if method not in METHODS:
            raise _invalid("method", "method")
        try:
            address = parse_address(self.url.strip(), "", encode=self.encode_url)
        except InvalidConfigurationError:
            # Mapped from data as a rule: only this bundle is bad, the scenario's settings are not.
            raise _invalid("URL", "url") from None
        pieces = [*address.pieces, *([encode_pairs(self.query)] if self.query else [])]
        target = f"{address.path}?{'&'.join(pieces)}" if pieces else address.path
        return HttpRequest(
            method,
            address.origin + target,
            tuple(self._lines(address.user)),
            None if self.body is None else self.body.data,
            self.number,
            timeout=self.timeout,
            follow_redirects=self.follow,
            follow_all_redirects=self.follow_all,
            ca=self.ca,
            client=self.client,
            verify_tls=self.verify,
            sensitive_headers=frozenset({"authorization", "cookie", *self.secret_headers}),
        )

    def _lines(self, user: str) -> list[tuple[str, str]]:
        fields: dict[str, list[Any]] = {}
        for name, value in self.headers:
            fields.setdefault(name, []).append(value)
        lines = header_lines(fields)
        names = {name.lower() for name, _ in lines}
        body = self.body
        if body is not None and body.content_type and (body.forced or "content-type" not in names):
            lines = [(name, value) for name, value in lines if name.lower() != "content-type"]
            lines.append(("Content-Type", body.content_type))
        if user and "authorization" not in names:
            name, _, secret = unquote(user).partition(":")
            lines.append(("Authorization", basic(name, secret)))
        defaults = (("User-Agent", "Scenarist"), ("Accept", "*/*"))
        encoding = ("Accept-Encoding", "gzip, deflate" if self.compressed else "identity")
        return [*lines, *[pair for pair in (*defaults, encoding) if pair[0].lower() not in names]]


def basic(name: str, secret: str) -> str:
    """The value of an `Authorization` header of the Basic scheme."""
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode("ascii")


def _invalid(what: str, name: str) -> BundleValidationError:
    text = f"Invalid {what} in parameter '{name}'."
    return BundleValidationError("Validation failed for 1 parameter(s).", suberrors=(text,))


def switch(job: BuiltinJob, name: str, default: bool = False) -> bool:
    """A setting that is on or off."""
    value = job.config.get(name, UNDEFINED)
    return value if isinstance(value, bool) else default


def text(job: BuiltinJob, name: str) -> str:
    """A setting as text; nothing gives the empty one."""
    return to_text(job.config.get(name, ""))


def pairs(job: BuiltinJob, name: str) -> list[tuple[str, Any]]:
    """(name, value) of a list `[{name, value}]`; entries without a name are left out."""
    found: list[tuple[str, Any]] = []
    for entry in job.config.get(name, UNDEFINED) or []:
        if isinstance(entry, dict):
            key = to_text(entry.get("name", entry.get("key", "")))
            if key:
                found.append((key, entry.get("value", "")))
    return found


def query_pairs(given: Iterable[tuple[str, Any]], *, brackets: bool) -> list[tuple[str, str]]:
    """Query fields as sent; with `brackets` a repeated name is written `name[0]`, `name[1]`."""
    listed = [(name, to_text(value)) for name, value in given]
    names = [name for name, _ in listed]
    seen: dict[str, int] = {}
    sent: list[tuple[str, str]] = []
    for name, value in listed:
        number = seen.get(name, 0)
        seen[name] = number + 1
        sent.append((f"{name}[{number}]" if brackets and names.count(name) > 1 else name, value))
    return sent


def timeout(job: BuiltinJob) -> Steps[timedelta]:
    """The time of the request; a number that can only be milliseconds is cut, with a warning."""
    value = job.config.get("timeout", UNDEFINED)
    if not isinstance(value, (int, float)) or value <= 0:
        return timedelta(seconds=DEFAULT_TIMEOUT)
    if value > MAX_TIMEOUT:
        yield Warn(f"The timeout of {value} s is over the longest one; {MAX_TIMEOUT} s are used.", "timeout")
        value = MAX_TIMEOUT
    return timedelta(seconds=value)


def form_body(job: BuiltinJob, kind: str) -> Body | None:
    """A form from `formDataFields`: `urlencoded`, or `multipart/form-data` with files."""
    fields: dict[str, list[Any]] = {}
    for entry in job.config.get("formDataFields", UNDEFINED) or job.config.get("bodyFields", UNDEFINED) or []:
        if not isinstance(entry, dict):
            continue
        name = to_text(entry.get("key", entry.get("name", "")))
        value = (
            entry.get("data", entry.get("value", "")) if entry.get("fieldType") == "file" else entry.get("value", "")
        )
        if name and entry.get("fieldType") == "file":
            value = {"value": value, "options": {"filename": to_text(entry.get("fileName", "")) or name}}
        if name:
            fields.setdefault(name, []).append(value)
    return encode_body(fields, kind, MAX_BODY)


def exchange(draft: Draft) -> Steps[HttpResponse]:
    """Send the request, with the cookies that the modules of this run share if it says so."""
    request = draft.request()
    if not draft.share_cookies:
        return (yield request)
    kept: list[Any] = (yield Recall("variable", _JAR)) or []
    jar = Cookies()
    for url, line in kept:
        jar.read(url, [("set-cookie", line)])
    response: HttpResponse = yield jar.add_to(request)
    fresh = [[response.url, value] for name, value in response.headers if name.lower() == "set-cookie"]
    if fresh:
        value = {"scope": "execution", "value": [*kept, *fresh][-MAX_COOKIES:]}
        yield Remember("variable", _JAR, value)
    return response


def failure(response: HttpResponse, job: BuiltinJob) -> ModuleError | None:
    """The error of an answer with a status from 400 on; None for others (spec/communication.md 15)."""
    status = response.status
    if status < 400:
        return None
    headers = read_headers(response.headers)
    content_type = headers.get("content-type") or ""
    body = decode(response.body[:KEPT], content_type)
    quoted = " ".join(body[: 2 * QUOTED].split())[:QUOTED]
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown Status"
    name = "RateLimitError" if status == 429 else "ConnectionError" if status >= 500 else "RuntimeError"
    return module_error(
        name,
        f"[{status}] {reason}" + (f": {quoted}" if quoted else ""),
        status_code=status,
        delay_ms=retry_after(headers, job.environment.now) if status in (429, 503) else None,
        external={"statusCode": status, "headers": dict(headers), "body": body},
    )


def content(response: HttpResponse, *, parse: bool) -> Steps[Any]:
    """The body as a value: parsed JSON or XML, text, a buffer; nothing is the empty text."""
    if not response.body:
        return ""
    header = read_headers(response.headers).get("content-type")
    header = header if isinstance(header, str) else ""
    media = header.partition(";")[0].strip().lower()
    if parse:
        try:
            if media.endswith(("/json", "+json")) or not media:
                return parse_json(response.body, header)
            if media.endswith(("/xml", "+xml")):
                return parse_xml(decode(response.body, header, xml=True))
        except (XmlError, ValueError) as error:
            if media:
                yield Warn(f"The response could not be parsed: {error}.", "parse")
    if _TEXT_TYPES.fullmatch(media):
        return decode(response.body, header)
    if not media:
        try:
            return response.body.decode("utf-8")
        except UnicodeDecodeError:
            return Buffer(response.body)
    return Buffer(response.body)


def header_list(response: HttpResponse) -> dict[str, Any]:
    """Headers as a list, as version 3 of the app gives them."""
    return {
        "headers": [{"name": name.lower(), "value": value} for name, value in response.headers],
        "cookieHeaders": [value for name, value in response.headers if name.lower() == "set-cookie"],
    }


def header_collection(response: HttpResponse) -> dict[str, Any]:
    """Headers as a collection, as version 4 of the app gives them."""
    return {"headers": dict(read_headers(response.headers))}


def file_bundle(response: HttpResponse, headers: Mapping[str, Any]) -> Bundle:
    """An answer as a file: its name comes from `Content-Disposition`, else from the address."""
    name = file_name(response)
    return {
        "statusCode": response.status,
        **headers,
        "fileName": name,
        "data": Buffer(response.body, name=name),
        "fileSize": len(response.body),
    }


def file_name(response: HttpResponse) -> str:
    """The last part of the name that the answer gives its file; never a path."""
    disposition = to_text(read_headers(response.headers).get("content-disposition") or "")
    star = _FILE_NAME_STAR.search(disposition)
    plain = _FILE_NAME.search(disposition)
    name = ""
    if star is not None:
        try:
            name = unquote(star[2], encoding=star[1], errors="replace")
        except LookupError:
            name = unquote(star[2])
    elif plain is not None:
        name = re.sub(r"\\(.)", r"\1", plain[1]) if plain[1] is not None else plain[2]
    if not name:
        name = unquote(urlsplit(response.url).path.rstrip("/").rpartition("/")[2])
    return re.split(r"[/\\]", name)[-1] or "file"
