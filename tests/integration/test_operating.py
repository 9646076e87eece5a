"""Operating real processes: metrics, health, drain through the ledger, ports that are taken."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.spine import SCENARIST
from tests.worker_kit import PATIENCE, Installation, Peer, call, installation, peer, until
from workers.ledger.schedule import Drains, Presence

TOKEN = "metrics-token-4f1b8c"


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def fetch(port: int, path: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def values(text: str) -> dict[tuple[str, ...], float]:
    """Samples of an exposition by name and values of labels."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def command(place: Installation, *arguments: str) -> tuple[int, Any]:
    """A command with `--json`: exit code and what it printed."""
    done = subprocess.run(
        [str(SCENARIST), *arguments, "--json"], env=place.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout or done.stderr)


def test_metrics_of_a_run(tmp_path: Path, api: Peer) -> None:
    """What one run did shows at the supervisor and at the gateway, with the same numbers."""
    apart, gateway = free_port(), free_port()
    names = {"SCENARIST_METRICS_PORT": str(apart), "SCENARIST_GATEWAY_PORT": str(gateway)}
    with installation(tmp_path, api.port, SCENARIST_METRICS_TOKEN=TOKEN, **names) as place, place.running("up"):
        until(lambda: fetch(apart, "/ready")[0] == 200, "the workers are ready")
        assert fetch(apart, "/health")[0] == 200
        scenario = place.scenario(call(1, "a"), call(2, "b", "POST"))
        assert place.service.runs.wait(place.service.runs.enqueue(scenario).id).status == "success"
        api.broken["/c"] = 500
        place.service.runs.wait(place.service.runs.enqueue(place.scenario(call(1, "c"))).id)

        def seen() -> dict[tuple[str, ...], float] | None:
            found = values(fetch(apart, "/metrics", TOKEN)[1])
            return found if found.get(("scenarist_requests_total", "5xx")) else None

        found = until(seen, "the worker's counters are in the ledger")
        text = fetch(apart, "/metrics", TOKEN)[1]
        assert fetch(gateway, "/metrics", TOKEN)[0] == 404

    assert found["scenarist_requests_total", "2xx"] == 2
    assert found["scenarist_operations_total", "success"] == 2
    assert found["scenarist_operations_total", "error"] == 1
    assert found["scenarist_runs_ended_total", "success"] == 1
    assert found["scenarist_runs_ended_total", "error"] == 1
    assert found["scenarist_runs", "running"] == 0
    assert found["scenarist_workers",] == 1
    assert found["scenarist_scheduler_leading",] == 1
    assert found["scenarist_lease_losses_total",] == 0
    # Neither ids nor names nor secrets.
    assert scenario not in text
    assert TOKEN not in text


def test_metrics_of_the_gateway(tmp_path: Path) -> None:
    """Without a port of their own the metrics are at the gateway, at this very path, behind the token."""
    port = free_port()
    names = {"SCENARIST_METRICS_TOKEN": TOKEN, "SCENARIST_GATEWAY_PORT": str(port)}
    with installation(tmp_path, 9, **names) as place, place.running("up"):
        until(lambda: fetch(port, "/ready")[0] == 200, "the gateway is ready")
        assert fetch(port, "/metrics")[0] == 401
        assert fetch(port, "/metrics", TOKEN + "x")[0] == 401
        status, text = fetch(port, "/metrics", TOKEN)
        assert fetch(port, "/nothing")[0] == 404
        lag = ("scenarist_process_loop_lag_seconds_count",)
        until(lambda: values(fetch(port, "/metrics", TOKEN)[1]).get(lag), "the loop is measured")

    assert status == 200
    assert ("scenarist_process_info", "gateway", "0.1.0") in values(text)


