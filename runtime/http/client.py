"""
`HttpClient`: sends an `HttpRequest` exactly as it was built and gives the final `HttpResponse`.

Faults become the `ModuleError` classes of spec/communication.md section 15.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NoReturn
from urllib.parse import urlsplit

import httpcore
import httpx

from runtime.communication.cookies import Cookies
from runtime.effects import HttpRequest, HttpResponse, Pieces
from runtime.errors import (
    DataError,
    InvalidConfigurationError,
    ModuleRuntimeError,
    ModuleTimeoutError,
    ServiceConnectionError,
)
from runtime.http.decoding import layers_for, too_large
from runtime.http.digest import Digests
from runtime.http.policy import NetworkPolicy, resolve
from runtime.http.redirects import MAX_REDIRECTS, next_request
from runtime.http.tls import fingerprint, tls_context
from runtime.http.transport import CURRENT, Exchange, GuardedTransport

#: Transports with a TLS context of their own (a `ca`, or no verification) that are kept for later requests.
KEPT_TRANSPORTS: Final = 32
#: How long a look-up that only serves the check of a proxied request may take.
PROXY_LOOKUP_SECONDS: Final = 5.0
_FAULTS: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    OSError,
)
#: OpenSSL's name of TLS alert 40, which some load balancers send now and then.
_HANDSHAKE_FAILURE: Final = "HANDSHAKE_FAILURE"


class HttpClient:
    """
    Performs requests for all threads of a process. Make it after a fork; `close` ends its connections.

    Args:
        policy: Which addresses may be reached, and the limits.
    """

    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._transports: dict[str, GuardedTransport] = {}
        self._digests = Digests()

    def close(self) -> None:
        """Close all connections that wait for another request."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()

    def send(self, request: HttpRequest) -> HttpResponse:
        """
        Send a request, follow its redirects and read the whole answer.

        Raises:
            ServiceConnectionError: The host was not found, not reached, or broke the connection.
            ModuleTimeoutError: There was no complete answer within `request.timeout`.
            InvalidConfigurationError: The address is refused, not http(s), or `ca` or `client` is no certificate.
            MaxFileSizeExceededError: The answer is over the limit.
            ModuleRuntimeError: TLS failed, or there were too many redirects.
        """
        started = time.monotonic()
        deadline = started + request.timeout.total_seconds()
        cookies = Cookies() if request.share_cookies else None
        gathered: list[tuple[str, str]] = []
        current = _signed(request)
        for _ in range(MAX_REDIRECTS + 1):
            status, headers, body = self._answered(current, deadline)
            following = next_request(current, status, headers)
            if following is None:
                elapsed = timedelta(seconds=time.monotonic() - started)
                return HttpResponse(status, (*gathered, *headers), body, current.url, elapsed)
            if cookies is not None:
                # A hop may set the cookie that the next one asks for; the run's own jar learns it from the answer.
                cookies.read(current.url, headers)
                following = cookies.add_to(following)
                gathered += [pair for pair in headers if pair[0].lower() == "set-cookie"]
            current = _signed(following)
        raise ModuleRuntimeError(f"The service redirected more than {MAX_REDIRECTS} times.")

    def _answered(self, request: HttpRequest, deadline: float) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """One request; a digest challenge is answered once: the 401 after that is the service's answer."""
        if request.digest is None:
            return self._exchange(request, deadline)
        origin = _origin(request.url)
        sent = self._digests.answered(request, origin)
        status, headers, body = self._exchange(sent, deadline)
        if status == 401 and self._digests.challenged(request.digest, origin, headers):
            status, headers, body = self._exchange(self._digests.answered(request, origin), deadline)
        return status, headers, body

    def _exchange(self, request: HttpRequest, deadline: float) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """One request and its answer, with the one automatic retry of spec/communication.md 20."""
        for attempt in (1, 2):
            exchange = Exchange(deadline)
            CURRENT.exchange = exchange
            try:
                return self._attempt(request)
            except _FAULTS as error:
                if attempt == 1 and _may_repeat(error, exchange):
                    continue
                _fail(error, request)
            finally:
                CURRENT.exchange = None
        raise AssertionError("unreachable")

    def _attempt(self, request: HttpRequest) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        url = _url(request.url)
        if self._policy.proxy is not None:
            self._check_target(url)
        target = request.url[len(_origin(request.url)) :] or "/"
        body = request.body
        outgoing = httpcore.Request(
            request.method.upper(),
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target.encode("ascii")),
            headers=_lines(request, url),
            content=body.blocks() if isinstance(body, Pieces) else body,
        )
        transport, kept = self._transport(request)
        try:
            answer = transport.send(outgoing)
            try:
                headers = tuple((_text(name), _text(value)) for name, value in answer.headers)
                return answer.status, headers, self._read(request, answer)
            finally:
                answer.close()
        finally:
            if not kept:
                transport.close()

    def _read(self, request: HttpRequest, answer: httpcore.Response) -> bytes:
        limit = self._policy.max_response_bytes
        encoding, length = _field(answer, b"content-encoding"), _field(answer, b"content-length")
        no_body = request.method == "HEAD" or answer.status in (204, 304)
        if no_body:
            encoding, length = "", ""
        if length.isdigit() and int(length) > limit:
            raise too_large(limit)
        layers = layers_for(encoding, limit) if encoding else []
        pieces: list[bytes] = []
        size = received = 0
        for piece in answer.iter_stream():
            received += len(piece)
            for layer in layers:
                piece = layer.feed(piece)
            size += len(piece)
            if size > limit or received > limit:
                raise too_large(limit)
            pieces.append(piece)
        for layer in layers:
            layer.end()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check_target(self, url: httpx.URL) -> None:
        """Behind a proxy nobody here connects to the target; what its name means is checked all the same."""
        try:
            addresses = resolve(url.host, url.port or 443, PROXY_LOOKUP_SECONDS)
        except OSError:
            # Names that only the proxy can resolve are its affair.
            return
        self._policy.check(addresses)

    def _transport(self, request: HttpRequest) -> tuple[GuardedTransport, bool]:
        """The transport for a request's TLS settings, and whether it is kept for later."""
        if not request.verify_tls and not self._policy.allow_insecure_tls:
            raise InvalidConfigurationError("rejectUnauthorized: insecure TLS is not allowed on this installation")
        key = "verified" if request.verify_tls else "insecure"
        if request.ca:
            key += hashlib.sha256(request.ca.encode("utf-8", "replace")).hexdigest()
        if request.client is not None:
            key += fingerprint(request.client)
        with self._lock:
            transport = self._transports.get(key)
            if transport is not None:
                return transport, True
            transport = GuardedTransport(self._policy, tls_context(request.ca, request.client, request.verify_tls))
            if len(self._transports) < KEPT_TRANSPORTS:
                self._transports[key] = transport
                return transport, True
        return transport, False


