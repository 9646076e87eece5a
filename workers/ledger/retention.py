"""
Retention: ended runs go after a time, or earlier, oldest first, when all of them hold too much (design section 10.10).

First go bundles and blobs, then the journal, last the header. Incomplete executions, epochs and connections are never
touched; resolved records go after their 30 days. Contents by hash stay while anything names them. One call is one small
step, so that the scheduler stays quick.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import redis

from runtime.logs import get_logger
from workers.ledger import lua
from workers.ledger.keys import Keys

#: Runs and records that one step looks at.
STEP_RUNS = 20
#: Resolved incomplete executions stay so long (spec/scenarios.md 3.5).
KEEP_RESOLVED = timedelta(days=30)
#: Steps between two looks at contents that nothing names any more: they cost a walk over everything.
CONTENT_STEPS = 7200

log = get_logger(__name__)


@dataclass(slots=True)
class Retention:
    """Clears what is too old or too much under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    keep: timedelta
    keep_bytes: int
    _steps: int = field(default=0, repr=False)
    #: Contents that nothing named at the last look: what is just being accepted is named by the next one.
    _unnamed: set[str] = field(default_factory=set[str], repr=False)

    def step(self) -> int:
        """One small step; gives how many runs it took something from."""
        milliseconds = timedelta(milliseconds=1)
        taken = lua.call(
            self.client,
            "retain",
            [
                self.keys.ended,
                self.keys.ended_bytes,
                self.keys.runs,
                self.keys.incompletes,
                self.keys.ended_bare,
                self.keys.ended_headers,
            ],
            [self.keys.prefix, self.keep // milliseconds, self.keep_bytes, STEP_RUNS, KEEP_RESOLVED // milliseconds],
        )
        self._steps += 1
        if self._steps % CONTENT_STEPS == 0:
            self.clear_contents()
        if taken:
            log.info("history cleared", runs=taken)
        return taken

    def clear_contents(self) -> int:
        """
        Delete blueprints and app files that no scenario, app, run or incomplete execution named at this look and at
        the one before; their number.
        """
        named: set[str] = set()
        client, keys = self.client, self.keys
        for name in cast("set[bytes]", client.smembers(keys.apps)):
            found = cast("list[bytes | None]", client.hmget(keys.app(name.decode()), "content"))
            named.update(content.decode() for content in found if content)
        holders = [keys.scenario(item.decode()) for item in cast("list[bytes]", client.zrange(keys.scenarios, 0, -1))]
        holders += [keys.run(item.decode()) for item in cast("list[bytes]", client.zrange(keys.runs, 0, -1))]
        records = cast("list[bytes]", client.zrange(keys.incompletes, 0, -1))
        holders += [keys.incomplete(item.decode()) for item in records]
        for holder in holders:
            held = client.hmget(holder, "blueprint", "structures", "apps")
            *contents, apps = cast("list[bytes | None]", held)
            named.update(content.decode() for content in contents if content)
            if apps:
                named.update(json.loads(apps).values())
        cleared = 0
        unnamed: set[str] = set()
        for first in (keys.blueprint(""), keys.app_files("")):
            for key in client.scan_iter(match=f"{_escaped(first)}*", count=500):
                name = cast("bytes", key).decode()
                if name.removeprefix(first) not in named:
                    unnamed.add(name)
        for name in unnamed & self._unnamed:
            cleared += client.delete(name)
            client.srem(keys.contents, name)
        self._unnamed = unnamed
        return cleared


def _escaped(text: str) -> str:
    """A text that a server's pattern takes as it is."""
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in text)
