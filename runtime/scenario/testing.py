"""
Runs a scenario in memory, for tests: a bundle store in a dictionary and the loop over `next` and `apply`.

No ledger, no limits: `scenarist run --inline` uses the real one. Ships with the package so that authors of modules test
with the tool that we use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from runtime.effects import Effect, Emit, Recall, Remember, Sleep, Steps, Warn, drive
from runtime.errors import ModuleError
from runtime.iml import Environment
from runtime.scenario.cursor import Cursor
from runtime.scenario.engine import Engine
from runtime.scenario.incomplete import Snapshot, snapshot
from runtime.scenario.keeping import keep_config, kept_config
from runtime.scenario.plan import Plan
from runtime.scenario.runstate import RunEffects
from runtime.scenario.steps import (
    Commit,
    Done,
    Failed,
    Filtered,
    Finished,
    Incomplete,
    Intent,
    Operation,
    Outcome,
    Refused,
    Rollback,
    Slept,
    Store,
    Wait,
    error_bundle,
)
from runtime.values import Bundle

#: The clock of a test run before its first wait.
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: Steps after which a run counts as endless.
MAX_STEPS: Final = 100_000

#: Runs one operation: gives its bundles, or steps that yield effects, or raises a `ModuleError`.
Perform: TypeAlias = Callable[[Operation, "MemoryBundles"], "list[Bundle] | Steps[None]"]


class MemoryBundles:
    """A bundle store in memory, with the same meaning as a run's store."""

    def __init__(self) -> None:
        self._chunks: dict[int, list[Bundle]] = {}

    def get(self, operation: int, index: int) -> Bundle:
        """The bundle at (operation, index)."""
        return self._chunks[operation][index]

    def append(self, operation: int, bundles: list[Bundle]) -> None:
        """Add bundles behind those that the operation has."""
        self._chunks.setdefault(operation, []).extend(bundles)

    def truncate(self, operation: int, count: int) -> None:
        """Keep only the first bundles: a restarted operation drops what its former attempt wrote."""
        self._chunks[operation] = self._chunks.get(operation, [])[:count]

    def keep(self, numbers: set[int]) -> None:
        """Drop everything that no frame can reach any more."""
        self._chunks = {number: chunk for number, chunk in self._chunks.items() if number in numbers}

    def __len__(self) -> int:
        return len(self._chunks)


@dataclass(slots=True)
class StepRecord:
    """One operation as a run prints it (design section 8)."""

    module: int
    cycle: int
    output: list[Bundle]
    error: ModuleError | None = None
    input: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class MemoryRun:
    """What a run did: its steps, what was filtered, committed, rolled back and stored, and how it ended."""

    finished: Finished | None = None
    steps: list[StepRecord] = field(default_factory=list[StepRecord])
    filtered: list[int] = field(default_factory=list[int])
    committed: list[Intent] = field(default_factory=list[Intent])
    rolled_back: list[Intent] = field(default_factory=list[Intent])
    incomplete: list[Incomplete] = field(default_factory=list[Incomplete])
    #: What retries of those would start with, in the same order.
    snapshots: list[Snapshot] = field(default_factory=list[Snapshot])
    phases: list[str] = field(default_factory=list[str])
    waits: int = 0
    cursor: Cursor | None = None

    @property
    def status(self) -> str:
        """The status word at the end."""
        return self.finished.status if self.finished else "running"

    def outputs(self) -> list[tuple[int, list[Bundle] | str]]:
        """(module id, output bundles, or the class of the error) of each step, in order."""
        return [(step.module, step.error.name if step.error else step.output) for step in self.steps]


