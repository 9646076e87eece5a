"""RabbitMQ as the broker of the messages: a real one, where it is installed (`make rabbitmq`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.spine import SCENARIST
from tests.worker_kit import PATIENCE, call, installation, peer, until
from workers.celery_app import make_app, waiting
from workers.doctor import examine

#: The program itself; the one on the path of a Debian machine changes the user first.
PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("SCENARIST_TEST_RABBITMQ"), reason="make rabbitmq runs it"),
    pytest.mark.timeout(300),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@dataclass
class Rabbit:
    """A broker on loopback with a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    names: int = field(default_factory=free_port)
    nodes: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"scenarist{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.nodes),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"), "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self.names),
        }  # fmt: skip

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [PROGRAM],
                env=self.environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        until(self.answers, "the broker is there")

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as made:
            made.sendall(b"AMQP\0\0\x09\x01")
            return bool(made.recv(8))
        return False

    def stop(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def end(self) -> None:
        self.stop()
        # The name server of the nodes is a process of its own.
        subprocess.run(
            ["epmd", "-port", str(self.names), "-kill"], env=self.environment, capture_output=True, timeout=30
        )


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[Rabbit]:
    """A broker that runs."""
    if not Path(PROGRAM).exists():
        pytest.fail("rabbitmq-server is not installed: apt-get install rabbitmq-server")
    made = Rabbit(tmp_path / "rabbit")
    try:
        made.start()
        yield made
    finally:
        made.end()
        shutil.rmtree(made.folder, ignore_errors=True)


def test_runs_travel_by_rabbitmq(tmp_path: Path, rabbit: Rabbit) -> None:
    """Runs are done; a worker that is killed and a broker that is gone for a while lose none of them."""
    with peer() as api, installation(tmp_path, api.port, SCENARIST_BROKER_URL=rabbit.url) as place:
        scenario = place.scenario(call(1, "a", "POST"))
        service = place.service
        app = make_app(place.settings, service.server)
        assert waiting(app, place.settings, service.server) == 0
        queued = [service.runs.enqueue(scenario) for _ in range(5)]
        assert waiting(app, place.settings, service.server) == 5
        assert service.server.client.llen(f"{place.settings.prefix}:queue") == 0
        with place.running("up"):
            assert {service.runs.wait(run.id).status for run in queued} == {"success"}

            held = service.runs.enqueue(place.scenario(call(2, "hold"), call(3, "c", "POST")))
            until(lambda: api.count("/hold"), "the request arrives")
            rabbit.stop()
            (problem,) = [each for each in examine(place.environment) if each.check == "broker"]
            assert problem.level == "error"
            # Accepted without its message: the scheduler sends it later.
            late = service.runs.enqueue(scenario)
            api.release.set()
            assert service.runs.wait(held.id).status == "success"
            rabbit.start()
            assert service.runs.wait(late.id).status == "success"

            api.release.clear()
            held = service.runs.enqueue(place.scenario(call(2, "hold"), call(3, "d", "POST")))
            until(lambda: api.count("/hold") == 2, "the request arrives")
            (worker,) = place.worker_pids()
            os.kill(worker, signal.SIGKILL)
            api.release.set()
            assert service.runs.wait(held.id).status == "success"

    assert api.count("/a") == 6
    assert api.count("/c") == api.count("/d") == 1


def test_workers_of_rabbitmq_drain(tmp_path: Path, rabbit: Rabbit) -> None:
    """Drain works the same: it goes through the ledger."""
    with (
        peer() as api,
        installation(tmp_path, api.port, SCENARIST_BROKER_URL=rabbit.url) as place,
        place.running("worker") as worker,
    ):
        run = place.service.runs.enqueue(place.scenario(call(1, "a", "POST")))
        assert place.service.runs.wait(run.id).status == "success"
        done = subprocess.run(
            [str(SCENARIST), "worker", "--drain", "--json"], env=place.environment, capture_output=True,
            timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert worker.wait(PATIENCE) == 0
