"""A scenario's count of errors and its switching off are part of the failing run's last checkpoint."""

from __future__ import annotations

import pytest

from tests.ledger_kit import accept, claimed, runs, server
from workers.ledger.records import Checkpoint, Move, ScenarioChange
from workers.ledger.runs import Runs
from workers.ledger.scenarios import Scenarios, ScenarioState
from workers.ledger.states import RunState

__all__ = ["runs", "server"]


@pytest.fixture
def state(runs: Runs) -> ScenarioState:
    """A scenario that is active."""
    made = Scenarios(runs.client, runs.keys).add("s", b"{}", connections={})
    runs.client.hset(runs.keys.scenario(made.id), "active", 1)
    return made


def end(runs: Runs, state: ScenarioState, change: ScenarioChange) -> ScenarioState:
    """One run of the scenario that ends with this change."""
    from workers.ledger.records import RunRequest

    run = runs.create(RunRequest(state.id, "b", kind="auto")).id
    claim = claimed(runs, run)
    made = Checkpoint({}, move=Move(RunState.ERROR), scenario=change)
    runs.checkpoint(claim, 1, made)
    runs.checkpoint(claim, 1, made)
    return Scenarios(runs.client, runs.keys).get(state.id)


def test_errors_in_a_row_switch_off(runs: Runs, state: ScenarioState) -> None:
    """The count rises once a run, also when its last checkpoint was sent twice; at the limit the scenario is off."""
    count = ScenarioChange("count", "broken", 2)

    once = end(runs, state, count)
    twice = end(runs, state, count)

    assert (once.errors, once.active) == (1, True)
    assert (twice.errors, twice.active, twice.stop_reason) == (2, False, "broken")


def test_good_run_in_between_starts_anew(runs: Runs, state: ScenarioState) -> None:
    """A success clears the count."""
    count = ScenarioChange("count", "broken", 2)
    end(runs, state, count)
    end(runs, state, ScenarioChange("reset"))

    assert end(runs, state, count).active


def test_fatal_class_switches_off_at_once(runs: Runs, state: ScenarioState) -> None:
    """`off` needs no count, and says why."""
    found = end(runs, state, ScenarioChange("off", "InvalidAccessTokenError: gone"))

    assert (found.active, found.stop_reason) == (False, "InvalidAccessTokenError: gone")


def test_newer_cursor_waits_for_a_newer_worker(runs: Runs) -> None:
    """A run whose cursor a newer release wrote stays queued; it is neither claimed nor poisoned (design 10.13)."""
    run = accept(runs)
    runs.client.hset(runs.keys.run(run), "cursor_v", 2)

    assert [runs.claim(run, 0) for _ in range(5)] == [None] * 5
    assert runs.header(run).state is RunState.QUEUED
