"""`scenarist store`: data stores as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runtime.scenario.structures import read_structure
from workers.cli import output
from workers.cli.arguments import JsonOption, read_json, read_object, read_records
from workers.cli.lazy import example, new_app
from workers.cli.services import service
from workers.shown import store as _row

if TYPE_CHECKING:
    from workers.ledger.stores import StoreRow

app = new_app("Look at data stores, fill them, and take them out.", "scenarist store export customers > customers.json")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the data store.")]


@app.command("list", epilog=example("scenarist store list"))
def list_(as_json: JsonOption = False) -> int:
    """List the data stores."""
    with service() as opened:
        rows = opened.stores.list()
    if as_json:
        output.print_json([_row(row) for row in rows])
    else:
        output.table(
            ("NAME", "RECORDS", "BYTES"),
            [(row.name, row.count, row.size) for row in rows],
            empty="There is no data store; scenarist store import NAME FILE makes one.",
        )
    return 0


@app.command("show", epilog=example("scenarist store show customers"))
def show(name: Name, as_json: JsonOption = False) -> int:
    """Show a data store: the number of its records and its size."""
    with service() as opened:
        row = opened.stores.show(name)
    if as_json:
        output.print_json(_row(row))
    else:
        output.facts({"name": row.name, "records": row.count, "bytes": row.size, "structure": _structure(row)})
    return 0


@app.command(
    "structure",
    epilog=example("scenarist store structure customers structure.json", "scenarist store structure customers none"),
)
def structure(
    name: Name,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-|none]", help="A data structure as JSON; `none` takes it away; else it is shown."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Show the data structure of a data store, or give it another one.

    It is a list of fields as parameters are written, or {"strict": true, "spec": [...]}. Values of records are
    converted to its types, required fields must be there, and a strict one refuses fields that it does not have.
    Records that the store holds already stay as they are.
    """
    with service() as opened:
        if file is None:
            output.print_json(opened.stores.structure(name))
            return 0
        given = None if file == "none" else read_structure(read_json(file), file)
        row = opened.stores.set_structure(name, given)
    if as_json:
        output.print_json(_row(row))
    else:
        output.say(f"{row.name} has {_structure(row)}")
    return 0


@app.command("import", epilog=example("scenarist store import customers customers.json"))
def import_(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A JSON object of records by key.")],
    as_json: JsonOption = False,
) -> int:
    """
    Put the records of a file in place of a data store's old ones.

    A store that does not exist is made. Dates are written as {"$date": "2026-01-02T03:04:05.000Z"}.
    """
    records = read_records({name: read_object(file)}, name, path=file)
    with service() as opened:
        row = opened.stores.replace(name, records)
    if as_json:
        output.print_json(_row(row))
    else:
        output.say(f"{row.name} holds {row.count} records")
    return 0


@app.command("export", epilog=example("scenarist store export customers > customers.json"))
def export(name: Name, as_json: JsonOption = False) -> int:  # noqa: ARG001  it is JSON with and without the option
    """Print all records of a data store as a JSON object by key."""
    with service() as opened:
        output.print_json(opened.stores.export(name))
    return 0


def _structure(row: StoreRow) -> str:
    if row.fields is None:
        return "no data structure"
    return f"a {'strict ' if row.strict else ''}data structure of {row.fields} field(s)"
