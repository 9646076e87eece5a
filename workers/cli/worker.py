"""`scenarist worker`: the processes of this machine that run what is on the queue."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import process_settings, say_running

app = new_app()


@app.command(epilog=example("scenarist worker --processes 4 --threads 8"))
def worker(
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="NUMBER", help="Worker processes; one a core without.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, metavar="NUMBER", help="Threads in each of them.")] = 8,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether workers run here; exit code 1 if not.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Start the worker processes of this machine.

    Ctrl-C or SIGTERM drains: each run finishes its current step and is handed back. With --json logs are JSON lines.
    """
    from workers.cli.health import running_mark

    settings = process_settings(as_json=as_json)
    if check:
        return say_running(settings, "worker", as_json=as_json)
    from workers.processes import run_worker

    with running_mark(settings.home, "worker"):
        return run_worker(settings, processes=processes, threads=threads)
