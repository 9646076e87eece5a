"""What the `store` commands do: list, show, fill and read data stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.builtin.structures import structured
from runtime import codec
from runtime.errors import BundleValidationError, UsageError
from runtime.scenario.structures import Structure, refuse_unknown
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
        structure = stores.structure(name) if stores.exists(name) else None
        stores.replace(name, {key: self._fitting(structure, key, record) for key, record in records.items()})
        return stores.show(name)

    def set_structure(self, name: str, structure: Structure | None) -> StoreRow:
        """
        Give a data store a data structure, which its records have to fit from now on; None takes it away. Records that
        it holds already stay as they are.
        """
        self.context.runner.stores.set_structure(name, structure)
        return self.context.runner.stores.show(name)

    def structure(self, name: str) -> Structure | None:
        """The data structure of a data store, if it has one."""
        return self.context.runner.stores.structure(name)

    def _fitting(self, structure: Structure | None, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
        if structure is None:
            return dict(record)
        try:
            refuse_unknown(structure, record)
            zone = self.context.settings.timezone
            found = structured(structure["spec"], record, zone, others=True, complete=True)
            # What is empty stays so: it is kept, not mapped.
            return {name: found.get(name, value) for name, value in record.items()} | found
        except BundleValidationError as error:
            raise UsageError(
                f'The record "{key}" does not fit the data structure of the store: {error.message}'
            ) from None

    def export(self, name: str) -> dict[str, Any]:
        """All records of a data store by key, in order of insertion, as marked JSON data."""
        return {key: codec.mark(record) for key, record in self.context.runner.stores.records(name)}
