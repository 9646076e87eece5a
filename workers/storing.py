"""
What a segment writes about failures beside its run: incomplete executions, ends of retries, the scenario's state.

All of it goes into a checkpoint of the run, so it happens with that step or not at all (spec/scenarios.md 3.5 to 3.7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runtime.errors import ModuleError
from runtime.sanitize import Secrets
from runtime.scenario.ending import COUNTED_KINDS, Consequence, at_end, at_storing
from runtime.scenario.incomplete import Status, after_failure, first_schedule, snapshot
from runtime.scenario.plan import Plan
from runtime.scenario.steps import Finished, Incomplete
from workers.ledger.bundles import BundleStore
from workers.ledger.incompletes import MOST_BYTES, MOST_RECORDS, Incompletes, dump_schedule
from workers.ledger.records import Claim, NewIncomplete, RetryOutcome, ScenarioChange
from workers.settings import Settings

#: Kinds of runs that nobody waits for: people are told of their errors (spec/scenarios.md 6.4).
NOTIFIED_KINDS = frozenset({"auto", "api", "incomplete"})
#: Said where no more may be stored (spec/scenarios.md 3.5).
LIMIT_REACHED = "DLQ limit per scenario has been exceeded"


@dataclass(slots=True)
class Storing:
    """The failures of one segment."""

    records: Incompletes
    claim: Claim
    plan: Plan
    secrets: Secrets
    settings: Settings
    #: Asks whether the scenario runs its events immediately: then its first counted error switches it off.
    immediate: Callable[[], bool]
    #: What this retry wanted to store for its own module: it has failed again.
    again: Incomplete | None = None

    def is_own(self, step: Incomplete) -> bool:
        """True when a retry fails in the module that it retries: its record stays, and no second one is made."""
        if not self.claim.request.incomplete:
            return False
        record = self.records.get(self.claim.request.incomplete)
        return record.module == step.module_id

    def record(self, step: Incomplete, store: BundleStore) -> NewIncomplete:
        """The record of a failing bundle. Raises DataError when its data cannot be stored."""
        option = self.settings.option
        return self.records.pack(
            self.claim.run,
            self.claim.request,
            step,
            snapshot(step, self.plan, store.get),
            error=self._error(step.error),
            schedule=first_schedule(step),
            most_records=option("incomplete_max_records", MOST_RECORDS),
            most_bytes=option("incomplete_max_bytes", MOST_BYTES),
        )

    def outcome(self, end: Finished) -> RetryOutcome | None:
        """What becomes of the record that this run retried; None for any other run."""
        record = self.claim.request.incomplete
        if not record or end.status == "incomplete":
            return None
        if end.status in ("success", "warning"):
            return RetryOutcome(record, Status.RESOLVED)
        row = self.records.get(record)
        error = end.error
        if error is None or end.status == "cancelled":
            return RetryOutcome(record, Status.UNRESOLVED)
        schedule = after_failure(row.schedule, row.error.get("type", ""), self.again)
        delay = schedule.next_delay(row.attempts, error)
        status = Status.UNRESOLVED if delay is None else Status.PENDING
        return RetryOutcome(record, status, delay or timedelta(0), self._error(error), dump_schedule(schedule))

    def at_storing(self, step: Incomplete) -> ScenarioChange | None:
        """What storing this error means for the scenario."""
        return None if step.by_break else self._change(at_storing(step.error))

    def at_refusal(self) -> ScenarioChange | None:
        """No more may be stored: the scenario rests until a person has made room (spec/scenarios.md 3.2)."""
        return self._change(Consequence("off", LIMIT_REACHED))

    def at_end(self, end: Finished, *, directed: bool) -> ScenarioChange | None:
        """What the end of the run means for the scenario."""
        immediate = end.error is not None and self.immediate()
        return self._change(at_end(end.status, end.error, self.plan.settings, directed=directed, immediate=immediate))

    def notice_stored(self, step: Incomplete) -> tuple[tuple[str, str], ...]:
        """What people are told of a stored incomplete execution; nothing where a Break has it retried by itself."""
        if self._silent or (step.by_break and step.retry is not None):
            return ()
        text = f"The module {step.module_id} failed; its bundle is kept as an incomplete execution: "
        return (("warning", self._said(text, step.error)),)

    def notice_refused(self) -> tuple[tuple[str, str], ...]:
        """What people are told when no more incomplete executions may be stored."""
        return () if self._silent else (("dlq-limit", f"{LIMIT_REACHED} (scenarist incomplete list)."),)

    def notice_end(self, end: Finished) -> tuple[tuple[str, str], ...]:
        """What people are told of the end of the run."""
        if self._silent or end.status != "error" or end.error is None:
            return ()
        place = "" if end.error_module is None else f" in the module {end.error_module}"
        return (("error", self._said(f"A run failed{place}: ", end.error)),)

    @property
    def _silent(self) -> bool:
        """Who started this run sees how it ends."""
        return self.claim.request.kind not in NOTIFIED_KINDS

    def _said(self, text: str, error: ModuleError) -> str:
        return self.secrets.redact_text(f"{text}{error.name}: {error.message}")[:1000]

    def _change(self, found: Consequence | None) -> ScenarioChange | None:
        if found is None:
            return None
        if self.claim.request.kind not in COUNTED_KINDS:
            # The success of any run says that the service is there again.
            return ScenarioChange("heal") if found.word == "reset" else None
        return ScenarioChange(found.word, self.secrets.redact_text(found.reason), found.most, found.delays)

    def _error(self, error: ModuleError) -> dict[str, Any]:
        data: dict[str, Any] = {"type": error.name, "message": self.secrets.redact_text(error.message)}
        if error.suberrors:
            data["suberrors"] = [self.secrets.redact_text(text) for text in error.suberrors]
        return data
