"""
The Celery application: how messages travel. A message holds a run's id and its fence, nothing else.

No result backend (the ledger is the result), late acknowledgement, prefetch 1, JSON only. The visibility timeout is far
beyond the longest segment, since redelivery is only the second net: leases and the scheduler come first.
Design section 3; dependencies section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from amqp.exceptions import AMQPError, NotFound
from celery import Celery
from celery.signals import setup_logging
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from runtime.logs import get_logger

if TYPE_CHECKING:
    from workers.server import Server
    from workers.settings import Settings

RUN_SEGMENT = "scenarist.run_segment"
#: RabbitMQ confirms that it has a message. Its own limit for unacknowledged ones would cut connections under long runs.
_AMQP = {"confirm_publish": True}
_AMQP_QUEUE = {"x-consumer-timeout": 24 * 3600 * 1000}
#: Time for a look at the broker.
_LOOK_SECONDS = 3.0
#: A message whose worker was lost comes back after this time; the lease has the run taken over long before.
VISIBILITY = timedelta(hours=24)

log = get_logger(__name__)


def queue_name(settings: Settings) -> str:
    """Name of the queue, which is also the Redis list that holds it."""
    return f"{settings.prefix}:queue"


def make_app(settings: Settings, server: Server, segment: Callable[[str, int], None] | None = None) -> Celery:
    """
    A Celery application on this server. `segment` runs one segment of a run by id and fence; without it the application
    can only send messages.
    """
    apart = settings.broker_url is not None
    app = Celery("scenarist", broker=settings.broker_url or server.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=queue_name(settings),
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_AMQP if apart else {**_redis(settings), **server.broker_options},
        enable_utc=True,
    )
    if apart:
        # Known under its name from the start, since its arguments have to be the same wherever it is declared.
        name = queue_name(settings)
        app.conf.task_queues = (Queue(name, routing_key=name, durable=True, queue_arguments=_AMQP_QUEUE),)
    if segment is not None:
        # The first argument is a plain function: Celery's own task object is not needed in it.
        app.task(name=RUN_SEGMENT, ignore_result=True)(_task(segment))
    return app


def _redis(settings: Settings) -> dict[str, Any]:
    """How kombu keeps messages on the ledger's server."""
    return {
        "visibility_timeout": int(VISIBILITY.total_seconds()),
        # kombu blocks for up to 10 s at a time; the client's own limit has to be above that.
        "socket_timeout": 60,
        "unacked_key": f"{settings.prefix}:unacked",
        "unacked_index_key": f"{settings.prefix}:unacked-index",
        "unacked_mutex_key": f"{settings.prefix}:unacked-mutex",
        "queue_order_strategy": "round_robin",
    }


def _task(segment: Callable[[str, int], None]) -> Callable[[str, int], None]:
    def run_segment(run: str, fence: int) -> None:
        segment(run, fence)

    return run_segment


def send(app: Celery, settings: Settings, run: str, fence: int) -> bool:
    """
    Send the message for a run that the ledger has queued. False when the broker does not take it: the run is accepted
    all the same, and the scheduler sends its message later.
    """
    try:
        # `send_task` has no types in the library.
        cast("Any", app).send_task(
            RUN_SEGMENT,
            args=[run, fence],
            queue=queue_name(settings),
            retry=True,
            retry_policy={"max_retries": 3, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5},
        )
    except (OperationalError, OSError):
        log.warning("message not sent", run=run)
        return False
    return True


def waiting(app: Celery, settings: Settings, server: Server) -> int | None:
    """How many messages wait on the broker; None when it cannot be reached."""
    if settings.broker_url is None:
        return server.client.llen(queue_name(settings))
    try:
        # A connection of its own: the look is rare, and a pooled one may be broken without knowing it.
        with cast("Any", app).connection_for_read(connect_timeout=_LOOK_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=_LOOK_SECONDS)
            with connection.channel() as channel:
                return int(channel.queue_declare(queue=queue_name(settings), passive=True).message_count)
    except NotFound:
        # Nobody has declared it yet: nothing was ever sent.
        return 0
    except (OperationalError, AMQPError, OSError):
        return None


def _keep_own_logging(**_unused: object) -> None:
    """A receiver of this signal keeps Celery from setting up logging of its own."""


setup_logging.connect(_keep_own_logging)
