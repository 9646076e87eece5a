"""
The transport below `HttpPerformer`: connects to addresses that were checked, and honours one deadline for all reads
and writes of an exchange.

httpx's own time-outs count per read, so that a body that trickles never ends; here every read gets what is left.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore

from runtime.http.policy import NetworkPolicy, resolve

#: Connections that wait for the next request, and for how many seconds; services close idle ones after about a minute.
KEPT_CONNECTIONS: Final = 64
KEPT_SECONDS: Final = 30.0


@dataclass(slots=True)
class Exchange:
    """What the transport must know of the exchange that this thread performs."""

    deadline: float
    #: True when a connection was opened for it; a kept one may have been closed by the service meanwhile.
    fresh: bool = False
    received: int = 0

    def remaining(self, timeout: float | None) -> float:
        """Seconds left, at most `timeout`; not above zero when the deadline is over."""
        left = self.deadline - time.monotonic()
        return left if timeout is None else min(left, timeout)


class _Current(threading.local):
    exchange: Exchange | None = None


CURRENT: Final = _Current()


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = CURRENT.exchange
        if exchange is not None:
            timeout = exchange.remaining(timeout)
            if timeout <= 0:
                raise httpcore.ReadTimeout("deadline")
        data = self._inner.read(max_bytes, timeout)
        if exchange is not None:
            exchange.received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        exchange = CURRENT.exchange
        if exchange is not None:
            timeout = exchange.remaining(timeout)
            if timeout <= 0:
                raise httpcore.WriteTimeout("deadline")
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        exchange = CURRENT.exchange
        if exchange is not None:
            timeout = exchange.remaining(timeout)
            if timeout <= 0:
                raise httpcore.ConnectTimeout("deadline")
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a name, checks every address and connects to one of those, with no second look-up in between."""

    def __init__(self, policy: NetworkPolicy, *, guarded: bool = True) -> None:
        self._policy = policy
        self._guarded = guarded
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        exchange = CURRENT.exchange
        try:
            addresses = resolve(host, port, timeout if exchange is None else exchange.remaining(timeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("resolver") from error
        except OSError as error:
            raise httpcore.ConnectError("host name not found") from error
        if self._guarded:
            addresses = self._policy.check(addresses)
        failure: Exception = httpcore.ConnectError("host name not found")
        for address in addresses:
            if exchange is not None:
                timeout = exchange.remaining(timeout)
                if timeout <= 0:
                    raise httpcore.ConnectTimeout("deadline")
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if exchange is not None:
                exchange.fresh = True
            return _Stream(stream)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        del path, timeout, socket_options
        raise httpcore.ConnectError("local sockets are not allowed")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


@dataclass(slots=True)
class GuardedTransport:
    """A pool of guarded connections with one TLS context."""

    policy: NetworkPolicy
    ssl_context: ssl.SSLContext
    _pool: httpcore.ConnectionPool = field(init=False)

    def __post_init__(self) -> None:
        settings: dict[str, Any] = {
            "ssl_context": self.ssl_context,
            "max_connections": None,
            "max_keepalive_connections": KEPT_CONNECTIONS,
            "keepalive_expiry": KEPT_SECONDS,
            "http1": True,
            "http2": False,
        }
        if self.policy.proxy is not None:
            # The proxy is the operator's own choice; the target is checked before the request (see the client).
            backend = GuardedBackend(self.policy, guarded=False)
            self._pool = httpcore.HTTPProxy(proxy_url=self.policy.proxy, network_backend=backend, **settings)
        else:
            self._pool = httpcore.ConnectionPool(network_backend=GuardedBackend(self.policy), **settings)

    def send(self, request: httpcore.Request) -> httpcore.Response:
        """Send one request; the body of the answer is not read yet. Raises the errors of httpcore."""
        return self._pool.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
