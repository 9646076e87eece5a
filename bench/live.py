"""
What a live installation does: events taken and run, latency from a run's acceptance to its first request, throughput by
worker processes; against a bare Celery task with the same three requests, on the same server.

Real processes: gateway, scheduler, workers, a sample API.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.integration.test_gateway_intake import free_port
from tests.worker_kit import Installation, call, installation, until
from workers.celery_app import make_app
from workers.ledger.hooks import HookRecord

EVENTS, RUNS, LATENCIES = 1000, 200, 60
_TICKS = os.sysconf("SC_CLK_TCK")
_BODY = b'{"ok": true}'

BARE = """
import sys, httpx
from celery import Celery
app = Celery("bare", broker=sys.argv[1], set_as_current=False)
app.conf.update(task_ignore_result=True, task_default_queue="bare", worker_enable_remote_control=False,
                task_acks_late=True, worker_prefetch_multiplier=1)
client = httpx.Client()
@app.task(name="three")
def three(n):
    for path in ("a", "b", "c"):
        client.get(f"{sys.argv[2]}/{path}/{n}").json()
app.Worker(pool="threads", concurrency=8, queues=["bare"], without_gossip=True, without_mingle=True,
           without_heartbeat=True, quiet=True, loglevel="ERROR").start()
"""


class Api:
    """Answers at once, and notes when each path came."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.at.setdefault(self.path, time.monotonic())
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
                self.wfile.write(head.encode() + _BODY)

            do_GET = do_POST = answer  # noqa: N815  the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def run() -> Iterator[tuple[str, float, str]]:
    """The figures: (what, number, unit)."""
    port, api = free_port(), Api()
    settings = {
        "SCENARIST_GATEWAY_PORT": str(port), "SCENARIST_HOOK_RATE": "1000000", "SCENARIST_SCENARIO_SLOTS": "16",
        "SCENARIST_LOG_LEVEL": "error",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder), api.port, **settings) as place:
        yield from _bare(place, api)
        with place.running("scheduler"), place.running("gateway"):
            until(lambda: _ready(port), "the gateway is ready")
            yield from _latency(place, api)
            for workers in (1, 2, 4):
                yield from _throughput(place, api, workers)
            yield from _events(place, api, port)
    api.server.shutdown()


def _bare(place: Installation, api: Api) -> Iterator[tuple[str, float, str]]:
    server = place.service.server
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", BARE, server.broker_url, f"http://127.0.0.1:{api.port}"],
        env=place.environment,
    )
    app: Any = make_app(place.settings, server)
    try:
        app.send_task("three", args=["warm"], queue="bare")
        until(lambda: "/c/warm" in api.at, "the bare worker is warm")
        late: list[float] = []
        for number in range(LATENCIES):
            begun = time.monotonic()
            app.send_task("three", args=[f"l{number}"], queue="bare")
            until(lambda number=number: f"/c/l{number}" in api.at, "it is done")
            late.append(api.at[f"/a/l{number}"] - begun)
        begun, spent = time.monotonic(), _spent([process.pid])
        for number in range(RUNS):
            app.send_task("three", args=[f"t{number}"], queue="bare")
        until(lambda: all(f"/c/t{number}" in api.at for number in range(RUNS)), "all are done")
        yield "bare task: to its first request, median", statistics.median(late) * 1000, "ms"
        yield "bare task: to its first request, 99th percentile", _high(late) * 1000, "ms"
        yield "bare task: a second, one process", RUNS / (time.monotonic() - begun), "tasks"
        yield "bare task: CPU of its process", (_spent([process.pid]) - spent) / RUNS * 1000, "ms"
    finally:
        process.kill()
        process.wait()


def _latency(place: Installation, api: Api) -> Iterator[tuple[str, float, str]]:
    scenario = _three(place)
    with _workers(place, 1):
        place.service.runs.wait(place.service.runs.enqueue(scenario, inputs={"n": "warm"}).id)
        late: list[float] = []
        for number in range(LATENCIES):
            begun = time.monotonic()
            place.service.runs.enqueue(scenario, inputs={"n": f"L{number}"})
            until(lambda number=number: f"/c/L{number}" in api.at, "it is done")
            late.append(api.at[f"/a/L{number}"] - begun)
    yield "run: from acceptance to its first request, median", statistics.median(late) * 1000, "ms"
    yield "run: to its first request, 99th percentile", _high(late) * 1000, "ms"


def _throughput(place: Installation, api: Api, workers: int) -> Iterator[tuple[str, float, str]]:
    scenario = _three(place)
    with _workers(place, workers) as pids:
        warm = [place.service.runs.enqueue(scenario, inputs={"n": f"w{workers}.{number}"}).id for number in range(8)]
        for run_ in warm:
            place.service.runs.wait(run_)
        server = place.service.server.client.info("server")["process_id"]
        spent, begun = _spent([*pids(), server]), time.monotonic()
        for number in range(RUNS):
            place.service.runs.enqueue(scenario, inputs={"n": f"T{workers}.{number}"})
        until(lambda: all(f"/c/T{workers}.{number}" in api.at for number in range(RUNS)), "all are done")
        taken = time.monotonic() - begun
        yield f"3-step runs a second, {workers} worker process(es)", RUNS / taken, "runs"
        yield (
            f"  CPU a run, workers and server, {workers} process(es)",
            (_spent([*pids(), server]) - spent) / RUNS * 1000,
            "ms",
        )


def _events(place: Installation, api: Api, port: int) -> Iterator[tuple[str, float, str]]:
    start = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
    scenario = place.scenario(start, call(2, "/event/{{1.n}}", "POST"))
    hooks = place.service.runner.hooks
    hook = hooks.add(HookRecord("", "custom", "bench"))
    hooks.bind(hook.id, scenario)
    place.service.schedules.activate(scenario, schedule={"type": "immediately"})
    clients = [httpx.Client(trust_env=False) for _ in range(16)]
    url = f"http://127.0.0.1:{port}/hook/{hook.token}"

    def post(number: int) -> int:
        return clients[number % 16].post(url, json={"n": number}).status_code

    with ThreadPoolExecutor(16) as pool:
        begun = time.monotonic()
        answers = list(pool.map(post, range(EVENTS)))
        taken = time.monotonic() - begun
    assert set(answers) == {200}, set(answers)
    yield "events accepted a second (on disk, runs made of them)", EVENTS / taken, "events"
    with _workers(place, 2):
        begun, before = time.monotonic(), sum(path.startswith("/event/") for path in api.at)
        until(lambda: sum(path.startswith("/event/") for path in api.at) == EVENTS, "all events ran")
        yield "events run a second, 2 worker processes", (EVENTS - before) / (time.monotonic() - begun), "events"


def _three(place: Installation) -> str:
    return place.scenario(*(call(n, f"/{path}/{{{{var.input.n}}}}") for n, path in ((1, "a"), (2, "b"), (3, "c"))))


@contextlib.contextmanager
def _workers(place: Installation, count: int) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        known = set(place.worker_pids())
        for _ in range(count):
            stack.enter_context(place.running("worker"))
        until(lambda: len(set(place.worker_pids()) - known) >= count, "the workers are there")
        yield place.worker_pids


def _spent(pids: list[int]) -> float:
    """CPU seconds of these processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / _TICKS


def _high(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
