"""Small builders of Python syntax trees. A name made here is ours; a text of the app only ever becomes a constant."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runtime.values import UNDEFINED

_LOAD: Final = ast.Load()
_STORE: Final = ast.Store()


@dataclass(slots=True)
class Code:
    """
    Python code of a value. `kind` is what is known about it: text, number, boolean, array, collection, or any; only an
    "any" may be undefined. A constant carries its value and has no effect.
    """

    expression: ast.expr
    kind: str = "any"
    constant: bool = False
    value: Any = None


_names: dict[str, ast.Name] = {}


def name(identifier: str) -> ast.Name:
    """A name to read. Nodes are shared: the compiler only reads them."""
    found = _names.get(identifier)
    if found is None:
        found = ast.Name(identifier, _LOAD, lineno=1, col_offset=0)
        if len(_names) < 5000:
            _names[identifier] = found
    return found


def literal(value: Any) -> ast.Constant:
    """A constant; the value must be a str, number, bool or None."""
    return ast.Constant(value, lineno=1, col_offset=0)


def call(function: ast.expr, *arguments: ast.expr, line: int = 1) -> ast.Call:
    """A call. `line` is the number of its place, by which an error finds where it happened."""
    return ast.Call(function, list(arguments), [], lineno=line, col_offset=0)


def method(owner: ast.expr, attribute: str, *arguments: ast.expr, line: int = 1) -> ast.Call:
    """A call of a method whose name is ours."""
    bound = ast.Attribute(owner, attribute, _LOAD, lineno=line, col_offset=0)
    return ast.Call(bound, list(arguments), [], lineno=line, col_offset=0)


def bind(identifier: str, value: ast.expr) -> ast.NamedExpr:
    """`(identifier := value)`."""
    return ast.NamedExpr(ast.Name(identifier, _STORE, lineno=1, col_offset=0), value, lineno=1, col_offset=0)


def assign(identifier: str, value: ast.expr) -> ast.stmt:
    """`identifier = value`."""
    return ast.Assign([ast.Name(identifier, _STORE, lineno=1, col_offset=0)], value, lineno=1, col_offset=0)


def assign_item(owner: str, key: ast.expr, value: ast.expr) -> ast.stmt:
    """`owner[key] = value`."""
    return ast.Assign([ast.Subscript(name(owner), key, _STORE, lineno=1, col_offset=0)], value, lineno=1, col_offset=0)


def item(owner: ast.expr, position: int) -> ast.expr:
    """`owner[position]`."""
    return ast.Subscript(owner, literal(position), _LOAD, lineno=1, col_offset=0)


def statement(value: ast.expr) -> ast.stmt:
    """An expression for its effect."""
    return ast.Expr(value, lineno=1, col_offset=0)


def when(test: ast.expr, body: list[ast.stmt]) -> ast.stmt:
    """`if test: body`."""
    return ast.If(test, body, [], lineno=1, col_offset=0)


def choose(test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.IfExp:
    """`then if test else otherwise`."""
    return ast.IfExp(test, then, otherwise, lineno=1, col_offset=0)


def is_(left: ast.expr, right: ast.expr) -> ast.Compare:
    """`left is right`."""
    return ast.Compare(left, [ast.Is()], [right], lineno=1, col_offset=0)


def is_not(left: ast.expr, right: ast.expr) -> ast.Compare:
    """`left is not right`."""
    return ast.Compare(left, [ast.IsNot()], [right], lineno=1, col_offset=0)


def equals(left: ast.expr, right: ast.expr) -> ast.Compare:
    """`left == right`."""
    return ast.Compare(left, [ast.Eq()], [right], lineno=1, col_offset=0)


def less(left: ast.expr, right: ast.expr) -> ast.Compare:
    """`left < right`."""
    return ast.Compare(left, [ast.Lt()], [right], lineno=1, col_offset=0)


def all_of(*values: ast.expr) -> ast.expr:
    """`a and b and ...`."""
    return values[0] if len(values) == 1 else ast.BoolOp(ast.And(), list(values), lineno=1, col_offset=0)


def any_of(*values: ast.expr) -> ast.expr:
    """`a or b or ...`."""
    return values[0] if len(values) == 1 else ast.BoolOp(ast.Or(), list(values), lineno=1, col_offset=0)


def negated(value: ast.expr) -> ast.expr:
    """`not value`."""
    return ast.UnaryOp(ast.Not(), value, lineno=1, col_offset=0)


def last_of(values: Sequence[ast.expr]) -> ast.expr:
    """All values in turn, the last one as the result: `(a, b, c)[-1]`."""
    return ast.Subscript(
        ast.Tuple(list(values), _LOAD, lineno=1, col_offset=0), literal(-1), _LOAD, lineno=1, col_offset=0
    )


def joined(values: Sequence[ast.expr]) -> ast.expr:
    """Texts put together: `f"{a}{b}"`. Every value must be a text."""
    parts: list[ast.expr] = []
    for value in values:
        constant = isinstance(value, ast.Constant)
        parts.append(value if constant else ast.FormattedValue(value, -1, None, lineno=1, col_offset=0))
    return ast.JoinedStr(parts, lineno=1, col_offset=0)


def array(items: Sequence[ast.expr]) -> ast.expr:
    """`[a, b]`."""
    return ast.List(list(items), _LOAD, lineno=1, col_offset=0)


def row(items: Sequence[ast.expr]) -> ast.expr:
    """`(a, b)`."""
    return ast.Tuple(list(items), _LOAD, lineno=1, col_offset=0)


def collection(pairs: Sequence[tuple[ast.expr, ast.expr]]) -> ast.expr:
    """`{key: value}`."""
    return ast.Dict([key for key, _ in pairs], [value for _, value in pairs], lineno=1, col_offset=0)


def function(identifier: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.Module:
    """A module with one function."""
    named = [ast.arg(parameter, lineno=1, col_offset=0) for parameter in parameters]
    arguments = ast.arguments([], named, None, [], [], None, [])
    defined: ast.stmt = ast.FunctionDef(identifier, arguments, body, [], lineno=1, col_offset=0)
    return ast.Module([defined], [])


def give(value: ast.expr) -> ast.stmt:
    """`return value`."""
    return ast.Return(value, lineno=1, col_offset=0)


def kind_of(value: Any) -> str:
    """The kind of a constant."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "any" if value is UNDEFINED else "null"
