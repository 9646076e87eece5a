"""Registered apps: their files by content hash, the current hash and the history of each name (design section 3)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from runtime.errors import NotFoundError, UsageError
from workers.ledger.contents import Contents
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION


@dataclass(frozen=True, slots=True)
class AppState:
    """A registered app. `history` holds (content hash, instant in UTC milliseconds), newest first."""

    name: str
    label: str
    version: int
    content: str
    history: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Apps:
    """The app registry under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    contents: Contents

    def add(self, name: str, files: Mapping[str, bytes], *, content: str, label: str, version: int) -> bool:
        """Make these files the current state of an app; False when they are so already."""
        found = self._read(name)
        history = list(found.history) if found else []
        if found is not None and found.content == content:
            return False
        history = [(content, time.time_ns() // 1_000_000), *(entry for entry in history if entry[0] != content)]
        record: dict[str, Any] = {
            "v": RECORD_VERSION,
            "label": label,
            "version": version,
            "content": content,
            "history": json.dumps(history),
        }
        self.contents.put(self.keys.app_files(content), files)
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self.keys.app(name), mapping=cast("dict[Any, Any]", record))
            pipeline.sadd(self.keys.apps, name)
            pipeline.execute()
        return True

    def keep(self, files: Mapping[str, bytes], content: str) -> None:
        """Keep the files of an app state that need not be registered, such as a folder's."""
        self.contents.put(self.keys.app_files(content), files)

    def get(self, name: str) -> AppState:
        """
        A registered app.

        Raises:
            UsageError: There is none of this name; lists the known ones.
        """
        found = self._read(name)
        if found is None:
            known = ", ".join(self.names()) or "none"
            raise NotFoundError(f'There is no registered app "{name}". Registered: {known}.')
        return found

    def names(self) -> list[str]:
        """Names of all registered apps, sorted."""
        return sorted(name.decode() for name in cast("set[bytes]", self.client.smembers(self.keys.apps)))

    def list(self) -> list[AppState]:
        """All registered apps by name."""
        return [found for name in self.names() if (found := self._read(name)) is not None]

    def files(self, content: str) -> dict[str, bytes]:
        """
        An app's files by content hash.

        Raises:
            UsageError: They are not stored.
        """
        stored = self.contents.get(self.keys.app_files(content))
        if stored is None:
            raise UsageError(f"The app state {content[:12]}… is not stored here, or its key is not in the key ring.")
        return stored

    def remove(self, name: str) -> None:
        """
        Forget an app's name; its files stay for the runs that name their hash.

        Raises:
            UsageError: There is none of this name.
        """
        self.get(name)
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(self.keys.app(name))
            pipeline.srem(self.keys.apps, name)
            pipeline.execute()

    def _read(self, name: str) -> AppState | None:
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.app(name)))
        if not row:
            return None
        history = tuple((str(content), int(instant)) for content, instant in json.loads(row[b"history"]))
        return AppState(name, row[b"label"].decode(), int(row[b"version"]), row[b"content"].decode(), history)
