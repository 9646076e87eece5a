"""
Which values of a mapper are expressions: asked once for each module of a scenario (spec/modules.md 2.4, 8.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: Deepest collection of a mapper that is looked at.
MAX_DEPTH: Final = 60


@dataclass(frozen=True, slots=True)
class Expressions:
    """
    Paths of the values of a mapper that hold an expression, written as in error texts: `contacts[0].email`.

    `whole` are those that are one expression and nothing else, `some` those with any.
    """

    whole: frozenset[str] = field(default_factory=frozenset[str])
    some: frozenset[str] = field(default_factory=frozenset[str])


def expressions_of(mapper: Mapping[str, Any]) -> Expressions:
    """The expressions in the source of a mapper."""
    whole: set[str] = set()
    some: set[str] = set()

    def visit(value: Any, path: str, depth: int) -> None:
        if isinstance(value, str):
            text = value.strip()
            if "{{" in text and "}}" in text:
                some.add(path)
                if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
                    whole.add(path)
        elif depth < MAX_DEPTH and isinstance(value, dict):
            for name, member in value.items():
                visit(member, f"{path}.{name}" if path else str(name), depth + 1)
        elif depth < MAX_DEPTH and isinstance(value, list):
            for index, element in enumerate(value):
                visit(element, f"{path}[{index}]", depth + 1)

    visit(dict(mapper), "", 0)
    return Expressions(frozenset(whole), frozenset(some))
