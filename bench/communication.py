"""
Paged fetch-and-map: records per CPU second of a search against a loop written by hand with httpx and json, on the same
server (design section 7: at least 0.70 of its speed); memory of a search from 100,000 to a million records.

The server is a process of its own, so only the client's work counts. Where BENCH_PEERS names the Python of an
environment of their own that has them, dlt's REST source and Airbyte's declarative source run too (bench/peers); they
are never a dependency of this project.
"""

from __future__ import annotations

import ipaddress
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: Records on a page, records of one measurement, rounds of which the best counts.
PAGE, RECORDS, ROUNDS = 100, 20_000, 5
#: Sizes of the memory measurement.
SMALL, LARGE = 100_000, 1_000_000

COMMUNICATION: dict[str, Any] = {
    "url": "{{parameters.url}}/records",
    "qs": {"page": "{{pagination.page}}", "total": "{{parameters.total}}"},
    "pagination": {"qs": {"page": "{{pagination.page}}"}, "condition": "{{body.more}}"},
    "response": {
        "iterate": "{{body.items}}",
        "output": {
            "id": "{{item.id}}",
            "name": "{{item.first}} {{item.last}}",
            "mail": "{{lower(item.mail)}}",
            "total": "{{item.price * item.quantity}}",
            "city": "{{item.address.city}}",
            "kind": "{{if(item.quantity > 2, 'bulk', 'single')}}",
        },
    },
}


def record(number: int) -> dict[str, Any]:
    """One record as the service has it."""
    return {
        "id": number, "first": "Ada", "last": f"Lovelace {number}", "mail": f"ADA{number}@EXAMPLE.COM", "price": 12.5,
        "quantity": number % 5, "address": {"street": "Main 1", "city": "London"}, "tags": ["a", "b"], "active": True,
    }  # fmt: skip


def mapped(item: dict[str, Any]) -> dict[str, Any]:
    """The same mapping by hand."""
    return {
        "id": item["id"],
        "name": f"{item['first']} {item['last']}",
        "mail": item["mail"].lower(),
        "total": item["price"] * item["quantity"],
        "city": item["address"]["city"],
        "kind": "bulk" if item["quantity"] > 2 else "single",
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second must not wait for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        page, total = int(query.get("page", ["1"])[0]), int(query.get("total", [str(RECORDS)])[0])
        size = int(query.get("size", [str(PAGE)])[0])
        first = (page - 1) * size
        items = [record(number) for number in range(first, min(first + size, total))]
        body = json.dumps({"items": items, "more": first + size < total}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Silence."""


def serve() -> None:
    """The service; prints its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


@contextmanager
def service() -> Iterator[str]:
    """The running service's address."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def by_hand(url: str, total: int) -> int:
    """The loop that a person would write."""
    import httpx

    found, page = 0, 1
    with httpx.Client(trust_env=False) as client:
        while True:
            answer = client.get(f"{url}/records", params={"page": page, "total": total})
            answer.raise_for_status()
            body = json.loads(answer.content)
            found += len([mapped(item) for item in body["items"]])
            if not body["more"]:
                return found
            page += 1


def by_search(url: str, total: int) -> int:
    """The same as a module of the type search, with the guard, the redacted record of each exchange, and all."""
    import threading

    from modules import MODULE_TYPES
    from runtime.app.specs import App, CodeFile, ModuleSpec
    from runtime.communication import Limits
    from runtime.effects import drive
    from runtime.http import HttpPerformer, NetworkPolicy
    from runtime.iml import Environment
    from runtime.module_job import ModuleJob
    from runtime.sanitize import Secrets
    from workers.performer import Performer

    def code(role: str, value: Any) -> CodeFile:
        return CodeFile(role=role, value=value)

    spec = ModuleSpec(
        id="records", label="records", type="search", communication=code("communication", COMMUNICATION),
        epoch=code("epoch", {}), static_params=code("staticParams", []), mappable_params=code("mappableParams", []),
        interface=code("interface", []), samples=code("samples", {}), scope=code("scope", []),
    )  # fmt: skip
    app = App(
        name="bench", hash="bench", base=code("base", {}), common=code("common", {}), common_values={},
        groups=code("groups", []), connections={}, webhooks={}, modules={"records": spec}, rpcs={}, functions={},
        endpoints={}, aliases={},
    )  # fmt: skip

    class Part:
        found = 0

        def emit(self, bundles: list[Any]) -> None:
            self.found += len(bundles)

    limits = Limits(max_requests=10**6, max_pagination_requests=10**6, max_records=10**7)
    job = ModuleJob(app, spec, {"url": url, "total": total}, Environment(now=datetime.now(UTC)), limits=limits)
    part: Any = Part()
    with HttpPerformer(NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.0/8"),))) as http:
        drive(MODULE_TYPES["search"](job), Performer(part, http.send, Secrets(), threading.Event()))
    return part.found


def speed(work: Callable[[str, int], int], url: str) -> float:
    """Records per second of this process's CPU, the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        found = work(url, RECORDS)
        assert found == RECORDS, found
        best = max(best, RECORDS / (time.process_time() - began))
    return best


def memory(url: str, total: int) -> int:
    """The most memory in KiB of a process of its own that searches `total` records."""
    command = [sys.executable, __file__, "--memory", url, str(total)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"PYTHONPATH": "."})
    return int(done.stdout)


def run() -> Iterator[tuple[str, float | str, str]]:
    """The rows of this part: what, figure, target."""
    with service() as url:
        hand, ours = speed(by_hand, url), speed(by_search, url)
        yield "hand loop of httpx and json, records/CPU s", hand, ""
        yield "search, records/CPU s", ours, ""
        yield "search against the hand loop", ours / hand, "at least 0.70"
        small, large = memory(url, SMALL), memory(url, LARGE)
        yield f"memory of {SMALL:,} records, MiB", small / 1024, ""
        yield f"memory of {LARGE:,} records, MiB", large / 1024, ""
        yield "growth", large / small, "at most 1.10"
        if peers := os.environ.get("BENCH_PEERS"):
            script = Path(__file__).parent / "peers" / "communication.py"
            for name in ("dlt", "airbyte"):
                done = subprocess.run([peers, str(script), name, url], capture_output=True, text=True, check=False)
                shown = done.stdout.strip().splitlines()[-1] if done.returncode == 0 and done.stdout.strip() else ""
                figure = float(shown) if shown else "not installed"
                yield f"{name}, records/CPU s", figure, "for comparison"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    elif sys.argv[1:2] == ["--memory"]:
        by_search(sys.argv[2], int(sys.argv[3]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        for row in run():
            print(*row)
