"""Schedules in the ledger: which scenarios are due, and each due instant settled once (spec/scenarios.md 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import redis

from workers.ledger import lua
from workers.ledger.keys import Keys


@dataclass(frozen=True, slots=True)
class Due:
    """A scenario that is due, and since when (UTC milliseconds): what a scheduler says when it settles that."""

    scenario: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules under one prefix of a server. `Runs.create_scheduled` settles a due instant by a run."""

    client: redis.Redis
    keys: Keys

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000

    def look(self, most: int) -> tuple[int, list[Due]]:
        """The server's clock, and what is due by it, longest first."""
        now, *found = lua.call(self.client, "schedule_look", [self.keys.scenarios_due], [most])
        pairs = zip(found[::2], found[1::2], strict=True)
        return int(now), [Due(scenario.decode(), int(float(due))) for scenario, due in pairs]

    def move(self, due: Due, next_ms: int | None, *, keep: bool) -> bool:
        """
        Settle a due instant without a run of ours: the next one is `next_ms`. False when another scheduler was first.

        Args:
            due: What was seen.
            next_ms: The next regular instant, if there is one.
            keep: A repetition that is planned for later stays so.
        """
        return self._settle(due, "move", "" if next_ms is None else next_ms, "keep" if keep else "")

    def defer(self, due: Due) -> bool:
        """Leave a due instant until the former scheduled run has ended."""
        return self._settle(due, "late")

    def switch_off(self, due: Due, word: Literal["off", "finish"], reason: str) -> bool:
        """Switch a due scenario off: `off` for an error, `finish` at the end of its schedule."""
        return self._settle(due, word, reason)

    def stop(self, scenario: str, reason: str) -> bool:
        """Switch an active scenario off by itself, whenever it is due; False when it was off."""
        keys = [self.keys.scenario(scenario), self.keys.scenarios_due]
        return lua.call(self.client, "schedule_move", keys, [self.keys.prefix, scenario, "", "off", reason]) == 1

    def forget(self, scenario: str) -> None:
        """Nothing of a scenario that is gone is due."""
        self.client.zrem(self.keys.scenarios_due, scenario)

    def set(self, scenario: str, blueprint: str, fields: Mapping[str, str | int | None]) -> bool:
        """
        Write fields of a scenario's live state and index when it is due; None deletes a field. False when it has
        another blueprint by now.
        """
        flat: list[str | int] = []
        for name, value in fields.items():
            flat += (name, "" if value is None else value)
        arguments = [self.keys.prefix, scenario, blueprint, *flat]
        return lua.call(self.client, "schedule_set", [self.keys.scenario(scenario)], arguments) == 1

    def _settle(self, due: Due, word: str, *rest: str | int) -> bool:
        keys = [self.keys.scenario(due.scenario), self.keys.scenarios_due]
        arguments = [self.keys.prefix, due.scenario, due.due_ms, word, *rest]
        return lua.call(self.client, "schedule_move", keys, arguments) == 1
