"""
The keeper of an embedded server: a small process that holds the server as its child and stops it with the last user.

Every user of the server holds a shared lock on `users.lock`; the keeper waits for the exclusive lock. The kernel gives
a lock up when its process ends, however it ends, so the keeper gets it exactly when nobody uses the server any more.
The server itself holds `server.lock` (an inherited descriptor), so no second server starts on the folder before the
first one is really gone, even if the keeper was killed.

Runs as `python -m workers.keeper FOLDER SOCKET BINARY`, without a secret in its arguments, and imports only the
standard library. It prints one line, `ready` or `failed: reason`, and then is silent.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

CONFIG, USERS_LOCK, SERVER_LOCK, LOG = "valkey.conf", "users.lock", "server.lock", "server.log"
#: The most restarts of a server that keeps dying; then the keeper gives up, and the users see it.
MAX_RESTARTS = 5
#: Loading a large append-only file takes time; longer than this is a fault.
START_SECONDS = 300.0
#: A server that does not stop in this time is killed; its file is synced on every write anyway.
STOP_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1


class _Stop(Exception):  # noqa: N818  ends a wait, no fault
    """The keeper was told to stop."""


class _ServerEnded(Exception):  # noqa: N818  ends a wait, no fault
    """The server ended by itself."""


def read_password(folder: Path) -> str:
    """The password in the server's configuration file."""
    match = re.search(r'^requirepass "([0-9a-f]+)"$', (folder / CONFIG).read_text("utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError("its configuration file holds no password")
    return match[1]


def answers(path: str, password: str, *, timeout_seconds: float = 5.0) -> bool:
    """True when a server at this socket accepts the password and has loaded its data."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout_seconds)
        try:
            client.connect(path)
            client.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                part = client.recv(256)
                if not part:
                    return False
                answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, made with mode 0600 when missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _end_with_parent(keeper: int) -> None:
    """In the child, before the server starts: be killed when the keeper dies, so that nobody is left over."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)


def _start(folder: Path, path: str, binary: str, lock: int) -> subprocess.Popen[bytes]:
    Path(path).unlink(missing_ok=True)
    keeper = os.getpid()
    return subprocess.Popen(  # noqa: S603  our own programs, no shell
        [binary, str(folder / CONFIG)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        # The environment may hold secrets that a server has no use for.
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        pass_fds=(lock,),
        # The keeper has one thread, so running Python code between fork and exec is safe here.
        preexec_fn=lambda: _end_with_parent(keeper),
    )


def _wait_until_ready(server: subprocess.Popen[bytes], path: str, password: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    pause = 0.002
    while not answers(path, password):
        if server.poll() is not None:
            raise ValueError(f"it ended with status {server.returncode}")
        if time.monotonic() > deadline:
            server.kill()
            raise ValueError(f"it did not answer within {START_SECONDS:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def _lock_server(lock: int, path: str, password: str) -> bool:
    """Wait until no server of this folder is left, or until one answers (False)."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if answers(path, password):
                return False
            if time.monotonic() > deadline:
                raise ValueError("another server of this folder neither answers nor ends") from None
            time.sleep(0.01)


def _stop(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGTERM else signal.SIG_DFL)
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _last_log_line(folder: Path) -> str:
    try:
        lines = (folder / LOG).read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return f"; last line of {folder / LOG}: {lines[-1]}" if lines else ""


def _say(line: str) -> None:
    """Tell the starter, then give the pipe up so that it sees the end."""
    os.write(1, line.encode("utf-8", "replace") + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def keep(folder: Path, path: str, binary: str) -> None:
    """
    Run the server until its last user has left.

    Raises:
        ValueError: The server cannot be started; says why.
    """
    server: subprocess.Popen[bytes] | None = None
    users, lock = open_lock(folder / USERS_LOCK), open_lock(folder / SERVER_LOCK)
    password = read_password(folder)

    def child_ended(_number: int, _frame: FrameType | None) -> None:
        if server is not None and server.poll() is not None:
            raise _ServerEnded

    def told_to_stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Stop

    signal.signal(signal.SIGTERM, told_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _lock_server(lock, path, password):
        # Another keeper has started its server again meanwhile: that one is as good.
        _say("ready")
        return
    try:
        for attempt in range(MAX_RESTARTS + 1):
            server = _start(folder, path, binary, lock)
            _wait_until_ready(server, path, password)
            if attempt == 0:
                _say("ready")
            signal.signal(signal.SIGCHLD, child_ended)
            try:
                if server.poll() is None:
                    fcntl.flock(users, fcntl.LOCK_EX)
                    return
            except _ServerEnded:
                pass  # It was killed; its users are still there and reconnect, so it starts again.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    except _Stop:
        return
    finally:
        if server is not None:
            _stop(server)
            Path(path).unlink(missing_ok=True)


def main() -> int:
    """Entry point of the process."""
    os.umask(0o077)
    folder, path, binary = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    # The keeper outlives its starter by design: a child of nobody leaves no zombie behind.
    if os.fork():
        os._exit(0)
    try:
        keep(folder, path, binary)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _say(f"failed: {reason}{_last_log_line(folder)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
