"""Parts for tests with worker processes: a small app, a service that it talks to, an installation with processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from workers.ledger.keys import Keys
from workers.service import Service, open_service
from workers.settings import Settings, load_settings

#: Waiting is by condition; this only ends a test that would never end.
PATIENCE = 60.0

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], what: str) -> Found:
    """Wait until `look` finds something true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


@dataclass
class Peer:
    """
    A service on a loopback address. A request to `/hold` waits until `release`; all are noted as (method, path). What
    `broken` names is answered with that status.
    """

    seen: list[tuple[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    broken: dict[str, int] = field(default_factory=dict)

    def arrived(self, path: str) -> bool:
        """Wait for a request to this path."""
        return until(lambda: self.count(path) > 0, f"a request to {path}")

    def count(self, path: str) -> int:
        """How many requests came to this path."""
        return sum(seen == path for _, seen in self.seen)


@contextlib.contextmanager
def peer() -> Iterator[Peer]:
    """A running service."""
    made = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.seen.append((self.command, self.path))
            if self.path.startswith("/hold"):
                made.release.wait(PATIENCE)
            items = [{"id": 1}, {"id": 2}]
            body = json.dumps({"path": self.path, "count": len(made.seen), "items": items}).encode()
            with contextlib.suppress(OSError):  # the worker that asked may have been killed
                self.send_response(made.broken.get(self.path, 200))
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

    server = Server(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def write_app(folder: Path, port: int) -> Path:
    """An app `peer` whose module `call` sends one request with the given method to the given path."""
    code = folder / "modules"
    code.mkdir(parents=True)
    (folder / "base.imljson").write_text(json.dumps({"baseUrl": f"http://127.0.0.1:{port}", "log": {"sanitize": []}}))
    (code / "call.imljson").write_text(
        json.dumps({
            "url": "/{{parameters.path}}", "method": "{{parameters.method}}",
            "body": {"n": 1}, "response": {"output": "{{body}}"},
        })
    )  # fmt: skip
    fields = [{"name": name, "type": "text", "label": name, "required": True} for name in ("path", "method")]
    (code / "call.params.imljson").write_text(json.dumps(fields))
    (code / "empty.imljson").write_text("[]")
    trigger = {"type": "id", "order": "asc", "id": "{{item.id}}"}
    response = {"iterate": "{{body.items}}", "output": "{{item}}", "limit": 10, "trigger": trigger}
    (code / "watch.imljson").write_text(json.dumps({"url": "/items", "response": response}))
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.imljson"},
        "components": {
            "module": {
                "call": {
                    "label": "Call", "description": "", "moduleType": "action", "moduleSubtype": "action",
                    "codeFiles": {
                        "communication": "modules/call.imljson",
                        "mappableParams": "modules/call.params.imljson",
                        "staticParams": "modules/empty.imljson",
                        "interface": "modules/empty.imljson",
                        "samples": "modules/empty.imljson",
                    },
                },
                "watch": {
                    "label": "Watch", "description": "", "moduleType": "trigger",
                    "codeFiles": {
                        "communication": "modules/watch.imljson",
                        "staticParams": "modules/empty.imljson",
                        "interface": "modules/empty.imljson",
                        "samples": "modules/empty.imljson",
                    },
                },
            }
        },
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": "peer", "appVersion": 1}],
    }  # fmt: skip
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    return folder


def call(number: int, path: str, method: str = "GET", **rest: Any) -> dict[str, Any]:
    """A module of a blueprint that sends one request."""
    mapper = {"path": path, "method": method}
    return {"id": number, "module": "peer:call", "version": 1, "parameters": {}, "mapper": mapper, **rest}


def sleep(number: int, seconds: int) -> dict[str, Any]:
    """A module of a blueprint that waits."""
    mapper = {"duration": str(seconds)}
    return {"id": number, "module": "util:FunctionSleep", "version": 1, "parameters": {}, "mapper": mapper}


def blueprint(*flow: dict[str, Any], **scenario: Any) -> bytes:
    """A blueprint's bytes."""
    return json.dumps(
        {"name": "T", "flow": list(flow), "metadata": {"version": 1, "scenario": {"roundtrips": 1, **scenario}}}
    ).encode()


@dataclass
class Installation:
    """A data folder with the app `peer` registered, and the service over it."""

    home: Path
    service: Service
    settings: Settings
    environment: dict[str, str]
    logs: list[Path] = field(default_factory=list)

    @property
    def keys(self) -> Keys:
        """Key names."""
        return Keys(self.settings.prefix)

    def scenario(self, *flow: dict[str, Any], **settings: Any) -> str:
        """Import a blueprint; gives the scenario's id."""
        # A name of its own: a second import of a name is a new version of that scenario.
        imported = self.service.scenarios.import_(blueprint(*flow, **settings), name=f"T {os.urandom(4).hex()}")
        assert imported.row is not None, imported.findings
        return imported.row.id

    @contextlib.contextmanager
    def running(self, role: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Keep `worker`, `scheduler` or `up` running; SIGTERM at the end, and it must end cleanly."""
        arguments = "load_settings(), processes=1, threads=4" if role in ("worker", "up") else "load_settings()"
        code = f"from workers.processes import *; import sys; sys.exit(run_{role}({arguments}))"
        log = self.home / f"{role}-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", code], env=self.environment | environment, stdout=stream, stderr=stream
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            said = log.read_text()
            # One that had not even begun is ended by the signal itself.
            assert status in (0, -signal.SIGKILL) or (status == -signal.SIGTERM and not said), said

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that have said that they are there and still are."""
        client = self.service.server.client
        pids = [int(name.rpartition(b":")[2]) for name in client.zrange(self.keys.workers, 0, -1)]
        return [pid for pid in pids if alive(pid)]

    def kill(self, victim: str) -> None:
        """Kill the embedded server, or its keeper, with -9."""
        pid = self.service.server.client.info("server")["process_id"]
        if victim == "keeper":
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), f"the {victim} is gone")


def alive(pid: int) -> bool:
    """True while this process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def installation(folder: Path, port: int, **environment: str) -> Iterator[Installation]:
    """An installation in a fresh folder. Leases are short, so that a take-over is quick."""
    home = folder / "home"
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    ours = {
        "SCENARIST_HOME": str(home),
        "SCENARIST_ALLOW_NETS": "127.0.0.0/8",
        "SCENARIST_LEASE_SECONDS": "1.5",
        "SCENARIST_LOST_AFTER_SECONDS": "1",
        "SCENARIST_GATEWAY_PORT": "0",
    }
    values = kept | ours | environment
    settings = load_settings(values)
    with open_service(settings) as service:
        added = service.apps.add(write_app(folder / "app", port))
        assert added.row is not None, added.findings
        yield Installation(home, service, settings, values)
