"""One worker process: Celery's consumer with a pool of threads, each of which runs segments of runs."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from typing import Any, cast

import celery.apps.worker
from celery.exceptions import SecurityWarning
from celery.signals import worker_shutting_down

from runtime.iml.javascript import function_host
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from workers.celery_app import make_app, queue_name, send
from workers.dispatching import dispatcher_of
from workers.leases import Leases
from workers.ledger.counters import Counts
from workers.ledger.schedule import Presence
from workers.runner import SegmentRunner
from workers.server import Server
from workers.settings import Settings

#: Exit code of a process that a step would not let go.
HOPELESS = 70

log = get_logger(__name__)


def run_celery(settings: Settings, server: Server, secrets: Secrets, *, threads: int) -> int:
    """
    Take messages until SIGTERM or SIGINT, then finish the running steps, hand their runs back and give the exit code.
    """
    with (
        SegmentRunner.open(settings, server, secrets) as runner,
        Leases(runner.runs, Presence(server.client, runner.runs.keys)) as leases,
        Counts(server.client, runner.runs.keys).running(),
    ):
        runner.ready()
        runner.leases = leases
        function_host().set_threads(threads)
        app = make_app(settings, server, runner.run_message)
        runner.send = lambda run, fence: send(app, settings, run, fence)
        runner.on_room = dispatcher_of(runner, runner.send).dispatch

        def drain(**_unused: object) -> None:
            # Within a signal's handler: the log's lock may be held by the very thread that it interrupts.
            runner.draining.set()
            threading.Thread(target=lambda: log.info("worker draining", runs=leases.count())).start()

        def overdue() -> None:
            log.error("worker gives up", reason="a step outlived its deadline")
            runner.draining.set()
            # Celery's own way to stop taking messages; it then waits for its threads.
            os.kill(os.getpid(), signal.SIGTERM)

        def alone() -> None:
            # Only hopeless steps are left, and their threads cannot be ended; their leases run out.
            log.error("worker ended with a hopeless step")
            os._exit(HOPELESS)

        leases.on_overdue, leases.on_alone = overdue, alone
        worker_shutting_down.connect(drain, weak=False)
        _quiet_celery()
        log.info("worker started", threads=threads)
        worker = cast("Any", app).Worker(
            pool="threads",
            concurrency=threads,
            hostname=f"scenarist-{os.getpid()}@%h",
            queues=[queue_name(settings)],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            loglevel="WARNING",
        )
        worker.start()
        log.info("worker ended")
        return int(worker.exitcode or 0)


def _say_nothing(*_words: object) -> None:
    pass


def _quiet_celery() -> None:
    """Two lines a message are noise beside our own events, and cost a tenth of a short run's time."""
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What it writes past the loggers when it shuts down breaks a stream of JSON lines; `worker draining` says the same.
    celery.apps.worker.safe_say = _say_nothing
    if os.geteuid() == 0:
        warnings.filterwarnings("ignore", category=SecurityWarning)
        log.warning("worker runs as root; give it a user of its own")
