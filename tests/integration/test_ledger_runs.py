"""A run in the ledger: accepted once, held by one worker at a time, and never changed by one that lost it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.errors import UsageError
from runtime.values import Buffer
from tests.ledger_kit import accept, claimed, expire, runs, server, step
from workers.ledger.records import Checkpoint, FenceLost, IntentWrite, Move, RunRequest, UnsafeNote
from workers.ledger.runs import Runs
from workers.ledger.schedule import Schedule
from workers.ledger.states import MOVES, RunState, may_move

__all__ = ["runs", "server"]

NEVER = timedelta(days=1)


def sweep(runs: Runs, lost_after: timedelta = NEVER) -> list[tuple[str, str, int]]:
    """One look of the scheduler, as plain tuples."""
    found = Schedule(runs.client, runs.keys).sweep(lost_after=lost_after)
    return [(wanted.reason, wanted.run, wanted.fence) for wanted in found]


def test_accepted_run_can_be_read_back(runs: Runs) -> None:
    """What a run was accepted with, buffers included, is what its worker gets."""
    request = RunRequest(
        "s", "b", {"app": "h"}, "name", "manual", {"n": 2**60, "file": Buffer(b"x" * 3_000_000, None, "f")},
        ({"a": 1}, {"a": Buffer(b"")}), {"7": "c"},
    )  # fmt: skip

    run = runs.create(request).id

    assert claimed(runs, run).request == request


def test_accepting_twice_with_one_id_makes_one_run(runs: Runs) -> None:
    """A call that is repeated because its answer was lost leaves the first run as it is."""
    first = runs.create(RunRequest("s", "b"), run="r1")
    claimed(runs, "r1")

    again = runs.create(RunRequest("s", "b"), run="r1")

    assert again.created_ms == first.created_ms
    assert runs.header("r1").state is RunState.RUNNING
    assert len(runs.list()) == 1


def test_one_message_gives_one_claim(runs: Runs) -> None:
    """A message that is delivered twice is worth one run: the second worker gets nothing."""
    run = accept(runs)

    assert claimed(runs, run).fence == 1
    assert runs.claim(run, 0) is None
    assert runs.claim(run, 1) is None


def test_message_for_no_run_is_ignored(runs: Runs) -> None:
    """A message whose run does not exist gives no claim and no error."""
    assert runs.claim("nothing", 0) is None


@pytest.mark.parametrize("write", ["checkpoint", "chunk", "blob", "note", "renew"])
def test_worker_that_lost_its_run_writes_nothing(runs: Runs, write: str) -> None:
    """After a take-over each kind of write of the former worker is refused and changes nothing."""
    run = accept(runs)
    old = claimed(runs, run)
    expire(runs, run)
    assert sweep(runs) == [("expired", run, 1)]
    new = claimed(runs, run, 1)
    before = runs.client.hgetall(runs.keys.run(run))

    if write == "renew":
        assert runs.renew([(run, old.fence)]) == {run}
    else:
        with pytest.raises(FenceLost):
            {
                "checkpoint": lambda: step(runs, old, 1),
                "chunk": lambda: runs.put_chunks(old, {"1:0": b"x"}),
                "blob": lambda: runs.put_blob(old, "00", b"x"),
                "note": lambda: runs.note_unsafe(old, UnsafeNote(1, 1, "POST")),
            }[write]()

    assert runs.client.hgetall(runs.keys.run(run)) == before
    assert not runs.client.exists(runs.keys.bundles(run), runs.keys.blobs(run), runs.keys.journal(run))
    assert new.fence == 2


def test_worker_whose_run_was_taken_back_is_refused_before_the_next_claim(runs: Runs) -> None:
    """Once the reaper has put a run back, its silent worker is out, even while nobody else has it yet."""
    run = accept(runs)
    claim = claimed(runs, run)
    expire(runs, run)
    sweep(runs)

    with pytest.raises(FenceLost):
        step(runs, claim, 1)


def test_repeated_checkpoint_has_one_effect(runs: Runs) -> None:
    """A checkpoint whose answer was lost is sent again: same answer, nothing written twice."""
    run = accept(runs)
    claim = claimed(runs, run)
    cipher = claim.cipher
    key = runs.keys.trigger("s", "1")
    made = Checkpoint(
        {"at": 1}, 3, 1, chunks={"1:0": b"abc"}, journal=({"t": "step"},), intents=(IntentWrite(key, b"state"),)
    )

    first = runs.checkpoint(claim, 1, made)
    again = runs.checkpoint(claim, 1, made)

    assert again == first
    assert first.applied == (True,)
    assert runs.client.hget(key, "version") == b"1"
    assert len(runs.journal(run, cipher)) == 1
    assert runs.header(run).operations == 3


def test_last_checkpoint_can_be_repeated_too(runs: Runs) -> None:
    """The checkpoint that ends a run may be sent again although the run is not held any more."""
    run = accept(runs)
    claim = claimed(runs, run)

    step(runs, claim, 1, state=RunState.SUCCESS)
    step(runs, claim, 1, state=RunState.SUCCESS)

    assert runs.header(run).state is RunState.SUCCESS
    assert len(runs.journal(run, claim.cipher)) == 1


def test_take_over_starts_at_the_last_checkpoint(runs: Runs) -> None:
    """Who takes over gets the last cursor, not the chunks that were written behind it."""
    run = accept(runs)
    first = claimed(runs, run)
    cipher = first.cipher
    step(runs, first, 1, chunks={"1:0": cipher.encrypt(b'[{"a":1}]', "chunk 1:0")})
    runs.put_chunks(first, {"2:0": b"remains", "2:7": b"remains"})
    expire(runs, run)
    sweep(runs)

    second = claimed(runs, run, 1)

    assert second.cursor == {"at": 1}
    assert second.seq == 1
    assert runs.client.hkeys(runs.keys.bundles(run)) == [b"1:0"]
    assert runs.header(run).bytes == len(cipher.encrypt(b'[{"a":1}]', "chunk 1:0"))


def test_unsafe_note_stays_until_its_outcome_is_stored(runs: Runs) -> None:
    """A worker that takes over learns of the request that may have been sent; a checkpoint settles it."""
    run = accept(runs)
    first = claimed(runs, run)
    runs.note_unsafe(first, UnsafeNote(1, 2, "POST"))
    expire(runs, run)
    sweep(runs)

    second = claimed(runs, run, 1)
    step(runs, second, 1)
    expire(runs, run)
    sweep(runs)

    assert second.unsafe == UnsafeNote(1, 2, "POST")
    assert claimed(runs, run, 2).unsafe is None


def test_three_claims_without_a_checkpoint_poison_a_run(runs: Runs) -> None:
    """A run that kills its workers ends as an error instead of killing all of them."""
    run = accept(runs)
    for fence in range(3):
        claimed(runs, run, fence)
        expire(runs, run)
        sweep(runs)

    assert runs.claim(run, 3) is None
    header = runs.header(run)
    assert header.state is RunState.ERROR
    assert header.error is not None
    assert header.error["message"].startswith("poisoned")


def test_checkpoint_clears_the_count_of_idle_claims(runs: Runs) -> None:
    """A long run may lose any number of workers as long as it comes forward."""
    run = accept(runs)
    for fence in range(5):
        step(runs, claimed(runs, run, fence), fence + 1)
        expire(runs, run)
        sweep(runs)

    assert runs.claim(run, 5) is not None


def test_parked_run_wakes_when_it_is_due(runs: Runs) -> None:
    """A parked run has no worker; the scheduler queues it at its time, once."""
    run = accept(runs)
    claim = claimed(runs, run)
    step(runs, claim, 1, state=RunState.PARKED)

    assert runs.header(run).state is RunState.PARKED
    assert runs.claim(run, 1) is None
    assert sweep(runs) == [("due", run, 1)]
    assert sweep(runs) == []
    assert claimed(runs, run, 1).cursor == {"at": 1}


def test_run_that_is_not_due_stays_parked(runs: Runs) -> None:
    """The scheduler leaves a run alone before its time."""
    run = accept(runs)
    claim = claimed(runs, run)
    move = Move(RunState.PARKED, wake_ms=claim.created_ms + 10**9)
    runs.checkpoint(claim, 1, Checkpoint({}, move=move))

    assert sweep(runs) == []
    assert runs.header(run).wake_ms == move.wake_ms


def test_queued_run_without_a_message_is_found(runs: Runs) -> None:
    """A run whose message was lost gets another one; the two messages together are still one claim."""
    run = accept(runs)

    assert sweep(runs, timedelta(0)) == [("lost", run, 0)]
    claimed(runs, run)
    assert sweep(runs, timedelta(0)) == []
    assert runs.claim(run, 0) is None


def test_run_of_no_worker_is_cancelled_at_once(runs: Runs) -> None:
    """A stop ends a queued run; its message then finds nothing to do."""
    run = accept(runs)

    assert runs.cancel(run) is RunState.CANCELLED
    assert runs.claim(run, 0) is None
    assert runs.cancel(run) is RunState.CANCELLED
    assert sweep(runs, timedelta(0)) == []


def test_running_run_hears_of_the_stop_at_its_checkpoint(runs: Runs) -> None:
    """A stop of a running run is seen in the answer of its next checkpoint."""
    run = accept(runs)
    claim = claimed(runs, run)

    assert not runs.checkpoint(claim, 1, Checkpoint({})).stopping
    assert runs.cancel(run) is RunState.RUNNING
    assert runs.checkpoint(claim, 2, Checkpoint({})).stopping


def test_only_an_incomplete_run_is_retried(runs: Runs) -> None:
    """`retry` lets a run go on that waits for a decision, and says what is wrong with any other."""
    run = accept(runs)
    with pytest.raises(UsageError, match="is queued"):
        runs.retry(run)
    with pytest.raises(UsageError, match="no run"):
        runs.retry("nothing")
    step(runs, claimed(runs, run), 1, state=RunState.INCOMPLETE)

    fence = runs.retry(run)

    assert claimed(runs, run, fence).decided


def test_intent_is_applied_only_to_the_version_that_was_read(runs: Runs) -> None:
    """An epoch that somebody has moved meanwhile is left alone, and the run is told."""
    run = accept(runs)
    claim = claimed(runs, run)
    mine, moved = runs.keys.trigger("s", "1"), runs.keys.trigger("s", "2")
    runs.client.hset(moved, mapping={"version": 4, "state": b"theirs"})

    answer = runs.checkpoint(
        claim, 1, Checkpoint({}, intents=(IntentWrite(mine, b"a", 0), IntentWrite(moved, b"b", 3)))
    )

    assert answer.applied == (True, False)
    assert runs.client.hget(mine, "state") == b"a"
    assert runs.client.hget(moved, "state") == b"theirs"


def test_checkpoint_tells_the_versions_of_connections(runs: Runs) -> None:
    """A worker learns with its checkpoint that another one has renewed a connection."""
    run = accept(runs)
    claim = claimed(runs, run)
    runs.client.hset(runs.keys.connection("c1"), "version", 7)

    answer = runs.checkpoint(claim, 1, Checkpoint({}, connections=("c1", "c2")))

    assert answer.versions == (7, 0)


def test_nothing_of_a_run_is_readable_on_the_server(runs: Runs) -> None:
    """Inputs, bundles, cursor, journal and outputs lie encrypted on the server."""
    run = accept(runs, inputs={"x": "verysecret"}, trigger_bundles=({"x": "verysecret"},))
    claim = claimed(runs, run)
    cipher = claim.cipher
    made = Checkpoint(
        {"x": "verysecret"},
        journal=({"x": "verysecret"},),
        move=Move(RunState.SUCCESS, outputs={"x": "verysecret"}),
    )
    runs.checkpoint(claim, 1, made)

    stored = b"".join(runs.client.dump(key) for key in runs.client.keys(f"{runs.keys.prefix}:*"))

    assert b"verysecret" not in stored
    assert runs.outputs(run, cipher) == {"x": "verysecret"}


def test_moves_cover_every_state() -> None:
    """Each state has its line in the table of moves; final states have no way out."""
    assert set(MOVES) == set(RunState)
    assert not may_move(RunState.SUCCESS, RunState.QUEUED)
    assert may_move(RunState.RUNNING, RunState.PARKED)
