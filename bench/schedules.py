"""What 10,000 active schedules cost the scheduler: CPU of its looks, in per cent of one core (issue S6)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tests.worker_kit import blueprint, call, installation
from workers.due import DueRuns
from workers.ledger.schedule import Schedule
from workers.ledger.schedules import Schedules
from workers.scheduler import TICK, Scheduler

SCENARIOS, INTERVAL, LOOKS = 10_000, 900, 40


def run() -> Iterator[tuple[str, float, str]]:
    """The figures: (what, number, unit)."""
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder), 9) as place:
        runner, client, keys = place.service.runner, place.service.server.client, place.keys
        imported = place.service.scenarios.import_(blueprint(call(1, "/x")), name="S")
        assert imported.row is not None
        place.service.schedules.activate(imported.row.id, schedule={"type": "indefinitely", "interval": INTERVAL})
        row = client.hgetall(keys.scenario(imported.row.id))
        now = int(time.time() * 1000)
        with client.pipeline(transaction=False) as pipeline:
            for number in range(SCENARIOS):
                # Spread over the interval, as schedules that were activated one after the other are.
                due = now + number * INTERVAL * 1000 // SCENARIOS
                pipeline.hset(keys.scenario(f"s{number}"), mapping={**row, b"next": due})
                pipeline.zadd(keys.scenarios_due, {f"s{number}": due})
            pipeline.execute()
        due_runs = DueRuns(runner, Schedules(client, keys), lambda _run, _fence: True)
        scheduler = Scheduler(
            Schedule(client, keys), lambda _run, _fence: True, lambda: 0, timedelta(days=1), (due_runs.start_due,)
        )
        scheduler.tick()
        spent, made, begun = time.process_time(), client.zcard(keys.runs), time.monotonic()
        for _ in range(LOOKS):
            scheduler.tick()
            time.sleep(TICK.total_seconds())
        taken = time.monotonic() - begun
        share = (time.process_time() - spent) / taken * 100
        yield f"{SCENARIOS} schedules every {INTERVAL} s: CPU of one core", share, "%"
        yield "runs made a second", (client.zcard(keys.runs) - made) / taken, "runs"
