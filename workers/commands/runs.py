"""
What the `run` and `runs` commands do: accept runs, run here, watch, stop, retry and repeat runs.

Reading apps, blueprints and bundles is imported by the methods that do it: lists and stops go without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from runtime.errors import BundleValidationError, UsageError
from runtime.scenario.catalog import Role
from runtime.scenario.structures import Structure
from workers.commands.context import Context
from workers.commands.stores import StoreCommands
from workers.leases import Leases
from workers.ledger.bundles import ChunkReader
from workers.ledger.records import FenceLost, RunHeader, RunRequest
from workers.ledger.states import RunState
from workers.stores import local_stores
from workers.views import RunReport


@dataclass(frozen=True, slots=True)
class RunCommands:
    """The commands."""

    context: Context

    def enqueue(
        self,
        scenario: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        trigger_bundles: Sequence[Mapping[str, Any]] | None = None,
        queued: bool = False,
        kind: str = "manual",
        run: str | None = None,
        callback: str = "",
    ) -> RunHeader:
        """
        Accept a run: written to disk first, then its message is sent. A scenario that starts with a webhook waits for
        the next event, or takes the oldest one that waits (`queued`).

        Args:
            scenario: Its id or name.
            inputs: Of the scenario.
            trigger_bundles: Bundles in place of its start module's.
            queued: Take an event that waits.
            kind: `manual` or `api` (spec/scenarios.md 5.2).
            run: The id of the run: asked for twice, it is accepted once.
            callback: Where its end is told.

        Raises:
            UsageError: A connection is not bound, an input is refused, or there is no event.
        """
        from workers import imports
        from workers.dispatching import dispatcher_of

        runner = self.context.runner
        state = runner.scenarios.get(scenario)
        try:
            request = imports.scenario_request(runner, state, inputs, trigger_bundles)
        except BundleValidationError as error:
            if kind == "api":
                raise
            raise UsageError(error.message) from None
        request = replace(request, kind=kind, callback=callback)
        start = runner.library.compiled(request.blueprint, request.apps).plan.start
        if trigger_bundles is None and start.info.role is Role.INSTANT:
            return dispatcher_of(runner, self.context.send).start(request, queued=queued)
        if queued:
            raise UsageError(f'The scenario "{state.name}" does not start with a webhook; leave --queued out.')
        header = runner.runs.create(request, run=run)
        self.context.send(header.id, header.fence)
        return header

    def inline(
        self,
        scenario: str | bytes,
        *,
        inputs: Mapping[str, Any] | None = None,
        trigger_bundles: Sequence[Mapping[str, Any]] | None = None,
        bindings: Mapping[str, str] | None = None,
        bound_stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        stores: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        structures: Mapping[str, Structure] | None = None,
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> RunReport:
        """
        Run in this process, through the ledger. `scenario` is an id, a name, or a blueprint file's bytes. What is
        refused before it begins gives a report with that error. For a file, `bindings`, `bound_stores` and `scenarios`
        name our connections, data stores and scenarios for its ids; `stores` are data stores (by id or label) for this
        run only, `structures` its data structures (by id or label).
        """
        from workers import history, imports

        runner = self.context.runner
        with local_stores(runner.stores, stores or {}) as given:
            try:
                if isinstance(scenario, bytes):
                    request = imports.file_request(
                        runner, scenario, inputs, trigger_bundles, bindings or {}, bound_stores, given, scenarios,
                        structures,
                    )  # fmt: skip
                else:
                    state = runner.scenarios.get(scenario)
                    request = imports.scenario_request(runner, state, inputs, trigger_bundles)
            except imports.Refusal as refusal:
                report = history.refused(refusal.code, refusal.message, refusal.module)
            except BundleValidationError as error:
                report = history.refused(error.name, error.message)
            else:
                report = self._here(request, on_step)
            if stores is None:
                return report
            kept = StoreCommands(self.context)
            return replace(report, stores={name: kept.export(place) for name, place in given.items()})

    def list(
        self,
        *,
        scenario: str | None = None,
        limit: int = 50,
        states: Collection[str] = (),
        since_ms: int | None = None,
        before_ms: int | None = None,
    ) -> list[RunHeader]:
        """Runs, newest first; only those in these states, accepted from `since_ms` on and before `before_ms`."""
        runner = self.context.runner
        wanted = None if scenario is None else runner.scenarios.get(scenario).id
        return runner.runs.list(scenario=wanted, limit=limit, states=states, since_ms=since_ms, before_ms=before_ms)

    def show(self, run: str) -> RunReport:
        """A run with its steps so far."""
        from workers import history

        runner = self.context.runner
        return history.report(runner.runs, runner.library, runner.vault, run, self.context.secrets)

    def watch(self, run: str, *, timeout: timedelta | None = None) -> Iterator[RunHeader | dict[str, Any]]:
        """
        Yield each step of a run as it happens and the header whenever its state changes; ends when the run rests.

        Raises:
            UsageError: There is no such run, or it has not ended within `timeout`.
        """
        from workers import history

        runner = self.context.runner
        return history.watch(runner.runs, runner.library, runner.vault, run, self.context.secrets, timeout)

    def wait(self, run: str, *, timeout: timedelta | None = None) -> RunReport:
        """Wait until a run ends or waits for a decision. Raises UsageError at the timeout."""
        for _ in self.watch(run, timeout=timeout):
            pass
        return self.show(run)

    def cancel(self, run: str) -> RunHeader:
        """Ask a run to stop; one that no worker holds stops at once."""
        self.context.runner.runs.cancel(run)
        return self.context.runner.runs.header(run)

    def retry(self, run: str) -> RunHeader:
        """Let a run of status `incomplete` go on: the step of unknown outcome is done again."""
        self.context.send(run, self.context.runner.runs.retry(run))
        return self.context.runner.runs.header(run)

    def repeat(
        self, run: str, operation: int, *, edit: Mapping[str, Any] | None = None, current: bool = False
    ) -> RunHeader:
        """
        Accept a run that repeats an ended one from an operation on, by the versions that it recorded; `current` takes
        the scenario as it is today, with the bundles of the old start module. `edit` is the bundle that comes in.

        Raises:
            UsageError: There is no such operation, or what it needs is not kept any more.
        """
        from workers import imports, repeating

        runner = self.context.runner
        past = repeating.past(runner.runs, run)
        if current:
            state = runner.scenarios.get(past.request.scenario)
            plan = runner.library.compiled(past.request.blueprint, past.request.apps).plan
            first = past.operation(operation)["module"] == plan.start.id
            bundles = repeating.start_bundles(past, operation, is_start=first)
            given = bundles if edit is None else (edit,)
            request = imports.scenario_request(runner, state, past.request.inputs, given)
            header = runner.runs.create(replace(request, kind="replay", source=run))
        else:
            request, start = repeating.from_operation(past, runner.library, operation, edit)
            header = runner.runs.create(request, start=start)
        self.context.send(header.id, header.fence)
        return header

    def _here(self, request: RunRequest, on_step: Callable[[dict[str, Any]], None] | None) -> RunReport:
        runner = self.context.runner
        header = runner.runs.create(request)
        claim = runner.runs.claim(header.id, header.fence)
        if claim is None and request.sequential and runner.runs.cancel(header.id) is RunState.CANCELLED:
            raise UsageError(
                f"Run {header.id} was not started: the scenario is sequential, and another run of it has not ended, or "
                "incomplete executions of it are open (scenarist incomplete list). Without --inline a run waits."
            )
        if claim is not None:
            from workers import history

            def tell(record: dict[str, Any], reader: ChunkReader) -> None:
                if on_step is not None:
                    on_step(history.step_json(record, reader, self.context.secrets))

            with Leases(runner.runs) as leases:
                runner.leases = leases
                try:
                    runner.take(claim, park=False, on_step=tell)
                except FenceLost:
                    return self.wait(header.id)
                finally:
                    runner.leases = None
        return self.show(header.id)
