"""What the `incomplete` commands do: list, show, retry, resolve and drop incomplete executions."""

from __future__ import annotations

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
