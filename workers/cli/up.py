"""`scenarist up`: all processes of a small installation, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import process_settings

if TYPE_CHECKING:
    from workers.settings import Settings

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

    Server (if none is configured), workers, scheduler and gateway; Ctrl-C stops them in order. With --json logs are
    JSON lines, and so is what says where things are.
    """
    from workers.cli.health import running_mark
    from workers.processes import run_up

    settings = process_settings(as_json=as_json)

    def started() -> None:
        places = places_of(settings)
        output.print_json(places) if as_json else output.facts(places)

    with running_mark(settings.home, "worker", "scheduler", "gateway"):
        return run_up(settings, processes=processes, threads=threads, started=started)


def places_of(settings: Settings) -> dict[str, str | None]:
    """Where the parts of this installation are; nothing secret."""
    from workers.gateway.serving import address_of
    from workers.status import metrics_address

    host, port = address_of(settings)
    gateway = f"http://{f'[{host}]' if ':' in host else host}:{port or '(any free port, see the log)'}"
    apart = metrics_address(settings)
    return {
        "data": str(settings.home),
        "server": "embedded" if settings.redis_url is None else "SCENARIST_REDIS_URL",
        "gateway": gateway,
        "public": settings.public_url,
        "metrics": f"{gateway}/metrics" if apart is None else f"http://{apart[0]}:{apart[1]}/metrics",
    }
