"""`scenarist token`: tokens of the HTTP API."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from workers.ledger.tokens import TokenRow

app = new_app("Make, list and remove tokens of the HTTP API.", "scenarist token add monitoring --scope runs:read")

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@app.command("add", epilog=example("scenarist token add shop --scope scenarios:run --scope runs:read --expires 90d"))
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", metavar="SCOPE", help="What it allows: runs:read, ... or `all`."),
    ],
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="After how long it ends, such as 90d or 12h.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Make a token and print it: this is the only time that it can be seen."""
    with service() as opened:
        row, token = opened.tokens.add(name, scope, expires=_duration(expires))
    if as_json:
        output.print_json(row_json(row) | {"token": token}, clean=("token",))
    else:
        output.say(token)
        output.progress("Keep it: it is stored as a hash only. Send it as Authorization: Bearer TOKEN.")
    return 0


@app.command("list", epilog=example("scenarist token list"))
def list_(as_json: JsonOption = False) -> int:
    """List the tokens: what they allow, when they end, when they were used."""
    with service() as opened:
        rows = opened.tokens.list()
    if as_json:
        output.print_json([row_json(row) for row in rows])
    else:
        output.table(
            ("NAME", "SCOPES", "EXPIRES", "USED"),
            [
                (row.name, ", ".join(row.scopes), output.instant(row.expires_ms), output.instant(row.used_ms))
                for row in rows
            ],
            empty="There is no token; scenarist token add NAME --scope SCOPE makes one.",
        )
    return 0


@app.command("remove", epilog=example("scenarist token remove shop"))
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")], as_json: JsonOption = False) -> int:
    """Take a token away: it opens nothing from now on."""
    with service() as opened:
        opened.tokens.remove(name)
    if as_json:
        output.print_json({"removed": name})
    else:
        output.say(f"removed {name}")
    return 0


def row_json(row: TokenRow) -> dict[str, Any]:
    """A token without itself as JSON data."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "created": output.instant(row.created_ms),
        "expires": None if row.expires_ms is None else output.instant(row.expires_ms),
        "used": None if row.used_ms is None else output.instant(row.used_ms),
    }


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"--expires {text}: give a number with m, h or d, such as 90d")
    return int(found[1]) * _UNITS[found[2]]
