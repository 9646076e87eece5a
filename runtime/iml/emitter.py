"""
What every part of the compiler needs: names, places, constants and the conversions that are written in place.

Generated code may name its own locals, the helpers of `HELPERS` and constants passed in. Every call that can fail has a
line number of its own in the generated function; the line of a traceback is the number of a `Spot`, so knowing where an
error happened costs nothing while nothing fails.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from runtime.errors import ImlError, ImlFunctionError, ImlFunctionNotFound, ScenaristError
from runtime.iml import code, operators
from runtime.iml.code import Code
from runtime.iml.environment import Environment
from runtime.iml.evaluation import BudgetExceeded, Evaluation, FunctionFailed
from runtime.iml.nodes import Node
from runtime.iml.registry import CONVERSIONS
from runtime.values import EPOCH, ERASE, FORCED_EMPTY, UNDEFINED, equal, to_text, truthy

#: Longest chain of operators, cases or steps that is nested; longer ones are computed one after the other.
NESTED: Final = 20
#: Longest text that folding may make.
_FOLDED_TEXT: Final = 1000
#: The local names of undefined and of the evaluation.
U: Final = code.name("U")
E: Final = code.name("E")


@dataclass(frozen=True, slots=True)
class Spot:
    """
    Where a line of generated code comes from; `function` is the call itself, `argument` the parameter that it converts,
    `around` the call that it stands in.
    """

    pointer: str = ""
    column: int = 0
    function: str | None = None
    around: str | None = None
    argument: str = ""


def call_custom(evaluation: Evaluation, name: str, *arguments: Any) -> Any:
    """Call a custom function of the app."""
    try:
        return evaluation.environment.functions[name](*arguments)
    except (ImlFunctionError, BudgetExceeded, FunctionFailed):
        raise
    except ScenaristError as error:
        raise FunctionFailed(str(error)) from error


def unknown_function(name: str, *_: Any) -> Any:
    """What a call of an unknown function comes to, after its arguments are evaluated."""
    raise ImlFunctionNotFound(f"Function '{name}' not found!", function=name)


def getter(value: Any) -> Callable[[str, Any], Any]:
    """A function that reads keys of a value which is no plain dict."""
    if isinstance(value, dict):
        return value.get
    if isinstance(value, list):
        return lambda step, _: operators.step_name(value, step)
    return _EMPTY_GET


def without_undefined(*pairs: tuple[str, Any]) -> dict[str, Any]:
    """An object literal: undefined members are left out, a later member of the same name wins."""
    return {key: value for key, value in pairs if value is not UNDEFINED}


_EMPTY_GET: Final[Callable[[str, Any], Any]] = dict[str, Any]().get

#: Everything that generated code may name besides its own locals and constants.
HELPERS: Final[dict[str, Any]] = {
    "__builtins__": {},
    "type": type,
    "str": str,
    "dict": dict,
    "list": list,
    "bool": bool,
    "int": int,
    "datetime": datetime,
    "len": len,
    "TRUTHY": truthy,
    "PRINT": operators.print_text,
    "EQUAL": equal,
    "ADD": operators.add,
    "SUBTRACT": operators.subtract,
    "MULTIPLY": operators.multiply,
    "DIVIDE": operators.divide,
    "REMAINDER": operators.remainder,
    "NEGATE": operators.negate,
    "POSITIVE": operators.positive,
    "LESS": operators.less,
    "LESS_OR_EQUAL": operators.less_or_equal,
    "GREATER": operators.greater,
    "GREATER_OR_EQUAL": operators.greater_or_equal,
    "STEP": operators.step_name,
    "INDEX": operators.step_index,
    "WALK": operators.walk,
    "CHAIN": operators.chain,
    "KEYWORD": operators.environment_keyword,
    "SPREAD": operators.spread,
    "GETTER": getter,
    "EMPTY": _EMPTY_GET,
    "COLLECT": without_undefined,
    "CUSTOM": call_custom,
    "UNKNOWN": unknown_function,
    "ERASE": ERASE,
    "FORCED_EMPTY": FORCED_EMPTY,
    **{f"CONVERT_{kind}": convert for kind, convert in CONVERSIONS.items()},
}
#: Arguments of these kinds pass unchanged when this is their type.
PASSES: Final = {"text": "str", "array": "list", "collection": "dict", "number": "int", "date": "datetime"}
#: Folding computes on constants alone; the budgets keep it from doing the work of a render.
_FOLDING: Final = Environment(now=EPOCH, max_steps=2_000, max_text=_FOLDED_TEXT)


class Emitter:
    """The state of one compilation and the code that every part of it writes."""

    def __init__(self, custom: frozenset[str], *, strict: bool, marks: bool, offset: int = 0) -> None:
        self.custom = custom
        self.strict = strict
        self.marks = marks
        self.offset = offset
        self.globals: dict[str, Any] = dict(HELPERS)
        self.spots: list[Spot] = [Spot()]
        self.body: list[ast.stmt] = []
        self.pointer = ""
        self.locals = 0
        #: Local names of hoisted `get` methods by path.
        self.getters: dict[tuple[str, ...], str] = {}

    # ---- names, places, constants

    def spot(self, column: int, function: str | None = None, around: str | None = None, argument: str = "") -> int:
        self.spots.append(Spot(self.pointer, column + self.offset, function, around, argument))
        return len(self.spots)

    def local(self) -> str:
        self.locals += 1
        return f"t{self.locals}"

    def passed(self, value: Any, prefix: str = "K") -> ast.Name:
        """A constant or function passed to the generated code under a name of ours."""
        identifier = f"{prefix}{len(self.globals)}"
        self.globals[identifier] = value
        return code.name(identifier)

    def constant(self, value: Any) -> Code:
        if value is UNDEFINED:
            return Code(U, "any", constant=True, value=value)
        if value is None or type(value) in (str, int, float, bool):
            return Code(code.literal(value), code.kind_of(value), constant=True, value=value)
        return Code(self.passed(value), "any", constant=True, value=value)

    def twice(self, expression: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The first and every later reading of a value that is computed once."""
        if isinstance(expression, (ast.Name, ast.Constant)):
            return expression, expression
        identifier = self.local()
        return code.bind(identifier, expression), code.name(identifier)

    # ---- conversions in place

    def text(self, value: Code, line: int) -> ast.expr:
        if value.constant:
            return code.literal(to_text(value.value))
        if value.kind == "text":
            return value.expression
        first, again = self.twice(value.expression)
        is_text = code.is_(code.call(code.name("type"), first), code.name("str"))
        return code.choose(is_text, again, code.call(code.name("PRINT"), E, again, line=line))

    def test(self, value: Code) -> ast.expr:
        """Truthiness as something that Python's own `if` reads alike."""
        if value.constant:
            return code.literal(truthy(value.value))
        if value.kind in ("boolean", "text"):
            return value.expression
        first, again = self.twice(value.expression)
        plain = code.any_of(
            code.is_(code.call(code.name("type"), first), code.name("str")),
            code.is_(code.call(code.name("type"), again), code.name("bool")),
        )
        return code.choose(plain, again, code.call(code.name("TRUTHY"), again))

    def concatenation(self, parts: list[ast.expr], line: int) -> Code:
        """Texts put together; more than a little is counted."""
        merged: list[ast.expr] = []
        for part in parts:
            if isinstance(part, ast.Constant) and merged and isinstance(merged[-1], ast.Constant):
                merged[-1] = code.literal(str(merged[-1].value) + str(part.value))
            else:
                merged.append(part)
        if len(merged) == 1 and isinstance(merged[0], ast.Constant):
            return self.constant(merged[0].value)
        first, again = self.twice(code.joined(merged))
        small = code.less(code.call(code.name("len"), first), code.literal(201))
        return Code(code.choose(small, again, code.method(E, "text", again, line=line)), "text")

    def convert(self, value: Code, kind: str, line: int) -> ast.expr:
        if kind == "any" or (value.kind == kind and kind in PASSES):
            return value.expression
        if kind == "text":
            return self.text(value, line)
        if value.constant and kind in ("number", "boolean"):
            folded = self.fold(lambda evaluation: CONVERSIONS[kind](value.value, evaluation))
            if folded is not None:
                return folded.expression
        helper = code.name(f"CONVERT_{kind}")
        if kind not in PASSES:
            return code.call(helper, value.expression, E, line=line)
        first, again = self.twice(value.expression)
        passes = code.is_(code.call(code.name("type"), first), code.name(PASSES[kind]))
        return code.choose(passes, again, code.call(helper, again, E, line=line))

    def equality(self, left: Code, right: Code, line: int) -> ast.expr:
        if left.constant and not right.constant:
            # Constants have no effect, so the order of evaluation does not show.
            left, right = right, left
        if right.constant:
            value = right.value
            if isinstance(value, str):
                return code.equals(left.expression, right.expression)
            if isinstance(value, bool):
                return code.is_(left.expression, right.expression)
            first, again = self.twice(left.expression)
            if value is None or value is UNDEFINED:
                return code.any_of(code.is_(first, code.literal(None)), code.is_(again, U))
            if value not in (0, 1):
                return code.equals(left.expression, right.expression)
            return code.all_of(code.equals(first, right.expression), code.is_not(again, code.literal(bool(value))))
        return code.call(code.name("EQUAL"), left.expression, right.expression, line=line)

    def fold(self, run: Callable[[Evaluation], Any]) -> Code | None:
        """The constant that a computation on constants gives; None when it has to wait for the render."""
        try:
            value = run(Evaluation(_FOLDING, {}))
        except (ImlError, BudgetExceeded, FunctionFailed, OverflowError, ValueError, RecursionError):
            return None
        if value is UNDEFINED or value is None or type(value) in (str, bool, int, float):
            return self.constant(value)
        return None

    def expression(self, node: Node, around: str | None = None, *, tail: bool = False) -> Code:
        """The code of a node; `around` is the call that it stands in, `tail` whether it gives the string's value."""
        raise NotImplementedError
