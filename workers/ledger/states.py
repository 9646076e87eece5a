"""
The states of a run and the moves between them (design sections 8 and 10.4).

A move is made in one script, which repeats the check on the server: only from a state that allows it, and for a
worker's move only with the newest fence.
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """What a run is doing, in the words that commands print."""

    QUEUED = "queued"  #: accepted, no worker has it
    RUNNING = "running"  #: a worker holds the lease
    PARKED = "parked"  #: waits for a time; no worker holds it
    SUCCESS = "success"  #: every cycle ended without a warning
    WARNING = "warning"  #: ended, and something was stored, dropped or warned about
    ERROR = "error"  #: ended on an error that nobody handled, or is poisoned
    INCOMPLETE = "incomplete"  #: stopped at a step of unknown outcome; waits for a decision
    CANCELLED = "cancelled"  #: ended by a stop


#: States that nothing leaves.
FINAL = frozenset({RunState.SUCCESS, RunState.WARNING, RunState.ERROR, RunState.CANCELLED})
#: States in which nothing happens by itself: whoever waits for a run stops waiting.
RESTING = FINAL | {RunState.INCOMPLETE}

MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.ERROR, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.QUEUED, RunState.PARKED, RunState.INCOMPLETE, *FINAL}),
    RunState.PARKED: frozenset({RunState.QUEUED, RunState.CANCELLED}),
    RunState.INCOMPLETE: frozenset({RunState.QUEUED, RunState.CANCELLED}),
    **dict.fromkeys(FINAL, frozenset[RunState]()),
}


def may_move(old: RunState, new: RunState) -> bool:
    """True when a run in state `old` may go to state `new`."""
    return new in MOVES[old]
