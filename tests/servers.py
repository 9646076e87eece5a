"""
A scripted HTTP server on loopback for tests: gives answers from a list and records each request as it came in.

    with ScriptServer([Answer(body=b"{}")]) as server:
        ...                      # requests to server.url
    server.received[0].target    # "/a?b=c"

Each connection has a thread; the port is chosen by the system. Several servers may share one `Script`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Received:
    """One request: header names as they were spelled on the wire, the body without framing."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: Number of the connection it came over, counted from 1.
    connection: int = 0

    def header(self, name: str) -> str | None:
        """The first header of this name in any spelling."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_list(self, name: str) -> list[str]:
        """All headers of this name in any spelling."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer. `Content-Length` is added unless a header of that name or `Transfer-Encoding` is given.

    `hold` is waited for (or its time) before anything is sent; `pieces` are sent after the body, one by one, each
    after `gap` seconds; `close` closes the connection without an answer, `end` after it.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hold: float = 0.0
    pieces: tuple[bytes, ...] = ()
    gap: float = 0.0
    close: bool = False
    end: bool = False


@dataclass(slots=True)
class Script:
    """The answers still to give and the requests received so far; shared by servers and their threads."""

    answers: list[Answer] = field(default_factory=list[Answer])
    received: list[Received] = field(default_factory=list[Received])
    #: Decides answers instead of the list when given.
    handler: Callable[[Received], Answer] | None = None
    #: Requests beyond the list, answered with 599.
    beyond: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self, answers: Iterable[Answer]) -> None:
        """Start over with other answers."""
        with self.lock:
            self.answers = list(answers)
            self.received = []
            self.beyond = 0

    def answer(self, request: Received) -> Answer:
        """Record a request and choose its answer."""
        with self.lock:
            self.received.append(request)
            if self.handler is not None:
                return self.handler(request)
            if self.answers:
                return self.answers.pop(0)
            self.beyond += 1
            return Answer(599)


class ScriptServer:
    """The server; a context manager. `url` is its base address without a slash at the end."""

    def __init__(
        self,
        answers: Sequence[Answer] | Script = (),
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = answers if isinstance(answers, Script) else Script(list(answers))
        self.connections = 0
        self._tls = tls
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server((host, 0))
        self.host, self.port = host, self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"

    @property
    def received(self) -> list[Received]:
        """The requests so far, oldest first."""
        return self.script.received

    def __enter__(self) -> ScriptServer:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        # Wakes the accepting thread: closing its socket alone would leave it waiting.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            open_sockets = list(self._open)
        for connection in open_sockets:
            _shut(connection)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        stream = connection
        try:
            if self._tls is not None:
                stream = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    # The socket below has no descriptor any more: this is the one to shut at the end.
                    self._open.add(stream)
            reader = stream.makefile("rb")
            try:
                while (request := _read_request(reader, number)) is not None:
                    if not self._send(stream, request, self.script.answer(request)):
                        break
            finally:
                reader.close()
        except (OSError, ValueError):
            pass  # the client went away, which some tests want
        finally:
            with self._lock:
                self._open -= {connection, stream}
            _shut(stream)
            stream.close()
            connection.close()

    def _send(self, stream: socket.socket, request: Received, answer: Answer) -> bool:
        """False when the connection ends here."""
        if answer.hold and self._stopping.wait(answer.hold):
            return False
        if answer.close:
            return False
        names = {name.lower() for name, _ in answer.headers}
        length = len(answer.body) + sum(len(piece) for piece in answer.pieces)
        lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if not names & {"content-length", "transfer-encoding"} and answer.status not in (204, 304):
            lines.append(f"Content-Length: {length}")
        head = "\r\n".join([*lines, "", ""]).encode("utf-8")
        stream.sendall(head if request.method == "HEAD" else head + answer.body)
        for piece in answer.pieces:
            if self._stopping.wait(answer.gap):
                return False
            stream.sendall(piece)
        return not answer.end


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _shut(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        stream.shutdown(socket.SHUT_RDWR)


def _read_request(reader: object, number: int) -> Received | None:
    readline = reader.readline  # type: ignore[attr-defined]  a binary file
    read = reader.read  # type: ignore[attr-defined]
    start = readline()
    if not start.strip():
        return None
    method, target, _ = start.decode("latin-1").split(" ", 2)
    headers: list[tuple[str, str]] = []
    while (line := readline().rstrip(b"\r\n")) != b"":
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers.append((name, value.strip()))
    fields = {name.lower(): value for name, value in headers}
    body = b""
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while size := int(readline().strip() or b"0", 16):
            body += read(size)
            readline()
        readline()
    elif "content-length" in fields:
        body = read(int(fields["content-length"]))
    return Received(method, target, tuple(headers), body, number)
