"""
`docs/iml-functions.md`: every function of the expression language, from the table that runs them.

`python -m workers.cli.iml_reference docs/iml-functions.md` writes the page anew; a test compares it, another one runs
each example.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from runtime.iml.functions import reference
from runtime.iml.registry import Example, Function, Parameter
from runtime.values import compact_json
from workers.cli import iml_notation

_TITLES = {
    "general": "General", "text": "Text", "binary": "Binary data and hashes", "math": "Numbers", "date": "Dates",
    "array": "Arrays and collections",
}  # fmt: skip
_HEAD = """\
# Functions of the expression language

Generated from the functions themselves by `python -m workers.cli.iml_reference docs/iml-functions.md`. Each example is
run as a test. `scenarist iml --functions NAME` shows the same in a terminal; [iml.md](iml.md) has operators, keywords
and variables.

A name in square brackets may be left out; `...` stands for any number of further arguments. `;` and `,` both separate
arguments. An argument of another type is converted where that is possible, else the call is an error that shows the
value. Results are written as in JSON; `{"$date": ...}` is a date, `{"$buffer": base64}` binary data,
`{"$undefined": true}` nothing at all. Examples are in UTC unless they name a zone.
"""


def page() -> str:
    """The Markdown text of the page."""
    lines = [_HEAD]
    for family, functions in groupby(reference(), key=lambda function: function.family):
        lines += [f"## {_TITLES[family]}", ""]
        for function in functions:
            lines += _section(function)
    return "\n".join(lines)


def _section(function: Function) -> Iterator[str]:
    yield from (f"### {function.name}", "", f"`{function.signature}`", "", function.doc)
    if function.app_only:
        yield from ("", "In the files of custom apps only; a scenario's mapper does not know it.")
    yield ""
    typed = [_typed(parameter) for parameter in function.parameters if parameter.kind != "any"]
    if typed:
        yield from (f"Types: {', '.join(typed)}.", "")
    yield from ("| example | result |", "| --- | --- |")
    for example in function.examples:
        yield f"| {_code(example.template)}{_given(example)} | {_result(example)} |"
    yield ""


def _typed(parameter: Parameter) -> str:
    return f"`{parameter.name}` {parameter.kind}"


def _given(example: Example) -> str:
    given = f" with {_code(compact_json(iml_notation.write(dict(example.context))))}" if example.context else ""
    return given + (f" in {example.timezone}" if example.timezone != "UTC" else "")


def _result(example: Example) -> str:
    if example.error:
        return f"error: {_code(example.error)}"
    return _code(compact_json(iml_notation.write(example.expect)))


def _code(text: str) -> str:
    """Code in a table cell: back-ticks need a longer fence, a bar an escape, a line end its picture."""
    shown = text.replace("|", "\\|").replace("\n", "\u2424")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
