"""
The closed set of things that a module or a connection may ask for, and how a generator over them is driven.

A module is a generator: it yields an effect and is sent its result, or has the effect's `ModuleError` thrown into it.
It never does I/O itself, so its logic is tested without a network, and every request goes through one seam
(design section 2.6). Who performs effects implements `Perform`; limits, recording and redaction wrap that one function.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from runtime.errors import ModuleError
from runtime.values import Bundle

#: Methods that may be repeated after an unknown outcome without harm (design section 10.4).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class ExchangeLog:
    """
    What the record of one exchange needs besides the bytes (spec/communication.md 21).

    `sanitize` is the union of the paths of Base and request; None when neither has a list, and then only method,
    host, path, status and timing are recorded. `secrets` are values found for `request.body<path>` forms.
    """

    sanitize: tuple[str, ...] | None = None
    qs: tuple[tuple[str, str], ...] = ()
    body: Any = None
    body_type: str = "json"
    component: str = ""
    page: int = 1
    repeat: int = 0
    #: Position of the request in its communication, from 0.
    index: int = 0
    within: tuple[tuple[str, str], ...] = ()


#: Bytes that go out at a time from a body of several pieces.
BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Pieces:
    """
    A large body as the pieces that it consists of, in order: files in it are sent from where they lie and are never
    copied into one run of bytes.
    """

    pieces: tuple[bytes, ...] = field(repr=False)

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def blocks(self) -> Iterator[bytes]:
        """The body in blocks of at most `BLOCK` bytes."""
        for piece in self.pieces:
            if len(piece) <= BLOCK:
                yield piece
                continue
            view = memoryview(piece)
            for start in range(0, len(piece), BLOCK):
                yield bytes(view[start : start + BLOCK])


class Signer(Protocol):
    """Signs a request when it is sent, with the date of that moment."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no log may show."""
        ...

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """The signed request. Raises ModuleError when it cannot be signed."""
        ...


@dataclass(frozen=True, slots=True)
class DigestCredentials:
    """What a `WWW-Authenticate: Digest` challenge is answered with (spec/communication.md 17)."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client shows to a server that asks for a certificate (mutual TLS): PEM texts, the chain after its own."""

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """
    One request exactly as it goes out: final URL, headers in sending case and order, body bytes.

    `number` counts the requests of one operation from 1; with the operation it identifies the request after a crash.
    The result is an `HttpResponse`; network faults, limits and refused addresses are thrown as `ModuleError`.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Pieces | None = None
    number: int = 1
    timeout: timedelta = timedelta(seconds=40)
    follow_redirects: bool = True
    follow_all_redirects: bool = True
    ca: str | None = None
    verify_tls: bool = True
    share_cookies: bool = False
    #: Known to change nothing whatever its method, such as an RPC that fills a form.
    repeatable: bool = False
    #: Signs the request, and each redirect of it that stays on its host, right before it is sent.
    signer: Signer | None = field(default=None, repr=False)
    #: Header names (lower case) that must not follow a redirect to another host.
    sensitive_headers: frozenset[str] = frozenset()
    #: Answers one challenge of the service; the answer to the challenge is then not seen.
    digest: DigestCredentials | None = None
    #: Shown to the host of the address only; a redirect to another one goes without it.
    client: ClientCertificate | None = None
    log: ExchangeLog = field(default_factory=ExchangeLog)

    @property
    def safe(self) -> bool:
        """True when repeating the request after an unknown outcome does no harm."""
        return self.repeatable or self.method in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The final answer after redirects: header names as received, body decompressed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str
    elapsed: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class MailServer:
    """
    Where mail is handed over. `security`: `tls` from the first byte, `starttls` before anything else is said, `none`.
    """

    host: str
    port: int
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class SendMail:
    """
    Hand a message to a mail server, exactly these bytes. Never safe to repeat: it is noted like a POST.

    `sender` and `recipients` are the addresses of the envelope. The result is a `Delivery`; a message that nobody
    accepts, and every fault, is thrown as `ModuleError`.
    """

    server: MailServer
    sender: str
    recipients: tuple[str, ...]
    message: bytes = field(repr=False)
    number: int = 1
    timeout: timedelta = timedelta(seconds=120)

    @property
    def method(self) -> str:
        """How notes and records call it."""
        return "SMTP"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the server said to a message that at least one recipient gets."""

    response: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sleep:
    """
    Wait. `resume` is plain JSON with which the same module can be started again at this point; with it a wait over
    the park limit gives the worker back (design section 10.3). Without it the thread sleeps. Result: None.
    """

    duration: timedelta
    resume: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """Read state that outlives the run: `kind` is `trigger`, `store`, ... . Result: the stored JSON value or None."""

    kind: str
    key: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Remember:
    """Write such state; it becomes an intent that the commit applies (design section 10.5). Result: None."""

    kind: str
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class RenewConnection:
    """
    Renew the connection's data, which the service has refused. `seen_version` is the version that the operation began
    with. Result: the new data; a renewal that fails is thrown as `ModuleError`.
    """

    reason: str
    seen_version: int


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand over output bundles, page by page (design section 10.2). Result: None."""

    bundles: list[Bundle]


@dataclass(frozen=True, slots=True)
class Warn:
    """Say something in the run's log that is no error, for example a page limit. Result: None."""

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Conceal:
    """Values that no log may show from now on, such as tokens that a service has just given. Result: None."""

    values: frozenset[str] = field(repr=False)


Effect: TypeAlias = HttpRequest | SendMail | Sleep | Recall | Remember | RenewConnection | Emit | Warn | Conceal
Perform: TypeAlias = Callable[[Effect], Any]
Result = TypeVar("Result")
#: A piece of work over effects with a result.
Steps: TypeAlias = Generator[Effect, Any, Result]


class Parked(Exception):  # noqa: N818  not an error: the operation goes on later
    """Raised through `drive` by a performer that stores a `Sleep` with `resume` instead of sleeping."""

    def __init__(self, sleep: Sleep) -> None:
        super().__init__("parked")
        self.sleep = sleep


def drive(steps: Steps[Result], perform: Perform) -> Result:
    """
    Run steps to their end with this performer and return their result.

    A `ModuleError` that an effect raises is thrown into the generator, which may handle it.

    Raises:
        ModuleError: The steps failed.
        Parked: The performer parked them; the generator is closed.
    """
    try:
        effect = next(steps)
        while True:
            try:
                result = perform(effect)
            except ModuleError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()