def test_metrics_without_the_server(tmp_path: Path) -> None:
    """A server that is gone is said, not hidden: no old numbers, and not ready."""
    port = free_port()
    names = {"SCENARIST_METRICS_PORT": str(port), "SCENARIST_REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    code = "from workers.processes import *; import sys; sys.exit(run_worker(load_settings(), processes=1))"
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env={"PATH": "/usr/bin:/bin", "SCENARIST_HOME": str(home), **names}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            until(lambda: fetch(port, "/health")[0] == 200, "the supervisor answers")
            assert fetch(port, "/ready") == (503, '{"status": "no server"}')
            assert values(fetch(port, "/metrics")[1])["scenarist_up",] == 0
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()


def test_drain_hands_runs_back(tmp_path: Path, api: Peer) -> None:
    """`worker --drain`: the running step ends, the workers leave, and another worker takes the run to its end."""
    with installation(tmp_path, api.port) as place, place.running("scheduler"):
        drains = Drains(place.service.server.client, place.keys)
        with place.running("worker") as first:
            header = place.service.runs.enqueue(place.scenario(call(1, "hold", "POST"), call(2, "b", "POST")))
            until(lambda: api.count("/hold"), "the first step runs")
            asking = subprocess.Popen(
                [str(SCENARIST), "worker", "--drain", "--json"],
                env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            supervisor = f"supervisor:{socket.gethostname()}:{first.pid}"
            until(lambda: drains.asked(supervisor), "the supervisor is asked")
            # A step that runs is not cut, however long it takes.
            assert asking.poll() is None
            assert first.poll() is None
            with place.running("worker"):
                api.release.set()
                report = place.service.runs.wait(header.id)
                out, errors = asking.communicate(timeout=PATIENCE)
                assert first.wait(PATIENCE) == 0

    assert asking.returncode == 0, errors
    assert json.loads(out) == {"asked": [supervisor.partition(":")[2]], "left": []}
    assert report.status == "success"
    assert api.seen == [("POST", "/hold"), ("POST", "/b")]


def test_sigterm_hands_runs_back(tmp_path: Path, api: Peer) -> None:
    """SIGTERM does the same: both requests once, on two workers."""
    with installation(tmp_path, api.port) as place, place.running("scheduler"):
        with place.running("worker") as first:
            header = place.service.runs.enqueue(place.scenario(call(1, "hold", "POST"), call(2, "b", "POST")))
            until(lambda: api.count("/hold"), "the first step runs")
            first.send_signal(signal.SIGTERM)
            api.release.set()
            assert first.wait(PATIENCE) == 0
        with place.running("worker"):
            report = place.service.runs.wait(header.id)

    assert report.status == "success"
    assert api.seen == [("POST", "/hold"), ("POST", "/b")]


def test_drain_of_up_leaves_gateway_and_scheduler(tmp_path: Path) -> None:
    """What takes events goes on; only the workers leave."""
    port = free_port()
    with installation(tmp_path, 9, SCENARIST_GATEWAY_PORT=str(port)) as place:
        client = place.service.server.client

        def roles() -> list[str]:
            return [process.role for process in Presence(client, place.keys).seen()]

        with place.running("up") as running:
            until(lambda: set(roles()) == {"gateway", "scheduler", "supervisor", "worker"}, "all are there")
            code, printed = command(place, "worker", "--drain")
            assert (code, printed["left"]) == (0, [])
            assert set(roles()) == {"gateway", "scheduler"}
            assert fetch(port, "/health")[0] == 200
            assert running.poll() is None

    with installation(tmp_path / "second", 9) as place:
        assert command(place, "worker", "--drain") == (0, {"asked": [], "left": []})


def test_drain_with_a_step_that_does_not_end(tmp_path: Path, api: Peer) -> None:
    """With `--timeout` the command says that somebody is still at work; the drain goes on."""
    with installation(tmp_path, api.port) as place:
        with place.running("worker"):
            header = place.service.runs.enqueue(place.scenario(call(1, "hold", "POST")))
            until(lambda: api.count("/hold"), "the step runs")
            code, printed = command(place, "worker", "--drain", "--timeout", "0.1")
            api.release.set()
        assert place.service.runs.wait(header.id).status == "success"

    assert code == 1
    assert printed["left"] == printed["asked"] != []
    assert api.seen == [("POST", "/hold")]


@pytest.mark.parametrize("name", ["SCENARIST_GATEWAY_PORT", "SCENARIST_METRICS_PORT"])
def test_up_with_a_taken_port(tmp_path: Path, name: str) -> None:
    """A port that somebody has is said once, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken, installation(tmp_path, 9) as place:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [str(SCENARIST), "up"], env=place.environment | {name: port}, capture_output=True, text=True,
            timeout=PATIENCE,
        )  # fmt: skip

    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Give another port" in done.stderr


def test_up_says_where_things_are(tmp_path: Path) -> None:
    """The first lines of `up`, for people and for programs."""
    port = free_port()
    with installation(tmp_path, 9, SCENARIST_GATEWAY_PORT=str(port)) as place:
        process = subprocess.Popen(
            [str(SCENARIST), "up", "--processes", "1", "--json"],
            env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until(lambda: fetch(port, "/ready")[0] == 200, "the gateway is ready")
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=PATIENCE)

    assert json.loads(out) == {
        "data": str(place.home), "server": "embedded", "gateway": f"http://127.0.0.1:{port}", "public": None,
        "metrics": f"http://127.0.0.1:{port}/metrics",
    }  # fmt: skip
