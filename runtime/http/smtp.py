"""
Hands mail to a server (SMTP), under the same guard of addresses as requests and one deadline for the whole exchange.

Source: spec/scenarios.md 4.10 (`email:ActionSendEmail`); spec/communication.md 20.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import time
from typing import Any, Final, NoReturn

from runtime.effects import Delivery, MailServer, SendMail
from runtime.errors import (
    DataError,
    InvalidAccessTokenError,
    InvalidConfigurationError,
    ModuleError,
    ModuleRuntimeError,
    ModuleTimeoutError,
    ServiceConnectionError,
)
from runtime.http.policy import NetworkPolicy, resolve
from runtime.http.tls import tls_context

#: Most bytes that a server may say in one exchange.
_MAX_SAID: Final = 1024 * 1024
_BLOCK: Final = 64 * 1024
#: How much of what a server said a message quotes.
_QUOTED: Final = 300


def send_mail(mail: SendMail, policy: NetworkPolicy) -> Delivery:
    """
    Hand over a message.

    Raises:
        ServiceConnectionError: The server was not found or not reached, broke the connection, or refuses for now (4xx).
        InvalidAccessTokenError: It refuses the login.
        DataError: It refuses the message or every recipient (5xx).
        ModuleTimeoutError: The exchange did not end in time.
        InvalidConfigurationError: The address is refused, or the server does not speak the security that is asked for.
        ModuleRuntimeError: TLS failed.
    """
    if policy.proxy is not None:
        raise InvalidConfigurationError(
            "Mail cannot be sent from this installation: its requests go through an HTTP proxy, and mail cannot."
        )
    server = mail.server
    context = tls_context(server.ca) if server.security != "none" else None
    session = _Session(time.monotonic() + mail.timeout.total_seconds(), policy, server, context)
    try:
        return _deliver(session, mail)
    except ModuleError:
        raise
    except ssl.SSLError as error:
        detail = getattr(error, "verify_message", "") or (error.reason or "handshake failed").replace("_", " ").lower()
        raise ModuleRuntimeError(f"TLS connection to {server.host} failed: {detail}") from error
    except TimeoutError as error:
        raise ModuleTimeoutError(f"Timed out after {mail.timeout.total_seconds():g} s") from error
    except smtplib.SMTPServerDisconnected as error:
        # The library calls it so whatever broke the connection, also our own deadline.
        if session.over:
            raise ModuleTimeoutError(f"Timed out after {mail.timeout.total_seconds():g} s") from error
        raise ServiceConnectionError("Connection failed: the mail server closed the connection") from error
    except smtplib.SMTPException as error:
        raise ServiceConnectionError("The mail server answered something that is not SMTP.") from error
    except OSError as error:
        reason = (error.strerror or "network error").lower()
        raise ServiceConnectionError(f"Connection failed: {reason}") from error
    finally:
        session.close()


def _deliver(session: _Session, mail: SendMail) -> Delivery:
    session.open()
    _log_in(session, mail.server)
    options = [f"SIZE={len(mail.message)}"] if session.has_extn("size") else []
    if not all(address.isascii() for address in (mail.sender, *mail.recipients)):
        if not session.has_extn("smtputf8"):
            raise DataError("The mail server does not take addresses with letters beyond ASCII.")
        options.append("SMTPUTF8")
        session.command_encoding = "utf-8"
    if session.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    code, said = session.mail(mail.sender, options)
    if code != 250:
        _refused("the sender", code, said)
    accepted: list[str] = []
    rejected: list[tuple[str, int, bytes]] = []
    for address in mail.recipients:
        code, said = session.rcpt(address)
        if code in (250, 251):
            accepted.append(address)
        else:
            rejected.append((address, code, said))
        if code == 421:
            _refused("to go on", code, said)
    if not accepted:
        _, code, said = rejected[0]
        _refused("every recipient", code, said)
    try:
        code, said = session.data(mail.message)
    except smtplib.SMTPDataError as error:
        code, said = error.smtp_code, _bytes(error.smtp_error)
    if code != 250:
        _refused("the message", code, said)
    session.leave()
    return Delivery(f"{code} {_quoted(said)}".strip(), tuple(accepted), tuple(address for address, _, _ in rejected))


def _log_in(session: _Session, server: MailServer) -> None:
    if not server.username:
        return
    if not session.has_extn("auth"):
        raise InvalidConfigurationError("The mail server offers no login on this connection; check port and security.")
    try:
        session.login(server.username, server.password)
    except smtplib.SMTPAuthenticationError as error:
        if 400 <= error.smtp_code < 500:
            _refused("the login", error.smtp_code, _bytes(error.smtp_error))
        # Without what the server said: some say the name and password again.
        raise InvalidAccessTokenError(f"The mail server refuses the login ({error.smtp_code}).") from None
    except smtplib.SMTPNotSupportedError:
        raise InvalidConfigurationError("The mail server offers no kind of login that is known here.") from None
    except UnicodeEncodeError:
        raise InvalidConfigurationError(
            "The login has letters beyond ASCII, which the mail server cannot take."
        ) from None


def _refused(what: str, code: int, said: bytes) -> NoReturn:
    message = f"The mail server refuses {what}: {code} {_quoted(said)}".strip()
    if 500 <= code < 600:
        raise DataError(message, status_code=code)
    if 400 <= code < 500:
        raise ServiceConnectionError(message, status_code=code)
    raise ServiceConnectionError("The mail server answered something that is not SMTP.")


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode("utf-8", "replace")


def _quoted(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").split())[:_QUOTED]


class _Session(smtplib.SMTP):
    """One exchange with a mail server: connects only to addresses that were checked."""

    def __init__(
        self, deadline: float, policy: NetworkPolicy, server: MailServer, context: ssl.SSLContext | None
    ) -> None:
        # The name that a client greets with tells nothing about this machine.
        super().__init__(local_hostname="[127.0.0.1]")
        self._deadline, self._policy, self._server, self._context = deadline, policy, server, context
        self._channel: _Channel | None = None

    @property
    def over(self) -> bool:
        """Whether the time has run out."""
        return time.monotonic() >= self._deadline

    def open(self) -> None:
        """Connect, greet, and turn encryption on where it is asked for."""
        code, said = self.connect(self._server.host, self._server.port)
        if code != 220:
            _refused("the connection", code, said)
        self.ehlo_or_helo_if_needed()
        if self._server.security != "starttls":
            return
        if not self.has_extn("starttls"):
            raise InvalidConfigurationError("The mail server offers no STARTTLS; check port and security.")
        code, said = self.docmd("STARTTLS")
        if code != 220:
            _refused("STARTTLS", code, said)
        assert self._context is not None and self._channel is not None  # noqa: S101  made with the session
        self._channel.secure(self._context, self._server.host)
        # What was said before counts for nothing (RFC 3207 4.2).
        self.file = None
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()

    def leave(self) -> None:
        """Say good-bye; the message is delivered whatever comes back."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self.docmd("QUIT")

    def _get_socket(self, host: str, port: int, timeout: Any) -> Any:  # noqa: ARG002  the library's hook
        try:
            addresses = resolve(host, port, self._left())
        except TimeoutError:
            raise
        except OSError as error:
            raise ServiceConnectionError("Connection failed: host name not found") from error
        failure: OSError = OSError("host name not found")
        for address in self._policy.check(addresses):
            try:
                connected = socket.create_connection((address, port), self._left())
            except TimeoutError:
                raise
            except OSError as error:
                failure = error
                continue
            self._channel = _Channel(connected, self._deadline)
            if self._server.security == "tls" and self._context is not None:
                self._channel.secure(self._context, host)
            return self._channel
        raise failure

    def _left(self) -> float:
        return _left(self._deadline)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline")
    return left


class _Channel:
    """A socket as `smtplib` uses one, every read and write of which gets what is left of the deadline."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self._buffer = b""
        self._said = 0

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on encrypted. What came in plain before is no part of it."""
        if self._buffer:
            raise ServiceConnectionError("The mail server spoke out of turn before the encryption began.")
        self._socket.settimeout(_left(self._deadline))
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            self._socket.settimeout(_left(self._deadline))
            self._socket.sendall(view[start : start + _BLOCK])

    def makefile(self, mode: str) -> _Channel:  # noqa: ARG002  as a socket has it
        """The reading side."""
        return self

    def readline(self, limit: int) -> bytes:
        """One line with its end, at most so long; what there is when the connection ends."""
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            self._socket.settimeout(_left(self._deadline))
            data = self._socket.recv(8192)
            if not data:
                break
            self._said += len(data)
            if self._said > _MAX_SAID:
                raise ServiceConnectionError("The mail server does not stop talking.")
            self._buffer += data
        end = self._buffer.find(b"\n") + 1
        taken = min(end or len(self._buffer), limit)
        line, self._buffer = self._buffer[:taken], self._buffer[taken:]
        return line

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