def _signed(request: HttpRequest) -> HttpRequest:
    return request if request.signer is None else request.signer.sign(request, datetime.now(UTC))


def _origin(url: str) -> str:
    """`scheme://authority` of an absolute address. Raises InvalidConfigurationError for any other text."""
    scheme = url.find("://")
    if scheme < 0:
        raise InvalidConfigurationError("url is not an http or https address")
    start = scheme + 3
    ends = [position for mark in "/?#" if (position := url.find(mark, start)) >= 0]
    return url[: min(ends, default=len(url))]


def _lines(request: HttpRequest, url: httpx.URL) -> list[tuple[bytes, bytes]]:
    """The headers as they go out: host first, the given ones in their order, then the body's length."""
    given = [(name.encode("ascii"), _header_bytes(value)) for name, value in request.headers]
    names = {name.lower() for name, _ in given}
    lines = given if b"host" in names else [(b"Host", url.netloc), *given]
    if not names & {b"content-length", b"transfer-encoding"} and (
        request.body or request.method in ("POST", "PUT", "PATCH")
    ):
        # Always known, so that no body needs the chunked encoding, which some services refuse.
        lines.append((b"Content-Length", b"%d" % (len(request.body) if request.body else 0)))
    return lines


def _field(answer: httpcore.Response, name: bytes) -> str:
    """A header of an answer; several of one name are one list."""
    return ", ".join([_text(value) for key, value in answer.headers if key.lower() == name])


def _url(url: str) -> httpx.URL:
    return _address(_origin(url))


@lru_cache(maxsize=256)
def _address(origin: str) -> httpx.URL:
    """What is connected to; most requests of a process go to a few hosts."""
    try:
        parsed = httpx.URL(origin)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidConfigurationError("url has no valid host name") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidConfigurationError("url is not an http or https address")
    return parsed


def _header_bytes(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS fault behind an error, if one is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _may_repeat(error: Exception, exchange: Exchange) -> bool:
    """A kept connection that was closed before any byte, or TLS alert 40."""
    fault = _tls_error(error)
    if fault is not None:
        return _HANDSHAKE_FAILURE in (fault.reason or "")
    broken = isinstance(error, (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError))
    return broken and not exchange.fresh and exchange.received == 0


def _fail(error: Exception, request: HttpRequest) -> NoReturn:
    host = urlsplit(request.url).hostname or ""
    fault = _tls_error(error)
    if fault is not None:
        detail = getattr(fault, "verify_message", "") or (fault.reason or "handshake failed").replace("_", " ").lower()
        raise ModuleRuntimeError(f"TLS connection to {host} failed: {detail}") from error
    if isinstance(error, httpcore.LocalProtocolError):
        raise DataError("The request has a header that HTTP does not allow.") from error
    if isinstance(error, httpcore.TimeoutException) and not isinstance(error, httpcore.ConnectTimeout):
        raise ModuleTimeoutError(f"Timed out after {request.timeout // timedelta(milliseconds=1)} ms") from error
    raise ServiceConnectionError(f"Connection failed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, httpcore.ConnectTimeout):
        return "timed out while connecting"
    if isinstance(error, httpcore.ProxyError):
        return "the proxy refused the connection"
    if isinstance(error, httpcore.RemoteProtocolError):
        return "the service closed the connection without a complete answer"
    cause = error.__cause__ or error.__context__
    if isinstance(error, httpcore.ConnectError) and str(error) == "host name not found":
        return str(error)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "network error"
