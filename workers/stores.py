"""
Data stores as the modules of one run see them: what is committed, under the run's own writes that wait for their commit
(spec/scenarios.md 4.7, design section 10.5).
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtime import codec
from runtime.errors import DataError, InvalidConfigurationError, OutOfSpaceError, ScenaristError
from workers.ledger.records import StoreWrite
from workers.ledger.stores import Stores

#: Most bytes of one record (spec/scenarios.md 4.7).
MAX_RECORD = 15 * 1000 * 1000

#: A write of this run that waits for its commit: `{"op": "put" | "delete" | "clear", "key", "data"}`.
Staged: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class RunStores:
    """The stores of one run. `bound` maps the data store ids of its blueprint to names here."""

    stores: Stores
    bound: Mapping[str, str]

    def name(self, foreign: str) -> str:
        """
        The store behind a foreign id.

        Raises:
            InvalidConfigurationError: None is bound, or it is gone.
        """
        name = self.bound.get(foreign)
        if name is None:
            raise InvalidConfigurationError(f"The data store {foreign} is not bound to one here.")
        if not self.stores.exists(name):
            raise InvalidConfigurationError(f'The data store "{name}" is not here any more.')
        return name

    def recall(self, foreign: str, arguments: Mapping[str, Any], staged: Iterable[Staged]) -> Any:
        """
        Read: `{"op": "get", "key"}` gives the record or None, `{"op": "all"}` a list of (key, record) in order of
        insertion, `{"op": "stats"}` `{"count", "size"}`, `{"op": "structure"}` its data structure or None.

        Raises:
            InvalidConfigurationError: No store is bound to the id.
        """
        name = self.name(foreign)
        if arguments["op"] == "get":
            return self._get(name, arguments["key"], staged)
        if arguments["op"] == "all":
            return list(self._all(name, staged).items())
        if arguments["op"] == "structure":
            return self.stores.structure(name)
        row = self.stores.show(name)
        writes = list(staged)
        count = len(self._all(name, writes)) if writes else row.count
        return {"count": count, "size": row.size + sum(_size(write) for write in writes)}

    def check(self, foreign: str, value: Staged, staged: Iterable[Staged]) -> None:
        """
        Look at a write before it is noted.

        Raises:
            DataError: The record is too large, or cannot be stored.
            OutOfSpaceError: The store has no room for it.
            InvalidConfigurationError: No store is bound to the id.
        """
        name = self.name(foreign)
        if value["op"] != "put":
            return
        size = _size(value)
        if size > MAX_RECORD:
            raise DataError(f"The record is larger than {MAX_RECORD // 1_000_000} MB.")
        held = self.stores.show(name).size
        if held + size + sum(_size(write) for write in staged) > self.stores.most:
            raise OutOfSpaceError(f'The data store "{name}" is full: it may hold {self.stores.most} bytes.')

    def write(self, foreign: str, value: Staged) -> StoreWrite | None:
        """The write as the checkpoint takes it; None when its store is gone."""
        try:
            return self.stores.write(self.bound[foreign], value["op"], value.get("key", ""), value.get("data"))
        except ScenaristError:
            return None

    def _get(self, name: str, key: str, staged: Iterable[Staged]) -> dict[str, Any] | None:
        for write in reversed(list(staged)):
            if write["op"] == "clear":
                return None
            if write["key"] == key:
                return write["data"] if write["op"] == "put" else None
        return self.stores.get(name, key)

    def _all(self, name: str, staged: Iterable[Staged]) -> dict[str, dict[str, Any]]:
        records = dict(self.stores.records(name))
        for write in staged:
            if write["op"] == "clear":
                records.clear()
            elif write["op"] == "delete":
                records.pop(write["key"], None)
            else:
                records[write["key"]] = write["data"]
        return records


@contextmanager
def local_stores(stores: Stores, given: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Generator[dict[str, str]]:
    """Stores for one run only, by the id or label that was given; gives the names under which they lie meanwhile."""
    run = secrets.token_hex(8)
    names = {name: f"run {run}/{index}" for index, name in enumerate(given)}
    try:
        for name, records in given.items():
            stores.replace(names[name], records, private=True)
        yield names
    finally:
        for name in names.values():
            if stores.exists(name):
                stores.remove(name)


def _size(write: Staged) -> int:
    return len(codec.dumps(write["data"])) if write["op"] == "put" else 0
