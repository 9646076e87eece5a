"""
The supervisor: starts the processes of this machine, starts a lost one again, and ends with them.

It has no part in the work. Beside its children it gives signs of life, answers `/metrics`, `/health` and `/ready`
where a port is set, and looks whether somebody asked it through the ledger to drain (`scenarist worker --drain`). The
children end with their parent, also when that is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

import redis
from redis.exceptions import RedisError

from runtime.errors import SettingsError
from runtime.logs import get_logger
from workers.ledger.counters import Installation
from workers.ledger.keys import Keys
from workers.ledger.schedule import Drains, Presence
from workers.metrics import Metrics
from workers.server import connect, reached
from workers.settings import Settings
from workers.status import Status, serving
from workers.stopping import Stop

Role: TypeAlias = Literal["worker", "scheduler", "gateway"]

#: A child that dies is started again after this pause, doubled each time up to the limit.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: A child that has lived for so long has its pause reset.
_STEADY_SECONDS = 60.0
#: How often the ledger is asked whether to drain, and how often a sign of life is given.
_LOOK = timedelta(seconds=1)
_BEAT = timedelta(seconds=5)
#: Time before a server that could not be used is tried again.
_AGAIN = timedelta(seconds=5)

log = get_logger(__name__)


@dataclass(slots=True)
class Child:
    """One process of ours, and when to start it again."""

    role: Role
    threads: int
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0

    def start(self) -> None:
        """Start the process."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  our own programs, no shell
            [sys.executable, "-P", "-m", "workers.processes", self.role, str(self.threads), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            env=self.environment,
            # Its own session: an interrupt from the terminal reaches the supervisor alone, which drains its children.
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Watch:
    """The supervisor's eye on the ledger, in a thread of its own: a server that is gone must not stop the children."""

    settings: Settings
    #: Set when somebody asked for a drain.
    drain: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)
    #: Set when the workers are gone: no more signs of life.
    drained: threading.Event = field(default_factory=threading.Event)
    client: redis.Redis | None = None

    @contextmanager
    def running(self) -> Generator[None]:
        """Watch while the block runs."""
        thread = threading.Thread(target=self._work, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.end.set()
            thread.join()

    def installation(self) -> Installation:
        """
        What the metrics are read from.

        Raises:
            RedisError: The server has not been reached yet.
        """
        if self.client is None:
            raise redis.ConnectionError("the server has not been reached yet")
        return Installation(self.client, Keys(self.settings.prefix))

    def _work(self) -> None:
        while not self.end.is_set():
            try:
                with connect(self.settings) as server:
                    self.client = server.client
                    try:
                        self._look_at(server.client)
                    finally:
                        self.client = None
            except SettingsError as error:
                log.warning("server not reached", reason=error.message)
                self.end.wait(_AGAIN.total_seconds())

    def _look_at(self, client: redis.Redis) -> None:
        keys = Keys(self.settings.prefix)
        presence, drains = Presence(client, keys, "supervisor"), Drains(client, keys)
        with suppress(RedisError):
            drains.forget(presence.name)
        beaten = 0.0
        while not self.end.is_set():
            try:
                if self.drained.is_set():
                    drains.forget(presence.name)
                    presence.leave()
                    self.end.wait()
                    return
                if time.monotonic() - beaten >= _BEAT.total_seconds():
                    presence.beat()
                    beaten = time.monotonic()
                if drains.asked(presence.name):
                    self.drain.set()
            except RedisError:
                log.debug("ledger not reached")
            # A drain that is over should be seen at once by the command that waits for it.
            (self.drained if self.drain.is_set() else self.end).wait(_LOOK.total_seconds())
        with suppress(RedisError):
            presence.leave()


@dataclass(slots=True)
class Supervisor:
    """Keeps children running until a signal or a drain."""

    settings: Settings
    children: Sequence[Child]
    stop: Stop = field(default_factory=Stop)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.settings)

    def run(self) -> int:
        """
        Start the children and keep them running until a signal, or until a drain leaves none; gives the exit code.

        Raises:
            SettingsError: The metrics' port is taken.
        """
        self.stop.listen()
        role = "up" if any(each.role != "worker" for each in self.children) else "worker"
        metrics = Metrics(self.watch.installation, role, self.settings.metrics_token or "")
        with serving(self.settings, Status(metrics, self.trouble)), self.watch.running():
            for each in self.children:
                each.start()
            log.info("processes started", children=len(self.children))
            self._look_after_all()
            # Started before the signal, so all of them are ours to end.
            for each in self.children:
                if each.process is not None:
                    each.process.terminate()
            for each in self.children:
                if each.process is not None:
                    self._wait(each.process)
            self.watch.drained.set()
        log.info("processes ended")
        return 0

    def trouble(self) -> str:
        """Why this machine takes no work now; empty when it does."""
        if self.watch.client is None or not reached(self.watch.client):
            return "no server"
        if self.watch.drain.is_set():
            return "draining"
        if not any(each.alive for each in self.children if each.role == "worker"):
            return "no worker"
        return "" if Presence(self.watch.client, Keys(self.settings.prefix)).here() else "workers start"

    def _look_after_all(self) -> None:
        draining = False
        while not self.stop.wait(0.2):
            if self.watch.drain.is_set() and not draining:
                draining = True
                log.info("drain asked for")
                for each in self.children:
                    if each.role == "worker" and each.process is not None:
                        each.process.terminate()
            for each in self.children:
                if not draining or each.role != "worker":
                    self._look_after(each)
            if draining and not self.watch.drained.is_set():
                if any(each.alive for each in self.children if each.role == "worker"):
                    continue
                log.info("workers drained")
                self.watch.drained.set()
            if draining and all(each.role == "worker" for each in self.children):
                return

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(0.2)
                return
            except subprocess.TimeoutExpired:
                # A second signal means: now. Leases and the scheduler see to what was running.
                if self.stop.count > 1:
                    process.kill()

    def _look_after(self, each: Child) -> None:
        now = time.monotonic()
        if each.process is None:
            if now >= each.due:
                each.start()
            return
        status = each.process.poll()
        if status is None:
            return
        each.pause = _FIRST_PAUSE if now - each.started > _STEADY_SECONDS else min(each.pause * 2, _LONGEST_PAUSE)
        each.due = now + each.pause
        each.process = None
        log.error("process ended unexpectedly", role=each.role, status=status, again_in_seconds=each.pause)
