"""Runs the gateway's application on uvicorn until SIGTERM or SIGINT."""

from __future__ import annotations

import logging

import uvicorn

from runtime.errors import SettingsError
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from workers.gateway.app import gateway_app
from workers.runner import SegmentRunner
from workers.server import Server
from workers.settings import Settings

#: Where the gateway listens unless the settings say otherwise.
HOST, PORT = "127.0.0.1", 8420

log = get_logger(__name__)


def address_of(settings: Settings) -> tuple[str, int]:
    """
    Host and port to listen on: the settings `gateway_host` and `gateway_port`.

    Raises:
        SettingsError: The port is none.
    """
    host = settings.option("gateway_host", HOST)
    port = settings.option("gateway_port", PORT)
    if not 0 < port < 65536:
        raise SettingsError(f"setting gateway_port: {port} is not a port; give a number from 1 to 65535")
    return host, port


def run_gateway_here(settings: Settings, server: Server, secrets: Secrets) -> int:
    """Serve until a signal; gives the exit code."""
    host, port = address_of(settings)
    with SegmentRunner.open(settings, server, secrets) as runner:
        runner.ready()
        # Our own access log takes its place, without the query.
        logging.getLogger("uvicorn.access").disabled = True
        config = uvicorn.Config(
            gateway_app(runner),
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        log.info("gateway started", host=host, port=port)
        uvicorn.Server(config).run()
        log.info("gateway ended")
    return 0
