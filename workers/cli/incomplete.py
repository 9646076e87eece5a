"""`scenarist incomplete`: what runs could not finish and have stored; look at it, try it again, be done with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, pairs, read_bytes
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from workers.ledger.incompletes import IncompleteRow
    from workers.service import Service

app = new_app("Look at incomplete executions, try them again, be done with them.", "scenarist incomplete retry --all")

RecordArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of an incomplete execution.")]
RecordsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of incomplete executions.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="All of them, or with --scenario all of one scenario.")]
ScenarioOption = Annotated[
    str | None, typer.Option("--scenario", metavar="SCENARIO", help="Only those of this scenario: id or name.")
]


@app.command("list", epilog=example('scenarist incomplete list --scenario "Answer urgent tickets"'))
def list_(
    scenario: ScenarioOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    as_json: JsonOption = False,
) -> int:
    """List incomplete executions, oldest first."""
    with service() as opened:
        rows = opened.incompletes.list(scenario=scenario, resolved=all_)
    if as_json:
        output.print_json([row_json(row) for row in rows])
        return 0
    output.table(
        ("ID", "SCENARIO", "STATUS", "MODULE", "CREATED", "SIZE", "ATTEMPTS", "NEXT", "REASON"),
        [
            (
                row.id,
                row.name or row.scenario,
                str(row.status),
                f"{row.module} {row.app}",
                output.instant(row.created_ms),
                row.size,
                row.attempts,
                output.instant(row.next_ms),
                f"{row.error.get('type')}: {row.error.get('message')}",
            )
            for row in rows
        ],
        empty="There is no incomplete execution.",
    )
    return 0


@app.command("show", epilog=example("scenarist incomplete show ID"))
def show(
    record: RecordArgument,
    blueprint: Annotated[
        bool, typer.Option("--blueprint", help="Print the blueprint of its retry, to edit it.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Show an incomplete execution: what failed, its retries, and what can be mapped at the failed module."""
    if blueprint:
        with service() as opened:
            output.write_bytes(opened.incompletes.blueprint(record))
        return 0
    with service() as opened:
        row, bundles = opened.incompletes.show(record)
    if as_json:
        output.print_json(row_json(row) | {"bundles": bundles})
        return 0
    output.facts(
        {
            "id": row.id,
            "scenario": f"{row.scenario} ({row.name})",
            "status": str(row.status),
            "failed": f"module {row.module} {row.app}, cycle {row.cycle}",
            "reason": f"{row.error.get('type')}: {row.error.get('message')}",
            "created": output.instant(row.created_ms),
            "attempts": row.attempts,
            "next": output.instant(row.next_ms),
            "run": row.run,
            "retries": " ".join(row.retries) or "-",
            "size": row.size,
        }
    )
    if bundles:
        output.say()
        output.table(("MODULE", "BUNDLE"), list(bundles.items()), empty="")
    return 0


