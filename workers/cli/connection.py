"""`scenarist connection`: authorize once, keep the result encrypted, manage what is kept. No secret in arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import DefinitionError, UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, ParamOption, ParamsOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from runtime.app.specs import ConnectionSpec
    from workers.service import Service

app = new_app(
    "Authorize connections once and manage them.",
    "scenarist connection add helpdesk helpdesk --name desk",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a connection.")]


@app.command(
    "add", epilog=example("scenarist connection add helpdesk helpdesk --name desk --param apiKey=env:DESK_KEY")
)
def add(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="An app's folder or the name of a registered app.")],
    component: Annotated[str, typer.Argument(metavar="COMPONENT", help="Id of the app's connection component.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the connection here.")],
    param: ParamOption = None,
    params: ParamsOption = None,
    as_json: JsonOption = False,
) -> int:
    """
    Authorize a connection and keep it.

    A secret comes from a hidden prompt, --params FILE|- or --param NAME=env:VARIABLE. Nothing is kept when the service
    refuses.
    """
    with service() as opened:
        parameters = collect(_component(opened, app_name, component), params, param)
        row = opened.add_connection(app_name, component, name=name, parameters=parameters)
    if as_json:
        output.print_json(row.to_json())
    else:
        output.say(f"{row.name} authorized{_who(row.to_json())}")
    return 0


@app.command("list", epilog=example("scenarist connection list"))
def list_(as_json: JsonOption = False) -> int:
    """List the connections."""
    with service() as opened:
        rows = [row.to_json() for row in opened.list_connections()]
    if as_json:
        output.print_json(rows)
    else:
        output.table(
            ("NAME", "APP", "COMPONENT", "TYPE", "WHO", "STATE"),
            [(row["name"], row["app"], row["component"], row["type"], _value(row), row.get("state")) for row in rows],
            empty="There is no connection; scenarist connection add APP COMPONENT --name NAME makes one.",
        )
    return 0


@app.command("show", epilog=example("scenarist connection show desk"))
def show(name: Name, as_json: JsonOption = False) -> int:
    """Show a connection without its secrets."""
    with service() as opened:
        row = opened.show_connection(name).to_json()
    output.print_json(row) if as_json else output.facts(row)
    return 0


@app.command("test", epilog=example("scenarist connection test desk"))
def test(name: Name, as_json: JsonOption = False) -> int:
    """Ask the service whether a connection still works."""
    with service() as opened:
        row = opened.test_connection(name).to_json()
    if as_json:
        output.print_json(row)
    else:
        output.say(f"{row['name']} works{_who(row)}")
    return 0


@app.command("remove", epilog=example("scenarist connection remove desk"))
def remove(name: Name, as_json: JsonOption = False) -> int:
    """
    Remove a connection.

    Refused while a scenario uses it.
    """
    with service() as opened:
        opened.remove_connection(name)
    output.print_json({"removed": name}) if as_json else output.say(f"{name} removed")
    return 0


def collect(spec: ConnectionSpec, params: str | None, param: list[str] | None) -> dict[str, Any]:
    """
    A connection's parameters from file, pairs and prompts; its secrets are registered with the redactor.

    Raises:
        UsageError: One is missing and there is no terminal, or a secret is an argument.
    """
    from runtime.parameters import parse_fields
    from workers.cli.fields import ask_missing, given_parameters, keep_secrets, names_of

    fields = parse_fields(spec.params.value)
    names = names_of(fields)
    complete = ask_missing(fields, given_parameters(params, param, names))
    keep_secrets(complete, names)
    return complete


def _component(opened: Service, app_name: str, component: str) -> ConnectionSpec:
    loaded = opened.load_app(app_name)
    if loaded.app is None:
        raise DefinitionError(f"{app_name}: the app cannot be used", loaded.findings)
    spec = loaded.app.connection(component)
    if spec is None:
        known = ", ".join(loaded.app.connections) or "none"
        raise UsageError(f"{app_name} has no connection {component!r}; known: {known}")
    return spec


def _value(row: dict[str, Any]) -> Any:
    return (row.get("metadata") or {}).get("value")


def _who(row: dict[str, Any]) -> str:
    return f" as {_value(row)}" if _value(row) else ""
