"""
All built-in functions: one plain table, put together from one file a family (spec/iml.md 7).
"""

from __future__ import annotations

from typing import Final

from runtime.iml.functions.array import ARRAY
from runtime.iml.functions.binary import BINARY
from runtime.iml.functions.date import DATE
from runtime.iml.functions.general import GENERAL
from runtime.iml.functions.math import MATH
from runtime.iml.functions.text import TEXT
from runtime.iml.registry import Function

FAMILIES: Final = (GENERAL, TEXT, BINARY, MATH, DATE, ARRAY)
FUNCTIONS: Final[dict[str, Function]] = {
    name: function for family in FAMILIES for name, function in family.functions.items()
}
#: Functions that `strict_functions` takes away (spec/iml.md 7.1).
APP_ONLY: Final = frozenset(name for name, function in FUNCTIONS.items() if function.app_only)


def reference() -> list[Function]:
    """All functions, by family and name: what a reference page prints."""
    return [function for family in FAMILIES for _, function in sorted(family.functions.items())]


__all__ = ["APP_ONLY", "FAMILIES", "FUNCTIONS", "reference"]
