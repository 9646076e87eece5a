"""`scenarist worker`: the processes of this machine that run what is on the queue."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import command_settings, process_settings, say_running

#: How often the ledger is asked whether the workers have ended.
_LOOK_SECONDS = 0.5

app = new_app()


@app.command(epilog=example("scenarist worker --processes 4 --threads 8", "scenarist worker --drain"))
def worker(
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="NUMBER", help="Worker processes; one a core without.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, metavar="NUMBER", help="Threads in each of them.")] = 8,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether workers run here; exit code 1 if not.")
    ] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Ask the workers that run on this machine to end, and wait for it.")
    ] = False,
    everywhere: Annotated[bool, typer.Option("--all", help="With --drain: the workers of all machines.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0, metavar="SECONDS", help="With --drain: wait no longer; exit code 1 then."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Start the worker processes of this machine.

    Ctrl-C or SIGTERM drains, and so does --drain from another terminal: each run finishes its current step and is
    handed back. With --json logs are JSON lines.
    """
    from workers.cli.health import running_mark

    if drain:
        return _drain(everywhere=everywhere, timeout=timeout, as_json=as_json)
    if everywhere or timeout is not None:
        raise UsageError("--all and --timeout go with --drain.")
    settings = process_settings(as_json=as_json)
    if check:
        return say_running(settings, "worker", as_json=as_json)
    from workers.processes import run_worker

    with running_mark(settings.home, "worker"):
        return run_worker(settings, processes=processes, threads=threads)


def _drain(*, everywhere: bool, timeout: float | None, as_json: bool) -> int:
    from workers.ledger.keys import Keys
    from workers.ledger.schedule import Drains
    from workers.server import connect

    settings = command_settings()
    ends = None if timeout is None else time.monotonic() + timeout
    with connect(settings) as server:
        drains = Drains(server.client, Keys(settings.prefix))
        asked = drains.ask(everywhere=everywhere)
        left = asked
        if asked and not as_json:
            output.progress(f"asked {len(asked)}; each running step ends first")
        while left and (ends is None or time.monotonic() < ends):
            time.sleep(_LOOK_SECONDS)
            left = drains.left(left)
    names = [name.partition(":")[2] for name in asked]
    if as_json:
        output.print_json({"asked": names, "left": [name.partition(":")[2] for name in left]})
    elif not asked:
        output.say("no workers run" if everywhere else "no workers run on this machine")
    elif left:
        output.say(f"{len(left)} of {len(asked)} have not ended yet; they go on draining")
    else:
        output.say("workers ended; what they ran goes on with other workers")
    return 1 if left else 0
