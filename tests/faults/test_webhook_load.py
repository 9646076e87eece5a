"""
More events than the workers take, from many connections, with the gateway killed in the middle (issue S6).

`make load` sends 20,000 events from 200 connections; the form in `make test` is smaller.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.faults.storm import Sample
from tests.integration.test_gateway_intake import free_port
from tests.worker_kit import Installation, call, installation, until
from workers.ledger.hooks import HookRecord

# It has many processes for few cores; waiting inside is by condition.
pytestmark = pytest.mark.timeout(600)

EVENTS = int(os.environ.get("LOAD_EVENTS", "400"))
CONNECTIONS = int(os.environ.get("LOAD_CONNECTIONS", "40"))
#: Memory of the gateway may grow by so much between a tenth of the events and all of them.
GROWTH = 40 * 1024
HOOKS = 4


def resident(pid: int) -> int:
    """KiB that a process holds in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


class Senders:
    """Clients that send each of their events until it is answered; a repeated one has the same delivery id."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.answers: dict[int, int] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(CONNECTIONS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, first: int) -> None:
        client = httpx.Client(trust_env=False, timeout=30)
        for number in range(first, EVENTS, CONNECTIONS):
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    headers = {"X-Delivery": f"d{number}"}
                    answer = client.post(self.urls[number % HOOKS], json={"n": number}, headers=headers)
                except httpx.HTTPError:
                    # Killed in the middle: whether it is stored is not known, so it is sent again under its id.
                    client.close()
                    client = httpx.Client(trust_env=False, timeout=30)
                    time.sleep(0.1)
                    continue
                with self._lock:
                    self.answers[number] = answer.status_code
                break
        client.close()


def hooks_of(place: Installation) -> list[HookRecord]:
    """Webhooks with a live scenario each, which know a delivery that comes again."""
    hooks: list[HookRecord] = []
    start = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
    for number in range(HOOKS):
        scenario = place.scenario(start, call(2, "/e/{{1.n}}", "POST"))
        store = place.service.runner.hooks
        hook = store.add(HookRecord("", "custom", f"h{number}", options={"dedupe": "{{headers.x-delivery}}"}))
        store.bind(hook.id, scenario)
        place.service.schedules.activate(scenario, schedule={"type": "immediately"})
        hooks.append(store.get(hook.id))
    return hooks


def test_each_event_that_was_taken_runs_once(tmp_path: Path) -> None:
    import random

    port = free_port()
    settings = {
        "SCENARIST_GATEWAY_PORT": str(port), "SCENARIST_HOOK_RATE": str(max(EVENTS // 8, 50)),
        "SCENARIST_HOOK_QUEUE_MAX": str(max(EVENTS // 6, 60)),
    }  # fmt: skip
    api = Sample(random.Random(1))
    try:
        with installation(tmp_path, api.port, **settings) as place:
            hooks = hooks_of(place)
            senders = Senders([f"http://127.0.0.1:{port}/hook/{hook.token}" for hook in hooks])
            with place.running("worker"), place.running("scheduler"):
                with place.running("gateway") as first:
                    until(lambda: _ready(port), "the gateway is ready")
                    senders.start()
                    until(lambda: len(senders.answers) >= EVENTS // 3, "a third is answered")
                    first.send_signal(signal.SIGKILL)
                    first.wait()
                with place.running("gateway") as second:
                    until(lambda: len(senders.answers) >= EVENTS * 2 // 3, "two thirds are answered")
                    before = resident(second.pid)
                    senders.join()
                    after = resident(second.pid)
                    events = place.service.runner.events
                    _calm(lambda: sum(len(events.list(hook.id, limit=100_000)) for hook in hooks))
    finally:
        api.close()
    taken = {number for number, status in senders.answers.items() if status == 200}
    refused = {number for number, status in senders.answers.items() if status != 200}
    assert taken | refused == set(range(EVENTS))
    assert {senders.answers[number] for number in refused} <= {429, 400, 503}
    ran = Counter({int(path.rpartition("/")[2]): count for (_, path), count in api.seen.items()})
    assert taken <= ran.keys()
    assert all(count == 1 for count in ran.values())
    # An event whose first answer was lost may have been stored, and its repetition refused.
    assert len(ran.keys() & refused) <= CONNECTIONS
    assert after - before < GROWTH, (before, after)


def _calm(left: Callable[[], int]) -> None:
    """Wait until nothing is left; it has to become less all the time."""
    known, since = left(), time.monotonic()
    while known:
        time.sleep(0.2)
        now = left()
        if now < known:
            known, since = now, time.monotonic()
        assert time.monotonic() - since < 60, f"{known} events are left"


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
