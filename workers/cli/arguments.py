"""
What commands are given: files, `-` for standard input, `name=value` pairs, secrets from prompts or the environment.

A secret is never an argument: arguments are visible to every user of the machine (design section 5).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer

from runtime.errors import UsageError
from workers.cli import output

#: `--param name=env:NAME` reads the value from the environment variable NAME.
ENVIRONMENT = "env:"
#: Largest file of parameters, inputs or expressions; a blueprint's own limit is 5 MB.
MAX_FILE_BYTES = 64 << 20

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MetaOption: TypeAlias = Annotated[bool, typer.Option("--meta", help="Show the keys of bundles that start with __IMT.")]
StructuresOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--structures", metavar="FILE|-", help="Data structures of the blueprint by id or label, as JSON."),
]
TraceOption: TypeAlias = Annotated[bool, typer.Option("--trace", help="Show the requests and answers, redacted.")]
ParamOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="NAME=VALUE", help="One parameter. NAME=env:VARIABLE takes it from the environment."
    ),
]
ParamsOption: TypeAlias = Annotated[
    str | None, typer.Option("--params", metavar="FILE|-", help="Parameters as a JSON object.")
]


def read_bytes(path: str) -> bytes:
    """
    A file's bytes; `-` is standard input.

    Raises:
        UsageError: It cannot be read, or is larger than `MAX_FILE_BYTES`.
    """
    if path == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            raise UsageError(f"{path}: cannot be read: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{_shown(path)}: is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def read_json(path: str) -> Any:
    """
    A JSON file's value; `-` is standard input.

    Raises:
        UsageError: It cannot be read or is no JSON; names line and column.
    """
    text = read_bytes(path)
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{_shown(path)}: is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{_shown(path)}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{_shown(path)}: is nested too deeply") from None


def read_object(path: str) -> dict[str, Any]:
    """A JSON file that holds an object. Raises UsageError as `read_json`, and for any other value."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UsageError(f'{_shown(path)}: must hold a JSON object such as {{"name": "value"}}')
    return cast("dict[str, Any]", value)


def read_structures(path: str | None) -> dict[str, dict[str, Any]] | None:
    """Data structures by id or label from a JSON file; None without one. Raises UsageError for anything else."""
    from runtime.scenario import structures

    return None if path is None else structures.read_structures(read_object(path), _shown(path))


def read_stores(path: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Data stores from JSON in the marked forms: id or label -> key -> record. Raises UsageError for anything else."""
    return {name: read_records({name: records}, name, path=path) for name, records in read_object(path).items()}


def read_records(holder: Mapping[str, Any], name: str, *, path: str) -> dict[str, dict[str, Any]]:
    """
    The records of one store, key -> record, out of parsed JSON.

    Raises:
        UsageError: It is no object of objects, or a marked form in it is wrong.
    """
    from runtime.codec import unmark
    from runtime.errors import DataError

    records = holder[name]
    if not isinstance(records, dict) or not all(
        isinstance(record, dict) for record in cast("dict[str, Any]", records).values()
    ):
        raise UsageError(
            f'{_shown(path)}: store "{name}": must hold a JSON object of records: {{"key": {{"name": 1}}}}'
        )
    try:
        return {key: unmark(record) for key, record in cast("dict[str, Any]", records).items()}
    except DataError as error:
        raise UsageError(f'{_shown(path)}: store "{name}": {error.message}') from None


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


def pairs(given: Sequence[str] | None, *, option: str, secret: Collection[str] | None = None) -> dict[str, str]:
    """
    The texts of `NAME=VALUE` pairs by name; `NAME=env:VARIABLE` reads the variable.

    `secret` are the names of secrets; None when nothing is known about the names: then what comes from the environment
    is taken for a secret.

    Raises:
        UsageError: A pair has no `=`, names a secret of `secret` in the open, or names a variable that is not set.
    """
    values: dict[str, str] = {}
    for pair in given or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            # The text may be a secret that was mistyped, so it is not repeated.
            raise UsageError(f"{option} needs NAME=VALUE")
        if text.startswith(ENVIRONMENT):
            values[name] = _from_environment(text.removeprefix(ENVIRONMENT), option=f"{option} {name}")
            if secret is None or name in secret:
                output.keep_secret(values[name])
        elif secret and name in secret:
            output.keep_secret(text)
            raise UsageError(
                f"{option} {name}: an argument is visible to every user of this machine, so it takes no secret; "
                f"use {option} {name}={ENVIRONMENT}VARIABLE, --params FILE|-, or leave it out to be asked"
            )
        else:
            values[name] = text
    return values


def _from_environment(variable: str, *, option: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise UsageError(f"{option}: the environment variable {variable!r} is not set")
    return value


def as_json_values(texts: Mapping[str, str], *, structured: Collection[str], option: str) -> dict[str, Any]:
    """
    Texts as parameter values: those of `structured` names (arrays, collections) are read as JSON.

    Raises:
        UsageError: A structured one is no JSON.
    """
    values: dict[str, Any] = dict(texts)
    for name in structured:
        if name in texts:
            try:
                values[name] = json.loads(texts[name])
            except ValueError:
                raise UsageError(f"{option} {name}: takes JSON, for example {option} '{name}=[1, 2]'") from None
    return values


def ask(label: str, *, hidden: bool) -> str:
    """
    Ask the person at the terminal; hidden input is not echoed and stays secret.

    Raises:
        UsageError: There is no terminal to ask at; says how to give the value instead.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            f"{label} is missing and there is no terminal to ask at; give it with --params FILE|- "
            f"or --param NAME={ENVIRONMENT}VARIABLE"
        )
    if not hidden:
        sys.stderr.write(f"{output.printable(label)}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise typer.Abort()
        return line.rstrip("\n")
    import getpass

    value = getpass.getpass(f"{output.printable(label)} (hidden): ")
    output.keep_secret(value)
    return value
