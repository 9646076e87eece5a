"""A mail server on loopback (aiosmtpd: not our own work), and one that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = "ann@example.com", "mail-password-0123456789"


@dataclass
class Post:
    """What came in: envelopes with their messages. `refuse` gives the answer for an address, `data` for a message."""

    envelopes: list[Any] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    data: str = "250 OK kept"
    secured: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        self.secured.append(session.ssl is not None)
        return self.data

    def message(self, number: int = -1) -> EmailMessage:
        """A message, read by the standard library's parser."""
        found = message_from_bytes(self.envelopes[number].content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


def _known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@contextlib.contextmanager
def mail_server(
    post: Post, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, login: bool = False
) -> Iterator[int]:
    """Serve, and give the port: encrypted from the start, on request, or not at all."""
    more: dict[str, Any] = {"authenticator": _known, "auth_required": True, "auth_require_tls": False} if login else {}
    loop = asyncio.new_event_loop()

    def session() -> SMTP:
        with warnings.catch_warnings():
            # It warns of logins without TLS and of a context that wants no client certificates.
            warnings.simplefilter("ignore")
            return SMTP(
                post, hostname="localhost", loop=loop, tls_context=starttls, require_starttls=starttls is not None,
                enable_SMTPUTF8=True, **more,
            )  # fmt: skip

    serving = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=tls))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield serving.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(serving.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.run_until_complete(_leave())
        loop.close()


async def _leave() -> None:
    """End the conversations that go on."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.01)


@contextlib.contextmanager
def saying(*lines: bytes, endless: bytes = b"") -> Iterator[tuple[int, bytearray]]:
    """A server that says these lines, one for each thing it is told, and keeps what it is told."""
    told = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    for line in lines:
                        connection.sendall(line)
                        received = connection.recv(65536)
                        if not received:
                            return
                        told.extend(received)
                    while endless:
                        connection.sendall(endless)
                    while received := connection.recv(65536):
                        told.extend(received)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], told
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
