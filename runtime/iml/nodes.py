"""The syntax tree of an expression (spec/iml.md 3). `column` is 1-based in the template text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(slots=True)
class Constant:
    """A literal text or number, or a keyword with a fixed value."""

    value: Any
    column: int
    depth: int = 1


@dataclass(slots=True)
class Keyword:
    """A keyword whose value the environment or the place decides: `now`, `erase`, `emptyarray`, ..."""

    name: str
    column: int
    depth: int = 1


@dataclass(slots=True)
class Index:
    """A `[expression]` step of a path."""

    value: Node
    column: int


@dataclass(slots=True)
class Path:
    """A variable (`root` set) or a value (`base` set) and the steps behind it: names, or `Index`."""

    root: str | None
    base: Node | None
    steps: list[str | Index]
    column: int
    depth: int = 1


@dataclass(slots=True)
class Call:
    """`name(arguments)`; an argument left out between separators is a `Constant(UNDEFINED)`."""

    name: str
    arguments: list[Node]
    column: int
    depth: int = 1


@dataclass(slots=True)
class Unary:
    """`!`, `-` or `+` in front of an operand."""

    operator: str
    operand: Node
    column: int
    depth: int = 1


@dataclass(slots=True)
class Chain:
    """Operators of one level, left to right: `first op operand op operand ...`. A chain is flat, however long."""

    level: int
    first: Node
    rest: list[tuple[str, Node, int]]
    column: int
    depth: int = 1
    #: False once parentheses close it; an open chain takes further operators of its level.
    open: bool = True


@dataclass(slots=True)
class Collection:
    """An object literal."""

    members: list[tuple[str, Node]]
    column: int
    depth: int = 1


Node: TypeAlias = "Constant | Keyword | Path | Call | Unary | Chain | Collection"


@dataclass(slots=True)
class Text:
    """One string of a document: literal texts and expressions in turn; `lone` is exactly one expression."""

    source: str
    parts: list[str | Node]
    lone: bool
