"""Counters and measures of an installation: exact where a script counts, once however often a batch is written."""

from __future__ import annotations

import pytest

from runtime import counters
from tests.ledger_kit import accept, claimed, expire, runs, server, step
from workers.ledger.counters import Counts, Installation
from workers.ledger.events import Events
from workers.ledger.hooks import HookRecord, Hooks
from workers.ledger.runs import Runs
from workers.ledger.schedule import Schedule
from workers.ledger.states import RunState
from workers.server import Server

__all__ = ["runs", "server"]


@pytest.fixture
def seen(runs: Runs) -> Installation:
    """What can be read of the test's ledger."""
    return Installation(runs.client, runs.keys)


def test_runs_are_counted_by_state_and_status(runs: Runs, seen: Installation) -> None:
    """Every way of a run through its states shows, and at the end nothing is left in any of them."""
    ended, parked, undecided, queued = (accept(runs) for _ in range(4))
    held = claimed(runs, ended)
    step(runs, claimed(runs, parked), 1, state=RunState.PARKED)
    step(runs, claimed(runs, undecided), 1, state=RunState.INCOMPLETE)

    assert seen.measures().runs == {"queued": 1, "running": 1, "parked": 1, "incomplete": 1}
    assert seen.measures().waiting == 1

    step(runs, held, 1, state=RunState.SUCCESS)
    for run in (parked, undecided, queued):
        runs.cancel(run)

    assert set(seen.measures().runs.values()) == {0}
    assert seen.measures().waiting == 0
    assert seen.counters() == {
        ("runs_accepted", "manual"): 4, ("runs_ended", "success"): 1, ("runs_ended", "cancelled"): 3,
    }  # fmt: skip


def test_a_decision_takes_a_run_out_of_the_undecided(runs: Runs, seen: Installation) -> None:
    """A run that a person lets go on waits for a worker, not for a person."""
    run = accept(runs)
    step(runs, claimed(runs, run), 1, state=RunState.INCOMPLETE)
    runs.retry(run)

    assert seen.measures().runs == {"queued": 1, "running": 0, "parked": 0, "incomplete": 0}


def test_runs_in_line_count_as_queued(runs: Runs, seen: Installation) -> None:
    """A run of a sequential scenario that has to wait for its turn is no lost one."""
    first, second = (accept(runs, sequential=True) for _ in range(2))
    claim = claimed(runs, first)
    assert runs.claim(second, 0) is None

    assert seen.measures().runs["queued"] == 1
    assert seen.measures().waiting == 1

    step(runs, claim, 1, state=RunState.SUCCESS)
    assert seen.measures().runs["queued"] == 1
    claimed(runs, second)
    assert seen.measures().runs == {"queued": 0, "running": 1, "parked": 0, "incomplete": 0}


def test_lease_losses_and_poisoned_runs_are_counted(runs: Runs, seen: Installation) -> None:
    """Each take-over counts once; the run that nobody can run ends as poisoned."""
    run = accept(runs)
    schedule = Schedule(runs.client, runs.keys)
    for fence in range(3):
        claimed(runs, run, fence)
        expire(runs, run)
        assert seen.measures().oldest_lease > 0
        schedule.sweep(lost_after=runs.lease)
    assert runs.claim(run, 3) is None

    found = seen.counters()
    assert found["lease_losses",] == 3
    assert found["runs_poisoned",] == 1
    assert found["runs_ended", "error"] == 1


def test_oldest_waiting_run_keeps_its_age(runs: Runs, seen: Installation) -> None:
    """A message that is sent again makes a run no younger."""
    run = accept(runs)
    runs.client.zadd(runs.keys.runs_waiting, {run: 1000})
    Schedule(runs.client, runs.keys).sweep(lost_after=runs.lease)

    assert seen.measures().oldest_waiting > 1e9


def test_batches_of_processes_add_up(runs: Runs, seen: Installation) -> None:
    """Two processes count into the same numbers; nothing is written when nothing was counted."""
    counters.take()
    one, two = Counts(runs.client, runs.keys), Counts(runs.client, runs.keys)
    counters.count("requests", "2xx", by=2)
    one.flush()
    one.flush()
    counters.count("requests", "2xx")
    counters.count("requests", "5xx")
    two.flush()

    assert seen.counters() == {("requests", "2xx"): 3, ("requests", "5xx"): 1}


def test_a_batch_whose_answer_was_lost_counts_once(runs: Runs, seen: Installation, server: Server) -> None:
    """The same batch written again changes nothing; the next one counts."""
    counters.take()
    counts = Counts(runs.client, runs.keys)
    counters.count("operations", "success")
    counts._batch, counts._number = counters.take(), 1
    batch = dict(counts._batch)
    counts.flush()
    counts._batch = batch
    counts.flush()
    assert seen.counters() == {("operations", "success"): 1}

    counters.count("operations", "success")
    counts.flush()
    assert seen.counters() == {("operations", "success"): 2}


def test_events_of_webhooks_are_counted(runs: Runs, seen: Installation) -> None:
    """Events that wait, the age of the oldest one, and what was refused."""
    counters.take()
    hooks = Hooks(runs.client, runs.keys, runs.key_wrap)  # type: ignore[arg-type]
    record = hooks.add(HookRecord("", "custom", "Orders"))
    events = Events(runs.client, runs.keys, queue_max=2)
    (first,) = events.accept(record, [{"n": 1}])
    assert events.accept(record, [{"n": 2}, {"n": 3}]) == "full"
    Counts(runs.client, runs.keys).flush()

    found = seen.measures()
    assert (found.hooks, found.events) == (1, 1)
    assert 0 <= found.oldest_event < 3600
    assert seen.counters() == {("hook_events_accepted",): 1, ("hook_events_refused", "full"): 1}

    events.drop(record.id, [first])
    assert (seen.measures().events, seen.measures().oldest_event) == (0, 0)
