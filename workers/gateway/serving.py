"""Runs the gateway's application on uvicorn until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack

import uvicorn

from runtime.errors import SettingsError
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from workers.gateway.app import gateway_app
from workers.gateway.watching import Watched
from workers.ledger.counters import Counts, Installation
from workers.ledger.schedule import Presence
from workers.metrics import Metrics
from workers.runner import SegmentRunner
from workers.server import Server, reached
from workers.settings import Settings
from workers.status import Status, metrics_address, serving

#: Where the gateway listens unless the settings say otherwise.
HOST, PORT = "127.0.0.1", 8420

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


def run_gateway_here(settings: Settings, server: Server, secrets: Secrets, *, supervised: bool = False) -> int:
    """
    Serve until a signal; gives the exit code. A supervised one leaves the metrics' port to its supervisor.

    Raises:
        SettingsError: A port is taken.
    """
    with listening(settings) as listener, SegmentRunner.open(settings, server, secrets) as runner, ExitStack() as stack:
        client, keys = server.client, runner.runs.keys
        metrics = Metrics(lambda: Installation(client, keys), "gateway", settings.metrics_token or "")
        if not supervised:
            stack.enter_context(serving(settings, Status(metrics, lambda: "" if reached(client) else "no server")))
        stack.enter_context(Counts(client, keys).running(Presence(client, keys, "gateway")))
        # Our own access log takes its place, without the query.
        logging.getLogger("uvicorn.access").disabled = True
        config = uvicorn.Config(
            Watched(gateway_app(runner), metrics if metrics_address(settings) is None else None),
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        host, port = listener.getsockname()[:2]
        log.info("gateway started", host=host, port=port)
        uvicorn.Server(config).run(sockets=[listener])
        log.info("gateway ended")
    return 0
