"""What the end of a run means for its scenario (spec/scenarios.md 3.2, 3.6 and 3.7)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.errors import MODULE_ERRORS, RateLimitError, ServiceConnectionError, module_error
from runtime.scenario.blueprint import Settings
from runtime.scenario.ending import at_end, at_storing, repeat_delay
from runtime.scenario.incomplete import STORED_LADDER, Schedule

#: Words of the table in 3.2 by class; `again` are those of a back-off; others do nothing.
TABLE = {
    "UnknownError": "count", "RuntimeError": "count", "InconsistencyError": "count", "OutOfSpaceError": "count",
    "IncompleteDataError": "count", "ScenarioTimeoutError": "count", "AccountValidationError": "count",
    "InvalidConfigurationError": "off", "InvalidAccessTokenError": "off", "UnexpectedError": "off",
    "MaxResultsExceededError": "off", "MaxFileSizeExceededError": "off",
    "RateLimitError": "again", "ConnectionError": "again", "ModuleTimeoutError": "again",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MODULE_ERRORS))
def test_each_class_does_what_the_table_says(name: str) -> None:
    """The columns count and off of spec/scenarios.md 3.2, and the back-off classes of 3.6."""
    found = at_end("error", module_error(name, "x"), Settings())

    assert (found.word if found else None) == TABLE.get(name)


@pytest.mark.parametrize("status", ["success", "warning"])
def test_good_end_clears_the_count(status: str) -> None:
    """A run that ended without an error starts the count anew."""
    found = at_end(status, None, Settings())

    assert found is not None
    assert found.word == "reset"


def test_rollback_by_directive_counts_for_any_class() -> None:
    """The directive Rollback counts as an error in a row, whatever the class."""
    found = at_end("error", module_error("DataError", "x"), Settings(max_errors=4), directed=True)

    assert found is not None
    assert (found.word, found.most) == ("count", 4)


def test_immediate_instant_start_has_no_second_chance() -> None:
    """With an instant start and the schedule immediately the first error switches off."""
    found = at_end("error", module_error("RuntimeError", "x"), Settings(max_errors=4), immediate=True)

    assert found is not None
    assert found.most == 1


def test_stored_error_of_a_fatal_class_switches_off() -> None:
    """Rule 4 of 3.2 holds after storing too."""
    assert at_storing(module_error("InvalidAccessTokenError", "x")) is not None
    assert at_storing(module_error("RuntimeError", "x")) is None


def test_whole_scenario_backs_off_on_its_own_ladder() -> None:
    """1, 2, 5, 10 min, 1, 3, 12, 24 h, then no more; other classes never (spec/scenarios.md 3.6)."""
    error = ServiceConnectionError("x")
    minutes = [delay // timedelta(minutes=1) for n in range(8) if (delay := repeat_delay(error, n)) is not None]

    assert minutes == [1, 2, 5, 10, 60, 180, 720, 1440]
    assert repeat_delay(error, 8) is None
    assert repeat_delay(module_error("DataError", "x"), 0) is None


def test_delay_of_the_service_replaces_the_first_step() -> None:
    """An explicit `delay` overrides the first step of either ladder, and only that."""
    error = RateLimitError("x", delay_ms=5000)

    assert repeat_delay(error, 0) == Schedule(ladder=True).next_delay(0, error) == timedelta(seconds=5)
    assert Schedule(ladder=True).next_delay(1, error) == STORED_LADDER[1]
