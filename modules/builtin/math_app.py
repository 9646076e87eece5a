"""
The app `math`: evaluates an arithmetic expression (spec/scenarios.md 4.10).

A small parser over a list of names; nothing else of the text can have an effect.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field, invalid, pure
from runtime.values import Bundle, to_text

#: Longest expression, and how deep its parentheses may nest.
MAX_LENGTH: Final = 10_000
MAX_DEPTH: Final = 100
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>==|!=|<=|>=|[-+*/%^(),<>!]))"
)
_CONSTANTS: Final[dict[str, Any]] = {
    "pi": math.pi, "PI": math.pi, "e": math.e, "E": math.e, "tau": math.tau, "true": True, "false": False,
}  # fmt: skip


def _round(value: float, digits: float = 0) -> float:
    # Halves go away from zero, as math.js has it; Python rounds them to even.
    factor = 10 ** int(digits)
    return math.copysign(math.floor(abs(value) * factor + 0.5) / factor, value)


def _log(value: float, base: float = math.e) -> float:
    return math.log(value) if base == math.e else math.log(value, base)


def _median(*values: float) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": _round, "fix": math.trunc, "sqrt": math.sqrt,
    "cbrt": lambda value: math.copysign(abs(value) ** (1 / 3), value), "exp": math.exp, "log": _log,
    "log2": math.log2, "log10": math.log10, "pow": lambda value, exponent: _power(value, exponent),
    "mod": lambda value, divisor: _modulo(value, divisor), "sign": lambda value: (value > 0) - (value < 0),
    "min": min, "max": max, "sum": lambda *values: sum(values),
    "mean": lambda *values: sum(values) / len(values), "median": _median,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin, "acos": math.acos, "atan": math.atan,
    "atan2": math.atan2, "hypot": math.hypot, "gcd": lambda *values: math.gcd(*map(int, values)),
    "factorial": lambda value: _factorial(value),
}  # fmt: skip


def evaluate(text: str) -> int | float | bool:
    """
    The value of an expression: `+ - * / % ^ !`, comparisons, parentheses, and functions of a fixed list.

    Raises:
        BundleValidationError: It is none, or has no finite value.
    """
    if len(text) > MAX_LENGTH:
        raise invalid(f"The expression is longer than {MAX_LENGTH} characters.")
    try:
        result = _Parser(text).whole()
    except (ArithmeticError, ValueError, TypeError) as error:
        raise invalid(f"The expression cannot be evaluated: {error}.") from None
    if isinstance(result, bool):
        return result
    if result - result != 0:
        raise invalid("The expression has no finite value.")
    return int(result) if float(result).is_integer() and abs(result) < 2**53 else result


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._depth = 0
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"unexpected {text[position:].strip()[:1]!r}")
            self._tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            position = match.end()

    def whole(self) -> Any:
        value = self._comparison()
        if self._at < len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._at][1]!r}")
        return value

    def _take(self, *signs: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in [("sign", sign) for sign in signs]:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _need(self, sign: str) -> None:
        if self._take(sign) is None:
            raise ValueError(f"{sign!r} expected")

    def _comparison(self) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        left = self._sum()
        while sign := self._take("==", "!=", "<=", ">=", "<", ">"):
            left = _COMPARE[sign](left, self._sum())
        self._depth -= 1
        return left

    def _sum(self) -> Any:
        left = self._product()
        while sign := self._take("+", "-"):
            right = self._product()
            left = left + right if sign == "+" else left - right
        return left

    def _product(self) -> Any:
        left = self._signed()
        while sign := self._take("*", "/", "%"):
            right = self._signed()
            left = left * right if sign == "*" else left / right if sign == "/" else _modulo(left, right)
        return left

    def _signed(self) -> Any:
        negative = False
        while sign := self._take("-", "+"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Any:
        base = self._postfix()
        if self._take("^"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")
            base = _power(base, self._signed())
            self._depth -= 1
        return base

    def _postfix(self) -> Any:
        value = self._primary()
        while self._take("!"):
            value = _factorial(value)
        return value

    def _primary(self) -> Any:
        if self._take("("):
            value = self._comparison()
            self._need(")")
            return value
        if self._at >= len(self._tokens):
            raise ValueError("the expression ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return int(text) if text.isdigit() and len(text) < 16 else float(text)
        if kind != "name":
            raise ValueError(f"unexpected {text!r}")
        if not self._take("("):
            if text not in _CONSTANTS:
                raise ValueError(f"{text!r} is not known")
            return _CONSTANTS[text]
        arguments: list[Any] = []
        if not self._take(")"):
            arguments.append(self._comparison())
            while self._take(","):
                arguments.append(self._comparison())
            self._need(")")
        if text not in _FUNCTIONS:
            raise ValueError(f"the function {text!r} is not known")
        return _FUNCTIONS[text](*arguments)


def _power(base: float, exponent: float) -> Any:
    result: Any = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ValueError("the result is no real number")
    return result


def _modulo(value: float, divisor: float) -> float:
    return value - divisor * math.floor(value / divisor)


def _factorial(value: float) -> float:
    if value < 0 or value != int(value) or value > 170:
        raise ValueError("a factorial needs a whole number from 0 to 170")
    return float(math.factorial(int(value)))


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
}


def run_expression(job: BuiltinJob) -> list[Bundle]:
    """The value of an expression as `{result}`."""
    return [{"result": evaluate(to_text(job.config["expression"]))}]


ENTRIES: Final = (
    Builtin("math:EvaluateExpression", run=pure(run_expression), mappable=[field("expression", required=True)]),
)
