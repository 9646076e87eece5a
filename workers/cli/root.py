"""The root command `scenarist`: version, help, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import typer.main

from workers.cli import output
from workers.cli.failures import exit_code_of, report
from workers.cli.lazy import LazyGroup, example, new_app

#: What a shell reports for a program that a closed pipe ended (128 + SIGPIPE).
BROKEN_PIPE = 141
#: What a shell reports for a program that Ctrl-C ended (128 + SIGINT).
INTERRUPTED = 130

app = new_app("Run Make custom apps and scenario blueprints on your own machines.")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.say(f"scenarist {version('scenarist')}")
        raise typer.Exit()


@app.callback(
    cls=LazyGroup,
    epilog=example("scenarist demo", "scenarist COMMAND --help    shows an example of each command"),
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Run Make custom apps and scenario blueprints on your own machines."""


def run(arguments: Sequence[str] | None) -> int:
    """Parse and run one command; never raises. Exit codes: 0, 1, 2 (design section 8), 130 Ctrl-C, 141 closed pipe."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    output.prepare_streams()
    try:
        result = typer.main.get_command(app).main(words, prog_name="scenarist", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit:
        # Typer's own answer to a closed pipe; nothing else here leaves that way.
        return _closed_pipe()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001  the one place where any error becomes a sentence
        try:
            report(error, as_json=as_json)
        except BrokenPipeError:
            return _closed_pipe()
        return exit_code_of(error)
    return code


def _closed_pipe() -> int:
    # The interpreter flushes standard output at its end and would complain about the closed pipe there.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return BROKEN_PIPE
