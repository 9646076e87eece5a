"""
Performs the effects of one operation: the seam between modules and the world (design section 2.6).

Requests that are not safe are noted in the ledger before they are sent; every exchange is recorded redacted; bundles go
to the run's store; writes outside the run become intents.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from runtime.counters import count, status_class
from runtime.effects import (
    Conceal,
    Delivery,
    Effect,
    Emit,
    HttpRequest,
    HttpResponse,
    Parked,
    Recall,
    Remember,
    RenewConnection,
    SendMail,
    Sleep,
    Warn,
)
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError, ModuleError
from runtime.logs import get_logger
from runtime.sanitize import Secrets, exchange_record, mail_record
from runtime.values import Bundle

#: Longer waits give the worker back, where the module can go on from plain data (design section 2.9).
PARK_LIMIT = timedelta(seconds=5)
#: Characters that the custom functions of one operation may log; one call may log 5,000 (spec/iml.md 10).
MAX_DEBUG = 50_000

#: Exchanges of one operation that are recorded whole; of later ones there is address, status and time.
MAX_FULL_EXCHANGES = 100
#: Exchanges of one operation that are recorded at all.
MAX_EXCHANGES = 1000

Send = Callable[[HttpRequest], HttpResponse]
Deliver = Callable[[SendMail], Delivery]

log = get_logger(__name__)


class RunPart(Protocol):
    """What an operation asks of its run."""

    def note_unsafe(self, request: HttpRequest | SendMail) -> None:
        """Before a request that must not be repeated unseen. Raises FenceLost: then nothing may be sent."""
        ...

    def emit(self, bundles: list[Bundle]) -> None:
        """Bundles of the operation, in order."""
        ...

    def recall(self, effect: Recall) -> Any:
        """State that outlives the operation."""
        ...

    def remember(self, effect: Remember) -> None:
        """A write of such state."""
        ...

    def renew(self, effect: RenewConnection) -> dict[str, Any]:
        """The connection's data, newer than the version that was refused."""
        ...

    def lost(self) -> ModuleError | Exception:
        """What to raise when the run was lost while the thread slept."""
        ...


@dataclass(slots=True)
class Performer:
    """Performs effects until its operation ends; then `exchanges` and `warnings` hold what there is to tell."""

    part: RunPart
    send: Send
    secrets: Secrets
    #: Set when the run was lost: a sleeping thread wakes up.
    interrupted: threading.Event
    park_limit: timedelta | None = PARK_LIMIT
    exchanges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warnings: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    #: What custom functions logged, redacted.
    debug: list[str] = field(default_factory=list[str])
    #: Hands mail over; None where no module sends any.
    deliver: Deliver | None = None
    _debugged: int = 0

    def log_debug(self, line: str) -> None:
        """Keep a line that a custom function logged; beyond `MAX_DEBUG` characters an operation logs no more."""
        if self._debugged >= MAX_DEBUG:
            return
        # Redacted before it is cut: half a secret is none that the sanitizer knows.
        text = self.secrets.redact_text(line)[: MAX_DEBUG - self._debugged]
        self._debugged += len(text) + 1
        self.debug.append(text)
        log.debug("custom function", text=text)

    def __call__(self, effect: Effect) -> Any:
        """
        Perform one effect and give its result.

        Raises:
            ModuleError: It failed; the module may handle that.
            Parked: It is a long `Sleep` that can be stored.
            FenceLost: The run belongs to somebody else.
        """
        if isinstance(effect, HttpRequest):
            return self._request(effect)
        if isinstance(effect, SendMail):
            return self._mail(effect)
        if isinstance(effect, Emit):
            return self.part.emit(effect.bundles)
        if isinstance(effect, Sleep):
            return self._sleep(effect)
        if isinstance(effect, Recall):
            return self.part.recall(effect)
        if isinstance(effect, Remember):
            return self.part.remember(effect)
        if isinstance(effect, Warn):
            self.warnings.append({"code": effect.code, "message": self.secrets.redact_text(effect.message)})
            return None
        if isinstance(effect, Conceal):
            self.secrets.add_all(effect.values)
            return None
        return self.part.renew(effect)

    def _request(self, request: HttpRequest) -> HttpResponse:
        if not request.safe:
            self.part.note_unsafe(request)
        if request.signer is not None:
            self.secrets.add_all(request.signer.secrets)
        started = time.monotonic()
        try:
            response = self.send(request)
        except ModuleError as error:
            elapsed = timedelta(seconds=time.monotonic() - started)
            count("requests", status_class(None))
            self._record(exchange_record(request, None, error, self.secrets, elapsed=elapsed))
            raise
        count("requests", status_class(response.status))
        self._record(exchange_record(request, response, None, self.secrets))
        return response

    def _mail(self, mail: SendMail) -> Delivery:
        if self.deliver is None:
            raise InvalidConfigurationError("Mail cannot be sent from here.")
        self.part.note_unsafe(mail)
        started = time.monotonic()
        try:
            delivery = self.deliver(mail)
        except ModuleError as error:
            elapsed = timedelta(seconds=time.monotonic() - started)
            self._record(mail_record(mail, None, error, self.secrets, elapsed))
            raise
        elapsed = timedelta(seconds=time.monotonic() - started)
        self._record(mail_record(mail, delivery, None, self.secrets, elapsed))
        return delivery

    def _record(self, record: dict[str, Any]) -> None:
        """Keep the redacted record of an exchange for the journal, and log it (spec/communication.md 21)."""
        log.info("exchange", **record)
        if len(self.exchanges) >= MAX_FULL_EXCHANGES:
            # A search over thousands of pages would otherwise hold all of them.
            for side in ("request", "response"):
                for name in ("headers", "body", "qs"):
                    (record.get(side) or {}).pop(name, None)
        if len(self.exchanges) < MAX_EXCHANGES:
            self.exchanges.append(record)
        else:
            # The first ones and the last one tell the story; the record's number shows the gap.
            self.exchanges[-1] = record

    def _sleep(self, sleep: Sleep) -> None:
        if self.park_limit is not None and sleep.resume is not None and sleep.duration > self.park_limit:
            raise Parked(sleep)
        if self.interrupted.wait(max(sleep.duration.total_seconds(), 0)):
            raise self.part.lost()


def no_renewal(name: str) -> ModuleError:
    """What a module gets whose connection cannot be renewed."""
    return InvalidAccessTokenError(f'The connection "{name}" was refused by the service. Authorize it again.')
