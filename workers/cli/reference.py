"""
The generated part of `docs/cli.md`: every command with its options, from the command tree itself.

`python -m workers.cli.reference docs/cli.md` writes it anew below the marker; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from workers.cli.lazy import is_group
from workers.cli.root import app

#: What stands above this line is written by hand.
MARKER = "<!-- From here on: python -m workers.cli.reference docs/cli.md -->"


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below the root, with its path."""
    command = typer.main.get_command(app) if command is None else command
    if path:
        yield path, command
    if is_group(command):
        for name in command.list_commands(None):
            yield from commands(command.get_command(None, name), (*path, name))


def reference() -> str:
    """The Markdown text of all commands."""
    return "\n".join([line for path, command in commands() for line in _section(path, command)])


def _section(path: tuple[str, ...], command: Any) -> Iterator[str]:
    name = f"scenarist {' '.join(path)}"
    if is_group(command):
        yield from (f"## {name}", "", command.help, "")
        return
    yield from (f"### {name}" if len(path) > 1 else f"## {name}", "", _prose(command.help), "")
    yield from ("```sh", *_example(command.epilog), "```", "")
    yield from ("| argument or option | meaning |", "| --- | --- |")
    for parameter in command.params:
        yield f"| {_shown(parameter)} | {_meaning(parameter)} |"
    yield ""


def _prose(text: str) -> str:
    # One paragraph a line: Markdown wraps by itself.
    return "\n\n".join([" ".join(paragraph.split()) for paragraph in text.split("\n\n")])


def _example(epilog: str) -> list[str]:
    return [line.strip() for line in epilog.splitlines()[2:]]


def _shown(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        word = f"`{parameter.metavar or parameter.name.upper()}`"
        return word.replace("|", "\\|") + ("" if parameter.required else ", optional")
    names = ", ".join([f"`{option}`" for option in parameter.opts])
    return names + (f" `{parameter.metavar}`".replace("|", "\\|") if parameter.metavar else "")


def _meaning(parameter: Any) -> str:
    default = parameter.default
    shown = "" if default in (None, False, "", [], ()) else f" Default: `{getattr(default, 'value', default)}`."
    repeat = " May be given several times." if parameter.multiple else ""
    return (parameter.help + shown + repeat).replace("|", "\\|")


def renewed(text: str) -> str:
    """The text of the page with its generated part written anew."""
    return f"{text.partition(MARKER)[0]}{MARKER}\n\n{reference()}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text("utf-8")), "utf-8")
