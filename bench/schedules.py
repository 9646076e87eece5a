"""
What schedules cost: 10,000 active scenarios, one run every 15 minutes each, as CPU time of the scheduler and the server
(issue S6: one core a few per cent).

Each due scenario has a blueprint of its own, read for its run; the message of the run is sent too.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import timedelta
from typing import Any

#: Active scenarios; those of them that are made due; looks of the scheduler with nothing due.
SCENARIOS, DUE, LOOKS = 10_000, 1_000, 200
INTERVAL = timedelta(minutes=15)


def run() -> list[tuple[str, float, str]]:
    """The figures: (what, number, unit)."""
    from runtime.logs import configure_logging
    from runtime.sanitize import Secrets
    from workers.celery_app import make_app, send
    from workers.due import DueRuns
    from workers.ledger.schedule import Schedule
    from workers.ledger.schedules import Schedules
    from workers.retries import Retries
    from workers.scheduler import Scheduler
    from workers.service import open_service
    from workers.settings import load_settings

    configure_logging("json", "error", Secrets())
    with tempfile.TemporaryDirectory() as folder, open_service(load_settings({"SCENARIST_HOME": folder})) as service:
        runner, settings = service.runner, service.settings
        client, keys = runner.runs.client, runner.runs.keys
        app = make_app(settings, service.server)
        ids = _scenarios(service)
        retries = Retries(runner.incompletes, runner.runs, lambda run, fence: send(app, settings, run, fence))
        due = DueRuns(runner, Schedules(client, keys), retries.send)
        chores = (due.start_due, retries.start_due)
        scheduler = Scheduler(Schedule(client, keys), retries.send, lambda: 1, chores=chores)
        # One run compiles, imports and connects.
        client.zadd(keys.scenarios_due, {ids[-1]: 1})
        client.hset(keys.scenario(ids[-1]), "next", 1)
        scheduler.tick()

        before = _cpu(client)
        for _ in range(LOOKS):
            scheduler.tick()
        look = _less(_cpu(client), before)

        client.zadd(keys.scenarios_due, dict.fromkeys(ids[:DUE], 1))
        for scenario in ids[:DUE]:
            client.hset(keys.scenario(scenario), "next", 1)
        before, made, began = _cpu(client), 0, time.monotonic()
        while client.zcount(keys.scenarios_due, 0, 1):
            made += len(due.start_due())
        elapsed = time.monotonic() - began
        spent = _less(_cpu(client), before)
    per_second = SCENARIOS / INTERVAL.total_seconds()
    share = 100 * sum(look) / LOOKS * 2 + 100 * sum(spent) / made * per_second
    return [
        ("look with nothing due, CPU of scheduler and server", 1000 * sum(look) / LOOKS, "ms"),
        ("due run made and sent, CPU of the scheduler", 1000 * spent[0] / made, "ms"),
        ("due run made and sent, CPU of the server", 1000 * spent[1] / made, "ms"),
        ("due runs made a second, at most", made / elapsed, "1/s"),
        (f"{SCENARIOS:,} scenarios every 15 minutes, of one core", share, "%"),
    ]


def _scenarios(service: Any) -> list[str]:
    """Active scenarios; the first ones have blueprints of their own."""
    runner = service.runner
    client, keys = runner.runs.client, runner.runs.keys
    made: list[str] = []
    for number in range(DUE):
        state = runner.scenarios.add(f"S{number}", _blueprint(number), connections={})
        made.append(state.id)
    service.schedules.activate(made[0], schedule={"type": "indefinitely", "interval": 900})
    record = client.hgetall(keys.scenario(made[0]))
    live = {
        name: record[name] for name in (b"active", b"mode", b"schedule", b"activated", b"roundtrips", b"sequential")
    }
    later = _server_ms(client) + INTERVAL // timedelta(milliseconds=1)
    with client.pipeline(transaction=False) as pipeline:
        for number in range(SCENARIOS):
            if number >= DUE:
                made.append(f"more{number}")
                pipeline.hset(keys.scenario(made[-1]), mapping=record | {b"name": b"M"})
                pipeline.zadd(keys.scenarios, {made[-1]: later})
            pipeline.hset(keys.scenario(made[number]), mapping=live | {b"next": str(later).encode()})
            pipeline.zadd(keys.scenarios_due, {made[number]: later})
        pipeline.execute()
    return made


def _server_ms(client: Any) -> int:
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def _blueprint(number: int) -> bytes:
    def module(position: int, kind: str, mapper: dict[str, Any]) -> dict[str, Any]:
        return {"id": position, "module": kind, "version": 1, "parameters": {}, "mapper": mapper}

    flow = [
        module(1, "builtin:BasicFeeder", {"array": [number, "b", "c"]}),
        module(2, "util:ComposeTransformer", {"value": '{{1.value}} of {{formatDate(now; "YYYY-MM-DD")}}'}),
        module(3, "json:ParseJSON", {"json": '{"n": "{{2.value}}"}'}),
    ]
    return json.dumps({"name": "B", "flow": flow, "metadata": {"version": 1, "scenario": {}}}).encode()


def _cpu(client: Any) -> tuple[float, float]:
    """CPU seconds of this process and of the server."""
    info = client.info("cpu")
    return time.process_time(), info["used_cpu_sys"] + info["used_cpu_user"]


def _less(later: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    return later[0] - before[0], later[1] - before[1]
