"""`scenarist gateway`: the process that the outside reaches: callbacks of OAuth providers."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import process_settings, say_running

app = new_app()


@app.command(epilog=example("SCENARIST_PUBLIC_URL=https://hooks.example.com scenarist gateway"))
def gateway(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether a gateway runs here; exit code 1 if not.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Start the gateway: callbacks of OAuth providers, /health and /ready.

    It listens on 127.0.0.1:8420; the settings gateway_host and gateway_port say otherwise. Put a proxy that speaks
    https in front of it and name its address in SCENARIST_PUBLIC_URL. With --json logs are JSON lines.
    """
    from workers.cli.health import running_mark

    settings = process_settings(as_json=as_json)
    if check:
        return say_running(settings, "gateway", as_json=as_json)
    from workers.processes import run_gateway

    with running_mark(settings.home, "gateway"):
        return run_gateway(settings)
