"""`scenarist hook`: webhooks, their addresses, their events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, ParamOption, ParamsOption, read_json, read_object
from workers.cli.lazy import example, new_app
from workers.cli.services import service

if TYPE_CHECKING:
    from runtime.app.specs import WebhookSpec
    from workers.commands.hooks import Changed
    from workers.ledger.events import EventRow

app = new_app(
    "Make webhooks, attach them at their services, look at what came in.", "scenarist hook add --custom orders"
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a webhook.")]
Headers = Annotated[
    bool | None, typer.Option("--headers/--no-headers", help="Add the request's headers to the bundle.")
]
AddMethod = Annotated[bool | None, typer.Option("--add-method/--no-add-method", help="Add the request's method.")]
Method = Annotated[
    str | None, typer.Option("--method", metavar="METHOD", help="Take this method only; `any` takes every one.")
]
Stringify = Annotated[
    bool | None, typer.Option("--stringify/--no-stringify", help="Pass the body on as one text in `value`.")
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--ip", metavar="NETWORK", help="Only these addresses or networks may call; `--ip any` lifts it."),
]
StructureFile = Annotated[
    str | None,
    typer.Option("--structure", metavar="FILE|-|none", help="A list of fields that events must fit; `none` lifts it."),
]
Dedupe = Annotated[
    str | None,
    typer.Option(
        "--dedupe", metavar="EXPRESSION", help="Take a delivery once: what tells them apart, {{headers.x-delivery}}."
    ),
]


@app.command("add", epilog=example("scenarist hook add helpdesk newTicket --name tickets --connection desk"))
def add(
    app_name: Annotated[
        str | None, typer.Argument(metavar="[APP", help="Name of a registered app; nothing with --custom.")
    ] = None,
    webhook: Annotated[str | None, typer.Argument(metavar="WEBHOOK]", help="Id of the app's webhook.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call the webhook here.")] = None,
    custom: Annotated[
        str | None, typer.Option("--custom", metavar="NAME", help="Make a custom webhook of this name.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option("--connection", metavar="NAME", help="Connection to attach it with.")
    ] = None,
    param: ParamOption = None,
    params: ParamsOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Attach and detach it with the scenario, when that is switched on and off.")
    ] = False,
    headers: Headers = None,
    add_method: AddMethod = None,
    method: Method = None,
    stringify: Stringify = None,
    ip: Networks = None,
    structure: StructureFile = None,
    dedupe: Dedupe = None,
    as_json: JsonOption = False,
) -> int:
    """
    Make a webhook.

    One of an app is attached at its service at once; when the service refuses, nothing is left behind. The address of a
    custom one, or of one that its app does not attach, is printed: give it to the service. A scenario uses the webhook
    after scenario import --hook ID=NAME.
    """
    options = _options(headers, add_method, method, stringify, ip, structure, dedupe)
    with service() as opened:
        if custom is not None:
            if app_name or webhook or connection or param or params or follow:
                raise UsageError("--custom takes no app, connection or parameters")
            changed = opened.hooks.add_custom(custom, options)
        else:
            if not app_name or not webhook:
                raise UsageError("give APP and WEBHOOK, or --custom NAME")
            if options.keys() - {"dedupe"}:
                raise UsageError("these options belong to a custom webhook; one of an app takes --dedupe and --follow")
            spec = opened.hooks.webhook(app_name, webhook)
            changed = opened.hooks.add(
                app_name,
                webhook,
                name=name or webhook,
                connection=connection,
                parameters=_collect(spec, params, param),
                follow=follow,
                dedupe=dedupe,
            )
    return _done(changed, "made", as_json=as_json)


@app.command("list", epilog=example("scenarist hook list"))
def list_(as_json: JsonOption = False) -> int:
    """List the webhooks, without their addresses."""
    with service() as opened:
        rows = opened.hooks.list()
    if as_json:
        output.print_json([row.to_json(url=False) for row in rows])
        return 0
    output.table(
        ("NAME", "APP", "WEBHOOK", "STATE", "SCENARIO", "WAITING"),
        [(row.name, row.app, row.component, row.state, row.scenario or "", row.waiting) for row in rows],
        empty="There is no webhook; scenarist hook add --custom NAME makes one.",
    )
    return 0


@app.command("show", epilog=example("scenarist hook show orders"))
def show(
    name: Name,
    url: Annotated[bool, typer.Option("--url", help="Show the address also of a webhook that is attached.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show a webhook. Whoever knows its address can send events to it."""
    with service() as opened:
        view = opened.hooks.show(name)
    row = view.to_json(url=True if url else None)
    if as_json:
        output.print_json(row)
        return 0
    facts = row | {"created": output.instant(row["created"]), "parameters": None, "options": None, "url": None}
    output.facts({key: value for key, value in facts.items() if value is not None})
    for word in ("parameters", "options"):
        for key, value in row[word].items():
            output.say(f"{word[:-1]} {key}: {_short(value)}")
    if row["url"]:
        output.say(f"url: {row['url']}")
    return 0


