"""
Renewing connections: before use when the app's condition holds, and after a 401; one worker at a time, whatever their
number (spec/connections.md 7.7 and 7.8).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from connections.job import ConnectionJob
from connections.oauth1 import signing_keys
from connections.oauth2 import renewing_phase
from connections.phases import kind_of
from connections.record import USABLE, ConnectionRecord, ConnectionState, Grant
from connections.types import connection_type
from connections.values import expires_of, secret_texts
from connections.vault import ConnectionChanged, Vault
from runtime.app.specs import App, ConnectionSpec
from runtime.communication import Limits
from runtime.counters import count
from runtime.effects import HttpRequest, HttpResponse, drive
from runtime.errors import ImlError, InvalidAccessTokenError, InvalidConfigurationError, ModuleError
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from workers.ledger.authorizations import Usages
from workers.ledger.renewals import LeaseLost, RenewalLease
from workers.local import LocalPart, connection_environment
from workers.performer import Performer, Send, no_renewal

#: A grant is renewed so much before the app's condition holds: clocks differ, and a request takes its time.
SKEW = timedelta(seconds=2)
#: Added at random, so that processes do not all come at the same moment.
JITTER = timedelta(seconds=3)
#: How often a waiting thread looks again.
_LOOK_SECONDS = 0.1
#: Attempts to write a renewal into a record that is renamed or re-encrypted at the same time.
_WRITES = 10
#: Answers of these statuses refuse the grant itself.
_REFUSALS = frozenset({400, 401, 403})

log = get_logger(__name__)


class Busy(Exception):  # noqa: N818  no error: the operation starts again later
    """Somebody else is renewing the connection; look again after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("busy")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Renewals:
    """Renews the connections of one process."""

    vault: Vault
    usages: Usages
    #: A new lease of a connection, with an owner of its own.
    lease: Callable[[str], RenewalLease]
    #: The vault that writes through a lease.
    through: Callable[[RenewalLease], Vault]
    #: The operator's common data of an app.
    common: Callable[[str], Mapping[str, Any]]
    send: Send
    limits: Limits = field(default_factory=Limits)
    retry_on_401: bool = True

    def job(self, app: App, spec: ConnectionSpec, record: ConnectionRecord, *, skew: timedelta | None = None) -> Any:
        """The job over a stored record, as of now."""
        now = connection_environment(app, "UTC", self.limits, ahead=skew or timedelta(0))
        return ConnectionJob(app, spec, now, {}, record, self.common(app.name), scope=record.scope, limits=self.limits)

    def renewable(self, app: App, record: ConnectionRecord) -> bool:
        """Whether a 401 may mean that this connection is to be renewed."""
        spec = app.connection(record.component)
        if not self.retry_on_401 or spec is None or connection_type(spec).renew is None:
            return False
        return renewing_phase(self.job(app, spec, record)) is not None

    def signing(self, app: App, record: ConnectionRecord | None) -> Mapping[str, Any] | None:
        """
        The keys that a module signs with; None when its connection is no OAuth 1 one.

        Raises:
            InvalidConfigurationError: An expression of the connection's root `oauth` failed.
        """
        spec = app.connection(record.component) if record is not None else None
        if spec is None or record is None or kind_of(spec) != "oauth1":
            return None
        try:
            return signing_keys(self.job(app, spec, record))
        except ImlError as error:
            raise InvalidConfigurationError(f"{spec.title} oauth: {error.message}") from error

    def before_use(
        self,
        app: App,
        record: ConnectionRecord,
        secrets: Secrets,
        *,
        park: bool = False,
        exchanges: list[dict[str, Any]] | None = None,
    ) -> ConnectionRecord:
        """
        The record as it is to be used now: renewed when its app says that this is due.

        Raises:
            Busy: With `park`, when somebody else is renewing it.
            InvalidAccessTokenError: It cannot be used any more; a person has to authorize it again.
            ModuleError: The service could not be reached, and the old data are of no use.
        """
        spec = app.connection(record.component)
        if spec is None or not self._due(app, spec, record):
            return record
        return self._renewed(app, spec, record, secrets, forced=False, park=park, exchanges=exchanges)

    def after_refusal(
        self,
        app: App,
        record: ConnectionRecord,
        secrets: Secrets,
        *,
        exchanges: list[dict[str, Any]] | None = None,
    ) -> ConnectionRecord:
        """
        The record with newer data than these, which the service has refused: another worker's, or renewed now.

        Raises:
            ModuleError: As `before_use`.
        """
        spec = app.connection(record.component)
        if spec is None:
            raise InvalidConfigurationError(f'The app "{app.name}" has no connection "{record.component}" any more.')
        return self._renewed(app, spec, record, secrets, forced=True, park=False, exchanges=exchanges)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _due(self, app: App, spec: ConnectionSpec, record: ConnectionRecord) -> bool:
        kind = connection_type(spec)
        if kind.due is None:
            return False
        skew = SKEW + JITTER * random.random()  # noqa: S311  spreads load, protects nothing
        return kind.due(self.job(app, spec, record, skew=skew))

    def _renewed(
        self,
        app: App,
        spec: ConnectionSpec,
        seen: ConnectionRecord,
        secrets: Secrets,
        *,
        forced: bool,
        park: bool,
        exchanges: list[dict[str, Any]] | None,
    ) -> ConnectionRecord:
        lease = self.lease(seen.id)
        while True:
            record = self.vault.get(seen.id)
            secrets.add_all(secret_texts(app, spec, record))
            require_usable(record)
            if record.data != seen.data and (forced or not self._due(app, spec, record)):
                return record
            if not forced and record.data == seen.data and not self._due(app, spec, record):
                return record
            word, left = lease.take(record.version)
            if word == "ok":
                try:
                    return self._renew(app, spec, record, lease, secrets, forced=forced, exchanges=exchanges)
                except LeaseLost:
                    # We were silent for too long; whoever took over knows better.
                    lease = self.lease(seen.id)
            elif word == "busy":
                if park:
                    raise Busy(left)
                time.sleep(min(_LOOK_SECONDS, left.total_seconds()))
            elif word == "lost":
                # Whoever renewed it died after it had sent something: nobody knows the outcome.
                count("renewals", "unknown")
            elif word == "gone":
                raise InvalidConfigurationError(f'The connection "{record.name}" was removed.')

    def _renew(
        self,
        app: App,
        spec: ConnectionSpec,
        record: ConnectionRecord,
        lease: RenewalLease,
        secrets: Secrets,
        *,
        forced: bool,
        exchanges: list[dict[str, Any]] | None,
    ) -> ConnectionRecord:
        renew = connection_type(spec).renew
        if renew is None:
            lease.release()
            raise no_renewal(record.name)
        made: list[dict[str, Any]] = []

        def send(request: HttpRequest) -> HttpResponse:
            if not lease.keep(sending=True):
                raise LeaseLost("Somebody else renews the connection.")
            return self.send(request)

        performer = Performer(LocalPart(), send, secrets, threading.Event(), None, made)
        try:
            with _Prolonged(lease):
                grant = drive(renew(self.job(app, spec, record)), performer)
        except ModuleError as error:
            return self._failed(record, lease, secrets, error, forced=forced)
        except LeaseLost:
            raise
        except BaseException:
            # The request may have gone out: the lease stays, and who comes after it decides by that.
            log.warning("renewal interrupted", connection=record.id)
            raise
        finally:
            if exchanges is not None:
                # Once more, with what the answer has brought.
                exchanges += [secrets.redact(entry) for entry in made]
        written = self._write(record, lease, lambda current: current.granted(grant))
        self.usages.worked(record.id)
        count("renewals", "ok")
        log.info("connection renewed", connection=record.id, version=written.version)
        return written

    def _write(
        self, record: ConnectionRecord, lease: RenewalLease, change: Callable[[ConnectionRecord], ConnectionRecord]
    ) -> ConnectionRecord:
        vault = self.through(lease)
        for _ in range(_WRITES):
            try:
                return vault.update(change(record))
            except ConnectionChanged:
                # Renamed, or encrypted with another key: what we bring is newer all the same.
                record = self.vault.get(record.id)
        raise ConnectionChanged(f'The connection "{record.name}" changes all the time. Try again.')

    def _failed(
        self, record: ConnectionRecord, lease: RenewalLease, secrets: Secrets, error: ModuleError, *, forced: bool
    ) -> ConnectionRecord:
        message = secrets.redact_text(error.message)
        count("renewals", "failed")
        self.usages.failed(record.id, message)
        if error.status_code in _REFUSALS or isinstance(error, InvalidAccessTokenError):
            state = ConnectionState.NEEDS_REAUTHORIZATION
            self._write(record, lease, lambda current: replace(current, state=state))
            log.warning("connection refused", connection=record.id, reason=message)
            raise InvalidAccessTokenError(
                f'The service has refused to renew the connection "{record.name}": {error.message}. '
                f"Authorize it again: scenarist connection reauthorize {record.name}",
                status_code=error.status_code,
            ) from error
        lease.release()
        ends = expires_of(record.data.get("expires"), timezone="UTC")
        if not forced and ends is not None and ends > datetime.now(UTC):
            log.warning("connection not renewed", connection=record.id, reason=message)
            return record
        raise error

    def replace(self, record: ConnectionRecord, grant: Grant) -> ConnectionRecord:
        """
        Store what a person has authorized again, whatever a renewal is doing at the time.

        Raises:
            ConnectionChanged: The record is changed all the time.
            InvalidConfigurationError: It was removed.
        """
        lease = self.lease(record.id)
        while True:
            word, left = lease.take(record.version)
            if word == "ok":
                written = self._write(record, lease, lambda current: current.granted(grant))
                self.usages.worked(record.id)
                return written
            if word == "gone":
                raise InvalidConfigurationError(f'The connection "{record.name}" was removed.')
            if word == "busy":
                time.sleep(min(_LOOK_SECONDS, left.total_seconds()))
            record = self.vault.get(record.id)


def require_usable(record: ConnectionRecord) -> None:
    """
    Refuse a connection that modules may not use.

    Raises:
        InvalidAccessTokenError: Its grant has ended, or a person has to authorize it again.
    """
    if record.state not in USABLE:
        raise InvalidAccessTokenError(unusable_text(record))
    if record.expires is not None and record.expires <= datetime.now(UTC):
        raise InvalidAccessTokenError(EXPIRED)


#: What a grant that has ended says (spec/connections.md 7.6).
EXPIRED = "The connection has expired and must be reauthorised"


def unusable_text(record: ConnectionRecord) -> str:
    """Why a connection of this state cannot be used, and what to do."""
    return (
        f'The connection "{record.name}" cannot be used ({record.state}). '
        f"Authorize it again: scenarist connection reauthorize {record.name}"
    )


class _Prolonged:
    """Keeps a lease alive while the block runs."""

    def __init__(self, lease: RenewalLease) -> None:
        self._lease = lease
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="renewal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        # A third of the lease: two beats may fail before it ends.
        while not self._end.wait(self._lease.length.total_seconds() / 3):
            try:
                if not self._lease.keep():
                    return
            except RedisError:
                log.warning("lease of a renewal not prolonged", connection=self._lease.connection)
