"""Webhooks over HTTP, at a real gateway with real workers: answers, limits, odd requests (spec/scenarios.md 5.3)."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.test_hook_runs import RESPOND, START, Live
from tests.worker_kit import PATIENCE, call, installation, peer, until
from workers.ledger.hooks import HookRecord


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Gate(Live):
    """A live installation whose gateway runs on `port`."""

    port: int = 0

    def url(self, hook: HookRecord) -> str:
        return f"http://127.0.0.1:{self.port}/hook/{hook.token}"

    def send(self, hook: HookRecord, method: str = "POST", **more: Any) -> httpx.Response:
        return httpx.request(method, self.url(hook), trust_env=False, timeout=PATIENCE, **more)

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def queued(self, hook: HookRecord) -> list[Any]:
        return [self.runner.events.event(hook, row.id) for row in self.runner.events.list(hook.id)]

    def switch(self, hook: HookRecord, **fields: str) -> None:
        self.runner.runs.client.hset(self.place.keys.scenario(hook.scenario), mapping=fields)

    def raw(self, data: bytes, *, close: bool = True) -> bytes:
        """Send these bytes and read until the server closes; `close` ends our side first."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(data)
            if close:
                connection.shutdown(socket.SHUT_WR)
            got = b""
            while piece := connection.recv(65536):
                got += piece
            return got


@pytest.fixture
def environment() -> dict[str, str]:
    return {}


@pytest.fixture
def gate(tmp_path: Path, environment: dict[str, str]) -> Iterator[Gate]:
    port = free_port()
    settings = {"SCENARIST_GATEWAY_PORT": str(port), **environment}
    with peer() as service, installation(tmp_path, service.port, **settings) as place:
        made = Gate(place, service)
        made.port = port
        with place.running("gateway"):
            until(made.answers, "the gateway is ready")
            yield made


def test_an_event_is_answered_after_it_is_stored_and_runs(gate: Gate) -> None:
    hook = gate.scenario(START, call(2, "/n{{1.n}}", "POST"))
    answer = gate.send(hook, json={"n": 1})
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "Accepted", "text/plain")
    assert gate.queued(hook) == [{"n": 1}]
    assert gate.send(hook, "GET", params={"n": "2"}).status_code == 200
    assert gate.send(hook, data={"n": "3"}).status_code == 200
    with gate.place.running("worker"):
        until(lambda: gate.empty(hook), "all events are done with")
    assert gate.paths() == ["/n1", "/n2", "/n3"]


def test_who_is_not_listened_to(gate: Gate) -> None:
    hook = gate.scenario(START, call(2, "/n", "POST"))
    unknown = httpx.post(f"http://127.0.0.1:{gate.port}/hook/{hook.token[:-1]}x", trust_env=False)
    assert unknown.status_code == 404
    gate.switch(hook, active="0")
    gone = gate.send(hook, json={})
    assert (gone.status_code, gone.text) == (410, "There is no scenario listening for this webhook.")
    gate.switch(hook, stop_reason="3 runs in a row failed")
    assert gate.send(hook, json={"n": 1}).status_code == 200
    gate.switch(hook, active="1", mode="timed")
    assert gate.send(hook, json={"n": 2}).status_code == 200
    assert gate.queued(hook) == [{"n": 1}, {"n": 2}]
    gate.switch(hook, mode="on-demand")
    assert gate.send(hook, json={"n": 3}).status_code == 200
    assert gate.queued(hook) == [{"n": 1}, {"n": 2}]


def test_a_module_answers_the_caller_from_a_worker(gate: Gate) -> None:
    hook = gate.scenario(START, RESPOND, call(3, "/after", "POST"))
    with gate.place.running("worker"), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: gate.send(hook, json={"n": n}), range(4)))
    assert [(answer.status_code, answer.text, answer.headers["x-n"]) for answer in answers] == [
        (201, f"got {n}", str(n)) for n in range(4)
    ]


def test_a_run_by_hand_answers_too(gate: Gate) -> None:
    hook = gate.scenario(START, RESPOND)
    gate.switch(hook, active="0")
    gate.place.service.runs.enqueue(hook.scenario)
    with gate.place.running("worker"), gate.place.running("scheduler"):
        answer = gate.send(hook, json={"n": 3})
        assert (answer.status_code, answer.text) == (201, "got 3")
        assert gate.send(hook, json={"n": 4}).status_code == 410


