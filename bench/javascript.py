"""
Speed of custom JavaScript functions: a warm call, a call back into IML, a big value, a new context, a new process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runtime.iml.javascript import FunctionHost, js_matches
from runtime.iml.javascript.process import Child

ROUNDS = 3_000
#: A small record, as functions of real apps get it.
RECORD = {"id": 4711, "name": "Ada", "tags": ["red", "green"], "address": {"city": "Prague", "zip": "110 00"}}
#: Some 1 MiB of JSON.
ROWS = [{"id": number, "name": f"row number {number}", "active": True} for number in range(18_000)]
SOURCES: dict[str, str | None] = {
    "small": "(row) => ({id: row.id, label: row.name + ' in ' + row.address.city, tags: row.tags.join()})",
    "callbacks": "(count) => { let n = 0; for (let i = 0; i < count; i++) n += iml.length('abc'); return n }",
    "identity": "(rows) => rows",
}


def _seconds(work: Callable[[], object], rounds: int) -> float:
    """Best of three: seconds for one round."""
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        for _ in range(rounds):
            work()
        best = min(best, (time.perf_counter() - begun) / rounds)
    return best


def _start() -> None:
    child = Child()
    child.wait_ready(time.monotonic() + 30)
    child.kill()


def run() -> list[tuple[str, float, str]]:
    """The figures as (name, value, unit)."""
    host = FunctionHost(threads=1)
    fresh = iter(range(10_000))

    def call(name: str, *args: Any, app: str = "bench") -> object:
        return host.call(app, SOURCES, name, args, timezone="UTC")

    def match() -> object:
        return js_matches("2024-05-06", r"(?<y>\d+)-(\d+)", host=host)

    def new_context() -> object:
        return call("small", RECORD, app=f"app {next(fresh)}")

    try:
        call("callbacks", 1)
        warm = _seconds(lambda: call("small", RECORD), ROUNDS)
        return [
            ("custom function, cost of a warm call, small record", warm * 1e6, "us"),
            ("custom function, warm calls", 1 / warm, "calls/s"),
            ("iml function called from JavaScript", 5_000 / _seconds(lambda: call("callbacks", 5_000), 1), "calls/s"),
            ("1 MiB of JSON in and out", 1_000 * _seconds(lambda: call("identity", ROWS), 3), "ms"),
            ("regular expression in the JavaScript dialect", 1 / _seconds(match, ROUNDS), "calls/s"),
            ("first call of an app: new context", 1_000 * _seconds(new_context, 20), "ms"),
            ("start of a child process", 1_000 * _seconds(_start, 5), "ms"),
        ]
    finally:
        host.close()


if __name__ == "__main__":
    for label, value, unit in run():
        print(f"{label:50} {value:12,.1f} {unit}")
