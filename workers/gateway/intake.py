"""
Webhook intake: `/hook/{token}`, any method, as a bare ASGI application (spec/scenarios.md 5.3, spec/modules.md 5.4).

A request is answered only after its events are on disk. What is refused is refused before its body is read wherever
that is possible, and no more than a bounded number of bytes is held at a time: a flood costs little and fills nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from redis.exceptions import RedisError

from runtime.errors import ScenaristError
from runtime.logs import get_logger
from runtime.values import Buffer
from runtime.webhooks import ACCEPTED, Answer, Incoming
from runtime.webhooks.incoming import plain
from workers.dispatching import Dispatcher
from workers.gateway.callers import Callers
from workers.gateway.messages import Message, Receive, Send
from workers.ledger.events import CallerAnswer
from workers.ledger.hooks import HookRecord, SharedAddress
from workers.receiving import Delivery, Received, Receiver
from workers.runner import SegmentRunner
from workers.settings import Settings

#: Threads that read requests and write to the ledger.
THREADS = 16
#: Longest body of a request, and most bytes of all bodies that are read at a time.
BODY_BYTES, BODIES_BYTES = 5 * 1024 * 1024, 64 * 1024 * 1024
#: Longest time in which a body has to arrive.
BODY_TIME = timedelta(seconds=20)
#: Longest wait for an answer from a run (spec/modules.md 1.9).
WAIT = timedelta(seconds=180)
#: Requests that are worked on, and requests that are held for an answer, at a time.
WORKING, HELD = 256, 1000
#: How long an address is known without asking the ledger again.
_KNOWN_SECONDS = 1.0
_KNOWN_ADDRESSES = 10_000
#: No token of ours is longer.
_TOKEN_CHARACTERS = 64

PREFIX = "/hook/"
UNKNOWN = plain(404, "There is no webhook at this address.")
NOBODY = plain(410, "There is no scenario listening for this webhook.")
TOO_MANY = plain(429, "Too many requests.", (("retry-after", "10"),))
TOO_LARGE = plain(413, "The request is too large.", (("connection", "close"),))
TOO_SLOW = plain(408, "The request took too long.", (("connection", "close"),))
FULL = plain(400, "Queue is full.")
FAILED = plain(500, "Scenario failed to complete.")
BUSY = plain(503, "The gateway is busy.", (("retry-after", "5"), ("connection", "close")))
NO_LEDGER = plain(503, "The event could not be stored.", (("retry-after", "5"),))

Result = TypeVar("Result")

log = get_logger(__name__)


class _Refused(Exception):  # noqa: N818  a way out, not an error
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Limits:
    """What one gateway process takes."""

    body_bytes: int = BODY_BYTES
    bodies_bytes: int = BODIES_BYTES
    body_time: timedelta = BODY_TIME
    wait: timedelta = WAIT
    working: int = WORKING
    held: int = HELD
    inactive: str = "auto"

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """
        The limits of the settings.

        Raises:
            SettingsError: One is no such value.
        """
        return cls(
            settings.option("hook_body_bytes", BODY_BYTES),
            settings.option("hook_bodies_bytes", BODIES_BYTES),
            settings.duration("hook_body_seconds", BODY_TIME),
            settings.duration("hook_wait_seconds", WAIT),
            settings.option("hook_working", WORKING),
            settings.option("hook_held", HELD),
            settings.option("hook_inactive", "auto"),
        )


class Intake:
    """The requests to webhooks of one gateway process."""

    def __init__(self, runner: SegmentRunner, dispatcher: Dispatcher) -> None:
        self.limits = Limits.of(runner.settings)
        self._runner, self._dispatcher = runner, dispatcher
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="intake")
        self._callers: Callers | None = None
        self._known: OrderedDict[str, tuple[float, HookRecord | SharedAddress | None]] = OrderedDict()
        self._rates: dict[str, tuple[int, int]] = {}
        self._working = 0
        self._bytes = 0
        #: Webhooks whose events a thread is turning into runs: whether more came meanwhile.
        self._dispatching: dict[str, bool] = {}
        self._lock = threading.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        answer = await self._answered(scope, receive)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        if not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    def release(self) -> None:
        """The process is to end: held requests are answered now."""
        if self._callers is not None:
            self._callers.release()

    def close(self) -> None:
        """Let the threads end, with what they have begun."""
        self._pool.shutdown()
        if self._callers is not None:
            self._callers.close()

    # -- one request ---------------------------------------------------------------------------------------------------

    async def _answered(self, scope: Message, receive: Receive) -> Answer:
        if self._callers is None:
            self._callers = Callers(self._runner.events, self._pool)
        if self._working >= self.limits.working:
            return BUSY
        self._working += 1
        try:
            received, deliveries = await self._stored(scope, receive)
        except _Refused as refused:
            return refused.answer
        except RedisError:
            log.error("event not stored", reason="the server cannot be reached")
            return NO_LEDGER
        except ScenaristError as error:
            log.error("event not stored", reason=error.message)
            return NO_LEDGER
        finally:
            self._working -= 1
        if received.verdict.answer is not None:
            return received.verdict.answer
        for record, events, held in deliveries:
            if held:
                return _spoken(await self._callers.answer(record, events, self.limits.wait))
        return ACCEPTED

    async def _stored(
        self, scope: Message, receive: Receive
    ) -> tuple[Received, list[tuple[HookRecord, tuple[str, ...], bool]]]:
        """The events of a request on disk: (webhook, events, whether its caller is held)."""
        token = scope["path"].removeprefix(PREFIX)
        if not token or len(token) > _TOKEN_CHARACTERS or not token.isascii():
            raise _Refused(UNKNOWN)
        owner = await self._owner(token)
        if owner is None:
            raise _Refused(UNKNOWN)
        name = owner.id if isinstance(owner, HookRecord) else f"{owner.app}:{owner.component}"
        scope["scenarist.hook"] = name
        self._check_rate(name)
        length = _declared(scope)
        if length > self.limits.body_bytes:
            raise _Refused(TOO_LARGE)
        if isinstance(owner, HookRecord):
            refusal = await self._in_pool(lambda: self._runner.events.admit(owner.id))
            if refusal is not None:
                raise _Refused({"rate": TOO_MANY, "full": FULL}.get(refusal, UNKNOWN))
        body = await self._body(receive, length)
        try:
            incoming = Incoming(
                scope["method"],
                scope["query_string"].decode("latin-1"),
                tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
                body,
                (scope.get("client") or ("",))[0],
            )
            return await self._in_pool(lambda: self._accepted(owner, incoming))
        finally:
            self._bytes -= len(body)

    def _accepted(
        self, owner: HookRecord | SharedAddress, incoming: Incoming
    ) -> tuple[Received, list[tuple[HookRecord, tuple[str, ...], bool]]]:
        """In a thread of the pool: read the request, store its events, start runs."""
        listening = "run"
        if isinstance(owner, HookRecord):
            listening = self._dispatcher.listening(owner.id, self.limits.inactive)
            if listening == "reject" and owner.kind == "custom":
                raise _Refused(NOBODY)
        with self._runner.secrets.scope() as secrets:
            receiver = Receiver(self._runner, secrets)
            if isinstance(owner, HookRecord):
                received = receiver.receive(owner, incoming)
            else:
                received = receiver.shared(owner, incoming)
        if listening == "reject" and not received.verdict.verification:
            raise _Refused(NOBODY)
        stored: list[tuple[HookRecord, tuple[str, ...], bool]] = []
        for delivery in received.deliveries:
            stored += self._deliver(delivery, alone=isinstance(owner, HookRecord), answered=received.verdict.answer)
        return received, stored

    def _deliver(
        self, delivery: Delivery, *, alone: bool, answered: Answer | None
    ) -> Iterable[tuple[HookRecord, tuple[str, ...], bool]]:
        record = delivery.record
        listening = self._dispatcher.listening(record.id, self.limits.inactive)
        if listening in ("reject", "forget"):
            return ()
        callers = self._callers
        held = answered is None and listening == "run" and callers is not None and self._dispatcher.answers(record.id)
        if held and callers is not None and callers.count >= self.limits.held:
            raise _Refused(BUSY)
        channel = callers.channel if held and callers is not None else ""
        events = self._runner.events.accept(record, delivery.items, delivery=delivery.key, channel=channel)
        if isinstance(events, str):
            if events == "seen":
                return ()
            # Others of a shared address have theirs: the service must not send it again to them.
            if not alone:
                log.warning("event refused", hook=record.id, reason=events)
                return ()
            raise _Refused({"full": FULL}.get(events, UNKNOWN))
        if listening == "run":
            self._dispatch(record.id)
        return ((record, events, held),)

    def _dispatch(self, hook: str) -> None:
        """Start runs in another thread, one at a time for each webhook: what waits then is taken together."""
        with self._lock:
            if hook in self._dispatching:
                self._dispatching[hook] = True
                return
            self._dispatching[hook] = True
        self._pool.submit(self._dispatch_now, hook)

    def _dispatch_now(self, hook: str) -> None:
        while True:
            with self._lock:
                if not self._dispatching[hook]:
                    del self._dispatching[hook]
                    return
                self._dispatching[hook] = False
            try:
                self._dispatcher.dispatch(hook)
            except (ScenaristError, RedisError) as error:
                # The events are stored; the scheduler finds them.
                log.warning("events not dispatched", hook=hook, reason=str(error))

    # -- limits --------------------------------------------------------------------------------------------------------

    async def _owner(self, token: str) -> HookRecord | SharedAddress | None:
        known = self._known.get(token)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        found = await self._in_pool(lambda: self._runner.hooks.by_token(token))
        self._known[token] = (now + _KNOWN_SECONDS, found)
        while len(self._known) > _KNOWN_ADDRESSES:
            self._known.popitem(last=False)
        return found

    def _check_rate(self, name: str) -> None:
        """What this process alone has seen is too much: refused without asking the ledger, which counts for all."""
        events = self._runner.events
        window = int(time.monotonic() / events.rate_window.total_seconds())
        index, count = self._rates.get(name, (window, 0))
        count = count + 1 if index == window else 1
        if len(self._rates) > _KNOWN_ADDRESSES:
            self._rates.clear()
        self._rates[name] = (window, count)
        if count > events.rate:
            raise _Refused(TOO_MANY)

    async def _body(self, receive: Receive, length: int) -> bytes:
        """The body; its bytes count until the caller gives them back."""
        pieces: list[bytes] = []
        size = 0
        if self._bytes + length > self.limits.bodies_bytes:
            raise _Refused(BUSY)
        try:
            async with asyncio.timeout(self.limits.body_time.total_seconds()):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(TOO_SLOW)
                    piece = message.get("body", b"")
                    size += len(piece)
                    self._bytes += len(piece)
                    if size > self.limits.body_bytes:
                        raise _Refused(TOO_LARGE)
                    if self._bytes > self.limits.bodies_bytes:
                        raise _Refused(BUSY)
                    pieces.append(piece)
                    if not message.get("more_body"):
                        return b"".join(pieces)
        except TimeoutError:
            self._bytes -= size
            raise _Refused(TOO_SLOW) from None
        except BaseException:
            self._bytes -= size
            raise

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _declared(scope: Message) -> int:
    """The length that the request says its body has; 0 when it does not."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _spoken(answer: CallerAnswer | None) -> Answer:
    """What the caller gets."""
    if answer is None or answer.word == "accepted":
        return ACCEPTED
    if answer.word == "failed":
        return FAILED
    content: dict[str, Any] = answer.content
    body = content["body"]
    raw = body.data if isinstance(body, Buffer) else str(body).encode("utf-8", "replace")
    return Answer(content["status"], tuple((name, value) for name, value in content["headers"]), raw)
