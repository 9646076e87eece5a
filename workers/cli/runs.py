"""`scenarist runs`: look at runs, follow one, let one go on, stop one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output, steps
from workers.cli.arguments import JsonOption, MetaOption, TraceOption
from workers.cli.lazy import example, new_app
from workers.cli.run import show_report
from workers.cli.services import service

if TYPE_CHECKING:
    from workers.ledger.records import RunHeader

app = new_app("Look at runs, follow them, stop them.", "scenarist runs list")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]


@app.command("list", epilog=example("scenarist runs list --limit 10"))
def list_(
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="SCENARIO", help="Only runs of this scenario: id or name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="Most runs to list.")] = 50,
    as_json: JsonOption = False,
) -> int:
    """List runs, newest first."""
    with service() as opened:
        headers = opened.list_runs(scenario=scenario, limit=limit)
    if as_json:
        output.print_json([header_json(header) for header in headers])
    else:
        output.table(
            ("RUN", "NAME", "STATUS", "CREATED", "OPERATIONS", "ERROR"),
            [
                (
                    header.id,
                    header.name or header.scenario,
                    str(header.state),
                    output.instant(header.created_ms),
                    header.operations,
                    header.error and f"{header.error.get('type')}: {header.error.get('message')}",
                )
                for header in headers
            ],
            empty="There is no run; scenarist run SCENARIO makes one.",
        )
    return 0


@app.command("show", epilog=example("scenarist runs show RUN --json"))
def show(run: RunArgument, trace: TraceOption = False, meta: MetaOption = False, as_json: JsonOption = False) -> int:
    """Show a run with its steps."""
    with service() as opened:
        report = opened.show_run(run).to_json(meta=meta)
    show_report(report, trace=trace, as_json=as_json)
    return 0


@app.command("watch", epilog=example("scenarist runs watch RUN --timeout 60"))
def watch(
    run: RunArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="Longest time to watch.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Follow a run, step by step, to its end.

    It also stops at a run that waits for a decision. With --json each line is one object: a step, or the state of
    the run. Exit code as of `run --wait`.
    """
    from workers.ledger.states import RESTING

    limit = None if timeout is None else timedelta(seconds=timeout)
    last: RunHeader | None = None
    with service() as opened:
        for seen in opened.watch_run(run, timeout=limit):
            if not isinstance(seen, dict):
                last = seen
                # The last state may come before the last steps; it is said at the end.
                if seen.state not in RESTING:
                    _say_seen(seen, as_json=as_json)
            elif as_json:
                output.print_json(steps.step_json(seen, trace=False))
            else:
                steps.say_step(seen, lines=True)
    if last is None or last.state not in RESTING:
        return 0
    _say_seen(last, as_json=as_json)
    return steps.exit_code(str(last.state))


def _say_seen(header: RunHeader, *, as_json: bool) -> None:
    output.print_json(header_json(header)) if as_json else output.say(f"run {header.id} is {header.state}")


@app.command("cancel", epilog=example("scenarist runs cancel RUN"))
def cancel(run: RunArgument, as_json: JsonOption = False) -> int:
    """
    Stop a run.

    At once when no worker holds it, else after its current operation.
    """
    with service() as opened:
        header = opened.cancel_run(run)
    _say_state(header, as_json=as_json, coming="will stop after its current operation")
    return 0


@app.command("retry", epilog=example("scenarist runs retry RUN"))
def retry(run: RunArgument, as_json: JsonOption = False) -> int:
    """
    Let a run of status incomplete go on.

    The step whose outcome is not known is done again.
    """
    with service() as opened:
        header = opened.retry_run(run)
    _say_state(header, as_json=as_json, coming="goes on")
    return 0


def _say_state(header: RunHeader, *, as_json: bool, coming: str) -> None:
    if as_json:
        output.print_json(header_json(header))
    else:
        output.say(f"run {header.id} is {header.state}" + (f" and {coming}" if header.stopping else ""))


def header_json(header: RunHeader) -> dict[str, Any]:
    """A run without its steps as JSON data."""
    return {
        "run": header.id,
        "scenario": header.scenario,
        "name": header.name,
        "kind": header.kind,
        "status": str(header.state),
        "created": output.instant(header.created_ms),
        "started": None if header.started_ms is None else output.instant(header.started_ms),
        "ended": None if header.ended_ms is None else output.instant(header.ended_ms),
        "operations": header.operations,
        "cycles": header.cycles,
        "stopping": header.stopping,
        "error": header.error,
    }
