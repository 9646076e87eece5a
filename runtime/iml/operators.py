"""
The guarded helpers that generated code calls: operators, paths and printing (spec/iml.md 4, 5).

They look only at JSON-like data: keys of `dict`, items of `list`. No attribute of a Python object is reachable.
"""

from __future__ import annotations

import math
import operator as python_operator
import random
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from runtime.coercion import SAFE_INTEGER, to_date, to_number
from runtime.dates.text import parse_date_text
from runtime.errors import ImlTypeError
from runtime.iml.evaluation import Evaluation
from runtime.values import UNDEFINED, Buffer, equal, milliseconds, shown, to_text, truthy

__all__ = ["equal", "to_date", "to_text", "truthy"]

#: Below it UTF-16 order and code-point order are the same.
_SURROGATES: Final = "\ud800"


def utf16_key(text: str) -> str | bytes:
    """A key that sorts texts by UTF-16 code unit."""
    return text.encode("utf-16-be", "surrogatepass")


def _double(number: int | float) -> int | float:
    """A number as the double that JavaScript would hold; small integers stay integers."""
    if isinstance(number, int) and not -SAFE_INTEGER <= number <= SAFE_INTEGER:
        try:
            return float(number)
        except OverflowError:
            return math.inf if number > 0 else -math.inf
    return number


def normal(number: int | float) -> int | float:
    """The result of arithmetic: an integer when it is a whole number that a double holds exactly."""
    if isinstance(number, float):
        if number.is_integer() and -SAFE_INTEGER <= number <= SAFE_INTEGER and (number or math.copysign(1, number) > 0):
            return int(number)
        return number
    return _double(number)


def _concatenates(value: object) -> bool:
    return isinstance(value, (str, list, dict, Buffer))


def add(evaluation: Evaluation, left: Any, right: Any) -> Any:
    """`left + right`: concatenation when either is text, array, collection or buffer, otherwise addition."""
    if _concatenates(left) or _concatenates(right):
        return evaluation.text(print_text(evaluation, left) + print_text(evaluation, right))
    return normal(_double(to_number(left)) + _double(to_number(right)))


def subtract(left: Any, right: Any) -> int | float:
    """`left - right`."""
    return normal(_double(to_number(left)) - _double(to_number(right)))


def multiply(left: Any, right: Any) -> int | float:
    """`left * right`."""
    first, second = _double(to_number(left)), _double(to_number(right))
    if isinstance(first, int) and isinstance(second, int) and not (first and second) and (first < 0 or second < 0):
        return -0.0
    return normal(first * second)


def divide(left: Any, right: Any) -> int | float:
    """`left / right`, IEEE: division by zero gives an infinity or NaN."""
    first, second = float(_double(to_number(left))), float(_double(to_number(right)))
    if second == 0:
        if first == 0 or first != first:
            return math.nan
        return math.copysign(math.inf, first) * math.copysign(1.0, second)
    return normal(first / second)


def remainder(left: Any, right: Any) -> int | float:
    """`left % right`, with the sign of the left operand."""
    first, second = float(_double(to_number(left))), float(_double(to_number(right)))
    if second == 0 or math.isinf(first) or first != first or second != second:
        return math.nan
    return normal(math.fmod(first, second))


def negate(value: Any) -> int | float:
    """`-value`."""
    number = _double(to_number(value))
    return -0.0 if number == 0 and isinstance(number, int) else normal(-number)


def positive(value: Any) -> int | float:
    """`+value`."""
    return normal(to_number(value))


def _relation_number(value: Any, other: Any, timezone: str) -> float | int:
    if value is None or value is UNDEFINED:
        return math.nan
    if isinstance(value, str) and isinstance(other, datetime):
        date = parse_date_text(value, timezone)
        return math.nan if date is None else milliseconds(date)
    return _double(to_number(value))


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": python_operator.lt,
    "<=": python_operator.le,
    ">": python_operator.gt,
    ">=": python_operator.ge,
}


