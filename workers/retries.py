"""Starts the retries of incomplete executions: due ones by the scheduler, others when a person asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.errors import ScenaristError
from runtime.logs import get_logger
from runtime.scenario.incomplete import PARALLEL_RETRIES
from workers.ledger.incompletes import Incompletes
from workers.ledger.records import RunHeader
from workers.ledger.runs import Runs

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retries:
    """Makes runs out of incomplete executions. `send` sends a run's message."""

    incompletes: Incompletes
    runs: Runs
    send: Callable[[str, int], bool]

    def start_due(self) -> list[RunHeader]:
        """
        Start every retry that is due, oldest record first; those over the limit of their scenario come with a later
        look. A record whose data cannot be used is left to a person.
        """
        started: list[RunHeader] = []
        for record in self.incompletes.look():
            try:
                made = self.start(record)
            except ScenaristError as error:
                log.error("incomplete execution cannot be retried", record=record, reason=error.message)
                self.incompletes.leave(record)
                continue
            if made is not None:
                started.append(made)
        return started

    def start(self, record: str) -> RunHeader | None:
        """
        Start the retry of a pending record; None when others of its scenario have to end first.

        Raises:
            UsageError: There is no such record, or it is resolved.
            ScenaristError: Its data cannot be decrypted.
        """
        request, start = self.incompletes.load(record)
        made = self.runs.create_retry(request, start, most=PARALLEL_RETRIES)
        if isinstance(made, str):
            return None
        log.info("retry started", record=record, run=made.id)
        self.send(made.id, made.fence)
        return made
