"""`scenarist iml --functions`: the functions of the expression language, from the table that runs them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from runtime.errors import UsageError
from workers.cli import iml_notation, output

if TYPE_CHECKING:
    from runtime.iml.registry import Function


def show_functions(name: str | None, *, as_json: bool) -> int:
    """
    Print one function with its examples, or all by family.

    Raises:
        UsageError: There is no such function; proposes similar ones.
    """
    from runtime.iml.functions import FUNCTIONS

    if name is None:
        rows = sorted(FUNCTIONS.values(), key=lambda function: (function.family, function.name))
        if as_json:
            output.print_json([function_json(function) for function in rows])
        else:
            output.table(
                ("FAMILY", "FUNCTION", "WHAT IT DOES"),
                [(function.family, function.signature, function.doc) for function in rows],
                empty="",
            )
        return 0
    function = FUNCTIONS.get(name)
    if function is None:
        near = difflib.get_close_matches(name, FUNCTIONS, 3, 0.5)
        raise UsageError(f"there is no function {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    if as_json:
        output.print_json(function_json(function))
        return 0
    output.say(function.signature)
    output.say(f"  {function.doc}")
    for example in function.examples:
        result = f"error: {example.error}" if example.error else output.pretty(iml_notation.write(example.expect))
        context = f"   with {output.pretty(iml_notation.write(dict(example.context)))}" if example.context else ""
        output.say(f"  {example.template}  ->  {result}{context}")
    return 0


def function_json(function: Function) -> dict[str, Any]:
    """A function as JSON data."""
    return {
        "name": function.name,
        "family": function.family,
        "signature": function.signature,
        "description": function.doc,
        "examples": [
            {"template": example.template, "context": iml_notation.write(dict(example.context))}
            | ({"error": example.error} if example.error else {"value": iml_notation.write(example.expect)})
            for example in function.examples
        ],
    }
