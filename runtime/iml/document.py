"""A JSON document with its strings parsed, and what checkers want to know about it (spec/iml.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from runtime.errors import ImlSyntaxError
from runtime.iml.lexer import syntax_error
from runtime.iml.nodes import Call, Chain, Collection, Constant, Index, Node, Path, Text, Unary
from runtime.iml.parser import has_expression, parse

#: The key that spreads a collection into the object around it.
SPREAD: Final = "{{...}}"
#: Deepest nesting of a document.
MAX_DOCUMENT_DEPTH: Final = 200
#: Most parts (operands, calls, operators) of all expressions of a document: compiling takes some 50 microseconds and
#: 4 KiB for each. The largest real app has some 20,000 in all its documents together.
MAX_PARTS: Final = 150_000
#: What a text that cannot be parsed counts as: its error is kept.
_BROKEN_PARTS: Final = 10


@dataclass(slots=True)
class Fixed:
    """A value without any expression. `size` counts its values."""

    value: Any
    size: int


@dataclass(slots=True)
class Broken:
    """A string that cannot be parsed: its error is raised when it is rendered."""

    error: ImlSyntaxError
    size: int = 1


@dataclass(slots=True)
class Rendered:
    """A string with expressions."""

    text: Text
    size: int


@dataclass(slots=True)
class Items:
    """An array with expressions somewhere inside."""

    items: list[Document]
    size: int


@dataclass(slots=True)
class Members:
    """An object with expressions somewhere inside; a key is a plain text, `SPREAD`, or a document of its own."""

    members: list[tuple[str, str | Rendered | Broken, Document]]
    size: int


Document: TypeAlias = "Fixed | Broken | Rendered | Items | Members"


def escape_pointer(name: str) -> str:
    """One step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def read_text(source: str) -> Rendered | Broken:
    """A string that may hold expressions."""
    try:
        text = parse(source)
    except ImlSyntaxError as error:
        return Broken(error)
    return Rendered(text, 1 + sum(1 for part in text.parts for _ in _nodes(part)))


def _nodes(part: str | Node) -> Iterator[Node]:
    if not isinstance(part, str):
        yield from walk(part)


@dataclass(slots=True)
class _Budget:
    left: int = MAX_PARTS

    def text(self, source: str) -> Rendered | Broken:
        read = read_text(source)
        self.left -= read.size if isinstance(read, Rendered) else _BROKEN_PARTS
        if self.left < 0:
            raise syntax_error("", f"the expressions of a document may have {MAX_PARTS:,} parts in all", 0)
        return read


def read_document(source: Any) -> Document:
    """
    Parse every string of a JSON value.

    Raises:
        ImlSyntaxError: All its expressions together are too long.
        RecursionError: It is nested beyond what the interpreter follows.
    """
    return _read(source, 0, _Budget())


def _read(source: Any, depth: int, budget: _Budget) -> Document:
    if isinstance(source, str):
        return budget.text(source) if has_expression(source) else Fixed(source, 1)
    if not isinstance(source, (dict, list)):
        return Fixed(source, 1)
    if depth > MAX_DOCUMENT_DEPTH:
        return Broken(syntax_error("", f"the document is nested deeper than {MAX_DOCUMENT_DEPTH} levels", 0))
    if isinstance(source, list):
        items = [_read(item, depth + 1, budget) for item in source]
        size = 1 + sum(item.size for item in items)
        return Fixed(source, size) if all(isinstance(item, Fixed) for item in items) else Items(items, size)
    members: list[tuple[str, str | Rendered | Broken, Document]] = []
    fixed, size = True, 1
    for key, value in source.items():
        read_key = budget.text(key) if key != SPREAD and has_expression(key) else key
        read_value = _read(value, depth + 1, budget)
        fixed = fixed and key != SPREAD and isinstance(read_key, str) and isinstance(read_value, Fixed)
        size += 1 + read_value.size
        members.append((key, read_key, read_value))
    return Fixed(source, size) if fixed else Members(members, size)


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it, in the order of the text."""
    waiting: list[Node] = [node]
    while waiting:
        current = waiting.pop()
        yield current
        below: list[Node] = []
        if isinstance(current, Call):
            below = current.arguments
        elif isinstance(current, Chain):
            below = [current.first, *(operand for _, operand, _ in current.rest)]
        elif isinstance(current, Unary):
            below = [current.operand]
        elif isinstance(current, Collection):
            below = [member for _, member in current.members]
        elif isinstance(current, Path):
            below = [current.base] if current.base is not None else []
            below += [step.value for step in current.steps if isinstance(step, Index)]
        waiting += reversed(below)


def texts(document: Document, pointer: str = "") -> Iterator[tuple[str, Text | ImlSyntaxError]]:
    """Every string with expressions (or the error of one), with its JSON pointer, in document order."""
    if isinstance(document, Broken):
        yield pointer, document.error
    elif isinstance(document, Rendered):
        yield pointer, document.text
    elif isinstance(document, Items):
        for position, item in enumerate(document.items):
            yield from texts(item, f"{pointer}/{position}")
    elif isinstance(document, Members):
        for key, read_key, value in document.members:
            below = f"{pointer}/{escape_pointer(key)}"
            if not isinstance(read_key, str):
                yield from texts(read_key, below)
            yield from texts(value, below)


def literal_path(path: Path) -> tuple[str | int, ...]:
    """The steps of a path up to the first one that is computed."""
    steps: list[str | int] = []
    for step in path.steps:
        if isinstance(step, str):
            steps.append(step)
        elif isinstance(step.value, Constant) and isinstance(step.value.value, (str, int)):
            steps.append(step.value.value)
        else:
            break
    return tuple(steps)


__all__ = [
    "SPREAD",
    "Broken",
    "Document",
    "Fixed",
    "Items",
    "Members",
    "Rendered",
    "escape_pointer",
    "literal_path",
    "read_document",
    "texts",
    "walk",
]
