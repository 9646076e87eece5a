"""
A group whose commands are imported when they are used, and whose help comes from the table of commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from workers.cli.commands import COMMANDS

#: Widest line of the help; a wider terminal does not make prose easier to read.
HELP_WIDTH = 100


def new_app(about: str | None = None, *examples: str) -> typer.Typer:
    """
    A `typer.Typer` with the settings of this program: plain help, no shell-completion options, no own tracebacks.

    `about` and `examples` are for a group; without them it holds one command.
    """
    return typer.Typer(
        help=about,
        epilog=example(*examples) if examples else None,
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=about is not None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
    )


def example(*lines: str) -> str:
    """The end of a command's help: one example, kept on its own lines so that it can be copied."""
    # `\b` is how the formatter is told to leave the paragraph's lines as they are.
    return "\b\nExample:\n" + "\n".join([f"  {line}" for line in lines])


class LazyGroup(TyperGroup):
    """The root group: looks commands up in `COMMANDS` and imports only the file of the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Typer proposes similar names from the keys of this mapping when a command is unknown; only the keys count.
        cast("dict[str, None]", self.commands).update(dict.fromkeys(COMMANDS))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the base class calls it so
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  the base class calls it so
        """The command of this name, its file imported now; None when there is none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = typer.main.get_command(import_module(entry.file).app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  the base class calls it so
        """Write the section `Commands` from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def is_group(command: object) -> bool:
    """True for a command that has commands of its own."""
    return isinstance(command, TyperGroup)


__all__ = ["HELP_WIDTH", "LazyGroup", "TyperCommand", "TyperGroup", "example", "is_group", "new_app"]
