"""
200 queued runs on two workers, one of which is killed with -9 in the middle (issue S1, "What must be shown" 3).

Every run ends; each request that is not safe reached the API at most once, or its run is marked; nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.servers import Answer, Received, ScriptServer
from tests.spine import Scenarist, blueprint, step
from workers.service import Service, open_service
from workers.settings import load_settings

RUNS = 200
APP = {
    "makecomapp.json": {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json", "common": None, "readme": None, "groups": None},
        "components": {
            "connection": {},
            "webhook": {},
            "rpc": {},
            "function": {},
            "endpoint": {},
            "module": {
                f"{name}Order": {
                    "moduleType": "action",
                    "codeFiles": {"communication": f"{name}.json", "mappableParams": "p.json"},
                }
                for name in ("read", "book")
            },
        },
        "origins": [{"label": "Production", "baseUrl": "https://eu1.make.com/api", "appId": "orders", "appVersion": 1,
                     "apikeyFile": "none"}],
    },
    "p.json": [{"name": "order", "type": "text", "required": True}],
    "read.json": {"url": "/read/{{parameters.order}}", "response": {"output": "{{body}}"}},
    "book.json": {
        "url": "/book/{{parameters.order}}",
        "method": "POST",
        "body": {"order": "{{parameters.order}}"},
        "response": {"output": "{{body}}"},
    },
}  # fmt: skip


def write_app(folder: Path, server: str) -> Path:
    files = APP | {"base.json": {"baseUrl": server, "log": {"sanitize": ["request.headers.authorization"]}}}
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def workers_of(pid: int) -> list[int]:
    """The processes below one process, by pid: the Celery processes of a `scenarist worker`."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [grand for child in children for grand in workers_of(int(child))]


def test_200_runs_survive_a_killed_worker(tmp_path: Path, cli: Scenarist) -> None:
    """Two workers; when a quarter of the bookings is done, one is killed with all its processes."""
    booked: Counter[str] = Counter()
    quarter = threading.Event()
    lock = threading.Lock()

    def handler(request: Received) -> Answer:
        with lock:
            if request.method == "POST":
                booked[request.target] += 1
                if len(booked) >= RUNS // 4:
                    quarter.set()
        return Answer(200, (("Content-Type", "application/json"),), json.dumps({"target": request.target}).encode())

    with ScriptServer() as server:
        server.script.handler = handler
        cli("app", "add", str(write_app(tmp_path / "app", server.url)))
        flow = blueprint(
            "orders",
            step(1, "orders:readOrder", {"order": "{{executionId}}"}),
            step(2, "orders:bookOrder", {"order": "{{executionId}}"}),
            step(3, "orders:readOrder", {"order": "{{executionId}}-again"}),
        )
        (tmp_path / "orders.json").write_text(json.dumps(flow))
        cli("scenario", "import", str(tmp_path / "orders.json"))
        with (
            cli.process("scheduler"),
            cli.process("worker") as first,
            cli.process("worker"),
            open_service(load_settings(cli.variables())) as service,
        ):
            ids = [service.runs.enqueue("orders").id for _ in range(RUNS)]
            assert quarter.wait(60)
            for pid in [first.pid, *workers_of(first.pid)]:
                os.kill(pid, signal.SIGKILL)
            states = wait_for_all(service, ids)
            unknown = {run: [entry["status"] for entry in service.runs.show(run).steps].count("unknown") for run in ids}

    assert set(states) <= {"success", "incomplete"}
    posted = Counter({target.removeprefix("/book/"): times for target, times in booked.items()})
    for run, state in zip(ids, states, strict=True):
        assert posted[run] == 1 if state == "success" else posted[run] <= 1, run
        assert unknown[run] == (state == "incomplete"), run
    # Only what the killed worker held can be unknown: its threads, no more.
    assert states.count("incomplete") <= 8 * (os.cpu_count() or 1)


def wait_for_all(service: Service, ids: list[str]) -> list[str]:
    """The state of each run once none is queued, running or parked any more."""
    end = time.monotonic() + 90
    while True:
        rows = {header.id: str(header.state) for header in service.runs.list(limit=len(ids))}
        states = [rows[run] for run in ids]
        if not {"queued", "running", "parked"} & set(states):
            return states
        assert time.monotonic() < end, Counter(states)
        time.sleep(0.2)