@app.command("edit", epilog=example("scenarist hook edit tickets --param event=ticket.closed"))
def edit(
    name: Name,
    rename: Annotated[str | None, typer.Option("--name", metavar="NEW", help="Another name.")] = None,
    param: ParamOption = None,
    params: ParamsOption = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="NAME|none", help="Let it serve this scenario, or none.")
    ] = None,
    follow: Annotated[
        bool | None, typer.Option("--follow/--no-follow", help="Attach and detach it with the scenario.")
    ] = None,
    headers: Headers = None,
    add_method: AddMethod = None,
    method: Method = None,
    stringify: Stringify = None,
    ip: Networks = None,
    structure: StructureFile = None,
    dedupe: Dedupe = None,
    as_json: JsonOption = False,
) -> int:
    """
    Change a webhook.

    New parameters of an app's webhook are told to its service, or it is detached and attached again.
    """
    options = _options(headers, add_method, method, stringify, ip, structure, dedupe)
    if follow is not None:
        options["follow"] = follow or None
    with service() as opened:
        parameters: dict[str, Any] = {}
        if param or params:
            view = opened.hooks.show(name)
            parameters = _given(opened.hooks.webhook(view.app, view.component), params, param)
        if not (rename or parameters or options or scenario):
            raise UsageError("nothing to change; give --name, --param NAME=VALUE or an option")
        changed = opened.hooks.edit(name, name=rename, parameters=parameters, options=options)
        if scenario:
            # Behind what the service has to accept.
            bound = opened.hooks.bind(changed.view.id, None if scenario == "none" else scenario)
            changed = replace(bound, warnings=changed.warnings)
    return _done(changed, "changed", as_json=as_json)


@app.command("attach", epilog=example("scenarist hook attach tickets"))
def attach(name: Name, as_json: JsonOption = False) -> int:
    """Attach a webhook that is detached."""
    with service() as opened:
        changed = opened.hooks.attach(name)
    return _done(changed, "attached", as_json=as_json)


@app.command("detach", epilog=example("scenarist hook detach tickets"))
def detach(name: Name, as_json: JsonOption = False) -> int:
    """Take a webhook away from its service, and keep it with its address."""
    with service() as opened:
        changed = opened.hooks.detach(name)
    return _done(changed, "detached", as_json=as_json)


