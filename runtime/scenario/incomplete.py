"""
Incomplete executions: what is kept of a failing bundle, when it is tried again, what a try means (spec 3.5 and 3.6).

Everything here is pure. A retry is a run of its own that begins at the failed module: `snapshot` makes the cursor for
it out of the failing run's, with the bundles that this cursor can reach and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import ModuleError
from runtime.scenario.cursor import REPEATED_SPAN, Closing, Cursor, Frame, Handling, Outs, Ref, Routes, RunState, Span
from runtime.scenario.steps import Incomplete, stamped
from runtime.values import Bundle

if TYPE_CHECKING:
    from runtime.scenario.plan import Plan

#: Delays before the retries of an incomplete execution whose error is of a back-off class.
STORED_LADDER: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 10, 10, 30, 30, 30, 180, 180))
#: Delays before the repetitions of a whole scenario that fails in such a class and stores nothing.
SCENARIO_LADDER: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 60, 180, 720, 1440))
#: Classes for which a scenario as a whole is repeated.
BACK_OFF: Final = frozenset({"RateLimitError", "ConnectionError", "ModuleTimeoutError"})
#: Classes whose incomplete executions are retried by themselves (spec/scenarios.md 3.2, column retry).
RETRIED: Final = BACK_OFF | {"OutOfSpaceError"}
#: Retries of one scenario that run at a time.
PARALLEL_RETRIES: Final = 3


class Status(StrEnum):
    """What an incomplete execution waits for, in the words that commands print (spec/scenarios.md 6.3)."""

    UNRESOLVED = "unresolved"  #: for a person
    PENDING = "pending"  #: for the time of its next retry
    IN_PROGRESS = "in progress"  #: for its retry, which runs
    RESOLVED = "resolved"  #: for nothing


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    How a record is retried by itself. `breaks`: (number of retries, minutes between them) of a Break, else None;
    `ladder`: by the ladder of its class.
    """

    breaks: tuple[int, int] | None = None
    ladder: bool = False

    def next_delay(self, attempts: int, error: ModuleError) -> timedelta | None:
        """How long to wait for the next retry after so many of them; None when a person has to decide."""
        if self.breaks is not None:
            count, minutes = self.breaks
            return timedelta(minutes=minutes) if attempts < count else None
        if not self.ladder or error.name not in RETRIED or attempts >= len(STORED_LADDER):
            return None
        if attempts == 0 and error.delay_ms is not None:
            return timedelta(milliseconds=error.delay_ms)
        return STORED_LADDER[attempts]


def first_schedule(step: Incomplete) -> Schedule:
    """The schedule of a new record: a Break says it itself, without one the class of the error decides."""
    if step.by_break:
        return Schedule(breaks=step.retry)
    return Schedule(ladder=step.error.name in RETRIED)


def after_failure(schedule: Schedule, before: str, step: Incomplete | None) -> Schedule:
    """
    The schedule of a record whose retry has failed. A Break that was reached again says it anew; the ladder goes on
    while the error stays of its class; any other end leaves the record to a person.

    Args:
        schedule: The schedule so far.
        before: Class of the error that the record holds.
        step: What the retry wanted to store for its own module; None when it ended in another way.
    """
    if step is None:
        return Schedule()
    if step.by_break:
        return Schedule(breaks=step.retry)
    return schedule if schedule.ladder and step.error.name == before else Schedule()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The start of a retry: its cursor, and its bundles by number in the store, from index 0."""

    cursor: Cursor
    bundles: dict[int, list[Bundle]]


def snapshot(step: Incomplete, plan: Plan, read: Any) -> Snapshot:
    """
    What a retry of this failing bundle starts with.

    It walks the remainder of the failed path only: each module before shows its one bundle, routers count as done,
    and open spans collect and hand on what the retry brings to them (spec/scenarios.md 3.5).

    Args:
        step: The step that asks to store it.
        plan: The run's plan.
        read: Reads a bundle of the run by (number, index).

    Raises:
        TypeError: The step does not come from `Engine.next`.
    """
    after = step.after
    if after is None:
        raise TypeError("the step does not come from `next`")
    kept: dict[int, list[Bundle]] = {}

    def keep(*bundles: Bundle) -> int:
        number = len(kept) + 1
        kept[number] = list(bundles)
        return number

    def again(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return (REPEATED_SPAN,) * len(spans)

    stack: list[Frame] = []
    for frame in after.stack:
        if isinstance(frame, Outs):
            bundle = read(frame.number, frame.current)
            if plan.nodes[frame.module].info.multi_bundle:
                bundle = stamped(bundle, frame.current, frame.total)
            stack.append(frame._replace(number=keep(bundle), total=1, current=0, spans=again(frame.spans)))
        elif isinstance(frame, Closing):
            stack.append(frame._replace(spans=again(frame.spans)))
        elif isinstance(frame, Routes):
            routes = len(plan.flows[frame.flow].nodes[frame.position].routes)
            stack.append(frame._replace(route=routes, taken=True))
        elif isinstance(frame, Handling):
            stack.append(frame._replace(number=keep(read(frame.number, 0))))
        else:
            stack.append(frame)
    if step.at.mode == "flush":
        _collected_again(stack, after.stack[-1], plan.nodes[step.module_id].turn, keep, read)
    else:
        stack.append(step.at)

    def variables(refs: dict[str, Ref]) -> dict[str, Ref]:
        return {name: (keep(read(*ref)), 0) for name, ref in refs.items()}

    before = after.state
    state = RunState(
        "running", 1, variables(before.roundtrip), variables(before.execution), last=True, label=before.label
    )
    return Snapshot(Cursor(after.blueprint, tuple(stack), len(kept) + 1, 0, 1, state), kept)


def _collected_again(stack: list[Frame], closing: Frame, turn: int, keep: Any, read: Any) -> None:
    """An aggregator failed while it handed on: the retry hands the same elements on."""
    if not isinstance(closing, Closing):
        raise TypeError("an aggregator hands on while its span closes")
    number, count = closing.spans[turn]
    copied = keep(*(read(number, index) for index in range(count))) if count else 0
    spans = tuple((copied, count) if index == turn else REPEATED_SPAN for index in range(len(closing.spans)))
    stack[-1] = Closing(closing.module, spans, turn)
