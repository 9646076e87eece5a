"""What `module run` and `rpc run` share: the parameters of a component and its connection, and how a report looks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from runtime.errors import DefinitionError, UsageError
from workers.cli import output

if TYPE_CHECKING:
    from runtime.app.specs import App, ConnectionSpec
    from runtime.parameters.fields import Fields
    from workers.service import Service

AppArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="APP", help="An app's folder or the name of a registered app.")
]
ConnectionOption: TypeAlias = Annotated[
    str | None, typer.Option("--connection", metavar="NAME", help="Use this stored connection.")
]
ConnectOption: TypeAlias = Annotated[
    bool, typer.Option("--connect", help="Authorize now, for this call only; no server is started.")
]
ConnectParamsOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--connect-params", metavar="FILE|-", help="The connection's own parameters, for --connect."),
]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Print the first request as it would be sent, and send nothing.")
]
CurlOption: TypeAlias = Annotated[
    bool, typer.Option("--curl", help="Print that request as a curl command, secrets as variables; send nothing.")
]
#: Widest table of bundles in columns; more fields are shown one bundle after the other.
MOST_COLUMNS = 8


def check_options(*, connection: str | None, connect: bool, connect_params: str | None) -> None:
    """Raises UsageError for options that exclude or need each other."""
    if connection and connect:
        raise UsageError("--connection and --connect exclude each other")
    if connect_params and not connect:
        raise UsageError("--connect-params needs --connect")


def loaded_app(opened: Service, name: str) -> App:
    """The app of a command. Raises DefinitionError when it cannot be used."""
    loaded = opened.apps.load(name)
    if loaded.app is None:
        raise DefinitionError(f"{name}: the app cannot be used", loaded.findings)
    return loaded.app


def connecting_fields(app: App, connection: str | None) -> tuple[ConnectionSpec | None, Fields]:
    """The connection component that a caller names, and its parameters."""
    from runtime.parameters import parse_fields

    spec = app.connection(connection) if connection else None
    return spec, parse_fields(spec.params.value) if spec else ()


def given(
    own: Fields, connecting: Fields, params: str | None, param: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the component, and those of its connection that stand among them."""
    from workers.cli.fields import given_parameters, names_of

    values = given_parameters(params, param, names_of((*own, *connecting)))
    mine, theirs = names_of(own).all, names_of(connecting).all
    # A name that both have goes to both: the component and its connection then mean the same thing, such as an account.
    return (
        {name: value for name, value in values.items() if name in mine or name not in theirs},
        {name: value for name, value in values.items() if name in theirs},
    )


def connect_parameters(connecting: Fields, among: dict[str, Any], file: str | None) -> dict[str, Any]:
    """The parameters of a connection that is authorized for one call; what is missing is asked for."""
    from workers.cli.fields import ask_missing, given_parameters, names_of

    return ask_missing(connecting, among | given_parameters(file, None, names_of(connecting)))


def print_report(report: dict[str, Any]) -> None:
    """Print a report for programs. Bundles are the user's data: only declared secrets were taken out of them."""
    output.print_json(report, clean=("bundles",))


def show_report(report: Mapping[str, Any], *, one: str = "bundle") -> None:
    """Print exchanges, bundles and error of a call for a person."""
    from workers.cli.exchanges import exchange_lines
    from workers.cli.steps import counted, debug_lines

    for exchange in report.get("exchanges", []):
        for line in exchange_lines(exchange):
            output.say(line)
    for line in debug_lines(report):
        output.say(line)
    show_bundles(report["bundles"])
    for warning in report.get("warnings", []):
        output.complain(f"warning: {warning['message']}")
    if error := report["error"]:
        output.complain(f"{error['type']}: {error['message']}")
    else:
        output.progress(counted(len(report["bundles"]), one))


def show_bundles(bundles: list[Any]) -> None:
    """Several bundles with few fields as a table, others field by field."""
    columns = list(dict.fromkeys(name for bundle in bundles if isinstance(bundle, dict) for name in bundle))
    if len(bundles) > 1 and 0 < len(columns) <= MOST_COLUMNS:
        rows = [[bundle.get(name) if isinstance(bundle, dict) else bundle for name in columns] for bundle in bundles]
        output.table(columns, rows, empty="", clean=True)
        return
    for bundle in bundles:
        output.say_data(output.pretty(bundle))


def show_request(request: Mapping[str, Any]) -> None:
    """Print a request that was not sent: each directive against its source line, then the request as it would go."""
    from workers.cli.steps import shortened

    for directive in request.get("directives", []):
        output.say(f"{directive['at']}  {directive['directive']}: {shortened(directive['template'])}")
    output.say(f"{request.get('method')} {request.get('url')}")
    for name, value in dict(request.get("headers") or {}).items():
        output.say(f"{name}: {value}")
    body = request.get("body")
    if body not in (None, ""):
        output.say()
        output.say(body if isinstance(body, str) else output.pretty(body))


def start_choice(
    *, since: str | None = None, everything: bool = False, now: bool = False, start: str | None = None
) -> dict[str, Any] | None:
    """
    Where a polling trigger is to start, from the options of a command; None when none was given.

    Raises:
        UsageError: Several were given, or the JSON is no choice.
    """
    from modules.trigger_state import START_MODES
    from runtime.codec import unmark_given
    from runtime.dates import parse_date_text

    if sum([since is not None, everything, now, start is not None]) > 1:
        raise UsageError("--since, --all, --now and --start exclude each other")
    if since is not None:
        if parse_date_text(since, "UTC") is None:
            # Taken as no date, it would mean all there is.
            raise UsageError(f"--since: {since!r} is no date; write 2026-01-31 or 2026-01-31T12:00:00Z")
        return {"mode": "since", "date": since}
    if everything or now:
        return {"mode": "all" if everything else "now"}
    if start is None:
        return None
    try:
        choice = unmark_given(json.loads(start))
    except ValueError:
        choice = None
    if not isinstance(choice, dict) or choice.get("mode") not in START_MODES:
        raise UsageError(f'--start needs JSON such as {{"mode": "id", "id": 7}}; modes: {", ".join(START_MODES)}')
    return choice
