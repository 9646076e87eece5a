"""
What the ledger costs: a run of three HTTP steps with every checkpoint on Redis, against a bare Celery task that makes
the same three calls (design section 7: 2 x or less, 4 ms or less).

Both sides run in one worker process of their own, on the same embedded server, one after the other in turns; what is
compared is the CPU time of that process per run, the API's and the server's not counted.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: Messages of one turn, and turns of each side. The median turn counts.
RUNS, TURNS = 60, 5
_BODY = json.dumps({"id": 7, "name": "Acme", "tags": ["a", "b"], "total": 12.5}).encode()


def run() -> list[tuple[str, float, str]]:
    """The figures: (what, number, unit)."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = context.Pipe()
        api = context.Process(target=_api, args=(theirs,), daemon=True)
        api.start()
        port = ours.recv()
        try:
            process = context.Process(target=_measure, args=(folder, port, theirs))
            process.start()
            full, bare = ours.recv()
            process.join()
        finally:
            api.terminate()
            api.join()
    return [
        ("3-step run, CPU of the worker", full, "ms"),
        ("bare Celery task, the same three calls", bare, "ms"),
        ("run against bare task", full / bare, "x"),
    ]


def _api(pipe: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
            self.wfile.write(head.encode() + _BODY)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    pipe.send(server.server_port)
    server.serve_forever()


def _write_app(folder: Path, port: int) -> Path:
    folder.mkdir()
    (folder / "base.json").write_text(json.dumps({"baseUrl": f"http://127.0.0.1:{port}"}))
    (folder / "call.json").write_text(json.dumps({"url": "/{{parameters.n}}", "response": {"output": "{{body}}"}}))
    (folder / "params.json").write_text(json.dumps([{"name": "n", "type": "text", "label": "N"}]))
    (folder / "empty.json").write_text("[]")
    module = {
        "label": "Call",
        "description": "",
        "moduleType": "action",
        "codeFiles": {
            "communication": "call.json",
            "mappableParams": "params.json",
            "staticParams": "empty.json",
            "interface": "empty.json",
            "samples": "empty.json",
        },
    }
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json"},
        "components": {"module": {"call": module}},
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": "bench", "appVersion": 1}],
    }
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    return folder


def _blueprint() -> bytes:
    def module(number: int, n: str) -> dict[str, Any]:
        return {"id": number, "module": "bench:call", "version": 1, "parameters": {}, "mapper": {"n": n}}

    flow = [module(1, "1"), module(2, "{{1.id}}"), module(3, "{{2.id}}")]
    return json.dumps({"name": "B", "flow": flow, "metadata": {"version": 1, "scenario": {}}}).encode()


def _measure(folder: str, port: int, pipe: Connection) -> None:
    """In a process of its own: a Celery worker with both tasks, fed in turns."""
    import httpx

    from runtime.logs import configure_logging
    from runtime.sanitize import Secrets
    from workers.celery_app import make_app, queue_name, send
    from workers.leases import Leases
    from workers.runner import SegmentRunner
    from workers.server import connect
    from workers.service import open_service
    from workers.settings import load_settings

    configure_logging("json", "error", Secrets())
    settings = load_settings({"SCENARIST_HOME": f"{folder}/home", "SCENARIST_ALLOW_NETS": "127.0.0.0/8"})
    done = threading.Semaphore(0)
    client = httpx.Client(trust_env=False)
    with (
        connect(settings) as server,
        open_service(settings) as service,
        SegmentRunner.open(settings, server, Secrets()) as runner,
        Leases(runner.runs) as leases,
    ):
        runner.leases = leases
        service.apps.add(_write_app(Path(folder) / "app", port))
        scenario = service.scenarios.import_(_blueprint()).row
        assert scenario is not None

        def segment(run: str, fence: int) -> None:
            runner.run_message(run, fence)
            done.release()

        def bare(_run: str, _fence: int) -> None:
            for n in ("1", "7", "7"):
                client.get(f"http://127.0.0.1:{port}/{n}").json()
            done.release()

        app = make_app(settings, server, segment)
        app.task(name="bare", ignore_result=True)(bare)
        worker: Any = app.Worker(
            pool="threads", concurrency=8, queues=[queue_name(settings)], quiet=True, loglevel="ERROR",
            without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
        from workers.imports import scenario_request

        state = runner.library.scenarios.get(scenario.id)
        request = scenario_request(runner, state, None, None)

        def feed_runs() -> None:
            for _ in range(RUNS):
                header = runner.runs.create(request)
                send(app, settings, header.id, header.fence)

        def feed_bare() -> None:
            for _ in range(RUNS):
                app.send_task("bare", args=[secrets.token_hex(12), 0], queue=queue_name(settings))

        def drive() -> None:
            turns: dict[str, list[float]] = {"full": [], "bare": []}
            for turn in range(TURNS + 1):
                for name, feed in (("full", feed_runs), ("bare", feed_bare)):
                    spent = _turn(feed, done)
                    # The first turn compiles and warms up.
                    if turn:
                        turns[name].append(spent)
            pipe.send(tuple(statistics.median(turns[name]) * 1000 / RUNS for name in ("full", "bare")))
            os._exit(0)

        threading.Thread(target=drive, daemon=True).start()
        worker.start()


def _turn(feed: Callable[[], None], done: threading.Semaphore) -> float:
    """CPU seconds of this process from the first message of a turn to its last."""
    before = time.process_time()
    feed()
    for _ in range(RUNS):
        done.acquire()
    return time.process_time() - before
