"""
The processes of an installation: `worker` (one Celery process a core), `scheduler`, and `up` (both on this machine).

A supervisor starts its children, starts a lost one again, and ends with them. The children end with their parent, also
when that is killed. Settings travel in the environment only; nothing secret is an argument.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal, TypeAlias, cast

from runtime.errors import ScenaristError
from runtime.logs import configure_logging, get_logger
from runtime.sanitize import Secrets
from workers.ledger.keys import Keys
from workers.ledger.retention import Retention
from workers.ledger.schedule import Presence, Schedule
from workers.scheduler import LOST_AFTER, Scheduler
from workers.server import Server, connect
from workers.settings import Settings, load_settings

Role: TypeAlias = Literal["worker", "scheduler", "gateway"]

#: Threads of one worker process: runs mostly wait for answers of services.
DEFAULT_THREADS = 8
#: A child that dies is started again after this pause, doubled each time up to the limit.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: A child that has lived for so long has its pause reset.
_STEADY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1

log = get_logger(__name__)


def run_worker(settings: Settings, *, processes: int | None = None, threads: int = DEFAULT_THREADS) -> int:
    """`scenarist worker`: Celery processes until SIGTERM or SIGINT; gives the exit code. Default: one a core."""
    return _Supervisor(settings, _workers(settings, processes, threads)).run()


def run_scheduler(settings: Settings) -> int:
    """`scenarist scheduler`: the scheduler until SIGTERM or SIGINT; gives the exit code."""
    return child("scheduler", 0, settings)


def run_gateway(settings: Settings) -> int:
    """`scenarist gateway`: the gateway until SIGTERM or SIGINT; gives the exit code."""
    return child("gateway", 0, settings)


def run_up(settings: Settings, *, processes: int | None = None, threads: int = DEFAULT_THREADS) -> int:
    """
    `scenarist up`: workers, scheduler and, where a public address or its port is set, the gateway on this machine until
    SIGTERM or SIGINT; gives the exit code.
    """
    roles: list[Role] = ["scheduler"]
    if settings.public_url is not None or settings.options.get("gateway_port") is not None:
        roles.append("gateway")
    apart = [_Child(role, 0, _environment(settings)) for role in roles]
    return _Supervisor(settings, [*_workers(settings, processes, threads), *apart]).run()


def check_worker(settings: Settings) -> bool:
    """True when a worker process of this machine has given a sign of life lately."""
    with connect(settings) as server:
        return Presence(server.client, Keys(settings.prefix)).here()


def check_scheduler(settings: Settings) -> bool:
    """True when some scheduler process leads."""
    with connect(settings) as server:
        return bool(server.client.exists(Keys(settings.prefix).leader))


def _workers(settings: Settings, processes: int | None, threads: int) -> list[_Child]:
    return [_Child("worker", threads, _environment(settings)) for _ in range(processes or os.cpu_count() or 1)]


def _environment(settings: Settings) -> dict[str, str]:
    """The environment of children: ours, with what the command line has decided."""
    return {**os.environ, "SCENARIST_HOME": str(settings.home), "SCENARIST_LOG_FORMAT": settings.log_format}


@dataclass(slots=True)
class _Child:
    role: Role
    threads: int
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  our own programs, no shell
            [sys.executable, "-P", "-m", "workers.processes", self.role, str(self.threads), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            env=self.environment,
            # Its own session: an interrupt from the terminal reaches the supervisor alone, which drains its children.
            start_new_session=True,
        )


@dataclass(slots=True)
class _Supervisor:
    settings: Settings
    children: Sequence[_Child]
    stop: threading.Event = field(default_factory=threading.Event)
    signals: int = 0

    def run(self) -> int:
        """Start the children and keep them running until a signal; gives the exit code."""
        _configure(self.settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        for each in self.children:
            each.start()
        log.info("processes started", children=len(self.children))
        while not self.stop.wait(0.2):
            for each in self.children:
                self._look_after(each)
        # Started before the signal, so all of them are ours to end.
        for each in self.children:
            if each.process is not None:
                each.process.terminate()
        for each in self.children:
            if each.process is not None:
                self._wait(each.process)
        log.info("processes ended")
        return 0

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(0.2)
                return
            except subprocess.TimeoutExpired:
                # A second signal means: now. Leases and the scheduler see to what was running.
                if self.signals > 1:
                    process.kill()

    def _look_after(self, each: _Child) -> None:
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

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1
        self.stop.set()


def child(role: Role, threads: int, settings: Settings) -> int:
    """Run one worker, scheduler or gateway in this process until SIGTERM or SIGINT; gives the exit code."""
    secrets = _configure(settings)
    with connect(settings) as server:
        for warning in server.warnings:
            log.warning("server is not safe for production", reason=warning)
        if role == "worker":
            from workers.tasks import run_celery

            return run_celery(settings, server, secrets, threads=threads)
        if role == "gateway":
            from workers.gateway.serving import run_gateway_here

            return run_gateway_here(settings, server, secrets)
        return _schedule(settings, server, secrets)


def _schedule(settings: Settings, server: Server, secrets: Secrets) -> int:
    from workers.celery_app import make_app, queue_name, send
    from workers.dispatching import dispatcher_of
    from workers.retries import Retries
    from workers.runner import SegmentRunner

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    app = make_app(settings, server)
    with SegmentRunner.open(settings, server, secrets) as runner:
        keys = runner.runs.keys
        retries = Retries(runner.incompletes, runner.runs, lambda run, fence: send(app, settings, run, fence))
        retention = Retention(server.client, keys, keep=settings.keep, keep_bytes=settings.keep_bytes)
        dispatcher = dispatcher_of(runner, retries.send)
        scheduler = Scheduler(
            Schedule(server.client, keys),
            retries.send,
            lambda: server.client.llen(queue_name(settings)),
            settings.duration("lost_after_seconds", LOST_AFTER),
            (retries.start_due, dispatcher.dispatch_all, retention.step, runner.events.expire),
        )
        log.info("scheduler started")
        scheduler.run(stop)
        log.info("scheduler ended")
    return 0


def _configure(settings: Settings) -> Secrets:
    secrets = Secrets()
    form = settings.log_format if settings.log_format != "auto" else "console" if sys.stderr.isatty() else "json"
    configure_logging(form, settings.log_level, secrets, stream=sys.stderr, hooks=True)
    return secrets


def _end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM (drain) when the supervisor is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> int:
    """Entry point of a child: role, threads, id of the supervisor."""
    role, threads, parent = sys.argv[1:4]
    _end_with_parent(int(parent))
    try:
        return child(cast("Role", role), int(threads), load_settings())
    except ScenaristError as error:
        log.error("process could not start", reason=error.message)
        return 2


if __name__ == "__main__":
    sys.exit(main())