@app.command(
    "edit",
    epilog=example(
        'scenarist incomplete edit ID --set "url=https://example.com/api/v2"',
        "scenarist incomplete edit ID --blueprint fixed.json --module 7",
    ),
)
def edit(
    record: RecordArgument,
    blueprint: Annotated[
        str | None, typer.Option("--blueprint", metavar="FILE|-", help="Another blueprint for the retry.")
    ] = None,
    module: Annotated[
        int | None, typer.Option("--module", metavar="MODULE", help="Id of the module that the retry begins at.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another value of a field of that module: text, or JSON."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Change what the retry of an incomplete execution does.

    The stored bundles stay, and modules before the one that it begins at do not run. The scenario and its other
    incomplete executions are left alone. A value that is a JSON array or object is taken as that, any other as text;
    it may hold expressions.
    """
    if blueprint is None and module is None and not set_:
        raise UsageError("give what to change: --blueprint FILE, --module MODULE or --set NAME=VALUE")
    raw = None if blueprint is None else read_bytes(blueprint)
    fields = {name: _value(text) for name, text in pairs(set_, option="--set").items()}
    with service() as opened:
        row = opened.incompletes.edit(record, blueprint=raw, module=module, fields=fields)
    if as_json:
        output.print_json(row_json(row))
    else:
        output.say(f"{row.id} is edited; its retry begins at module {row.module} ({row.app})")
    return 0


def _value(text: str) -> Any:
    if not text.startswith(("[", "{")) or text.startswith("{{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


@app.command("retry", epilog=example("scenarist incomplete retry ID", "scenarist incomplete retry --all"))
def retry(
    records: RecordsArgument = None,
    all_: AllOption = False,
    scenario: ScenarioOption = None,
    as_json: JsonOption = False,
) -> int:
    """
    Try incomplete executions again, now.

    Each retry is a run of its own that begins at the failed module; at most three of a scenario run at a time, those
    of a sequential scenario one after the other, and the scheduler starts the rest.
    """

    def one(opened: Service, record: str) -> tuple[dict[str, Any], str]:
        row, run = opened.incompletes.retry(record)
        if run is None:
            return row_json(row), f"{record} is {row.status}: others of its scenario come first"
        return row_json(row), f"{record} is {row.status} in run {run.id}"

    return _each(records, all_, scenario, one, as_json=as_json)


@app.command("resolve", epilog=example("scenarist incomplete resolve ID"))
def resolve(
    records: RecordsArgument = None,
    all_: AllOption = False,
    scenario: ScenarioOption = None,
    as_json: JsonOption = False,
) -> int:
    """
    Call incomplete executions done.

    Their data are deleted; their lines stay in the list for 30 days.
    """

    def one(opened: Service, record: str) -> tuple[dict[str, Any], str]:
        row = opened.incompletes.resolve(record)
        return row_json(row), f"{record} is {row.status}"

    return _each(records, all_, scenario, one, as_json=as_json)


@app.command("drop", epilog=example("scenarist incomplete drop ID"))
def drop(
    records: RecordsArgument = None,
    all_: AllOption = False,
    scenario: ScenarioOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete incomplete executions with all their data."""

    def one(opened: Service, record: str) -> tuple[dict[str, Any], str]:
        opened.incompletes.drop(record)
        return {"id": record, "status": "dropped"}, f"{record} is dropped"

    return _each(records, all_, scenario, one, as_json=as_json)


def _each(
    records: list[str] | None,
    all_: bool,
    scenario: str | None,
    one: Callable[[Service, str], tuple[dict[str, Any], str]],
    *,
    as_json: bool,
) -> int:
    if bool(records) == all_:
        raise UsageError("Give ids of incomplete executions, or --all.")
    if scenario is not None and not all_:
        raise UsageError("--scenario belongs to --all.")
    done: list[dict[str, Any]] = []
    failed = False
    with service() as opened:
        if all_:
            # A retry that runs already is left alone.
            rows = opened.incompletes.list(scenario=scenario)
            records = [row.id for row in rows if row.status != "in progress"]
        for record in records or []:
            try:
                shown, said = one(opened, record)
            except UsageError as error:
                if len(records or []) == 1 and not all_:
                    raise
                failed = True
                output.complain(error.message)
                continue
            done.append(shown)
            if not as_json:
                output.say(said)
    if as_json:
        output.print_json(done)
    elif not done and not failed:
        output.say("There is no incomplete execution.")
    return 1 if failed else 0


def row_json(row: IncompleteRow) -> dict[str, Any]:
    """An incomplete execution without its data as JSON data."""
    return {
        "id": row.id,
        "scenario": row.scenario,
        "name": row.name,
        "status": str(row.status),
        "module": row.module,
        "app": row.app,
        "cycle": row.cycle,
        "error": row.error,
        "created": output.instant(row.created_ms),
        "size": row.size,
        "attempts": row.attempts,
        "next": None if row.next_ms is None else output.instant(row.next_ms),
        "run": row.run,
        "retries": list(row.retries),
    }
