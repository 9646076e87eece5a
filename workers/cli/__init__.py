"""
The command line: one file a command group; each parses and prints only, the work is done elsewhere.

`main` is the entry point of the program `scenarist` (design section 8).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code: 0 done, 1 the scenario or check failed, 2 wrong use, 130 interrupted.

    Never raises: what goes wrong becomes a sentence on standard error.
    """
    from workers.cli.root import run

    return run(arguments)