@dataclass(slots=True)
class MemoryRunner:
    """
    Runs a plan in memory.

    Args:
        plan: What runs.
        perform: Runs one operation.
        recycle: After every step the cursor goes through JSON and a fresh engine goes on with it: nothing of a run may
            live in the engine, and no bundle that is out of reach may be needed.
        recall: Answers effects on state outside the run.
    """

    plan: Plan
    perform: Perform
    recycle: bool = False
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    cycles: int | None = None
    #: Why incomplete executions cannot be stored; "" stores them.
    refuse: str = ""
    recall: Callable[[Recall], Any] | None = None
    bundles: MemoryBundles = field(default_factory=MemoryBundles)
    clock: datetime = NOW

    def engine(self) -> Engine:
        """A fresh engine over the same store."""
        return Engine(self.plan, self.bundles, lambda: Environment(now=self.clock), self.variables)

    def run(self, cursor: Cursor | None = None, *, stop_after: int | None = None) -> MemoryRun:
        """
        Run to the end, or until so many steps were applied.

        Raises:
            RuntimeError: The run does not end.
        """
        engine = self.engine()
        cursor = cursor or engine.start(cycles=self.cycles)
        record = MemoryRun()
        for count in range(MAX_STEPS):
            record.cursor = cursor
            if stop_after is not None and count >= stop_after:
                return record
            step = engine.next(cursor)
            if isinstance(step, Finished):
                record.finished = step
                return record
            if isinstance(step, Wait):
                self.clock = max(self.clock, step.until)
                record.waits += 1
                continue
            cursor = engine.apply(cursor, step, self._do(engine, cursor, step, record))
            if self.recycle:
                cursor = Cursor.from_json(json.loads(json.dumps(cursor.to_json())))
                self.bundles.keep(cursor.reachable())
                engine = self.engine()
        raise RuntimeError(f"the run did not end within {MAX_STEPS} steps")

    def retry(self, start: Snapshot) -> MemoryRun:
        """Run the retry of an incomplete execution: its own store, its own run."""
        again = replace(self, bundles=MemoryBundles())
        for number, bundles in start.bundles.items():
            again.bundles.append(number, list(bundles))
        return again.run(start.cursor)

    def _do(self, engine: Engine, cursor: Cursor, step: Any, record: MemoryRun) -> Outcome:
        if isinstance(step, Operation):
            return self._operation(engine, cursor, step, record)
        if isinstance(step, Store):
            self.bundles.truncate(step.number, step.place)
            self.bundles.append(step.number, [step.bundle])
        elif isinstance(step, Filtered):
            record.filtered.append(step.module_id)
        elif isinstance(step, Commit):
            record.committed.extend(step.intents)
            record.phases.append("auto commit" if step.auto else "commit")
        elif isinstance(step, Rollback):
            record.rolled_back.extend(step.intents)
            record.phases.append("rollback")
        elif isinstance(step, Incomplete):
            if self.refuse:
                return Refused(self.refuse)
            record.incomplete.append(step)
            record.snapshots.append(snapshot(step, self.plan, self.bundles.get))
        return Done()

    def _operation(self, engine: Engine, cursor: Cursor, step: Operation, record: MemoryRun) -> Outcome:
        self.bundles.truncate(step.number, step.written)
        if step.kept:
            static, mapped = kept_config(self.bundles.get(step.kept, 0))
            step = step._replace(static=static, mapped=mapped)
        effects = RunEffects(engine, step.after or cursor)
        written: list[Bundle] = []
        warned: list[Warn] = []
        parked: list[Sleep] = []

        def perform(effect: Effect) -> Any:
            if isinstance(effect, Emit):
                self.bundles.append(step.number, effect.bundles)
                written.extend(effect.bundles)
            elif isinstance(effect, Warn):
                warned.append(effect)
            elif isinstance(effect, Sleep):
                parked.append(effect)
                raise _Parked
            elif effects.handles(effect):
                return effects.perform(effect)
            elif isinstance(effect, Remember):
                effects.intend(effect.kind, effect.key, effect.value)
            elif isinstance(effect, Recall):
                return self.recall(effect) if self.recall else None
            return None

        try:
            if step.error is not None:
                raise step.error
            if step.outputs is not None:
                perform(Emit(step.outputs))
            else:
                result = self.perform(step, self.bundles)
                if isinstance(result, list):
                    perform(Emit(result))
                else:
                    drive(result, perform)
        except _Parked:
            sleep = parked[0]
            kept = step.kept or step.spare
            if not step.kept:
                self.bundles.append(kept, [keep_config(step.static, step.mapped)])
            return Slept(sleep.resume or {}, self.clock + sleep.duration, step.written + len(written), kept)
        except ModuleError as error:
            self.bundles.truncate(step.number, 0)
            self.bundles.append(step.number, [error_bundle(error)])
            record.steps.append(StepRecord(step.module_id, step.cycle, [], error, step.config))
            return Failed(error)
        outcome, values = effects.finish(step.written + len(written), warned=bool(warned))
        self.bundles.append(step.number, values)
        output = [self.bundles.get(step.number, index) for index in range(outcome.count)]
        record.steps.append(StepRecord(step.module_id, step.cycle, output, None, step.config))
        return outcome


class _Parked(Exception):  # noqa: N818  not an error: the operation goes on later
    """A sleep of an operation, carried out of its generator."""


__all__ = ["NOW", "MemoryBundles", "MemoryRun", "MemoryRunner", "Perform", "StepRecord"]
