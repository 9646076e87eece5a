"""
The processes of an installation: `worker` (one Celery process a core), `scheduler`, `gateway`, and `up` (all of them on
this machine).

Workers run below a supervisor (workers/supervisor.py). Settings travel in the environment only; nothing secret is an
argument.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import cast

from runtime import tracing
from runtime.errors import ScenaristError
from runtime.logs import configure_logging, get_logger
from runtime.sanitize import Secrets
from runtime.tracing import closing_traces
from workers.ledger.counters import Counts, Installation
from workers.ledger.keys import Keys
from workers.ledger.retention import Retention
from workers.ledger.schedule import Presence, Schedule
from workers.ledger.schedules import Schedules
from workers.metrics import Metrics
from workers.scheduler import LEADER_LEASE, LOST_AFTER, Scheduler
from workers.server import Server, connect, reached
from workers.settings import Settings, load_settings
from workers.status import Status, serving
from workers.stopping import Stop
from workers.supervisor import Child, Role, Supervisor

#: Threads of one worker process: runs mostly wait for answers of services.
DEFAULT_THREADS = 8
_PR_SET_PDEATHSIG = 1

log = get_logger(__name__)


def run_worker(settings: Settings, *, processes: int | None = None, threads: int = DEFAULT_THREADS) -> int:
    """`scenarist worker`: Celery processes until SIGTERM or SIGINT; gives the exit code. Default: one a core."""
    _configure(settings)
    return Supervisor(settings, _workers(settings, processes, threads)).run()


def run_scheduler(settings: Settings) -> int:
    """`scenarist scheduler`: the scheduler until SIGTERM or SIGINT; gives the exit code."""
    return child("scheduler", 0, settings)


def run_gateway(settings: Settings) -> int:
    """`scenarist gateway`: the gateway until SIGTERM or SIGINT; gives the exit code."""
    return child("gateway", 0, settings)


def run_up(
    settings: Settings,
    *,
    processes: int | None = None,
    threads: int = DEFAULT_THREADS,
    started: Callable[[], None] | None = None,
) -> int:
    """
    `scenarist up`: workers, scheduler and gateway on this machine until SIGTERM or SIGINT; gives the exit code.
    `started` is called when nothing is in the way any more.

    Raises:
        SettingsError: The port of the gateway or of the metrics is taken.
    """
    from workers.gateway.serving import require_port

    _configure(settings)
    # Said once and now, instead of again and again by a child that cannot start.
    require_port(settings)
    if started is not None:
        started()
    apart = [Child(role, 0, _environment(settings)) for role in ("scheduler", "gateway")]
    return Supervisor(settings, [*_workers(settings, processes, threads), *apart]).run()


def check_worker(settings: Settings) -> bool:
    """True when a worker process of this machine has given a sign of life lately."""
    with connect(settings) as server:
        return Presence(server.client, Keys(settings.prefix)).here()


def check_scheduler(settings: Settings) -> bool:
    """True when some scheduler process leads."""
    with connect(settings) as server:
        return bool(server.client.exists(Keys(settings.prefix).leader))


def _workers(settings: Settings, processes: int | None, threads: int) -> list[Child]:
    return [Child("worker", threads, _environment(settings)) for _ in range(processes or os.cpu_count() or 1)]


def _environment(settings: Settings) -> dict[str, str]:
    """The environment of children: ours, with what the command line has decided."""
    return {**os.environ, "SCENARIST_HOME": str(settings.home), "SCENARIST_LOG_FORMAT": settings.log_format}


def child(role: Role, threads: int, settings: Settings, *, supervised: bool = False) -> int:
    """
    Run one worker, scheduler or gateway in this process until SIGTERM or SIGINT; gives the exit code. A supervised one
    leaves the metrics' port to its supervisor.
    """
    secrets = _configure(settings)
    tracing.start(settings.option("tracing", ""), role)
    with connect(settings) as server, closing_traces():
        for warning in server.warnings:
            log.warning("server is not safe for production", reason=warning)
        if role == "worker":
            from workers.tasks import run_celery

            return run_celery(settings, server, secrets, threads=threads)
        if role == "gateway":
            from workers.gateway.serving import run_gateway_here

            return run_gateway_here(settings, server, secrets, supervised=supervised)
        return _schedule(settings, server, secrets, supervised=supervised)


def _schedule(settings: Settings, server: Server, secrets: Secrets, *, supervised: bool) -> int:
    from workers.callbacks import Callbacks
    from workers.celery_app import make_app, send, waiting
    from workers.dispatching import dispatcher_of
    from workers.due import DueRuns
    from workers.notifying import Notifier, notify_url
    from workers.retries import Retries
    from workers.runner import SegmentRunner

    stop = Stop()
    stop.listen()
    app = make_app(settings, server)
    with SegmentRunner.open(settings, server, secrets) as runner:
        runner.ready()
        url = notify_url(settings)
        keys = runner.runs.keys
        retries = Retries(runner.incompletes, runner.runs, lambda run, fence: send(app, settings, run, fence))
        retention = Retention(server.client, keys, keep=settings.keep, keep_bytes=settings.keep_bytes)
        due = DueRuns(runner, Schedules(server.client, keys), retries.send)
        dispatcher = dispatcher_of(runner, retries.send)
        scheduler = Scheduler(
            Schedule(server.client, keys),
            retries.send,
            # A broker that is not there counts as one with many messages: nothing that could be sent would arrive.
            lambda: count if (count := waiting(app, settings, server)) is not None else 1,
            settings.duration("lost_after_seconds", LOST_AFTER),
            (
                due.start_due,
                retries.start_due,
                dispatcher.dispatch_all,
                retention.step,
                runner.events.expire,
            ),
            (due.detach_finished, Callbacks(runner).step, Notifier(runner, url).step),
            settings.duration("leader_lease_seconds", LEADER_LEASE),
        )
        status = Status(
            Metrics(lambda: Installation(server.client, keys), "scheduler", settings.metrics_token or ""),
            lambda: "" if reached(server.client) else "no server",
        )
        with ExitStack() as stack:
            if not supervised:
                stack.enter_context(serving(settings, status))
            presence = Presence(server.client, keys, "scheduler")
            stack.enter_context(Counts(server.client, keys).running(presence))
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
        return child(cast("Role", role), int(threads), load_settings(), supervised=True)
    except ScenaristError as error:
        log.error("process could not start", reason=error.message)
        return 2


if __name__ == "__main__":
    sys.exit(main())
