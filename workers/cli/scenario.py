"""`scenarist scenario`: import a blueprint, list and show scenarios."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import DefinitionError
from workers.cli import output
from workers.cli.arguments import JsonOption, pairs, read_bytes
from workers.cli.arguments import ask as ask_person
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from workers.imports import Open
    from workers.service import ScenarioRow

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
    as_json: JsonOption = False,
) -> int:
    """
    Import a blueprint.

    It is checked and kept. The connections that it names are bound to ours: as --connection says, else to the one of
    the same name or the only one that fits; where several fit, you are asked on a terminal.
    """
    bindings = pairs(connection, option="--connection")
    raw = read_bytes(file)
    with service() as opened:
        ask = choose if sys.stdin.isatty() and file != "-" else None
        imported = opened.import_scenario(raw, name=name, bindings=bindings, choose=ask)
    if imported.row is None:
        raise DefinitionError(f"{file}: the blueprint was not imported", imported.findings)
    if as_json:
        output.print_json(row_json(imported.row) | {"findings": [item.to_json() for item in imported.findings]})
        return 0
    for item in imported.findings:
        if item.severity != "info":
            output.complain(item.text())
    output.say(f"{imported.row.name} imported as {imported.row.id}")
    for binding in imported.row.bindings:
        if binding.bound is not None and binding.foreign not in bindings:
            output.say(f"{binding.kind} {binding.foreign} ({binding.label}) is bound to {binding.bound}")
        if binding.bound is None:
            output.complain(
                f"{binding.kind} {binding.foreign} ({binding.label}) is not bound: "
                f"import again with --connection {binding.foreign}=NAME"
            )
    return 0


@app.command("list", epilog=example("scenarist scenario list"))
def list_(as_json: JsonOption = False) -> int:
    """List the scenarios."""
    with service() as opened:
        rows = opened.list_scenarios()
    if as_json:
        output.print_json([row_json(row) for row in rows])
    else:
        output.table(
            ("ID", "NAME", "ACTIVE", "NOT BOUND", "CREATED"),
            [
                (
                    row.id,
                    row.name,
                    "yes" if row.active else "no",
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
    """Show a scenario and what its connections are bound to."""
    with service() as opened:
        row = opened.show_scenario(scenario)
    if as_json:
        output.print_json(row_json(row))
        return 0
    output.facts(
        {
            "id": row.id,
            "name": row.name,
            "active": "yes" if row.active else "no",
            "blueprint": row.blueprint,
            "created": output.instant(row.created_ms),
        }
    )
    output.say()
    output.table(
        ("KIND", "IN THE BLUEPRINT", "LABEL", "HERE"),
        [(item.kind, item.foreign, item.label, item.bound or "not bound") for item in row.bindings],
        empty="It needs no connection.",
    )
    return 0


def choose(item: Open) -> str | None:
    """Ask which connection to use in the place of a foreign one; an empty answer leaves it open."""
    output.complain(f"Connection {item.foreign} ({item.label or 'without a name'}) of the app {item.app}:")
    for number, record in enumerate(item.candidates, start=1):
        output.complain(f"  {number}  {record.label}")
    answer = ask_person("Number, or nothing to leave it open", hidden=False).strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(item.candidates):
        return item.candidates[int(answer) - 1].id
    return None


def row_json(row: ScenarioRow) -> dict[str, Any]:
    """A scenario as JSON data."""
    return {
        "id": row.id,
        "name": row.name,
        "active": row.active,
        "blueprint": row.blueprint,
        "created": output.instant(row.created_ms),
        "bindings": [
            {"kind": item.kind, "foreign": item.foreign, "label": item.label, "bound": item.bound}
            for item in row.bindings
        ],
    }
