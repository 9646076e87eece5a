"""`scenarist iml`: evaluate an expression, or many from a file, or list the functions. Needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import typer

from runtime.errors import ImlError, ScenaristError, UsageError
from workers.cli import iml_notation, output
from workers.cli.arguments import JsonOption, read_bytes, read_json, read_object
from workers.cli.lazy import example, new_app

app = new_app()


@app.command(epilog=example("scenarist iml '{{upper(name)}} is {{age + 1}}' --context person.json"))
def iml(
    template: Annotated[
        str | None, typer.Argument(metavar="TEMPLATE", help="Text with {{...}}; with --functions a function's name.")
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", metavar="FILE|-", help="Variables as a JSON object.")
    ] = None,
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Time zone of the scenario.")] = "UTC",
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch", metavar="FILE|-", help="A JSON array of {template, context, timezone}; prints an array."
        ),
    ] = None,
    functions: Annotated[bool, typer.Option("--functions", help="List the functions, or show one.")] = False,
    as_json: JsonOption = False,
) -> int:
    """
    Evaluate an IML expression and print its value.

    Dates, buffers and undefined are written {"$date": "..."}, {"$buffer": "base64"}, {"$undefined": true} in JSON.
    """
    if functions and (batch is not None or context is not None):
        raise UsageError("--functions takes no --batch and no --context")
    if functions:
        from workers.cli.functions import show_functions

        return show_functions(template, as_json=as_json)
    if batch is not None:
        if template is not None or context is not None:
            raise UsageError(
                "--batch takes its templates and contexts from the file: give no TEMPLATE and no --context"
            )
        output.print_json(evaluate_all(read_json(batch), timezone=timezone))
        return 0
    if template is None:
        raise UsageError("give a TEMPLATE, --batch FILE or --functions; for example scenarist iml '{{1 + 1}}'")
    if template == "-":
        if context == "-":
            raise UsageError("TEMPLATE and --context cannot both come from standard input")
        template = read_bytes("-").decode("utf-8", "replace").removesuffix("\n")
    variables = iml_notation.read(read_object(context)) if context else {}
    try:
        value = evaluate(template, variables, timezone=timezone)
    except ImlError as error:
        error.template = template
        raise
    if as_json:
        output.print_json({"value": iml_notation.write(value)})
    else:
        output.say(_shown(value))
        for note in _missing(template, variables):
            output.complain(note)
    return 0


def _missing(template: str, variables: dict[str, Any]) -> Iterator[str]:
    """A note for each variable that is not there and looks like one that is."""
    import difflib

    from runtime.iml import caret, compile_document

    for reference in compile_document(template).references:
        near = difflib.get_close_matches(reference.root[:100], variables, 1, 0.7)
        if near and reference.root not in variables:
            line, mark = caret(template, reference.column)
            yield f'note: there is no variable "{reference.root}"; did you mean "{near[0]}"?\n  {line}\n  {mark}'


def _shown(value: Any) -> str:
    from runtime.values import to_text

    if isinstance(value, (dict, list)):
        return output.pretty(iml_notation.write(value))
    return to_text(value)


def evaluate(template: Any, context: dict[str, Any], *, timezone: str) -> Any:
    """
    The value of one template: any JSON value whose texts may hold expressions.

    Raises:
        ImlError: It does not parse or fails.
        UsageError: There is no such time zone.
    """
    from runtime.dates import zone
    from runtime.iml import Environment, compile_document

    if zone(timezone) is None:
        raise UsageError(f"--timezone: {timezone!r} is no time zone; use a name such as Europe/Prague")
    environment = Environment(now=datetime.now(UTC), timezone=timezone)
    return compile_document(template, on_error="raise").render(context, environment)


def evaluate_all(items: Any, *, timezone: str) -> list[dict[str, Any]]:
    """
    One `{value}` or `{error: {type, message}}` for each `{template, context?, timezone?}`.

    Raises:
        UsageError: The batch is no array of such objects.
    """
    if not isinstance(items, list):
        raise UsageError('--batch needs a JSON array such as [{"template": "{{1 + 1}}"}]')
    results: list[dict[str, Any]] = []
    for number, item in enumerate(cast("list[Any]", items), 1):
        if not isinstance(item, dict) or "template" not in item or not isinstance(item.get("context", {}), dict):
            raise UsageError(f"--batch: entry {number} needs a template, and its context must be an object")
        entry = cast("dict[str, Any]", item)
        try:
            value = evaluate(
                entry["template"], iml_notation.read(entry.get("context", {})), timezone=entry.get("timezone", timezone)
            )
        except ScenaristError as error:
            results.append({"error": {"type": error.name, "message": error.message}})
        else:
            results.append({"value": iml_notation.write(value)})
    return results
