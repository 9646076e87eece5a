"""
What the end of a run means for its scenario: the count of consecutive errors, and switching it off (spec 3.2 and 3.7).

Pure: a worker asks when a run ends, and the ledger applies the answer with the run's last checkpoint. Only runs that a
schedule or an event started count; for those the whole scenario is also tried again by itself after an error of a
back-off class (spec/scenarios.md 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final, Literal

from runtime.errors import ModuleError
from runtime.scenario.blueprint import Settings
from runtime.scenario.incomplete import BACK_OFF, SCENARIO_LADDER

#: Kinds of runs whose errors count (spec/scenarios.md 5.2).
COUNTED_KINDS: Final = frozenset({"auto"})
#: Classes that raise the count (spec/scenarios.md 3.2, column count).
COUNTED: Final = frozenset(
    {
        "UnknownError",
        "RuntimeError",
        "InconsistencyError",
        "OutOfSpaceError",
        "IncompleteDataError",
        "ScenarioTimeoutError",
        "AccountValidationError",
    }
)
#: Classes that switch the scenario off at once (column off).
OFF: Final = frozenset(
    {
        "InvalidConfigurationError",
        "InvalidAccessTokenError",
        "UnexpectedError",
        "MaxResultsExceededError",
        "MaxFileSizeExceededError",
    }
)


@dataclass(frozen=True, slots=True)
class Consequence:
    """
    `reset` the count of errors, `count` one more and switch off at `most`, run the whole scenario `again` after the
    next of the `delays` and switch off after the last one, or `off` now; `reason` says why.
    """

    word: Literal["reset", "count", "again", "off"]
    reason: str = ""
    most: int = 0
    #: Of `count`: the time in which the data are not ready yet, if the error says one.
    delays: tuple[timedelta, ...] = ()


def at_end(
    status: str, error: ModuleError | None, settings: Settings, *, directed: bool = False, immediate: bool = False
) -> Consequence | None:
    """
    What the end of a counted run means; None: nothing.

    Args:
        status: The run's status word.
        error: The error that ended it.
        settings: The scenario's.
        directed: The directive Rollback ended it, or a Break that acts as one.
        immediate: An instant start with the schedule *immediately*: the first error counts as the last.
    """
    if status in ("success", "warning"):
        return Consequence("reset")
    if error is None or status != "error":
        return None
    if error.name in OFF:
        return Consequence("off", _reason(error))
    if error.name in BACK_OFF and not directed:
        ladder = repeat_ladder(error)
        return Consequence("again", f"{len(ladder)} repetitions failed, the last one with {_reason(error)}", 0, ladder)
    if error.name in COUNTED or directed:
        most = 1 if immediate else max(settings.max_errors, 1)
        waits = error.name == "IncompleteDataError" and error.delay_ms is not None
        delays = (timedelta(milliseconds=error.delay_ms or 0),) if waits else ()
        return Consequence("count", f"{most} run(s) in a row failed, the last one with {_reason(error)}", most, delays)
    return None


def at_storing(error: ModuleError) -> Consequence | None:
    """What an unhandled error means that was stored as an incomplete execution, so that the run itself goes on."""
    return Consequence("off", _reason(error)) if error.name in OFF else None


def repeat_delay(error: ModuleError, failures: int) -> timedelta | None:
    """
    How long to wait until the whole scenario is run again, after so many failures in a row before this one; None: it is
    not, and in a back-off class that means that it is switched off.
    """
    if error.name not in BACK_OFF or failures >= len(SCENARIO_LADDER):
        return None
    if failures == 0 and error.delay_ms is not None:
        return timedelta(milliseconds=error.delay_ms)
    return SCENARIO_LADDER[failures]


def repeat_ladder(error: ModuleError) -> tuple[timedelta, ...]:
    """All delays before the repetitions of a scenario that keeps failing like this."""
    delays = (repeat_delay(error, failures) for failures in count())
    ladder: list[timedelta] = []
    while (delay := next(delays)) is not None:
        ladder.append(delay)
    return tuple(ladder)


def _reason(error: ModuleError) -> str:
    return f"{error.name}: {error.message}"[:500]
