"""`scenarist runs`: look at runs, follow one, let one go on, stop one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output, steps, tree
from workers.cli.arguments import JsonOption, MetaOption, TraceOption, read_object
from workers.cli.lazy import example, new_app
from workers.cli.run import show_report
from workers.cli.services import service
from workers.ledger.states import RunState
from workers.shown import run as header_json

if TYPE_CHECKING:
    from workers.ledger.records import RunHeader

app = new_app("Look at runs, follow them, stop them.", "scenarist runs list")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]


@app.command("list", epilog=example("scenarist runs list --limit 10", "scenarist runs list --status error"))
def list_(
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="SCENARIO", help="Only runs of this scenario: id or name.")
    ] = None,
    status: Annotated[
        list[RunState] | None, typer.Option("--status", metavar="STATUS", help="Only runs of this status.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="Most runs to list.")] = 50,
    as_json: JsonOption = False,
) -> int:
    """List runs, newest first."""
    with service() as opened:
        headers = opened.runs.list(scenario=scenario, limit=limit, states=[str(state) for state in status or ()])
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


@app.command("show", epilog=example("scenarist runs show RUN --json", "scenarist runs show RUN --operation 3"))
def show(
    run: RunArgument,
    operation: Annotated[
        int | None, typer.Option("--operation", min=1, metavar="NUMBER", help="Only this operation, whole.")
    ] = None,
    bundle: Annotated[
        int | None, typer.Option("--bundle", min=1, metavar="NUMBER", help="Only this bundle of --operation.")
    ] = None,
    trace: TraceOption = False,
    meta: MetaOption = False,
    as_json: JsonOption = False,
) -> int:
    """
    Show a run as a tree of its operations.

    Each operation stands under the bundle that came into it, with its number in the run, the filter that let it in,
    duration, and bundles; a filter that stopped a bundle shows what it saw.
    """
    if bundle is not None and operation is None:
        raise UsageError("--bundle needs --operation")
    with service() as opened:
        found = opened.runs.show(run)
    report = found.to_json(meta=meta)
    if operation is not None:
        return _show_operation(report, found.details, operation, bundle, trace=trace, as_json=as_json)
    if as_json or trace:
        show_report(report, trace=trace, as_json=as_json)
        return 0
    header = found.header
    if header is not None:
        source = f"  repeats {header.source}" if header.source else ""
        output.say(f"run {header.id}  {header.name or header.scenario}  {header.kind}{source}")
    for line in tree.tree_lines(report["steps"], found.details):
        output.say(line)
    steps.say_end(report)
    return 0


def _show_operation(
    report: dict[str, Any],
    details: Sequence[Mapping[str, Any]],
    operation: int,
    bundle: int | None,
    *,
    trace: bool,
    as_json: bool,
) -> int:
    place = next((index for index, detail in enumerate(details) if detail["number"] == operation), None)
    if place is None:
        raise UsageError(f"Run {report['run']} has the operations 1 to {report['operations']}.")
    step = report["steps"][place]
    if bundle is not None:
        if bundle > len(step["output"]):
            raise UsageError(f"Operation {operation} gave {steps.counted(len(step['output']), 'bundle')}.")
        output.print_json(step["output"][bundle - 1])
    elif as_json:
        output.print_json(steps.step_json(step, trace=trace))
    else:
        for line in tree.operation_lines(step, details[place]):
            output.say(line)
        if trace:
            from workers.cli.exchanges import exchange_lines

            for exchange in step.get("exchanges") or ():
                for line in exchange_lines(exchange):
                    output.say(f"  {line}")
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
        for seen in opened.runs.watch(run, timeout=limit):
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
        header = opened.runs.cancel(run)
    _say_state(header, as_json=as_json, coming="will stop after its current operation")
    return 0


@app.command(
    "retry", epilog=example("scenarist runs retry RUN", "scenarist runs retry RUN --from 3 --edit bundle.json")
)
def retry(
    run: RunArgument,
    from_: Annotated[
        int | None,
        typer.Option("--from", min=1, metavar="OPERATION", help="Repeat an ended run from this operation on."),
    ] = None,
    edit: Annotated[
        str | None,
        typer.Option("--edit", metavar="FILE|-", help="With --from: the bundle that comes into it, as a JSON object."),
    ] = None,
    current: Annotated[
        bool,
        typer.Option("--current", help="With today's scenario, from the start module's bundles on."),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Let a run of status incomplete go on, or repeat a part of an ended one.

    Without --from and --current the step whose outcome is not known is done again. With --from a new run begins at
    that operation (runs show prints the numbers), with the bundles before it and the versions of the old run, and goes
    to the end of its cycle.
    """
    if from_ is None and not current:
        if edit is not None:
            raise UsageError("--edit needs --from")
        with service() as opened:
            header = opened.runs.retry(run)
    else:
        from runtime.codec import unmark

        bundle = None if edit is None else unmark(read_object(edit))
        with service() as opened:
            header = opened.runs.repeat(run, from_ or 1, edit=bundle, current=current)
    _say_state(header, as_json=as_json, coming="goes on")
    return 0


def _say_state(header: RunHeader, *, as_json: bool, coming: str) -> None:
    if as_json:
        output.print_json(header_json(header))
    else:
        output.say(f"run {header.id} is {header.state}" + (f" and {coming}" if header.stopping else ""))
