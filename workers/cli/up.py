"""`scenarist up`: all processes of a small installation, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import process_settings

app = new_app()


@app.command(epilog=example("scenarist up"))
def up(
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="NUMBER", help="Worker processes; one a core without.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, metavar="NUMBER", help="Threads in each of them.")] = 8,
    as_json: JsonOption = False,
) -> int:
    """
    Start all processes on this machine.

    Server (if none is configured), workers and scheduler; Ctrl-C stops them in order. With --json logs are JSON lines.
    """
    from workers.cli.health import running_mark
    from workers.processes import run_up

    settings = process_settings(as_json=as_json)
    with running_mark(settings.home, "worker", "scheduler"):
        return run_up(settings, processes=processes, threads=threads)
