"""
Events of webhooks: stored when they are accepted, in order, until a run has committed them (spec/scenarios.md 3.8).

An event is free (it waits), taken by a run, or dead (it made its run fail in a way that a repeat cannot mend). What it
holds is encrypted with the data key of its webhook, buffers included.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast

import redis
from redis.exceptions import RedisError

from runtime import codec, counters
from runtime.values import Buffer
from workers.ledger import lua
from workers.ledger.hooks import HookRecord
from workers.ledger.keys import Keys

#: Requests that a webhook takes in `RATE_WINDOW`, and events that may wait (spec/scenarios.md 2.9, 5.3).
RATE = 300
RATE_WINDOW = timedelta(seconds=10)
QUEUE_MAX = 10_000
#: How long a delivery is known, so that it is not taken twice.
SEEN = timedelta(hours=24)
#: Events older than this are dropped (spec/scenarios.md 5.3).
KEEP = timedelta(days=30)
_NUMBER = struct.Struct(">I")

Refusal: TypeAlias = Literal["rate", "full", "gone", "seen"]
#: Where an event is: it waits, a run has it, or it is dead.
Place: TypeAlias = Literal["waiting", "taken", "dead"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event without its data: when it came (UTC milliseconds), its bytes, where it is, the run that has it."""

    id: str
    received_ms: int
    size: int
    place: Place
    run: str = ""


@dataclass(frozen=True, slots=True)
class CallerAnswer:
    """What the caller of an event gets: `accepted`, `failed`, or `answer` with `{"status", "headers", "body"}`."""

    word: Literal["accepted", "failed", "answer"]
    content: Any = None


