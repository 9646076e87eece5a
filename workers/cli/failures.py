"""
What goes wrong, as sentences: what happened, where, what to do. The only place that prints errors.

A person gets `error: ...` lines on standard error, a program with `--json` gets one object there. Known secrets are
redacted, and nobody gets a traceback unless the log level is `debug`.
"""

from __future__ import annotations

import difflib
import os
import sys
from typing import Any

import typer

from runtime.errors import (
    DefinitionError,
    ImlError,
    ModuleError,
    ScenaristError,
    SettingsError,
    UsageError,
)
from workers.cli import output

FAILED = 1
WRONG_USE = 2


def exit_code_of(error: BaseException) -> int:
    """The exit code for an error that ended a command (design section 8)."""
    if isinstance(error, typer.TyperException):
        return error.exit_code
    return WRONG_USE if isinstance(error, (UsageError, SettingsError, typer.Abort)) else FAILED


def report(error: BaseException, *, as_json: bool) -> None:
    """Print the error on standard error, for a person or as JSON."""
    described = describe(error)
    if as_json:
        output.print_json({"error": described}, stream=sys.stderr)
    else:
        for line in _lines(described):
            output.complain(line)
    if _debugging() and not isinstance(error, (ScenaristError, typer.TyperException, typer.Abort)):
        import traceback

        output.complain("".join(traceback.format_exception(error)).rstrip())


def describe(error: BaseException) -> dict[str, Any]:
    """The error as data: `type`, `message`, and `where`, `help`, `details` where there is something to say."""
    if isinstance(error, typer.TyperException):
        return _wrong_call(error)
    if isinstance(error, typer.Abort):
        return {"type": "UsageError", "message": "the input ended before everything was answered"}
    if not isinstance(error, ScenaristError):
        return {
            "type": "UnexpectedError",
            "message": f"a fault of Scenarist itself stopped the command ({type(error).__name__})",
            "help": "run the command again with SCENARIST_LOG_LEVEL=debug to see the details, and report them",
        }
    described: dict[str, Any] = {"type": error.name, "message": error.message}
    if isinstance(error, ImlError) and error.place:
        described["where"] = str(error.place)
    if isinstance(error, ImlError):
        described |= _expression(error)
    if isinstance(error, ModuleError):
        described["details"] = list(error.suberrors)
        if isinstance(error.external, dict) and "parameters" in error.external:
            # Failed parameters: path, text, label and what would be accepted, for programs.
            described["parameters"] = error.external["parameters"]
        described |= {key: value for key, value in error.to_json().items() if key in ("statusCode", "delay")}
    if isinstance(error, DefinitionError):
        described["details"] = [finding.text() for finding in error.findings]
    return {name: value for name, value in described.items() if value not in ("", [])}


def _expression(error: ImlError) -> dict[str, Any]:
    """The template with the place in it, and what an editor would say about the function there."""
    described: dict[str, Any] = {}
    if error.template and error.column:
        described |= {"template": error.template, "column": error.column}
    if error.function:
        from runtime.iml.functions import FUNCTIONS

        function = FUNCTIONS.get(error.function)
        if function is None:
            near = difflib.get_close_matches(error.function[:100], FUNCTIONS, 1, 0.6)
            described["help"] = f"did you mean {near[0]}?" if near else "scenarist iml --functions lists the functions"
        else:
            place = f"argument {error.argument} of " if error.argument else ""
            described["help"] = place + function.signature
    return described


def _wrong_call(error: typer.TyperException) -> dict[str, Any]:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        # Its message is the whole help text, made for standard error.
        return {"type": "UsageError", "message": "a command is missing", "usage": error.format_message()}
    described = {"type": "UsageError", "message": error.format_message()}
    if context is not None:
        described["help"] = f"{context.command_path} --help"
    return described


def _lines(described: dict[str, Any]) -> list[str]:
    if "usage" in described:
        return [described["usage"]]
    lines = [f"error: {described['message']}"]
    if "where" in described:
        lines.append(f"where: {described['where']}")
    if "template" in described:
        from runtime.iml import caret

        lines += [f"  {line}" for line in caret(described["template"], described["column"])]
    lines += [f"  {detail}" for detail in described.get("details", ())]
    if "help" in described:
        lines.append(f"help:  {described['help']}")
    return lines


def _debugging() -> bool:
    # Not from `load_settings`: that may be what failed.
    return os.environ.get("SCENARIST_LOG_LEVEL", "").lower() == "debug"
