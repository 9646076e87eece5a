"""What the scheduler process decides; the ledger's part is tested on a real server."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from workers.ledger.schedule import Wanted
from workers.scheduler import LOST_BEHIND_OTHERS, Scheduler
from workers.stopping import Stop


class ScriptedSchedule:
    """Stands for the ledger's indexes: leads or not, and notes what it was asked."""

    def __init__(self, *, leads: bool = True) -> None:
        self.leads = leads
        self.asked: list[timedelta] = []

    def lead(self, token: str, *, lease: timedelta) -> bool:
        return self.leads

    def sweep(self, *, lost_after: timedelta) -> list[Wanted]:
        self.asked.append(lost_after)
        return [Wanted("due", "r1", 3), Wanted("lost", "r2", 0)]


def test_leader_sends_a_message_for_each_run() -> None:
    """Each run that waits gets a message with its fence."""
    sent: list[tuple[str, int]] = []
    scheduler = Scheduler(ScriptedSchedule(), lambda run, fence: not sent.append((run, fence)), lambda: 0)  # type: ignore[arg-type]

    scheduler.tick()

    assert sent == [("r1", 3), ("r2", 0)]


def test_follower_does_nothing() -> None:
    """While another process leads, nothing is looked at and nothing sent."""
    schedule = ScriptedSchedule(leads=False)
    scheduler = Scheduler(schedule, lambda run, fence: pytest.fail("sent"), lambda: 0)  # type: ignore[arg-type]

    assert scheduler.tick() == []
    assert schedule.asked == []


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        pytest.param(0, timedelta(seconds=10), id="the queue is empty, so the message is lost"),
        pytest.param(5, LOST_BEHIND_OTHERS, id="others wait too, so it may just be their turn first"),
    ],
)
def test_message_counts_as_lost_by_the_queue(waiting: int, expected: timedelta) -> None:
    """A run behind a long queue is not flooded with messages."""
    schedule = ScriptedSchedule()
    Scheduler(schedule, lambda run, fence: True, lambda: waiting).tick()  # type: ignore[arg-type]

    assert schedule.asked == [expected]


def test_fault_in_a_chore_leaves_the_others_their_turn() -> None:
    """One broken chore stops neither the other chores nor the scheduler."""
    done: list[str] = []

    def broken() -> None:
        raise KeyError("fault")

    chores = (broken, lambda: done.append("next"))
    scheduler = Scheduler(ScriptedSchedule(), lambda run, fence: True, lambda: 0, chores=chores)  # type: ignore[arg-type]

    scheduler.tick()

    assert done == ["next"]


def test_errand_that_waits_keeps_nobody_waiting() -> None:
    """A receiver of messages that does not answer delays no due run."""
    stop, held, looks = Stop(), threading.Event(), 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            held.set()
            stop.set()

    scheduler = Scheduler(
        ScriptedSchedule(),  # type: ignore[arg-type]
        lambda run, fence: True,
        lambda: 0,
        chores=(look,),
        errands=(held.wait,),
    )

    scheduler.run(stop)

    assert looks == 4
