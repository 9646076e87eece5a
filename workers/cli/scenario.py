"""`scenarist scenario`: import a blueprint, list and show scenarios."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import DefinitionError, UsageError
from workers.cli import activation, output
from workers.cli.arguments import JsonOption, StructuresOption, pairs, read_bytes, read_structures
from workers.cli.arguments import ask as ask_person
from workers.cli.flow import flow_lines
from workers.cli.lazy import example, new_app
from workers.cli.services import service
from workers.shown import scenario as row_json

if TYPE_CHECKING:
    from workers.imports import Open
    from workers.views import BindingRow, ScenarioRow


class OnUnknown(StrEnum):
    """What happens at a step whose outcome is not known."""

    STOP = "stop"
    REPEAT = "repeat"


_ON_UNKNOWN_HELP = "At a step of unknown outcome (a worker died in it): stop and show, or repeat it."

app = new_app(
    "Import blueprints as scenarios and look at them.",
    "scenarist scenario import blueprint.json --connection 4711=main",
)


@app.command("import", epilog=example("scenarist scenario import blueprint.json --connection 4711=main"))
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A blueprint, in any form that people export.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Another name than the blueprint's.")
    ] = None,
    connection: Annotated[
        list[str] | None,
        typer.Option(
            "--connection", metavar="ID=NAME", help="Use our connection NAME where the blueprint names its own ID."
        ),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(
            "--store", metavar="ID=NAME", help="Use our data store NAME where the blueprint names its own ID."
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario", metavar="ID=NAME", help="Use our scenario NAME where the blueprint calls its own ID."
        ),
    ] = None,
    hook: Annotated[
        list[str] | None,
        typer.Option("--hook", metavar="ID=NAME", help="Use our webhook NAME where the blueprint names its own ID."),
    ] = None,
    new_hook: Annotated[
        bool, typer.Option("--new-hook", help="Make the custom webhook that the blueprint starts with.")
    ] = False,
    structures: StructuresOption = None,
    on_unknown: Annotated[
        OnUnknown | None, typer.Option("--on-unknown", metavar="stop|repeat", help=_ON_UNKNOWN_HELP)
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Make another scenario, also when one has this name.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Import a blueprint, or a new version of one.

    It is checked and kept, and the connections, data stores and scenarios that it names are bound to ours: connections
    as --connection says, else to the one of the same name or the only one that fits; where several fit, you are asked
    on a terminal. A scenario of the same name gets it as its new version, with the bindings that it has; its runs and
    incomplete executions keep the version they began with. What each module needs is printed also when the file is
    refused; then nothing is stored.
    """
    bindings = pairs(connection, option="--connection")
    stores = pairs(store, option="--store")
    scenarios = pairs(scenario, option="--scenario")
    hooks = pairs(hook, option="--hook")
    raw = read_bytes(file)
    with service() as opened:
        ask = choose if sys.stdin.isatty() and file != "-" else None
        imported = opened.scenarios.import_(
            raw, name=name, bindings=bindings, stores=stores, scenarios=scenarios, hooks=hooks,
            new_hook=new_hook, structures=read_structures(structures), on_unknown=on_unknown, new=new, choose=ask,
        )  # fmt: skip
    modules = [row.to_json() for row in imported.modules]
    if as_json:
        found = [item.to_json() for item in imported.findings]
        row = {"id": None} if imported.row is None else row_json(imported.row)
        output.print_json(row | {"updated": imported.updated, "modules": modules, "findings": found})
        return 0 if imported.row is not None else 1
    if imported.row is None:
        _say_modules(modules)
        raise DefinitionError(f"{file}: the blueprint was not imported", imported.findings)
    _say_modules(modules)
    for item in imported.findings:
        if item.severity != "info":
            output.complain(item.text())
    word = "updated" if imported.updated else "imported"
    output.say(f"{imported.row.name} {word} as {imported.row.id}")
    for binding in imported.row.bindings:
        if binding.bound is not None and binding.foreign not in bindings:
            output.say(f"{_foreign(binding)} is bound to {binding.bound}")
        if binding.bound is None:
            option = {"datastore": "--store", "scenario": "--scenario", "hook": "--hook"}.get(
                binding.kind, "--connection"
            )
            other = " (or --new-hook for a custom one)" if binding.kind == "hook" else ""
            again = f"import again with {option} {binding.foreign}=NAME{other}"
            output.complain(f"{_foreign(binding)} is not bound: {again}")
    return 0


@app.command("list", epilog=example("scenarist scenario list"))
def list_(as_json: JsonOption = False) -> int:
    """List the scenarios."""
    with service() as opened:
        rows = opened.scenarios.list()
    if as_json:
        output.print_json([row_json(row) for row in rows])
    else:
        output.table(
            ("ID", "NAME", "ACTIVE", "SCHEDULE", "NEXT RUN", "NOT BOUND", "CREATED"),
            [
                (
                    row.id,
                    row.name,
                    "yes" if row.active else "no",
                    row.schedule.text or "-",
                    next_run(row),
                    sum(binding.bound is None for binding in row.bindings),
                    output.instant(row.created_ms),
                )
                for row in rows
            ],
            empty="There is no scenario; scenarist scenario import FILE makes one.",
        )
    return 0


