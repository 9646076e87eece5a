"""`scenarist module run`: one module of an app now, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import DefinitionError, InvalidConfigurationError, UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, MetaOption, ParamOption, ParamsOption, TraceOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from runtime.app.specs import App, ModuleSpec
    from runtime.parameters.fields import Fields
    from workers.service import Service

app = new_app(
    "Run modules of an app without a scenario.",
    "scenarist module run examples/apps/helpdesk getTicket --connection desk --param ticketId=101",
)


@app.callback()
def group() -> None:
    """Run modules of an app without a scenario."""


@app.command(
    "run",
    epilog=example(
        "scenarist module run examples/apps/helpdesk getTicket --connection desk --param ticketId=101 --trace"
    ),
)
def run(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="An app's folder or the name of a registered app.")],
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Id of the module.")],
    connection: Annotated[
        str | None, typer.Option("--connection", metavar="NAME", help="Use this stored connection.")
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Authorize now, for this call only; no server is started.")
    ] = False,
    param: ParamOption = None,
    params: ParamsOption = None,
    connect_params: Annotated[
        str | None,
        typer.Option("--connect-params", metavar="FILE|-", help="The connection's own parameters, for --connect."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="NUMBER", help="Most bundles to get.")] = None,
    trace: TraceOption = False,
    meta: MetaOption = False,
    as_json: JsonOption = False,
) -> int:
    """
    Run one module and print its bundles.

    With --connect the connection's parameters may stand among --params and --param too; what is missing is asked for.
    """
    if connection and connect:
        raise UsageError("--connection and --connect exclude each other")
    if connect_params and not connect:
        raise UsageError("--connect-params needs --connect")
    with service(ledger=connection is not None or not Path(app_name).exists()) as opened:
        loaded, spec = _find(opened, app_name, module)
        own, connecting = _fields(loaded, spec)
        parameters, given = _given(own, connecting if connect else (), params, param)
        if limit is not None:
            parameters = _with_limit(own, parameters, limit)
        connect_parameters = _connect_parameters(spec, connecting, given, connect_params) if connect else None
        if spec.connection and not connection and not connect:
            report = without_connection(spec)
        else:
            report = opened.run_module(
                app_name,
                module,
                parameters=parameters,
                connection=connection,
                connect_parameters=connect_parameters,
            ).to_json(meta=meta, trace=trace)
    if limit is not None:
        report["bundles"] = report["bundles"][:limit]
    if as_json:
        output.print_json(report)
    else:
        show_module_report(report)
    return 1 if report["error"] else 0


def without_connection(spec: ModuleSpec) -> dict[str, Any]:
    """The report of a module that needs a connection and got none (spec/communication.md 15); nothing is sent."""
    message = f"The module {spec.id} needs a connection ({spec.connection}): give --connection NAME or --connect."
    return {"bundles": [], "error": InvalidConfigurationError(message).to_json()}


def show_module_report(report: dict[str, Any]) -> None:
    """Print exchanges, bundles and error of a module run for a person."""
    from workers.cli.exchanges import exchange_lines
    from workers.cli.steps import counted, debug_lines

    for exchange in report.get("exchanges", []):
        for line in exchange_lines(exchange):
            output.say(line)
    for line in debug_lines(report):
        output.say(line)
    for bundle in report["bundles"]:
        output.say(output.pretty(bundle))
    if error := report["error"]:
        output.complain(f"{error['type']}: {error['message']}")
    else:
        output.progress(counted(len(report["bundles"]), "bundle"))


def _find(opened: Service, app_name: str, module: str) -> tuple[App, ModuleSpec]:
    loaded = opened.load_app(app_name)
    if loaded.app is None:
        raise DefinitionError(f"{app_name}: the app cannot be used", loaded.findings)
    spec = loaded.app.module(module)
    if spec is None:
        raise UsageError(f"{app_name} has no module {module!r}; known: {', '.join(loaded.app.modules) or 'none'}")
    return loaded.app, spec


def _fields(loaded: App, spec: ModuleSpec) -> tuple[Fields, Fields]:
    from runtime.parameters import parse_fields

    own = (*parse_fields(spec.static_params.value), *parse_fields(spec.mappable_params.value))
    connection = loaded.connection(spec.connection) if spec.connection else None
    return own, parse_fields(connection.params.value) if connection else ()


def _given(
    own: Fields, connecting: Fields, params: str | None, param: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the module, and those of its connection that stand among them."""
    from workers.cli.fields import given_parameters, names_of

    values = given_parameters(params, param, names_of((*own, *connecting)))
    mine, theirs = names_of(own).all, names_of(connecting).all
    # A name that both have goes to both: the module and its connection then mean the same thing, such as an account.
    return (
        {name: value for name, value in values.items() if name in mine or name not in theirs},
        {name: value for name, value in values.items() if name in theirs},
    )


def _with_limit(own: Fields, parameters: dict[str, Any], limit: int) -> dict[str, Any]:
    from workers.cli.fields import names_of

    if limit > 0 and "limit" in names_of(own).all and "limit" not in parameters:
        return parameters | {"limit": limit}
    return parameters


def _connect_parameters(
    spec: ModuleSpec, connecting: Fields, given: dict[str, Any], file: str | None
) -> dict[str, Any] | None:
    from workers.cli.fields import ask_missing, given_parameters, names_of

    if not spec.connection:
        raise UsageError(f"--connect: the module {spec.id} needs no connection")
    values = given | given_parameters(file, None, names_of(connecting))
    return ask_missing(connecting, values)