def _compare(name: str) -> Callable[[Evaluation, Any, Any], bool]:
    compare = _COMPARISONS[name]

    def run(evaluation: Evaluation, left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            if left.isascii() and right.isascii():
                return compare(left, right)
            return compare(utf16_key(left), utf16_key(right))
        first = _relation_number(left, right, evaluation.timezone)
        return compare(first, _relation_number(right, left, evaluation.timezone))

    return run


less, less_or_equal, greater, greater_or_equal = (_compare(name) for name in ("<", "<=", ">", ">="))

#: Operators on two evaluated operands; `&` and `|` are lazy and belong to who evaluates.
BINARY: Final[dict[str, Callable[[Evaluation, Any, Any], Any]]] = {
    "+": add,
    "-": lambda _, left, right: subtract(left, right),
    "*": lambda _, left, right: multiply(left, right),
    "/": lambda _, left, right: divide(left, right),
    "%": lambda _, left, right: remainder(left, right),
    "=": lambda _, left, right: equal(left, right),
    "!=": lambda _, left, right: not equal(left, right),
    "<": less,
    "<=": less_or_equal,
    ">": greater,
    ">=": greater_or_equal,
}


def chain(evaluation: Evaluation, names: tuple[str, ...], operands: tuple[Any, ...]) -> Any:
    """`a op b op c ...` from left to right, for chains that are too long to be written out."""
    result = operands[0]
    for name, operand in zip(names, operands[1:], strict=True):
        result = BINARY[name](evaluation, result, operand)
    return result


def step_name(value: Any, name: str) -> Any:
    """`.name` behind a value: own key of a collection; a name of digits is the 1-based index of an array."""
    if isinstance(value, dict):
        return value.get(name, UNDEFINED)
    if isinstance(value, list) and name.isdigit() and name.isascii():
        return item_at(value, int(name)) if len(name) < 16 else UNDEFINED
    return UNDEFINED


def walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    """Many steps one after the other: `.name` for a text, `[number]` for a number."""
    for step in steps:
        value = step_name(value, step) if isinstance(step, str) else step_index(value, step)
    return value


def item_at(array: list[Any], number: int) -> Any:
    """Item `number` of an array, 1-based, negative from the end; undefined when there is none."""
    if number > 0:
        return array[number - 1] if number <= len(array) else UNDEFINED
    return array[number] if number and -number <= len(array) else UNDEFINED


def whole_index(value: Any) -> int | None:
    """An index as a whole number, from a number or a text of digits; None when it is neither."""
    if isinstance(value, bool) or value is None or value is UNDEFINED:
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        digits = value[1:] if value[:1] == "-" else value
        return int(value) if digits.isdigit() and digits.isascii() and len(digits) < 16 else None
    return None


def step_index(value: Any, index: Any) -> Any:
    """`[index]` behind a value: 1-based item of an array, or a key of a collection."""
    if isinstance(value, list):
        number = whole_index(index)
        return UNDEFINED if number is None else item_at(value, number)
    if isinstance(value, dict) and isinstance(index, (str, int, float)):
        return value.get(to_text(index), UNDEFINED)
    return UNDEFINED


def print_text(evaluation: Evaluation, value: Any) -> str:
    """A value as text (spec/iml.md 5.2), with its size counted."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    text = to_text(value)
    if len(text) > 200:
        evaluation.room(len(text))
    return text


def spread(target: dict[str, Any], value: Any) -> None:
    """
    The spread key: put the entries of a collection into `target`.

    Raises:
        ImlTypeError: The value is neither a collection nor empty.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            if member is not UNDEFINED:
                target[key] = member
    elif not (value is None or value is UNDEFINED or value == ""):
        raise ImlTypeError(f"'{shown(value)}' is not a valid collection.")


def environment_keyword(evaluation: Evaluation, name: str) -> Any:
    """`now timestamp random uuid executionId`: from the context when it has the name, else from the environment."""
    own = evaluation.context.get(name, UNDEFINED)
    if own is not UNDEFINED:
        return own
    if name == "now":
        return evaluation.environment.now
    if name == "timestamp":
        return milliseconds(evaluation.environment.now) // 1000
    if name == "random":
        return random.random()  # noqa: S311  IML's `random` promises a number, not a secret
    if name == "uuid":
        return str(uuid.uuid4())
    identity = evaluation.environment.execution_id
    return UNDEFINED if identity is None else identity
