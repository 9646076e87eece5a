"""`scenarist app`: register the current state of an app folder, list, show, test and remove apps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.errors import DefinitionError, UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, ask, read_object
from workers.cli.lazy import example, new_app
from workers.cli.services import service

app = new_app(
    "Register apps: a run uses the state that was registered when it was accepted.",
    "scenarist app add examples/apps/helpdesk",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered app.")]


@app.command("add", epilog=example("scenarist app add examples/apps/helpdesk"))
def add(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The app's folder, or a path inside of it.")],
    as_json: JsonOption = False,
) -> int:
    """Check an app folder and register its current state."""
    if not Path(folder).exists():
        raise UsageError(f"{folder}: no such folder")
    with service() as opened:
        added = opened.apps.add(Path(folder))
    if added.row is None:
        raise DefinitionError(f"{folder}: the app was not registered", added.findings)
    if as_json:
        output.print_json(
            _row(added.row) | {"changed": added.changed, "findings": [item.to_json() for item in added.findings]}
        )
    else:
        for item in added.findings:
            if item.severity != "info":
                output.complain(item.text())
        what = "registered" if added.changed else "was registered already, nothing changed"
        output.say(f"{added.row.name} {what} ({added.row.hash[:12]})")
    return 0


@app.command("list", epilog=example("scenarist app list"))
def list_(as_json: JsonOption = False) -> int:
    """List the registered apps."""
    with service() as opened:
        rows = opened.apps.list()
    if as_json:
        output.print_json([_row(row) for row in rows])
    else:
        output.table(
            ("NAME", "VERSION", "LABEL", "STATE", "REGISTERED"),
            [(row.name, row.version, row.label, row.hash[:12], output.instant(row.added_ms)) for row in rows],
            empty="No app is registered; scenarist app add FOLDER registers one.",
        )
    return 0


@app.command("show", epilog=example("scenarist app show helpdesk"))
def show(name: Name, as_json: JsonOption = False) -> int:
    """Show an app and its components."""
    with service() as opened:
        row, history = opened.apps.show(name)
        loaded = opened.apps.load(name).app
    connections: dict[str, Any] = {}
    modules: dict[str, Any] = {}
    if loaded is not None:
        connections = {spec.id: {"label": spec.label, "type": spec.type} for spec in loaded.connections.values()}
        modules = {
            spec.id: {"label": spec.label, "type": spec.type, "connection": spec.connection}
            for spec in loaded.modules.values()
        }
    if as_json:
        states = [{"hash": state, "added": output.instant(added)} for state, added in history]
        output.print_json(_row(row) | {"connections": connections, "modules": modules, "history": states})
        return 0
    output.facts({"name": row.name, "label": row.label, "version": row.version, "state": row.hash})
    output.say()
    output.table(
        ("CONNECTION", "TYPE", "LABEL"),
        [(key, item["type"], item["label"]) for key, item in connections.items()],
        empty="The app has no connections.",
    )
    output.say()
    output.table(
        ("MODULE", "TYPE", "CONNECTION", "LABEL"),
        [(key, item["type"], item["connection"], item["label"]) for key, item in modules.items()],
        empty="The app has no modules.",
    )
    output.say()
    output.table(("STATE", "REGISTERED"), [(state, output.instant(added)) for state, added in history], empty="")
    return 0


@app.command("common", epilog=example("scenarist app common mailer --params common.json"))
def common(
    name: Annotated[str, typer.Argument(metavar="APP", help="An app's folder or the name of a registered app.")],
    params: Annotated[
        str | None,
        typer.Option("--params", metavar="FILE|-", help="The data as a JSON object; without it they are asked for."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget them.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Give an app its common data: the client id and secret that you have registered with a service, for example.

    They replace what is stored, are kept encrypted, and are never printed. The app reads them as {{common.clientId}}.
    """
    with service() as opened:
        values = {} if clear else read_object(params) if params else _asked()
        for value in values.values():
            if isinstance(value, str):
                output.keep_secret(value)
        app_name = opened.apps.set_common(name, values)
    names = sorted(values)
    if as_json:
        output.print_json({"app": app_name, "names": names})
    else:
        output.say(f"{app_name}: common data {'stored: ' + ', '.join(names) if names else 'forgotten'}")
    return 0


def _asked() -> dict[str, str]:
    answers = {"clientId": ask("Client id", hidden=False), "clientSecret": ask("Client secret", hidden=True)}
    return {name: value for name, value in answers.items() if value}


@app.command("remove", epilog=example("scenarist app remove helpdesk"))
def remove(name: Name, as_json: JsonOption = False) -> int:
    """
    Forget an app.

    Refused while a scenario uses it.
    """
    with service() as opened:
        opened.apps.remove(name)
    if as_json:
        output.print_json({"removed": name})
    else:
        output.say(f"{name} removed")
    return 0


@app.command("test", epilog=example("scenarist app test examples/apps/helpdesk"))
def test(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The app's folder, or a path inside of it.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Functions to test; all that have tests without any.")
    ] = None,
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Time zone of the scenario.")] = "UTC",
    as_json: JsonOption = False,
) -> int:
    """
    Run the tests of an app's custom functions.

    A function's tests stand in NAME.test.js beside its code. Exit code 1: a test failed.
    """
    from workers.cli.app_tests import run_tests

    return run_tests(path, names or (), timezone=timezone, as_json=as_json)


def _row(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "label": row.label,
        "hash": row.hash,
        "added": output.instant(row.added_ms),
    }
