"""`scenarist rpc run`: one RPC of an app now, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import UsageError
from workers.cli import calls, output
from workers.cli.arguments import JsonOption, ParamOption, ParamsOption, TraceOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service

app = new_app(
    "Call the RPCs of an app, which fill the options and fields of its forms.",
    "scenarist rpc run examples/apps/helpdesk listCustomers --connection desk",
)


@app.callback()
def group() -> None:
    """Call the RPCs of an app, which fill the options and fields of its forms."""


@app.command("run", epilog=example("scenarist rpc run examples/apps/helpdesk listCustomers --connection desk"))
def run(
    app_name: calls.AppArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Id of the RPC; a query may follow, as in name?table=x.")],
    connection: calls.ConnectionOption = None,
    connect: calls.ConnectOption = False,
    param: ParamOption = None,
    params: ParamsOption = None,
    connect_params: calls.ConnectParamsOption = None,
    trace: TraceOption = False,
    dry_run: calls.DryRunOption = False,
    curl: calls.CurlOption = False,
    as_json: JsonOption = False,
) -> int:
    """
    Call one RPC and print its rows.

    --param and --params are the values of the form that calls it. At most 10 requests, 3200 rows and 40 seconds.
    """
    from runtime.parameters import parse_fields
    from workers.local import Choices

    calls.check_options(connection=connection, connect=connect, connect_params=connect_params)
    with service(ledger=connection is not None or not Path(app_name).exists()) as opened:
        loaded = calls.loaded_app(opened, app_name)
        spec = loaded.rpc(name.removeprefix("rpc://").partition("?")[0])
        if spec is None:
            raise UsageError(f"{app_name} has no RPC {name!r}; known: {', '.join(loaded.rpcs) or 'none'}")
        _, connecting = calls.connecting_fields(loaded, spec.connection)
        if connect and not spec.connection:
            raise UsageError(f"--connect: the RPC {spec.id} needs no connection")
        own = parse_fields(spec.params.value)
        parameters, among = calls.given(own, connecting if connect else (), params, param)
        authorize = calls.connect_parameters(connecting, among, connect_params) if connect else None
        result = opened.local.rpc(
            app_name,
            name,
            parameters=parameters,
            connection=connection,
            connect_parameters=authorize,
            choices=Choices(dry_run=dry_run or curl),
        )
    report = result.to_json(meta=True, trace=trace)
    if as_json:
        if dry_run or curl:
            report["requests"] = list(result.requests)
        calls.print_report(report)
    else:
        if not (dry_run or curl) or report["error"]:
            calls.show_report(report, one="row")
        for request in result.requests:
            output.say(request["curl"]) if curl else calls.show_request(request)
    return 1 if report["error"] else 0
