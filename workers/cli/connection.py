"""`scenarist connection`: authorize once, keep the result encrypted, manage what is kept. No secret in arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import DefinitionError, UsageError
from workers.cli import authorizing as flow
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
    module: Annotated[list[str] | None, flow.MODULE] = None,
    scope: Annotated[list[str] | None, flow.SCOPE] = None,
    no_browser: Annotated[bool, flow.NO_BROWSER] = False,
    redirect_url: Annotated[str | None, flow.REDIRECT_URL] = None,
    loopback: Annotated[bool, flow.LOOPBACK] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Authorize a connection and keep it.

    A secret comes from a hidden prompt, --params FILE|- or --param NAME=env:VARIABLE. OAuth opens the provider's page
    and waits for it. Nothing is kept when the service refuses.
    """
    browser = flow.browser_of(no_browser=no_browser, redirect_url=redirect_url, loopback=loopback)
    with service() as opened:
        parameters = collect(_component(opened, app_name, component), params, param)

        def begin(redirect_uri: str) -> Any:
            return opened.connections.begin(
                app_name,
                component,
                name=name,
                parameters=parameters,
                redirect_uri=redirect_uri,
                modules=module,
                scopes=scope or (),
            )

        row = flow.authorize(opened, app_name, component, browser, begin)
    return _done(row.to_json(), "authorized", as_json=as_json)


@app.command("list", epilog=example("scenarist connection list"))
def list_(as_json: JsonOption = False) -> int:
    """List the connections."""
    with service() as opened:
        rows = [row.to_json() for row in opened.connections.list()]
    if as_json:
        output.print_json(rows)
    else:
        output.table(
            ("NAME", "APP", "COMPONENT", "WHO", "STATE", "SCENARIOS"),
            [
                (
                    row["name"],
                    row["app"],
                    row["component"],
                    _value(row),
                    row.get("state"),
                    len(row["scenarios"]),
                )
                for row in rows
            ],
            empty="There is no connection; scenarist connection add APP COMPONENT --name NAME makes one.",
        )
    return 0


@app.command("show", epilog=example("scenarist connection show desk"))
def show(name: Name, as_json: JsonOption = False) -> int:
    """Show a connection without its secrets, and which scenarios use it."""
    with service() as opened:
        row = opened.connections.show(name).to_json()
    if as_json:
        output.print_json(row)
        return 0
    instants = {key: output.instant(row[key]) for key in ("created", "changed", "lastUsed", "lastErrorAt")}
    output.facts(row | instants | {"scenarios": ", ".join(row["scenarios"]) or "none"})
    return 0


@app.command("test", epilog=example("scenarist connection test desk"))
def test(name: Name, as_json: JsonOption = False) -> int:
    """Ask the service whether a connection still works."""
    with service() as opened:
        row = opened.connections.test(name).to_json()
    return _done(row, "works", as_json=as_json)


@app.command("renew", epilog=example("scenarist connection renew mail"))
def renew(name: Name, as_json: JsonOption = False) -> int:
    """Renew the token of an OAuth connection now, whether that is due or not."""
    with service() as opened:
        row = opened.connections.renew(name).to_json()
    return _done(row, "renewed", as_json=as_json)


@app.command("reauthorize", epilog=example("scenarist connection reauthorize mail"))
def reauthorize(
    name: Name,
    param: ParamOption = None,
    params: ParamsOption = None,
    module: Annotated[list[str] | None, flow.MODULE] = None,
    scope: Annotated[list[str] | None, flow.SCOPE] = None,
    no_browser: Annotated[bool, flow.NO_BROWSER] = False,
    redirect_url: Annotated[str | None, flow.REDIRECT_URL] = None,
    loopback: Annotated[bool, flow.LOOPBACK] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Authorize a connection again, with the same account.

    Its id, name and scenarios stay, and permissions that modules have come to need are asked for. Parameters that are
    given replace the stored ones.
    """
    browser = flow.browser_of(no_browser=no_browser, redirect_url=redirect_url, loopback=loopback)
    with service() as opened:
        app_name, component, record = opened.connections.app_of(name)
        parameters = _given(_component(opened, app_name, component), params, param)
        row = _again(opened, record, parameters, browser, module, scope)
    return _done(row, "authorized again", as_json=as_json)


@app.command("edit", epilog=example("scenarist connection edit desk --param apiKey=env:DESK_KEY"))
def edit(
    name: Name,
    param: ParamOption = None,
    params: ParamsOption = None,
    no_browser: Annotated[bool, flow.NO_BROWSER] = False,
    redirect_url: Annotated[str | None, flow.REDIRECT_URL] = None,
    loopback: Annotated[bool, flow.LOOPBACK] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Change parameters of a connection that its app lets be changed.

    The service is asked first; when it refuses, the old ones stay.
    """
    browser = flow.browser_of(no_browser=no_browser, redirect_url=redirect_url, loopback=loopback)
    with service() as opened:
        app_name, component, _ = opened.connections.app_of(name)
        changes = _given(_component(opened, app_name, component), params, param)
        if not changes:
            raise UsageError("nothing to change; give --param NAME=VALUE or --params FILE|-")
        record, parameters, again = opened.connections.inputs_for_edit(name, changes)
        if again:
            row = _again(opened, record, parameters, browser, None, None)
        else:
            row = opened.connections.apply_inputs(record, parameters).to_json()
    return _done(row, "changed", as_json=as_json)


@app.command("rename", epilog=example("scenarist connection rename desk support-desk"))
def rename(
    name: Name, new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")], as_json: JsonOption = False
) -> int:
    """Give a connection another name; scenarios go on using it."""
    with service() as opened:
        row = opened.connections.rename(name, new).to_json()
    return _done(row, "is the new name", as_json=as_json)


@app.command("remove", epilog=example("scenarist connection remove desk"))
def remove(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also when scenarios use it; they stop working.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Give a connection back to the service and remove it.

    Refused while a scenario uses it.
    """
    with service() as opened:
        reason = opened.connections.remove(name, force=force)
    if as_json:
        output.print_json({"removed": name, "notInvalidated": reason})
        return 0
    if reason is not None:
        output.complain(f"The service has not taken the grant back: {reason}")
    output.say(f"{name} removed")
    return 0


def _again(
    opened: Service,
    record: Any,
    parameters: dict[str, Any],
    browser: flow.Browser,
    modules: list[str] | None,
    scopes: list[str] | None,
) -> dict[str, Any]:
    def begin(redirect_uri: str) -> Any:
        return opened.connections.begin(
            record.app,
            record.component,
            name=record.name,
            parameters=parameters,
            redirect_uri=redirect_uri,
            stored=record.id,
            modules=modules,
            scopes=scopes or (),
        )

    return flow.authorize(opened, record.app, record.component, browser, begin).to_json()


def _done(row: dict[str, Any], what: str, *, as_json: bool) -> int:
    if as_json:
        output.print_json(row)
    else:
        output.say(f"{row['name']} {what}{_who(row)}")
    return 0


def _given(spec: ConnectionSpec, params: str | None, param: list[str] | None) -> dict[str, Any]:
    """Parameters that were given, without asking for the rest."""
    from runtime.parameters import parse_fields
    from workers.cli.fields import given_parameters, names_of

    return given_parameters(params, param, names_of(parse_fields(spec.params.value)))


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
    loaded = opened.apps.load(app_name)
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