@app.command("remove", epilog=example("scenarist hook remove tickets"))
def remove(
    name: Name,
    strict: Annotated[bool, typer.Option("--strict", help="Keep it when its service does not let it go.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while a scenario uses it.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Detach a webhook and remove it with its waiting events.

    A service that refuses is a warning, and one that does not know the webhook any more is none.
    """
    with service() as opened:
        removed, warnings = opened.hooks.remove(name, strict=strict, force=force)
    for warning in warnings:
        output.complain(warning)
    if as_json:
        output.print_json({"removed": removed, "warnings": list(warnings)})
    else:
        output.say(f"{removed} removed")
    return 0


@app.command("queue", epilog=example("scenarist hook queue orders"))
def queue(
    name: Name,
    event: Annotated[str | None, typer.Option("--event", metavar="ID", help="Show what this event holds.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> int:
    """
    List the events of a webhook that are not done with, oldest first.

    `dead` are those that made their run fail in a way that a repeat cannot mend.
    """
    with service() as opened:
        if event is not None:
            output.print_json(_plain(opened.hooks.event(name, event)))
            return 0
        rows = opened.hooks.events(name, limit=limit)
    if as_json:
        output.print_json([_event(row) for row in rows])
    else:
        output.table(
            ("EVENT", "RECEIVED", "BYTES", "PLACE", "RUN"),
            [(row.id, output.instant(row.received_ms), row.size, row.place, row.run) for row in rows],
            empty="No event waits.",
        )
    return 0


@app.command("drop-events", epilog=example("scenarist hook drop-events orders --all"))
def drop_events(
    name: Name,
    event: Annotated[list[str] | None, typer.Option("--event", metavar="ID", help="Delete this event.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all events that no run has.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Delete events of a webhook. Those that a run has stay."""
    if bool(event) == everything:
        raise UsageError("give --event ID or --all")
    with service() as opened:
        count = opened.hooks.drop(name, event or None)
    return _count("dropped", count, as_json=as_json)


@app.command("revive-events", epilog=example("scenarist hook revive-events orders"))
def revive_events(name: Name, as_json: JsonOption = False) -> int:
    """Let dead events of a webhook wait again, at their old places."""
    with service() as opened:
        count = opened.hooks.revive(name)
    return _count("revived", count, as_json=as_json)


@app.command("learn", epilog=example("scenarist hook learn orders"))
def learn(
    name: Name,
    event: Annotated[str | None, typer.Option("--event", metavar="ID", help="Learn from this event.")] = None,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="FILE|-", help="Learn from a JSON object instead of an event.")
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Refuse events from now on that do not fit, with 400.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Learn what the events of a custom webhook look like: names and types of their fields.

    From the oldest event that waits, or from the next one when none does.
    """
    if event is not None and sample is not None:
        raise UsageError("give --event or --sample, not both")
    with service() as opened:
        given = read_object(sample) if sample else None
        found, binding = opened.hooks.learn(name, sample=given, event=event, validate=validate)
    if as_json:
        output.print_json({"structure": found, "validates": binding, "waits": found is None})
    elif found is None:
        output.say("The structure is learned from the next event.")
    else:
        for line in _lines(found):
            output.say(line)
    return 0


# -- parts -------------------------------------------------------------------------------------------------------------


def _options(
    headers: bool | None,
    add_method: bool | None,
    method: str | None,
    stringify: bool | None,
    ip: list[str] | None,
    structure: str | None,
    dedupe: str | None,
) -> dict[str, Any]:
    """The options that were given; None takes one away."""
    found: dict[str, Any] = {}
    for key, flag in (("headers", headers), ("addMethod", add_method), ("stringify", stringify)):
        if flag is not None:
            found[key] = flag or None
    if method is not None:
        found["method"] = method
    if ip is not None:
        found["ip"] = None if ip == ["any"] else ip
    if structure is not None:
        found["structure"] = None if structure == "none" else read_json(structure)
    if dedupe is not None:
        found["dedupe"] = dedupe.strip() or None
    return found


def _collect(spec: WebhookSpec, params: str | None, param: list[str] | None) -> dict[str, Any]:
    """A webhook's parameters from file, pairs and prompts."""
    from runtime.parameters import parse_fields
    from workers.cli.fields import ask_missing, keep_secrets, names_of

    fields = parse_fields(spec.params.value)
    complete = ask_missing(fields, _given(spec, params, param))
    keep_secrets(complete, names_of(fields))
    return complete


def _given(spec: WebhookSpec, params: str | None, param: list[str] | None) -> dict[str, Any]:
    from runtime.parameters import parse_fields
    from workers.cli.fields import given_parameters, names_of

    return given_parameters(params, param, names_of(parse_fields(spec.params.value)))


def _done(changed: Changed, what: str, *, as_json: bool) -> int:
    row = changed.view.to_json()
    for warning in changed.warnings:
        output.complain(warning)
    if as_json:
        output.print_json(row | {"warnings": list(changed.warnings)})
        return 0
    output.say(f"{row['name']} {what} ({row['state']})")
    if row["url"]:
        output.say(row["url"])
    return 0


def _count(word: str, count: int, *, as_json: bool) -> int:
    output.print_json({word: count}) if as_json else output.say(f"{count} {word}")
    return 0


def _event(row: EventRow) -> dict[str, Any]:
    return {"id": row.id, "received": row.received_ms, "size": row.size, "place": row.place, "run": row.run or None}


def _plain(value: Any) -> Any:
    from runtime.values import jsonable

    return jsonable(value)


def _short(value: Any) -> str:
    from runtime.values import compact_json

    text = value if isinstance(value, str) else compact_json(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _lines(fields: list[Any], depth: int = 0) -> list[str]:
    lines: list[str] = []
    for item in fields:
        lines.append(f"{'  ' * depth}{item['name']}: {item['type']}")
        if isinstance(item.get("spec"), list):
            lines += _lines(item["spec"], depth + 1)
    return lines
