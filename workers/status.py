"""
`/metrics`, `/health` and `/ready` of processes that are no web server: a small HTTP server of their own.

The setting `metrics_port` turns it on; it listens on `metrics_host` (default 127.0.0.1). The gateway answers the same
paths by itself, unless the port is set: then metrics are there alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runtime.errors import SettingsError
from runtime.logs import get_logger
from workers.metrics import CONTENT_TYPE, Metrics
from workers.settings import Settings

HOST = "127.0.0.1"
#: A client that sends or reads nothing for so long is let go.
_CLIENT_SECONDS = 10.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """What a process answers."""

    metrics: Metrics
    #: Why the process cannot do its work now; empty: it can.
    trouble: Callable[[], str]


def metrics_address(settings: Settings) -> tuple[str, int] | None:
    """
    Where the metrics have a port of their own; None: they have none.

    Raises:
        SettingsError: The port is none.
    """
    if settings.options.get("metrics_port") is None:
        return None
    port = settings.option("metrics_port", 0)
    if not 0 < port < 65536:
        raise SettingsError(f"setting metrics_port: {port} is not a port; give a number from 1 to 65535")
    return settings.option("metrics_host", HOST), port


@contextmanager
def serving(settings: Settings, status: Status) -> Generator[tuple[str, int] | None]:
    """
    Answer on the metrics' port while the block runs, where one is set; gives its address.

    Raises:
        SettingsError: The port is taken, or not a port.
    """
    address = metrics_address(settings)
    if address is None:
        yield None
        return
    try:
        server = _Server(address, _handler(status))
    except OSError as error:
        raise SettingsError(
            f"setting metrics_port: {address[0]}:{address[1]} cannot be listened on: {error.strerror}. "
            "Give another port, or end the process that has it."
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="status", daemon=True)
    thread.start()
    log.info("metrics served", host=address[0], port=address[1])
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A few monitors ask; a crowd is refused by the system.
    request_queue_size = 16

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""


def _handler(status: Status) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS
        server_version, sys_version = "scenarist", ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/health":
                self._json(200, {"status": "ok"})
            elif path == "/ready":
                trouble = status.trouble()
                self._json(503 if trouble else 200, {"status": trouble or "ready"})
            elif path != "/metrics":
                self._json(404, {"error": "There is /metrics, /health and /ready."})
            elif not status.metrics.allowed(self.headers.get("Authorization", "")):
                self._json(401, {"error": "Give the metrics_token as Authorization: Bearer."})
            else:
                self._answer(200, CONTENT_TYPE, status.metrics.text())

        do_HEAD = do_GET  # noqa: N815  the library's name

        def _json(self, code: int, body: dict[str, str]) -> None:
            self._answer(code, "application/json", json.dumps(body).encode())

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if code == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's signature
            """Monitors ask all the time."""

    return Handler
