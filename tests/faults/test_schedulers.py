"""
Due runs under two schedulers that are killed with -9 in turn: each one is made exactly once (issue S6, "What must be
shown" 3).

300 scenarios by default; `SCENARIST_TEST_LONG=1` (`make schedulers`) takes 2,000.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

from tests.worker_kit import PATIENCE, Installation, alive, blueprint, installation, until
from workers.ledger.scenarios import ScenarioState
from workers.ledger.schedules import Schedules

LONG = bool(os.environ.get("SCENARIST_TEST_LONG"))
SCENARIOS, KILLS = (2000, 10) if LONG else (300, 4)
FEEDER = {"id": 1, "module": "builtin:BasicFeeder", "version": 1, "parameters": {}, "mapper": {"array": ["x"]}}


def due_scenarios(place: Installation) -> list[str]:
    """Active scenarios every hour, all of which are due since a moment."""
    imported = place.service.scenarios.import_(blueprint(FEEDER), name="First")
    assert imported.row is not None
    state: ScenarioState = place.service.schedules.activate(
        imported.row.id, schedule={"type": "indefinitely", "interval": 3600}
    )
    client, keys = place.service.runner.runs.client, place.keys
    record = client.hgetall(keys.scenario(state.id))
    names = [state.id, *(f"copy-{number}" for number in range(SCENARIOS - 1))]
    with client.pipeline(transaction=True) as pipeline:
        for name in names:
            pipeline.hset(keys.scenario(name), mapping=record)
            pipeline.zadd(keys.scenarios_due, {name: int(record[b"next"])})
        pipeline.execute()
    return names


def test_each_due_run_is_made_once_whoever_is_killed(tmp_path: Path) -> None:
    """Two schedulers; at each further part of the work one of them is killed and another one started."""
    with installation(tmp_path, 9, SCENARIST_LEADER_LEASE_SECONDS="0.7") as place, contextlib.ExitStack() as stack:
        client, keys = place.service.runner.runs.client, place.keys
        names = due_scenarios(place)
        running = [stack.enter_context(place.running("scheduler")) for _ in range(2)]
        for kill in range(1, KILLS + 1):
            wanted = SCENARIOS * kill // (KILLS + 2)
            until(lambda wanted=wanted: client.zcard(keys.runs) >= wanted, f"{wanted} runs are made")
            victim = running.pop(0)
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait(PATIENCE)
            assert not alive(victim.pid)
            running.append(stack.enter_context(place.running("scheduler")))
        now = Schedules(client, keys).now_ms()
        until(lambda: client.zcount(keys.scenarios_due, 0, now) == 0, "all are settled")

        runs = [run for run, _ in client.zscan_iter(keys.runs)]
        of = Counter(client.hget(keys.run(run.decode()), "scenario").decode() for run in runs)  # type: ignore[union-attr]
        assert of == Counter(names)
        # A message that died with its scheduler is sent again: every run is where the sweep finds it.
        assert client.zcard(keys.queued) == SCENARIOS
        planned = [client.hget(keys.scenario(name), "next") for name in names]
        assert len(set(planned)) == 1
