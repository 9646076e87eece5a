"""`scenarist scheduler`: the process that wakes parked runs, finds lost messages and clears what is too old."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import process_settings, say_running

app = new_app()


@app.command(epilog=example("scenarist scheduler"))
def scheduler(
    check: Annotated[bool, typer.Option("--check", help="Only say whether one runs; exit code 1 if not.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Start the scheduler.

    It wakes parked runs, finds lost messages and clears what is too old. Any number may run. With --json logs are JSON
    lines.
    """
    from workers.cli.health import running_mark

    settings = process_settings(as_json=as_json)
    if check:
        return say_running(settings, "scheduler", as_json=as_json)
    from workers.processes import run_scheduler

    with running_mark(settings.home, "scheduler"):
        return run_scheduler(settings)
