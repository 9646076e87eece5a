"""A step that outlives its deadline costs its process, and nothing else (design section 10.14)."""

from __future__ import annotations

import time

from tests.ledger_kit import accept, claimed, runs, server
from workers.leases import Leases
from workers.ledger.runs import Runs

__all__ = ["runs", "server"]


def test_overdue_step_gives_its_lease_up_and_then_the_process(runs: Runs) -> None:
    """Its lease is not prolonged; the process drains the others first and ends when only such steps are left."""
    hopeless, other = claimed(runs, accept(runs)), claimed(runs, accept(runs))
    leases = Leases(runs)
    told: list[str] = []
    leases.on_overdue, leases.on_alone = (lambda: told.append("drain")), (lambda: told.append("end"))
    leases.hold(hopeless.run, hopeless.fence)
    leases.hold(other.run, other.fence)
    leases.step(other.run, other.fence, until=time.monotonic() + 1000)
    leases.step(hopeless.run, hopeless.fence, until=time.monotonic() - 1)
    for claim in (hopeless, other):
        runs.client.zadd(runs.keys.leased, {claim.run: 1})

    leases.beat()
    leases.beat()

    assert told == ["drain"]
    assert runs.client.zscore(runs.keys.leased, hopeless.run) == 1
    assert runs.client.zscore(runs.keys.leased, other.run) > 1
    leases.release(other.run, other.fence)
    leases.beat()
    assert told == ["drain", "end"]


def test_step_in_time_changes_nothing(runs: Runs) -> None:
    """A step that ends, or that is followed by the next one, has no deadline behind it any more."""
    claim = claimed(runs, accept(runs))
    leases = Leases(runs)
    told: list[str] = []
    leases.on_overdue = lambda: told.append("drain")
    leases.hold(claim.run, claim.fence)
    leases.step(claim.run, claim.fence, until=time.monotonic() - 1)
    leases.step(claim.run, claim.fence, until=time.monotonic() + 1000)

    leases.beat()

    assert told == []