def test_a_run_that_fails_or_does_not_answer(gate: Gate) -> None:
    parse = {"id": 2, "module": "json:ParseJSON", "version": 1, "parameters": {}, "mapper": {"json": "{{1.text}}"}}
    never = {**RESPOND, "filter": {"name": "no", "conditions": [[{"a": "1", "b": "2", "o": "text:equal"}]]}}
    hook = gate.scenario(START, parse, never)
    with gate.place.running("worker"):
        good, bad = gate.send(hook, json={"text": "{}"}), gate.send(hook, json={"text": "{"})
    assert (good.status_code, good.text) == (200, "Accepted")
    assert (bad.status_code, bad.text) == (500, "Scenario failed to complete.")


@pytest.mark.parametrize("environment", [{"SCENARIST_HOOK_WAIT_SECONDS": "0.2"}])
def test_nobody_waits_longer_than_the_limit(gate: Gate) -> None:
    hook = gate.scenario(START, RESPOND)
    assert gate.send(hook, json={"n": 1}).text == "Accepted"
    assert gate.queued(hook) == [{"n": 1}]


@pytest.mark.parametrize("environment", [{"SCENARIST_HOOK_QUEUE_MAX": "2", "SCENARIST_HOOK_RATE": "4"}])
def test_a_full_queue_and_too_many_requests(gate: Gate) -> None:
    hook = gate.scenario(START, call(2, "/n", "POST"))
    gate.switch(hook, mode="timed")
    answers = [gate.send(hook, json={"n": n}) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 400, 429]
    assert answers[2].text == "Queue is full."
    assert "retry-after" in answers[4].headers
    assert gate.queued(hook) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("environment", [{"SCENARIST_HOOK_BODY_BYTES": "1000", "SCENARIST_HOOK_BODY_SECONDS": "0.5"}])
def test_bodies_that_are_too_large_or_too_slow(gate: Gate) -> None:
    hook = gate.scenario(START, call(2, "/n", "POST"))
    gate.switch(hook, mode="timed")
    assert gate.send(hook, content=b"x" * 1001).status_code == 413
    assert gate.send(hook, content=iter([b"x" * 600, b"x" * 600])).status_code == 413
    head = f"POST /hook/{hook.token} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc".encode()
    assert gate.raw(head, close=False).startswith(b"HTTP/1.1 408 ")
    assert gate.queued(hook) == []


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 4abc\r\n\r\nabcd",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
        "X-Long: " + "a" * 100_000 + "\r\n\r\n",
        "Bad Header: x\r\n\r\n",
        "X: a\rb\r\n\r\n",
    ],
)
def test_odd_requests_store_nothing(gate: Gate, head: str) -> None:
    hook = gate.scenario(START, call(2, "/n", "POST"))
    gate.switch(hook, mode="timed")
    got = gate.raw(f"POST /hook/{hook.token} HTTP/1.1\r\nHost: h\r\n{head}".encode())
    assert got == b"" or got.startswith(b"HTTP/1.1 4"), got[:200]
    assert got.count(b"HTTP/1.1") <= 1
    assert gate.queued(hook) == []
    assert gate.answers()


def test_a_stop_cuts_no_request(tmp_path: Path) -> None:
    port = free_port()
    with peer() as service, installation(tmp_path, service.port, SCENARIST_GATEWAY_PORT=str(port)) as place:
        gate = Gate(place, service)
        gate.port = port
        held, slow = gate.scenario(START, RESPOND), gate.scenario(START, call(2, "/n", "POST"))
        got: dict[str, Any] = {}

        def hold() -> None:
            got["held"] = gate.send(held, json={"n": 1})

        with place.running("gateway") as process:
            until(gate.answers, "the gateway is ready")
            thread = threading.Thread(target=hold)
            thread.start()
            body = json.dumps({"n": 2}).encode()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                head = f"POST /hook/{slow.token} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body[:3])
                until(lambda: gate.queued(held), "the held event is stored")
                time.sleep(0.2)  # the slow request has begun; nothing can be asked about it from outside
                process.send_signal(signal.SIGTERM)
                thread.join(PATIENCE)
                connection.sendall(body[3:])
                answer = connection.recv(65536)
            process.wait(PATIENCE)
    assert got["held"].text == "Accepted"
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_log_names_the_hook_and_not_its_address(gate: Gate) -> None:
    hook = gate.scenario(START, call(2, "/n", "POST"))
    gate.send(hook, json={"n": 1})
    log = gate.place.logs[0]
    until(lambda: "/hook/*" in log.read_text(), "the request is logged")
    assert hook.id in log.read_text()
    assert hook.token not in log.read_text()
