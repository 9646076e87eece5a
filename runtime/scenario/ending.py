"""
What the end of a run means for its scenario: the count of consecutive errors, and switching it off (spec 3.2 and 3.7).

Pure: a worker asks when a run ends, and the ledger applies the answer with the run's last checkpoint. Only runs that a
schedule or an event started count; for those a schedule also asks `repeat_delay` whether the whole scenario is tried
again by itself (spec/scenarios.md 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
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
    """`reset` the count of errors, `count` one more and switch off at `most`, or `off` now; `reason` says why."""

    word: Literal["reset", "count", "off"]
    reason: str = ""
    most: int = 0


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
    if error.name in COUNTED or directed:
        most = 1 if immediate else max(settings.max_errors, 1)
        return Consequence("count", f"{most} run(s) in a row failed, the last one with {_reason(error)}", most)
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


def _reason(error: ModuleError) -> str:
    return f"{error.name}: {error.message}"[:500]
