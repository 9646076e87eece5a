"""What the `store` commands do: list, show, fill and read data stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import codec
from workers.commands.context import Context
from workers.ledger.stores import StoreRow


@dataclass(frozen=True, slots=True)
class StoreCommands:
    """The commands."""

    context: Context

    def list(self) -> list[StoreRow]:
        """All data stores by name."""
        return self.context.runner.stores.list()

    def show(self, name: str) -> StoreRow:
        """One data store, without its records."""
        return self.context.runner.stores.show(name)

    def replace(self, name: str, records: Mapping[str, Mapping[str, Any]]) -> StoreRow:
        """Put these records (key -> record) in place of a data store's old ones; makes it where there is none."""
        stores = self.context.runner.stores
        stores.replace(name, records)
        return stores.show(name)

    def export(self, name: str) -> dict[str, Any]:
        """All records of a data store by key, in order of insertion, as marked JSON data."""
        return {key: codec.mark(record) for key, record in self.context.runner.stores.records(name)}
