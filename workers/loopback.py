"""
The callback on this machine: a server on a loopback address that lives as long as one command waits for a browser.

It answers one path, shows a page, and logs nothing (spec/connections.md 7.3).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from connections.redirect import query_of
from runtime.errors import ScenaristError, SettingsError, UsageError

#: Largest form that a callback may post.
MAX_FORM = 64 * 1024
#: Headers of every page: nothing of the address may be kept or handed on.
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(title: str, text: str) -> str:
    """A page of one sentence."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Scenarist</title>'
        '<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto; line-height: 1.5">'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>"
    )


class Loopback:
    """
    The server; a context manager. What the function of `expect` returns or raises for a callback is handed to `wait`; a
    callback whose state is unknown is answered and forgotten.
    """

    def __init__(self, path: str, port: int = 0) -> None:
        self._path = path
        self._finish: Callable[[dict[str, str], str], Any] | None = None
        self._done = threading.Event()
        self._outcome: tuple[Any, ScenaristError | None] = (None, None)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._callback(self, "")

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length") or "0"
                size = int(length) if length.isdigit() else 0
                owner._callback(self, self.rfile.read(min(size, MAX_FORM)).decode("utf-8", "replace"))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Nothing: a request line holds the code."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A browser that goes away is no event."""

        try:
            self._server = Server(("127.0.0.1", port), Handler)
        except OSError as error:
            raise SettingsError(f"oauth_loopback_port: port {port} cannot be used: {error.strerror}") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="callback", daemon=True
        )

    @property
    def redirect_uri(self) -> str:
        """The address to give to the provider."""
        return f"http://127.0.0.1:{self._server.server_port}{self._path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def expect(self, finish: Callable[[dict[str, str], str], Any]) -> None:
        """From now on callbacks are answered with this."""
        self._finish = finish

    def wait(self, timeout: float) -> Any:
        """
        What `finish` gave for the first callback of a known state; None at the timeout, in seconds.

        Raises:
            ScenaristError: What it raised.
        """
        if not self._done.wait(timeout):
            return None
        result, error = self._outcome
        if error is not None:
            raise error
        return result

    def _callback(self, handler: BaseHTTPRequestHandler, form: str) -> None:
        path = handler.path.partition("?")[0]
        if path != self._path or self._finish is None:
            _answer(handler, 404, page("Not found", "There is nothing here."))
            return
        try:
            result = self._finish(query_of(handler.path, form), path)
        except UsageError as error:
            # Not our flow, so ours goes on waiting.
            _answer(handler, 400, page("Not authorized", error.message))
            return
        except ScenaristError as error:
            self._outcome = (None, error)
            _answer(handler, 400, page("Not authorized", "The command that waits for this says why."))
        else:
            self._outcome = (result, None)
            _answer(handler, 200, page("Authorized", "The connection is stored. You can close this window."))
        self._done.set()


def _answer(handler: BaseHTTPRequestHandler, status: int, text: str) -> None:
    body = text.encode()
    handler.send_response(status)
    for name, value in {**PAGE_HEADERS, "Content-Type": "text/html; charset=utf-8"}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
