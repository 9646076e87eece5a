"""
`make bench`: speed as ratios in one run on one machine; nothing here passes or fails.

    python -m bench             every part
    python -m bench iml ledger  some of them

A part is a module of this folder with `run() -> rows of (what, figure, unit or target)`.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable

import bench


def parts() -> list[str]:
    """Names of all parts."""
    return sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name != "__main__")


def rows(part: str) -> Iterable[tuple[str, float | str, str]]:
    """Measure one part; it is imported only now, so that no part pays for another's imports."""
    return importlib.import_module(f"bench.{part}").run()


def main(names: list[str]) -> int:
    """Print the rows of the parts named, or of all."""
    unknown = sorted(set(names) - set(parts()))
    if unknown:
        print(f"bench: no part {', '.join(unknown)}; there are: {', '.join(parts())}", file=sys.stderr)
        return 2
    for part in names or parts():
        print(f"\n{part}", flush=True)
        for what, figure, note in rows(part):
            shown = figure if isinstance(figure, str) else f"{figure:,.2f}" if abs(figure) < 100 else f"{figure:,.0f}"
            print(f"  {what:<58} {shown:>12}  {note}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
