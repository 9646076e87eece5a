"""`scenarist module run`: one module of an app now, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import calls, output
from workers.cli.arguments import JsonOption, MetaOption, ParamOption, ParamsOption, TraceOption, read_json
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from runtime.app.specs import App, ModuleSpec
    from runtime.parameters.fields import Fields
    from workers.local import Choices
    from workers.views import ModuleReport

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
    app_name: calls.AppArgument,
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Id of the module.")],
    connection: calls.ConnectionOption = None,
    connect: calls.ConnectOption = False,
    param: ParamOption = None,
    params: ParamsOption = None,
    connect_params: calls.ConnectParamsOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="NUMBER", help="Most bundles to get.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="FILE", help="Keep a polling trigger's memory in this file from poll to poll."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="A polling trigger starts at this date.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="A polling trigger starts with all there is.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="JSON", help='A polling trigger\'s start, such as {"mode": "id", "id": 7}.'),
    ] = None,
    epoch: Annotated[
        bool, typer.Option("--epoch", help="List the points where a polling trigger can start; nothing is polled.")
    ] = False,
    event: Annotated[
        str | None,
        typer.Option(
            "--event", metavar="FILE|-", help="The item of its webhook that an instant trigger gets, as JSON."
        ),
    ] = None,
    interface: Annotated[
        bool, typer.Option("--interface", help="Compare the bundles with the module's interface.")
    ] = False,
    trace: TraceOption = False,
    dry_run: calls.DryRunOption = False,
    curl: calls.CurlOption = False,
    meta: MetaOption = False,
    as_json: JsonOption = False,
) -> int:
    """
    Run one module and print its bundles.

    With --connect the connection's parameters may stand among --params and --param too; what is missing is asked for.
    Bundles are your own data: only values that the app declares as secret (password, private key, certificate) are
    masked in them. Requests, answers, errors and logs are always redacted.
    """
    from workers.cli.counting import Counting
    from workers.local import Choices

    calls.check_options(connection=connection, connect=connect, connect_params=connect_params)
    with service(ledger=connection is not None or not Path(app_name).exists()) as opened:
        loaded = calls.loaded_app(opened, app_name)
        spec = _module(loaded, app_name, module)
        own = _fields(spec)
        _, connecting = calls.connecting_fields(loaded, spec.connection)
        if connect and not spec.connection:
            raise UsageError(f"--connect: the module {spec.id} needs no connection")
        parameters, among = calls.given(own, connecting if connect else (), params, param)
        if limit is not None:
            parameters = _with_limit(own, parameters, limit)
        authorize = calls.connect_parameters(connecting, among, connect_params) if connect else None
        with Counting(limit) as counting:
            choices = Choices(
                state=_read_state(state),
                start=calls.start_choice(since=since, everything=everything, start=start),
                limit=limit,
                event=_event(event),
                epoch=epoch,
                dry_run=dry_run or curl,
                progress=counting.tell,
            )
            result = opened.local.module(
                app_name,
                module,
                parameters=parameters,
                connection=connection,
                connect_parameters=authorize,
                choices=choices,
            )
    if state and result.error is None and not _polls_nothing(choices):
        _write_state(state, result.state)
    report = result.to_json(meta=meta, trace=trace)
    if limit is not None:
        report["bundles"] = report["bundles"][:limit]
    _print(report, result, choices, interface=interface, curl=curl, as_json=as_json)
    return 1 if report["error"] else 0


def _print(
    report: dict[str, Any], result: ModuleReport, choices: Choices, *, interface: bool, curl: bool, as_json: bool
) -> None:
    if as_json:
        if choices.dry_run:
            report["requests"] = list(result.requests)
        if interface:
            report["interface"] = {"undeclared": list(result.undeclared), "missing": list(result.missing)}
        calls.print_report(report)
        return
    if not choices.dry_run or report["error"]:
        calls.show_report(report)
    for request in result.requests:
        output.say(request["curl"]) if curl else calls.show_request(request)
    if choices.dry_run and not result.requests and not report["error"]:
        output.complain("The module would send nothing.")
    if interface:
        for name in result.undeclared:
            output.complain(f"hint: the interface does not declare {name}")
        for name in result.missing:
            output.complain(f"hint: no bundle has the declared field {name}")


def _module(loaded: App, app_name: str, module: str) -> ModuleSpec:
    spec = loaded.module(module)
    if spec is None:
        raise UsageError(f"{app_name} has no module {module!r}; known: {', '.join(loaded.modules) or 'none'}")
    return spec


def _fields(spec: ModuleSpec) -> Fields:
    from runtime.parameters import parse_fields

    return (*parse_fields(spec.static_params.value), *parse_fields(spec.mappable_params.value))


def _with_limit(own: Fields, parameters: dict[str, Any], limit: int) -> dict[str, Any]:
    from workers.cli.fields import names_of

    if limit > 0 and "limit" in names_of(own).all and "limit" not in parameters:
        return parameters | {"limit": limit}
    return parameters


def _event(file: str | None) -> Any:
    from runtime.codec import unmark_given

    if file is None:
        return None
    found = read_json(file)
    if found is None:
        raise UsageError("--event: null is no item")
    return unmark_given(found)


# -- the memory of a polling trigger ----------------------------------------------------------------------------------


def _polls_nothing(choices: Choices) -> bool:
    return choices.epoch or choices.dry_run


def _read_state(file: str | None) -> dict[str, Any] | None:
    from runtime.codec import unmark_given
    from workers.cli.arguments import read_object

    if file is None or not Path(file).exists():
        return None
    return unmark_given(read_object(file))


def _write_state(file: str, state: dict[str, Any] | None) -> None:
    """Replace the file in one step, so that a crash leaves the old memory or the new one."""
    from runtime.codec import dumps

    if state is None:
        return
    new = Path(file + ".new")
    try:
        new.write_bytes(dumps(state) + b"\n")
        new.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from error
