"""`scenarist run`: enqueue a run, or run a scenario or a blueprint file here."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output, steps
from workers.cli.arguments import (
    JsonOption,
    MetaOption,
    StructuresOption,
    TraceOption,
    pairs,
    read_bytes,
    read_json,
    read_object,
    read_stores,
    read_structures,
)
from workers.cli.lazy import example, new_app
from workers.cli.services import service

app = new_app()


@app.command(epilog=example('scenarist run "Answer urgent tickets" --wait --timeout 60'))
def run(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="Id or name; with --inline also a blueprint file.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print what each module did.")] = False,
    inline: Annotated[bool, typer.Option("--inline", help="Run in this process; no worker is needed.")] = False,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME=VALUE", help="One input. NAME=env:VARIABLE takes it from the environment."
        ),
    ] = None,
    inputs_file: Annotated[
        str | None, typer.Option("--inputs", metavar="FILE|-", help="Inputs as a JSON object.")
    ] = None,
    trigger_bundle: Annotated[
        str | None,
        typer.Option(
            "--trigger-bundle", metavar="FILE|-", help="A bundle, or a list of them, instead of the start module."
        ),
    ] = None,
    queued: Annotated[
        bool,
        typer.Option("--queued", help="Start with the oldest queued event of its webhook; else the next starts it."),
    ] = False,
    connection: Annotated[
        list[str] | None,
        typer.Option("--connection", metavar="ID=NAME", help="For a blueprint file: our connection for its ID."),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option("--store", metavar="ID=NAME", help="For a blueprint file: our data store for its ID."),
    ] = None,
    called: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="ID=NAME", help="For a blueprint file: our scenario for the ID it calls."),
    ] = None,
    stores: Annotated[
        str | None,
        typer.Option("--stores", metavar="FILE|-", help="Data stores for this inline run of a file only, as JSON."),
    ] = None,
    structures: StructuresOption = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="Longest time to --wait.")
    ] = None,
    trace: TraceOption = False,
    meta: MetaOption = False,
    as_json: JsonOption = False,
) -> int:
    """
    Run a scenario: on the queue, or in this process with --inline.

    Exit code with --wait or --inline: 0 for success or warning, 1 for any other end.
    """
    if wait and inline:
        raise UsageError("--wait and --inline exclude each other: an inline run has ended when the command ends")
    if queued and (inline or trigger_bundle is not None):
        raise UsageError("--queued is for a run on the queue that is given no --trigger-bundle")
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait")
    values = _inputs(inputs, inputs_file)
    bundles = _bundles(trigger_bundle)
    file = _blueprint_file(scenario)
    if file and not inline:
        raise UsageError(
            f"{scenario} is a file: import it with scenarist scenario import {scenario}, or run it here with --inline"
        )
    if stores is not None and not (file and inline):
        raise UsageError("--stores is for an --inline run of a blueprint file")
    if structures is not None and not file:
        raise UsageError("--structures is for a blueprint file; a scenario keeps what it was imported with")
    if (connection or store or called) and not file:
        raise UsageError(
            "--connection, --store and --scenario are for a blueprint file; a scenario keeps what it was imported with"
        )
    if inline:
        raw: str | bytes = read_bytes(scenario) if file else scenario
        bindings = pairs(connection, option="--connection")
        ours = pairs(store, option="--store")
        scenarios = pairs(called, option="--scenario")
        given = None if stores is None else read_stores(stores)
        return _run_inline(
            raw, values, bundles, bindings, ours, scenarios, given, read_structures(structures),
            meta=meta, trace=trace, as_json=as_json,
        )  # fmt: skip
    with service() as opened:
        header = opened.runs.enqueue(scenario, inputs=values, trigger_bundles=bundles, queued=queued)
        if not wait:
            if as_json:
                output.print_json({"run": header.id, "scenario": header.scenario, "status": str(header.state)})
            else:
                output.say(f"run {header.id} is {header.state}; scenarist runs watch {header.id} follows it")
            return 0
        output.progress(f"run {header.id} is {header.state}, waiting for a worker ...")
        limit = None if timeout is None else timedelta(seconds=timeout)
        report = opened.runs.wait(header.id, timeout=limit).to_json(meta=meta)
    return show_report(report, trace=trace, as_json=as_json)


def show_report(report: dict[str, Any], *, trace: bool, as_json: bool, steps_shown: bool = False) -> int:
    """Print a run's report (design section 8) and give the exit code; `steps_shown` leaves out the steps."""
    if as_json:
        output.print_json(report | {"steps": [steps.step_json(step, trace=trace) for step in report["steps"]]})
    else:
        if not steps_shown:
            for step in report["steps"]:
                steps.say_step(step, trace=trace)
        steps.say_end(report)
    return steps.exit_code(report["status"])


def _run_inline(
    scenario: str | bytes,
    inputs: dict[str, Any],
    bundles: list[dict[str, Any]] | None,
    bindings: dict[str, str],
    bound_stores: dict[str, str],
    scenarios: dict[str, str],
    stores: dict[str, dict[str, dict[str, Any]]] | None,
    structures: dict[str, dict[str, Any]] | None,
    *,
    meta: bool,
    trace: bool,
    as_json: bool,
) -> int:
    on_step: Callable[[dict[str, Any]], None] | None = None if as_json else partial(steps.say_step, trace=trace)
    with service() as opened:
        report = opened.runs.inline(
            scenario,
            inputs=inputs,
            trigger_bundles=bundles,
            bindings=bindings,
            bound_stores=bound_stores,
            scenarios=scenarios,
            stores=stores,
            structures=structures,
            on_step=on_step,
        ).to_json(meta=meta)
    return show_report(report, trace=trace, as_json=as_json, steps_shown=True)


def _blueprint_file(scenario: str) -> bool:
    # A scenario may have any name; a file is meant when there is one and the word looks like a path.
    return ("/" in scenario or scenario.endswith(".json") or scenario == "-") and (
        scenario == "-" or Path(scenario).is_file()
    )


def _inputs(given: list[str] | None, file: str | None) -> dict[str, Any]:
    from runtime.codec import unmark

    values = unmark(read_object(file)) if file else {}
    return values | pairs(given, option="--input")


def _bundles(file: str | None) -> list[dict[str, Any]] | None:
    from runtime.codec import unmark

    if file is None:
        return None
    value = unmark(read_json(file))
    bundles: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(bundle, dict) for bundle in bundles):
        raise UsageError(
            f"{file}: must hold a bundle, which is a JSON object, or a list of bundles: {json.dumps({'id': 1})}"
        )
    return bundles
