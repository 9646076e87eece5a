"""`scenarist notifications`: what happened to scenarios while nobody was looking."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service

app = new_app("Look at what people were told.", "scenarist notifications list")


@app.callback()
def group() -> None:
    """Look at what people were told."""


@app.command("list", epilog=example("scenarist notifications list --limit 20"))
def list_(
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="SCENARIO", help="Only those of this scenario: id or name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The newest N of all.")] = 50,
    as_json: JsonOption = False,
) -> int:
    """
    List errors of runs, stored failures, scenarios that were switched off, full queues; the newest last.

    Each scenario has one message an hour of each kind. The setting notify_url has them sent as well.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"--limit: {limit} is not between 1 and 10000.")
    with service() as opened:
        rows = opened.notifications.list(limit=limit)
        if scenario is not None:
            wanted = opened.scenarios.show(scenario).id
            rows = [row for row in rows if row.scenario == wanted]
    if as_json:
        output.print_json([row.to_json() | {"at": output.instant(row.at_ms)} for row in rows])
        return 0
    output.table(
        ("AT", "KIND", "SCENARIO", "RUN", "MESSAGE"),
        [(output.instant(row.at_ms), row.kind, row.name or row.scenario, row.run or "-", row.message) for row in rows],
        empty="There is nothing to tell.",
    )
    return 0
