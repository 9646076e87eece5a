"""The embedded server: one a data folder, shared by its users, gone with the last of them, data kept."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from runtime.errors import SettingsError
from tests.ledger_kit import server_in, settings_in
from tests.worker_kit import alive, until
from workers.embedded import MAX_SOCKET_PATH, socket_path
from workers.server import broker_url, connect

USER = """
import sys
from workers.server import connect
from workers.settings import load_settings
with connect(load_settings({"SCENARIST_HOME": sys.argv[1]})) as server:
    print(server.client.info("server")["process_id"], flush=True)
    sys.stdin.read()
"""


@contextmanager
def user(home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that uses the server of this folder; gives it and the server's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def server_pid(client: redis.Redis) -> int:
    """The server's process."""
    return client.info("server")["process_id"]


def test_users_at_the_same_time_share_one_server(tmp_path: Path) -> None:
    """Commands that start at once find the same server."""
    with ThreadPoolExecutor(4) as pool:

        def use(_number: int) -> int:
            with server_in(tmp_path / "home") as server:
                server.client.incr("users")
                return server_pid(server.client)

        with server_in(tmp_path / "home") as server:
            pids = set(pool.map(use, range(8)))

            assert pids == {server_pid(server.client)}
            assert server.client.get("users") == b"8"


def test_cold_start_of_many_makes_one_server(tmp_path: Path) -> None:
    """Of processes that all find no server, one starts it."""
    with user(tmp_path) as (_, first), user(tmp_path) as (_, second), user(tmp_path) as (_, third):
        assert first == second == third


def test_last_user_stops_it(tmp_path: Path) -> None:
    """The server stays while anybody uses it and is gone after the last one."""
    with user(tmp_path) as (_, pid):
        with server_in(tmp_path):
            pass
        assert alive(pid)

    until(lambda: not alive(pid), "the server is gone")
    assert not (tmp_path / "server/valkey.sock").exists()


def test_killed_users_count_as_gone(tmp_path: Path) -> None:
    """A user that is killed with -9 does not keep the server alive."""
    with user(tmp_path) as (process, pid):
        process.send_signal(signal.SIGKILL)
        process.wait()

        until(lambda: not alive(pid), "the server is gone")


def test_data_survive(tmp_path: Path) -> None:
    """What was written is there after an orderly end, and after a kill of the server in the middle."""
    with server_in(tmp_path) as server:
        server.client.set("a", 1)
    with server_in(tmp_path) as server:
        assert server.client.get("a") == b"1"
        server.client.set("b", 2)
        pid = server_pid(server.client)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), "the server is gone")

        assert server.client.get("b") == b"2"
        assert server_pid(server.client) != pid


def test_killed_keeper_takes_its_server_along_and_is_replaced(tmp_path: Path) -> None:
    """Nobody is left over when the keeper is killed; the next request of a user starts both again."""
    with server_in(tmp_path) as server:
        server.client.set("a", 1)
        pid = server_pid(server.client)
        keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        until(lambda: not alive(pid), "the server is gone")

        assert server.client.get("a") == b"1"


def test_nobody_else_gets_in(tmp_path: Path) -> None:
    """No TCP port, a password, a private folder, and no secret in any argument."""
    with server_in(tmp_path) as server:
        pid = server_pid(server.client)
        config = tmp_path / "server/valkey.conf"
        password = server.broker_url.partition(":@")[0] and server.broker_url.split("@")[0].rpartition(":")[2]
        arguments = b""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # others end meanwhile
                arguments += path.read_bytes()

        assert server.client.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "server").stat().st_mode) == 0o700
        assert len(password) == 64
        assert password.encode() not in arguments
        assert password not in repr(server)
        stranger = redis.Redis(unix_socket_path=str(tmp_path / "server/valkey.sock"))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        assert alive(pid)


def test_every_write_is_synced_by_default(tmp_path: Path) -> None:
    """Accepted means on disk; the weaker setting is a choice, and the stronger one wins on a shared server."""
    with connect(settings_in(tmp_path, SCENARIST_FSYNC="everysec")) as server:
        assert server.client.config_get("appendfsync") == {"appendfsync": "everysec"}
        with server_in(tmp_path):
            assert server.client.config_get("appendfsync") == {"appendfsync": "always"}
        assert server.client.config_get("appendonly") == {"appendonly": "yes"}


def test_long_data_folder_has_a_short_socket(tmp_path: Path) -> None:
    """A path that no socket can have is replaced by one in a private run directory."""
    home = tmp_path / ("long-" * 25)

    with server_in(home) as server:
        assert server.client.ping()
        path = socket_path(home / "server")

    assert len(path) <= MAX_SOCKET_PATH
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700


def test_program_that_cannot_start_is_explained(tmp_path: Path) -> None:
    """The error says what failed and which setting helps."""
    broken = tmp_path / "server"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)

    with (
        pytest.raises(SettingsError, match=r"ended with status 3.*SCENARIST_REDIS_URL"),
        connect(settings_in(tmp_path / "home", SCENARIST_SERVER_BINARY=str(broken))),
    ):
        pass


def test_server_of_ones_own(tmp_path: Path) -> None:
    """A given address is used as it is; a server that may lose or evict keys is warned about."""
    with server_in(tmp_path) as embedded:
        socket = tmp_path / "server/valkey.sock"
        password = embedded.broker_url.split("@")[0].rpartition(":")[2]
        url = f"unix://:{password}@{socket}?db=0"
        embedded.client.config_set("maxmemory", "100mb")
        embedded.client.config_set("maxmemory-policy", "allkeys-lru")
        embedded.client.config_set("appendonly", "no")

        with connect(settings_in(tmp_path, SCENARIST_REDIS_URL=url)) as own:
            assert not own.embedded
            assert own.broker_url == f"redis+socket://:{password}@{socket}?virtual_host=0"
            assert len(own.warnings) == 2


def test_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """The error names the setting and shows no password."""
    settings = settings_in(tmp_path, SCENARIST_REDIS_URL=f"unix://:hunter22@{tmp_path}/none.sock")

    with pytest.raises(SettingsError, match="SCENARIST_REDIS_URL") as caught, connect(settings):
        pass

    assert "hunter22" not in str(caught.value)


def test_data_of_another_format_are_left_alone(tmp_path: Path) -> None:
    """A server with another key layout under the prefix is refused, with what to do."""
    with server_in(tmp_path) as server:
        server.client.set("scenarist:format", 99)

        with pytest.raises(SettingsError, match="format 99"), server_in(tmp_path):
            pass


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://u:p@host:1/2", "redis://u:p@host:1/2"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0"),
        ("unix://u:p@/run/r.sock?db=3", "redis+socket://u:p@/run/r.sock?virtual_host=3"),
    ],
)
def test_broker_address(given: str, expected: str) -> None:
    """Celery writes the address of a Unix socket in its own way."""
    assert broker_url(given) == expected
