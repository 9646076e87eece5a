"""
The memory of a polling trigger and what it decides: which items are new, in which order, how many. Pure.

Source: spec/modules.md 1.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cmp_to_key
from typing import Any, Final

from runtime.coercion import parse_number_text, to_date
from runtime.communication import TriggerItem
from runtime.errors import ImlError, ModuleRuntimeError
from runtime.values import date_text, is_empty, to_text

#: Choices of the start (spec/modules.md 1.6).
START_MODES: Final = ("now", "since", "all", "item", "id")
_MILLISECOND: Final = timedelta(milliseconds=1)
_ORDERS: Final = frozenset({"asc", "desc", "unordered"})


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    return parse_number_text(value) if isinstance(value, str) else None


def compare_ids(left: Any, right: Any) -> int:
    """Below, at or above zero as `left` is before, at or after `right`: as numbers when both are, else as text."""
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return (a > b) - (a < b)
    x, y = to_text(left), to_text(right)
    return (x > y) - (x < y)


def id_key(value: Any) -> str:
    """Equal for ids that compare as equal: `9`, `"9"` and `9.0`."""
    number = _number(value)
    return to_text(number if number is not None else value)


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What a trigger remembers. `start` is a choice of the start that the next poll applies."""

    type: str = ""
    last_date: datetime | None = None
    last_id: Any = None
    ids_at_last: tuple[Any, ...] = ()
    start: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None, timezone: str) -> TriggerState:
        """The state that `to_json` wrote; nothing remembered gives an empty one."""
        data = data or {}
        ids = data.get("ids_at_last")
        start = data.get("start")
        return cls(
            type=to_text(data.get("type")),
            last_date=_date(data.get("last_date"), timezone),
            last_id=data.get("last_id"),
            ids_at_last=tuple(ids) if isinstance(ids, list) else (),
            start=start if isinstance(start, dict) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The state as JSON data; the date is ISO text."""
        data: dict[str, Any] = {
            "type": self.type,
            "last_date": date_text(self.last_date) if self.last_date is not None else None,
            "last_id": self.last_id,
            "ids_at_last": list(self.ids_at_last),
        }
        if self.start is not None:
            data["start"] = {key: _plain(value) for key, value in self.start.items()}
        return data

    def data(self) -> dict[str, Any]:
        """What expressions see as `data`."""
        seen: dict[str, Any] = {}
        if self.last_date is not None:
            seen["lastDate"] = self.last_date
        if self.last_id is not None:
            seen["lastId"] = seen["lastID"] = self.last_id
        return seen

    def started(self, start: Mapping[str, Any], type_name: str, now: datetime, timezone: str) -> TriggerState:
        """The state after a choice of the start was applied (`now` of type `id` needs a poll, see `Poll`)."""
        mode = start.get("mode")
        fresh = TriggerState(type=type_name)
        if mode == "now":
            # The moment of choosing, where it is known: what came between it and this poll is new.
            chosen = _date(start.get("date"), timezone) or now
            return replace(fresh, last_date=chosen) if type_name == "date" else fresh
        if mode == "since":
            date = _date(start.get("date"), timezone)
            return replace(fresh, last_date=date - _MILLISECOND) if date is not None else fresh
        if mode in ("item", "id"):
            date = _date(start.get("date"), timezone) if type_name == "date" else None
            before = date - _MILLISECOND if date is not None else None
            return replace(fresh, last_date=before, start=start)
        return fresh


def _plain(value: Any) -> Any:
    return date_text(value) if isinstance(value, datetime) else value


def _date(value: Any, timezone: str) -> datetime | None:
    if is_empty(value):
        return None
    try:
        return to_date(value, timezone)
    except ImlError:
        return None


@dataclass(slots=True)
class Poll:
    """One poll: takes pages of items, says whether to go on, and keeps the oldest new ones."""

    state: TriggerState
    now: datetime
    timezone: str
    start: Mapping[str, Any] | None = None
    #: Start "from now on" of ids: nothing goes out, the highest id is where the next poll begins.
    skip_all: bool = False
    _type: str = ""
    _order: str = ""
    _fresh: list[tuple[TriggerItem, datetime | None]] = field(default_factory=list[Any])
    _seen: set[str] = field(default_factory=set[str])
    _kept: list[tuple[TriggerItem, datetime | None]] = field(default_factory=list[Any])
    #: The item from which on everything is new, by a choice of the start: its date and id.
    _from: tuple[datetime | None, Any] | None = None

    def begin(self, type_name: str, order: str) -> None:
        """See `Watcher.begin`. A change of the type forgets the state; a pending start is applied."""
        if type_name not in ("id", "date"):
            raise ModuleRuntimeError("Invalid value of trigger.type")
        # An order that is none promises nothing, so every page is read.
        self._type, self._order = type_name, order if order in _ORDERS else "unordered"
        if self.state.type not in ("", type_name):
            self.state = TriggerState(type=type_name)
        self.state = replace(self.state, type=type_name)
        if self.start is not None:
            self.state = self.state.started(self.start, type_name, self.now, self.timezone)
            self.skip_all = self.start.get("mode") == "now" and type_name == "id"
            if self.start.get("mode") in ("item", "id"):
                date = _date(self.start.get("date"), self.timezone) if type_name == "date" else None
                self._from = (date, self.start.get("id"))
        self._fresh, self._seen, self._kept = [], set(), []

    @property
    def began(self) -> bool:
        """False when no request was made, because of `limit` or `condition`: then nothing is known and remembered."""
        return self._type != ""

    def page(self, items: list[TriggerItem]) -> bool:
        """See `Watcher.page`."""
        met_old = False
        for item in items:
            if is_empty(item.id):
                raise ModuleRuntimeError("Invalid value of trigger.id")
            date = None
            if self._type == "date":
                date = _date(item.date, self.timezone)
                if date is None:
                    raise ModuleRuntimeError("Invalid value of trigger.date")
            if not self._is_new(item.id, date):
                met_old = True
                continue
            key = id_key(item.id)
            if key not in self._seen:
                self._seen.add(key)
                self._fresh.append((item, date))
        return not (self._order == "desc" and met_old)

    def _is_new(self, identity: Any, date: datetime | None) -> bool:
        state = self.state
        if self._from is not None:
            from_date, from_id = self._from
            if from_date is not None and date is not None and date != from_date:
                return date > from_date
            return compare_ids(identity, from_id) >= 0
        if self._type == "id":
            return state.last_id is None or compare_ids(identity, state.last_id) > 0
        if state.last_date is None or date is None or date > state.last_date:
            return True
        known = {id_key(old) for old in state.ids_at_last}
        return date == state.last_date and id_key(identity) not in known

    def keep(self, limit: int | None) -> list[TriggerItem]:
        """See `Watcher.keep`: the oldest new items, oldest first."""

        def order(left: tuple[TriggerItem, datetime | None], right: tuple[TriggerItem, datetime | None]) -> int:
            if left[1] is not None and right[1] is not None and left[1] != right[1]:
                return -1 if left[1] < right[1] else 1
            return compare_ids(left[0].id, right[0].id)

        self._fresh.sort(key=cmp_to_key(order))
        if self.skip_all:
            self._kept = self._fresh[-1:]
            return []
        self._kept = self._fresh if limit is None else self._fresh[: max(limit, 0)]
        return [item for item, _ in self._kept]

    def new_state(self) -> TriggerState:
        """The state after the kept items."""
        state = replace(self.state, start=None)
        if not self._kept:
            # Nothing came yet of what the user chose to start with: the choice stays.
            return replace(state, start=self.start) if self._from is not None else state
        last, date = self._kept[-1]
        if date is None:
            return replace(state, last_id=last.id)
        ids: list[Any] = list(state.ids_at_last) if date == state.last_date else []
        ids += [item.id for item, item_date in self._kept if item_date == date]
        return replace(state, last_date=date, last_id=last.id, ids_at_last=tuple(ids))
