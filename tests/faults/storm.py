"""
A storm over a whole installation: real processes that are killed, stopped and robbed of their messages at random
moments, while runs are started by hand, by events and as polls. One `random.Random` decides everything, so that a seed
replays the same sequence of decisions.

Only processes that the storm itself has started are ever signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import redis
from redis.exceptions import RedisError

from tests.worker_kit import Installation, blueprint, installation
from workers.celery_app import queue_name
from workers.ledger.hooks import HookRecord

#: Longest calm after the storm; waiting is by condition.
CALM_SECONDS = 60.0


class Sample:
    """The API that the runs talk to: it counts what came, by method and path, and is a little slow."""

    def __init__(self, chance: random.Random) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.items: list[int] = []
        self._lock = threading.Lock()
        self._delays = [chance.random() * 0.05 for _ in range(97)]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer._lock:
                    outer.seen[self.command, self.path] += 1
                    number = sum(outer.seen.values())
                    items = [{"id": item} for item in outer.items]
                time.sleep(outer._delays[number % len(outer._delays)])
                body = json.dumps({"path": self.path, "items": items}).encode()
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815  the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silence."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A killed worker breaks its connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def add(self, item: int) -> None:
        """One more item for the polling trigger."""
        with self._lock:
            self.items.append(item)

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Accepted:
    """What the installation has promised: runs by id, events by number with how often they were answered 200."""

    runs: list[str] = field(default_factory=list[str])
    events: list[int] = field(default_factory=list[int])
    #: Events whose answer was lost: they may or may not have been stored.
    unclear: set[int] = field(default_factory=set[int])
    items: list[int] = field(default_factory=list[int])


class Storm:
    """One storm of `size` runs and events."""

    def __init__(self, folder: Path, seed: int, size: int, port: int) -> None:
        self.seed, self.size = seed, size
        self.chance = random.Random(seed)
        self.api = Sample(self.chance)
        self.accepted = Accepted()
        self.story: list[str] = []
        #: Paths of requests that a person had repeated.
        self.decided: set[str] = set()
        self._port = port
        self._folder = folder
        self._stopped: list[int] = []
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Storm]:
        """The installation with all its processes."""
        settings = {"SCENARIST_GATEWAY_PORT": str(self._port), "SCENARIST_LEASE_SECONDS": "1.5",
                    "SCENARIST_HOOK_RATE": "100000"}  # fmt: skip
        with ExitStack() as stack:
            stack.callback(self.api.close)
            self.place: Installation = stack.enter_context(installation(self._folder, self.api.port, **settings))
            self._prepare()
            stack.callback(self._end)
            for role in ("scheduler", "scheduler", "gateway", "worker", "worker"):
                self._begin(role)
            yield self

    def _begin(self, role: str) -> None:
        """Start a process of ours."""
        arguments = "load_settings(), processes=1, threads=4" if role == "worker" else "load_settings()"
        code = f"from workers.processes import *; import sys; sys.exit(run_{role}({arguments}))"
        with (self.place.home / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", code], env=self.place.environment, stdout=log, stderr=log
            )
        self._processes.append((role, process))

    def _end(self) -> None:
        """End all of them, gently first."""
        self._go_on()
        for _, process in self._processes:
            process.terminate()
        for _, process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _prepare(self) -> None:
        place = self.place
        _give_function(self._folder / "app")
        assert place.service.apps.add(self._folder / "app").row is not None
        place.service.stores.replace("done", {})
        add = {
            "id": 4, "module": "datastore:AddRecord", "version": 1, "parameters": {"datastore": 7},
            "mapper": {"key": "{{var.input.n}}", "overwrite": True, "data": {"n": "{{var.input.n}}"}},
        }  # fmt: skip
        flow = blueprint(_call(1, "/a/{{var.input.n}}"), _call(2, "/b/{{var.input.n}}", "POST"), add,
                         _call(3, "/c/{{var.input.n}}"))  # fmt: skip
        imported = place.service.scenarios.import_(flow, name="direct", stores={"7": "done"})
        assert imported.row is not None, imported.findings
        self.direct = imported.row.id
        start = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
        live = place.scenario(start, _call(2, "/e/{{1.n}}", "POST"), _call(3, "/f/{{1.n}}"))
        hooks = place.service.runner.hooks
        self.hook: HookRecord = hooks.add(HookRecord("", "custom", "orders"))
        hooks.bind(self.hook.id, live)
        place.service.schedules.activate(live, schedule={"type": "immediately"})
        watch = {"id": 1, "module": "peer:watch", "version": 1, "parameters": {}, "mapper": {}}
        # One after the other: two polls at a time would read the same items.
        self.polling = place.scenario(watch, _call(2, "/w/{{1.id}}", "POST"), sequential=True)
        place.service.epochs.choose(self.polling, {"mode": "all"})

    # -- the storm -----------------------------------------------------------------------------------------------------

    def blow(self) -> None:
        """Start everything, with a fault now and then."""
        for number in range(self.size):
            self._start(number)
            if self.chance.random() < 0.25:
                self._fault()
            time.sleep(self.chance.random() * 0.04)

    def _start(self, number: int) -> None:
        kind = self.chance.choice(("run", "run", "event", "event", "poll"))
        if kind == "run":
            with contextlib.suppress(RedisError):
                header = self.place.service.runs.enqueue(self.direct, inputs={"n": str(number)}, run=f"{number:024x}")
                self.accepted.runs.append(header.id)
        elif kind == "event":
            self._event(number)
        else:
            self.api.add(number)
            self.accepted.items.append(number)
            with contextlib.suppress(RedisError):
                self.accepted.runs.append(self.place.service.runs.enqueue(self.polling).id)

    def _event(self, number: int) -> None:
        url = f"http://127.0.0.1:{self._port}/hook/{self.hook.token}"
        try:
            answer = httpx.post(url, json={"n": number}, trust_env=False, timeout=5)
        except httpx.ConnectError:
            return
        except httpx.HTTPError:
            self.accepted.unclear.add(number)
            return
        if answer.status_code == 200:
            self.accepted.events.append(number)
        elif answer.status_code >= 500:
            self.accepted.unclear.add(number)

    def _fault(self) -> None:
        faults: dict[str, Callable[[], object]] = {
            "kill a worker": lambda: self._kill("worker"),
            "kill the gateway": lambda: self._kill("gateway"),
            "kill a scheduler": lambda: self._kill("scheduler"),
            "kill the server": self._kill_server,
            "kill a JavaScript child": self._kill_child,
            "stop a worker beyond its lease": self._pause,
            "lose messages": self._lose,
            "double messages": self._double,
            "step the clock of leases": self._step,
            "leave the server no room": self._fill,
        }
        weights = [5, 2, 2, 1, 2, 2, 3, 3, 2, 1]
        (name,) = self.chance.choices(list(faults), weights)
        self.story.append(name)
        with contextlib.suppress(RedisError, ProcessLookupError):
            faults[name]()

    def _pids(self, role: str) -> list[int]:
        """Processes of ours that do this work, the youngest last."""
        if role == "worker":
            return sorted(self.place.worker_pids())
        return [process.pid for kind, process in self._processes if kind == role and process.poll() is None]

    def _kill(self, role: str) -> None:
        pids = self._pids(role)
        if pids:
            os.kill(self.chance.choice(pids), signal.SIGKILL)
        if role != "worker":
            # A worker's supervisor starts another one; these are started by us.
            self._begin(role)

    def _kill_server(self) -> None:
        self.place.kill("server")

    def _kill_child(self) -> None:
        """A JavaScript child of one of our workers."""
        workers = set(self._pids("worker"))
        found: list[int] = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                rest = stat.read_text().rpartition(")")[2].split()
                if int(rest[1]) in workers:
                    found.append(int(stat.parent.name))
        if found:
            os.kill(self.chance.choice(sorted(found)), signal.SIGKILL)

    def _pause(self) -> None:
        pids = self._pids("worker")
        if not pids:
            return
        pid = self.chance.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        self._stopped.append(pid)
        threading.Timer(2.5, self._continue, [pid]).start()

    def _continue(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _go_on(self) -> None:
        for pid in self._stopped:
            self._continue(pid)

    @property
    def _client(self) -> redis.Redis:
        return self.place.service.server.client

    def _lose(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self._client.lpop(queue_name(self.place.settings))

    def _double(self) -> None:
        name = queue_name(self.place.settings)
        for message in self._client.lrange(name, 0, self.chance.randrange(1, 4)):
            self._client.rpush(name, message)

    def _fill(self) -> None:
        """For a moment the server refuses every write, as one whose disk or memory is full."""
        self._client.config_set("maxmemory", 1)
        threading.Timer(0.7, self._empty).start()

    def _empty(self) -> None:
        with contextlib.suppress(RedisError):
            self._client.config_set("maxmemory", 0)

    def _step(self) -> None:
        """A clock step of the server, as the leases see it: some end at once."""
        leased = self._client.zrange(self.place.keys.leased, 0, -1)
        if leased:
            self._client.zadd(self.place.keys.leased, {self.chance.choice(leased): 1})

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until nothing moves any more: all runs rest, no event waits."""
        self._go_on()
        time.sleep(0.8)  # the last moment without room is over
        deadline = time.monotonic() + CALM_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(RedisError, httpx.HTTPError):
                self._empty()
                if not self.restless():
                    return
            time.sleep(0.2)
        raise AssertionError(f"{self}: still at work: {self.restless()}")

    def decide(self) -> None:
        """What a person does with runs that stopped at a step of unknown outcome: has it done again."""
        while True:
            undecided = self.place.service.runs.list(states=["incomplete"], limit=100_000)
            if not undecided:
                return
            for header in undecided:
                (step,) = [
                    step for step in self.place.service.runs.show(header.id).steps if step["status"] == "unknown"
                ]
                self.decided.add(step["input"]["path"])
                self.place.service.runs.retry(header.id)
            self.settle()

    def restless(self) -> list[str]:
        """What still moves."""
        client, keys = self._client, self.place.keys
        found = [f"{state} {len(ids)}" for state, ids in {
            "queued": client.zrange(keys.queued, 0, -1), "leased": client.zrange(keys.leased, 0, -1),
            "due": client.zrange(keys.due, 0, -1),
        }.items() if ids]  # fmt: skip
        places = Counter(row.place for row in self.place.service.runner.events.list(self.hook.id, limit=10_000))
        # A taken event belongs to a run of unknown outcome, which waits for a decision.
        if places["waiting"]:
            found.append(f"events that wait {places['waiting']}")
        return found

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.size} starts, {', '.join(self.story)}"


def _call(number: int, path: str, method: str = "GET") -> dict[str, Any]:
    mapper = {"path": path, "method": method}
    return {"id": number, "module": "peer:call", "version": 1, "parameters": {}, "mapper": mapper}


def _give_function(folder: Path) -> None:
    """Have the path of each request go through a JavaScript function of the app."""
    (folder / "same.js").write_text("function same(value) { return value; }")
    manifest = json.loads((folder / "makecomapp.json").read_text())
    manifest["components"]["function"] = {"same": {"codeFiles": {"code": "same.js"}}}
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    call = folder / "modules/call.imljson"
    call.write_text(call.read_text().replace("{{parameters.path}}", "{{same(parameters.path)}}"))
