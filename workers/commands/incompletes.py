"""What the `incomplete` commands do: list, show, edit, retry, resolve and drop incomplete executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.scenario.incomplete import Status
from workers.commands.context import Context
from workers.ledger.incompletes import IncompleteRow
from workers.ledger.records import RunHeader
from workers.retries import Retries


@dataclass(frozen=True, slots=True)
class IncompleteCommands:
    """The commands."""

    context: Context

    def list(self, *, scenario: str | None = None, resolved: bool = False) -> list[IncompleteRow]:
        """Incomplete executions, oldest first; `resolved` adds those that are done with."""
        wanted = None if scenario is None else self._scenario_id(scenario)
        return self.context.runner.incompletes.list(scenario=wanted, resolved=resolved)

    def show(self, record: str) -> tuple[IncompleteRow, dict[str, Any]]:
        """A record, and what can be mapped at its failed module: module id -> bundle, marked and redacted."""
        runner = self.context.runner
        row = runner.incompletes.get(record)
        if row.status is Status.RESOLVED:
            return row, {}
        from workers import history

        request, start = runner.incompletes.load(record)
        with self.context.secrets.scope() as scope:
            history.run_secrets(scope, runner.vault, runner.library, request)
            return row, history.visible_bundles(start, scope)

    def blueprint(self, record: str) -> bytes:
        """The blueprint that a record's retry would use, as a file."""
        scenarios = self.context.runner.scenarios
        return scenarios.blueprint(self.context.runner.incompletes.get(record).blueprint)

    def edit(
        self,
        record: str,
        *,
        blueprint: bytes | None = None,
        module: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> IncompleteRow:
        """
        Change what a record's retry does, before it is retried.

        Args:
            record: Its id.
            blueprint: Another blueprint.
            module: The module to begin at.
            fields: Other values of that module's fields.

        Raises:
            UsageError: It is resolved or in progress, or the change does not fit it.
        """
        from workers import editing

        editing.edit(self.context.runner, record, editing.Edit(blueprint, module, fields))
        return self.context.runner.incompletes.get(record)

    def retry(self, record: str) -> tuple[IncompleteRow, RunHeader | None]:
        """
        Retry a record now; the run is None when others of its scenario have to end first: then the scheduler starts it.
        """
        runner = self.context.runner
        runner.incompletes.wish(record)
        started = Retries(runner.incompletes, runner.runs, self.context.send).start(record)
        return runner.incompletes.get(record), started

    def resolve(self, record: str) -> IncompleteRow:
        """Call a record done by hand; its data go."""
        self.context.runner.incompletes.resolve(record)
        return self.context.runner.incompletes.get(record)

    def drop(self, record: str) -> None:
        """Delete a record with its data."""
        self.context.runner.incompletes.drop(record)

    def _scenario_id(self, scenario: str) -> str:
        # A blueprint file that was run here is no stored scenario, but it has runs and records.
        return scenario if scenario.startswith("file-") else self.context.runner.scenarios.get(scenario).id
