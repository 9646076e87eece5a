"""Runs the gateway's application on uvicorn until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import uvicorn

from runtime.errors import SettingsError
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from workers.celery_app import make_app, send
from workers.commands.context import Context
from workers.dispatching import dispatcher_of
from workers.gateway.app import gateway_app
from workers.gateway.intake import Intake
from workers.gateway.protocol import GatewayProtocol
from workers.gateway.watching import Watched
from workers.ledger.counters import Counts, Installation
from workers.ledger.schedule import Presence
from workers.metrics import Metrics
from workers.runner import SegmentRunner
from workers.server import Server, reached
from workers.service import Service
from workers.settings import Settings
from workers.status import Status, metrics_address, serving

#: Where the gateway listens unless the settings say otherwise.
HOST, PORT = "127.0.0.1", 8420

#: Most bytes of request line and headers, and most connections at a time.
_HEADER_BYTES, _CONNECTIONS = 64 * 1024, 2000
#: How long requests that have begun may take when the process is to end: longer than a body may.
_GRACE_SECONDS = 30

log = get_logger(__name__)


def address_of(settings: Settings) -> tuple[str, int]:
    """
    Host and port to listen on: the settings `gateway_host` and `gateway_port` (0: any port that is free).

    Raises:
        SettingsError: The port is none.
    """
    host = settings.option("gateway_host", HOST)
    port = settings.option("gateway_port", PORT)
    if not 0 <= port < 65536:
        raise SettingsError(f"setting gateway_port: {port} is not a port; give a number from 0 to 65535")
    return host, port


def listening(settings: Settings) -> socket.socket:
    """
    The gateway's socket.

    Raises:
        SettingsError: The port is taken, or host or port are none.
    """
    host, port = address_of(settings)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"setting gateway_port: {host}:{port} cannot be listened on: {getattr(error, 'strerror', None) or error}. "
            "Give another port (SCENARIST_GATEWAY_PORT), or end the process that has it."
        ) from None


def require_port(settings: Settings) -> None:
    """Raises SettingsError when the gateway could not listen now."""
    listening(settings).close()


class _Server(uvicorn.Server):
    """Ends without cutting a request: held ones are answered first, others have their time."""

    def __init__(self, config: uvicorn.Config, intake: Intake) -> None:
        super().__init__(config)
        self._intake = intake

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """A signal ends the server; the library's own form ends the process by it afterwards, as if it had failed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """A signal came."""
        self._intake.release()
        await super().shutdown(sockets)


def run_gateway_here(settings: Settings, server: Server, secrets: Secrets, *, supervised: bool = False) -> int:
    """
    Serve until a signal; gives the exit code. A supervised one leaves the metrics' port to its supervisor.

    Raises:
        SettingsError: A port is taken.
    """
    with listening(settings) as listener, SegmentRunner.open(settings, server, secrets) as runner, ExitStack() as stack:
        runner.ready()
        client, keys = server.client, runner.runs.keys
        metrics = Metrics(lambda: Installation(client, keys), "gateway", settings.metrics_token or "")
        if not supervised:
            stack.enter_context(serving(settings, Status(metrics, lambda: "" if reached(client) else "no server")))
        stack.enter_context(Counts(client, keys).running(Presence(client, keys, "gateway")))
        # Our own access log takes its place, without the query.
        logging.getLogger("uvicorn.access").disabled = True
        app = make_app(settings, server)
        runner.send = lambda run, fence: send(app, settings, run, fence)
        intake = Intake(runner, dispatcher_of(runner, runner.send))
        service = Service(Context(settings, secrets, runner.http, runner, server))
        stack.callback(intake.close)
        config = uvicorn.Config(
            Watched(gateway_app(service, intake), metrics if metrics_address(settings) is None else None),
            http=GatewayProtocol,
            ws="none",
            h11_max_incomplete_event_size=_HEADER_BYTES,
            limit_concurrency=_CONNECTIONS,
            backlog=2048,
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        host, port = listener.getsockname()[:2]
        log.info("gateway started", host=host, port=port)
        _Server(config, intake).run(sockets=[listener])
        log.info("gateway ended")
    return 0