@dataclass(frozen=True, slots=True)
class Events:
    """The events of all webhooks under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    queue_max: int = QUEUE_MAX
    rate: int = RATE
    rate_window: timedelta = RATE_WINDOW

    # -- coming in -----------------------------------------------------------------------------------------------------

    def admit(self, hook: str) -> Refusal | None:
        """Count a request before its body is read; gives why it is refused, else None."""
        window = self.rate_window // timedelta(milliseconds=1)
        word = lua.call(self.client, "hook_admit", [self.keys.hook(hook)], [self.rate, window, self.queue_max])
        return None if word == b"ok" else self._refused(word.decode())

    def accept(
        self, record: HookRecord, items: Sequence[Any], *, delivery: str = "", channel: str = ""
    ) -> tuple[str, ...] | Refusal:
        """
        Store the events of one request, all or none: on disk when this returns.

        Args:
            items: One bundle each, of the value model.
            delivery: What tells this delivery from others; one that was stored already gives "seen".
            channel: Where the gateway that holds the request listens; '' when nobody waits.

        Returns:
            The ids of the events, or why they were refused.
        """
        sealed = [record.key.encrypt(_pack(item), aad=_place(record.id)) for item in items]
        known = hashlib.sha256(delivery.encode("utf-8", "surrogatepass")).hexdigest() if delivery else ""
        answer = lua.call(
            self.client,
            "hook_accept",
            [self.keys.hook(record.id)],
            [self.keys.prefix, record.id, self.queue_max, known, SEEN // timedelta(milliseconds=1), channel, *sealed],
        )
        word = answer[0].decode()
        if word != "ok":
            return self._refused(word)
        return tuple(event.decode() for event in answer[1:])

    def _refused(self, word: str) -> Refusal:
        counters.count("hook_events_refused", word)
        return cast("Refusal", word)

    # -- looking -------------------------------------------------------------------------------------------------------

    def waiting(self, hook: str) -> int:
        """How many events wait for a run."""
        return self.client.zcard(self.keys.hook_waiting(hook))

    def list(self, hook: str, *, limit: int = 100) -> list[EventRow]:
        """The oldest events that are not done with: taken ones, waiting ones, dead ones."""
        keys = self.keys
        taken = cast("dict[bytes, bytes]", self.client.hgetall(keys.hook_taken(hook)))
        waiting = cast("list[bytes]", self.client.zrange(keys.hook_waiting(hook), 0, limit - 1))
        dead = cast("list[bytes]", self.client.zrange(keys.hook_dead(hook), 0, limit - 1))
        places: list[tuple[bytes, Place]] = [(event, "taken") for event in sorted(taken, key=_number)]
        places.extend((event, "waiting") for event in waiting)
        places.extend((event, "dead") for event in dead)
        with self.client.pipeline(transaction=False) as pipeline:
            for event, _ in places[:limit]:
                pipeline.hstrlen(keys.hook_events(hook), event.decode())
            sizes = pipeline.execute()
        return [
            EventRow(event.decode(), _received(event), size, place, taken.get(event, b"").decode())
            for (event, place), size in zip(places[:limit], sizes, strict=True)
        ]

    def event(self, record: HookRecord, event: str) -> Any:
        """What an event holds; None when it is done with."""
        sealed = cast("bytes | None", self.client.hget(self.keys.hook_events(record.id), event))
        return None if sealed is None else _unpack(record.key.decrypt(sealed, aad=_place(record.id)))

    def drop(self, hook: str, events: Sequence[str] | None = None) -> int:
        """Delete these events, or all that wait and are dead; those that a run has stay. Gives their number."""
        return lua.call(self.client, "hook_drop", [self.keys.hook(hook)], list(events or ()))

    def revive(self, hook: str) -> int:
        """Let dead events wait again, at their old places; gives their number."""
        return lua.call(self.client, "hook_revive", [self.keys.hook(hook)], [self.keys.prefix, hook])

    def expire(self) -> int:
        """Drop events that have waited too long; gives their number."""
        dropped = 0
        for hook in cast("list[bytes]", self.client.zrange(self.keys.hooks, 0, -1)):
            old = KEEP // timedelta(milliseconds=1)
            dropped += lua.call(self.client, "hook_expire", [self.keys.hook(hook.decode())], [old])
        return dropped

    # -- answers to callers --------------------------------------------------------------------------------------------

    def caller(self, hook: str, event: str) -> Literal["waiting", "answered", "none"]:
        """Whether somebody waits for the answer to an event."""
        if self.client.hexists(self.keys.hook_held(hook), event):
            return "waiting"
        return "answered" if self.client.exists(self.keys.hook_answer(hook, event)) else "none"

    def seal_answer(self, record: HookRecord, content: Any) -> bytes:
        """An answer in the form that is stored."""
        return record.key.encrypt(_pack(content), aad=f"{_place(record.id)} answer")

    def answer_of(self, record: HookRecord, event: str) -> CallerAnswer | None:
        """The answer to an event, once there is one."""
        found = cast("bytes | None", self.client.get(self.keys.hook_answer(record.id, event)))
        if found is None:
            return None
        if found.startswith(b"="):
            plain = record.key.decrypt(found[1:], aad=f"{_place(record.id)} answer")
            return CallerAnswer("answer", _unpack(plain))
        return CallerAnswer("accepted" if found == b"accepted" else "failed")

    def let_go(self, hook: str, event: str) -> None:
        """The gateway no longer waits for an answer to this event."""
        self.client.hdel(self.keys.hook_held(hook), event)

    def channel(self) -> str:
        """A new channel of a gateway process."""
        return f"{self.keys.prefix}:answers:{secrets.token_hex(8)}"

    def listen(self, channel: str, told: Callable[[str], None], stop: threading.Event) -> None:
        """
        Call `told` with each event that is answered on this channel, until `stop` is set. A message can be lost:
        whoever waits also looks at `answer_of` from time to time.
        """
        while not stop.is_set():
            try:
                with self.client.pubsub(ignore_subscribe_messages=True) as listener:
                    listener.subscribe(channel)
                    while not stop.is_set():
                        message = listener.get_message(timeout=0.5)
                        if message is not None:
                            told(cast("bytes", message["data"]).decode())
            except RedisError:
                stop.wait(0.5)


def _place(hook: str) -> str:
    return f"hook {hook} event"


def _number(event: bytes) -> int:
    return int(event.partition(b"-")[2])


def _received(event: bytes) -> int:
    return int(event.partition(b"-")[0])


def _pack(value: Any) -> bytes:
    """A value with its buffers: an index of them, the marked JSON (each behind its length), then the buffers."""
    blobs: dict[str, bytes] = {}

    def put(buffer: Buffer) -> str:
        digest = hashlib.sha256(buffer.data).hexdigest()
        blobs[digest] = buffer.data
        return digest

    content = codec.dumps(value, put)
    index = json.dumps([[digest, len(data)] for digest, data in blobs.items()]).encode()
    return b"".join((_NUMBER.pack(len(index)), index, _NUMBER.pack(len(content)), content, *blobs.values()))


def _unpack(packed: bytes) -> Any:
    (size,) = _NUMBER.unpack_from(packed)
    index = json.loads(packed[_NUMBER.size : _NUMBER.size + size])
    at = _NUMBER.size + size
    (length,) = _NUMBER.unpack_from(packed, at)
    at += _NUMBER.size
    content = packed[at : at + length]
    at += length
    blobs: dict[str, bytes] = {}
    for digest, count in index:
        blobs[digest] = packed[at : at + count]
        at += count
    return codec.loads(content, lambda digest, _size: blobs[digest])