@app.command("show", epilog=example('scenarist scenario show "Answer urgent tickets"'))
def show(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Id or name.")], as_json: JsonOption = False
) -> int:
    """Show a scenario: its flow as a tree, its state, and what its connections are bound to."""
    with service() as opened:
        row = opened.scenarios.show(scenario)
        blueprint = None if as_json else opened.scenarios.blueprint(scenario)
    if as_json:
        output.print_json(row_json(row))
        return 0
    output.facts(
        {
            "id": row.id,
            "name": row.name,
            "active": "yes" if row.active else "no",
            "switched off": row.stop_reason or row.schedule.finished or "-",
            "schedule": row.schedule.text or "-",
            "next run": next_run(row),
            "errors in a row": row.errors,
            "incomplete executions": row.incomplete,
            "on unknown": row.on_unknown,
            "time zone": row.timezone or "-",
            "blueprint": row.blueprint,
            "versions": len(row.versions),
            "created": output.instant(row.created_ms),
        }
    )
    if blueprint is not None:
        if blueprint.settings.sequential and row.incomplete:
            output.say("It is sequential and waits for its incomplete executions: scenarist incomplete list")
        output.say()
        for line in flow_lines(blueprint):
            output.say(line)
    output.say()
    output.table(
        ("KIND", "IN THE BLUEPRINT", "LABEL", "HERE"),
        [(item.kind, item.foreign, item.label, item.bound or "not bound") for item in row.bindings],
        empty="It needs no connection.",
    )
    return 0


def _foreign(binding: BindingRow) -> str:
    """Kind, id and, where the blueprint has one, name of what it refers to."""
    return f"{binding.kind} {binding.foreign}" + (f" ({binding.label})" if binding.label else "")


def choose(item: Open) -> str | None:
    """Ask which connection to use in the place of a foreign one; an empty answer leaves it open."""
    output.complain(f"Connection {item.foreign} ({item.label or 'without a name'}) of the app {item.app}:")
    for number, record in enumerate(item.candidates, start=1):
        output.complain(f"  {number}  {record.label}")
    answer = ask_person("Number, or nothing to leave it open", hidden=False).strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(item.candidates):
        return item.candidates[int(answer) - 1].id
    return None


@app.command("epoch", epilog=example("scenarist scenario epoch watch-orders --since 2026-01-01"))
def epoch(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Id or name.")],
    module: Annotated[
        int | None, typer.Argument(metavar="MODULE", help="Number of the trigger; the start module without it.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Start with what comes from now on.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Start with this date.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Start with all there is.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="JSON", help='Start at a listed point, such as {"mode": "item", "id": 7}.'),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Show where a scenario's polling trigger stands, and choose where it starts.

    Without an option its memory is shown, and the points to choose from when the app offers them. A choice counts from
    the next poll on; a run that is polling at this moment does not undo it.
    """
    from workers.cli import calls

    choice = calls.start_choice(since=since, everything=everything, now=now, start=start)
    with service() as opened:
        if choice is None:
            shown = opened.epochs.show(scenario, module).to_json()
        else:
            shown = opened.epochs.choose(scenario, choice, module).to_json()
    if as_json:
        output.print_json(shown, clean=("points",))
    else:
        output.facts({name: value for name, value in shown.items() if name != "points"})
        points = shown.get("points", [])
        if points:
            output.say()
            output.table(
                ("ID", "LABEL", "DATE"),
                [(point.get("id"), point.get("label"), _date(point.get("date"))) for point in points],
                empty="",
                clean=True,
            )
    return 1 if shown.get("error") else 0


def _date(value: Any) -> Any:
    return value.get("$date", value) if isinstance(value, dict) else value


@app.command("export", epilog=example('scenarist scenario export "Answer urgent tickets" > blueprint.json'))
def export(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Id or name.")],
    version: Annotated[
        str | None, typer.Option("--version", metavar="HASH", help="An older version: the first part of its hash.")
    ] = None,
    as_json: JsonOption = False,  # noqa: ARG001  every command takes it; the file is JSON in any case
) -> int:
    """Print the file that a scenario was imported from, byte for byte."""
    with service() as opened:
        raw = opened.scenarios.export(scenario, version=version)
    output.write_bytes(raw)
    return 0


@app.command("set", epilog=example('scenarist scenario set "Answer urgent tickets" --on-unknown repeat'))
def set_(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Id or name.")],
    on_unknown: Annotated[
        OnUnknown | None, typer.Option("--on-unknown", metavar="stop|repeat", help=_ON_UNKNOWN_HELP)
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Time zone of its dates and schedule.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Change what a blueprint has no place for: options that belong to the scenario here."""
    if on_unknown is None and timezone is None:
        raise UsageError("Give --on-unknown or --timezone.")
    with service() as opened:
        row = opened.scenarios.change(scenario, on_unknown=on_unknown, timezone=timezone)
    if as_json:
        output.print_json(row_json(row))
    else:
        output.say(f"{row.name}: on unknown {row.on_unknown}, time zone {row.timezone or '-'}")
    return 0


app.command("activate", epilog=example('scenarist scenario activate "Answer urgent tickets" --every 15m'))(
    activation.activate
)
app.command("deactivate", epilog=example('scenarist scenario deactivate "Answer urgent tickets"'))(
    activation.deactivate
)
app.command("next", epilog=example('scenarist scenario next "Answer urgent tickets" --count 10'))(activation.next_)


def next_run(row: ScenarioRow) -> str:
    """When a scenario runs next, a repetition after a failure included."""
    instants = [at for at in (*row.schedule.next_ms[:1], row.schedule.again_ms) if at is not None]
    again = row.schedule.again_ms is not None and min(instants) == row.schedule.again_ms
    return (output.instant(min(instants)) + (" (again after a failure)" if again else "")) if instants else "-"


def _say_modules(modules: list[dict[str, Any]]) -> None:
    output.table(
        ("MODULE", "NAME", "SUPPORT", "NEEDS"),
        [(row["module"], row["name"], row["support"], ", ".join(row["needs"]) or "-") for row in modules],
        empty="It has no module.",
    )
