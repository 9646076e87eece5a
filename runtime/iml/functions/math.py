"""Mathematical functions (spec/iml.md 7.3). Numbers are IEEE doubles; an empty number gives undefined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any, Final

from runtime.coercion import SPACES, invalid, number_of_literal, to_number_argument
from runtime.iml.evaluation import Evaluation
from runtime.iml.operators import normal
from runtime.iml.registry import Example, Family
from runtime.values import UNDEFINED, is_empty, number_text, to_text

MATH: Final = Family("math")
#: Enough digits for every double with 100 decimals.
_EXACT: Final = Context(prec=800)
_GROUPING: Final = ",.'_"


def _on_number(run: Callable[[float], int | float]) -> Callable[[Any], Any]:
    def wrapped(number: Any) -> Any:
        if number is UNDEFINED:
            return UNDEFINED
        number = normal(number)
        # Infinities and NaN have no whole part; they pass through.
        return number if not math.isfinite(number) else normal(run(number))

    return wrapped


@MATH.function("abs", "number: number", "The absolute value.", Example("{{abs(-3)}}", 3))
def absolute(number: Any) -> Any:
    return UNDEFINED if number is UNDEFINED else normal(abs(number))


def _round(number: float) -> int | float:
    if isinstance(number, int):
        return number
    below = math.floor(number)
    return below + 1 if number - below >= 0.5 else below


MATH.function("ceil", "number: number", "The next whole number at or above.", Example("{{ceil(1.2)}}", 2))(
    _on_number(math.ceil)
)
MATH.function("floor", "number: number", "The next whole number at or below.", Example("{{floor(1.8)}}", 1))(
    _on_number(math.floor)
)
MATH.function("round", "number: number", "The nearest whole number, halves up.", Example("{{round(-2.5)}}", -2))(
    _on_number(_round)
)


@MATH.function(
    "trunc",
    "number: number; [decimals: number]",
    "The number cut toward zero after so many decimals.",
    Example("{{trunc(3.789; 1)}}", 3.7),
)
def trunc(number: Any, decimals: Any) -> Any:
    if number is UNDEFINED:
        return UNDEFINED
    number = normal(number)
    if not math.isfinite(number):
        return number
    places = 0 if decimals is UNDEFINED else max(-400, min(400, _to_int(decimals)))
    exponent = Decimal(1).scaleb(-places, _EXACT)
    cut = Decimal(number_text(number)).quantize(exponent, ROUND_DOWN, _EXACT)
    return normal(float(cut))


def _to_int(number: float) -> int:
    return int(number) if math.isfinite(number) else (400 if number > 0 else 0)


def _numbers(evaluation: Evaluation, values: Iterable[Any]) -> list[int | float]:
    found: list[int | float] = []
    # An explicit stack: arrays may nest deeper than the interpreter follows.
    waiting: list[Any] = list(values)[::-1]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            evaluation.charge(len(value))
            waiting.extend(reversed(value))
        elif not is_empty(value):
            found.append(normal(to_number_argument(value)))
    return found


def _sum(numbers: list[int | float]) -> int | float:
    total: int | float = 0
    for number in numbers:
        total = normal(total + number)
    return total


@MATH.function(
    "sum",
    "*values",
    "The sum of numbers and of arrays of numbers.",
    Example("{{sum(a; 4)}}", 7, {"a": [1, 2]}),
    gives="number",
    needs_evaluation=True,
)
def total(evaluation: Evaluation, *values: Any) -> Any:
    return _sum(_numbers(evaluation, values))


def _statistic(name: str, doc: str, example: Example) -> Callable[[Callable[[list[Any]], Any]], None]:
    """Declare a function of the numbers among its arguments; without numbers it gives undefined."""

    def declare(run: Callable[[list[Any]], Any]) -> None:
        def wrapped(evaluation: Evaluation, *values: Any) -> Any:
            numbers = _numbers(evaluation, values)
            return normal(run(numbers)) if numbers else UNDEFINED

        MATH.function(name, "*values", doc, example, needs_evaluation=True)(wrapped)

    return declare


@_statistic("average", "The arithmetic mean.", Example("{{average(1; 2; 6)}}", 3))
def average(numbers: list[Any]) -> Any:
    return _sum(numbers) / len(numbers)


@_statistic("min", "The smallest number.", Example("{{min(3; 1; 2)}}", 1))
def minimum(numbers: list[Any]) -> Any:
    return math.nan if any(number != number for number in numbers) else min(numbers)


@_statistic("max", "The largest number.", Example("{{max(3; 1; 2)}}", 3))
def maximum(numbers: list[Any]) -> Any:
    return math.nan if any(number != number for number in numbers) else max(numbers)


@_statistic("median", "The middle number, or the mean of the middle two.", Example("{{median(1; 2; 9; 4)}}", 3))
def median(numbers: list[Any]) -> Any:
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _deviation(numbers: list[Any], divisor: int) -> float:
    mean = _sum(numbers) / len(numbers)
    try:
        return math.sqrt(sum((number - mean) ** 2 for number in numbers) / divisor)
    except OverflowError:
        return math.inf


@_statistic("stdevS", "The standard deviation of a sample.", Example("{{stdevS(1; 2; 3)}}", 1))
def sample_deviation(numbers: list[Any]) -> Any:
    return _deviation(numbers, len(numbers) - 1) if len(numbers) > 1 else 0


@_statistic("stdevP", "The standard deviation of a whole population.", Example("{{stdevP(2; 4)}}", 1))
def population_deviation(numbers: list[Any]) -> Any:
    return _deviation(numbers, len(numbers))


@lru_cache(maxsize=64)
def _digits_only(point: str) -> dict[int, str | None]:
    """A translation that takes white space and grouping characters away and makes the separator a point."""
    table: dict[int, str | None] = {ord(character): None for character in SPACES + _GROUPING}
    if len(point) == 1:
        table[ord(point)] = "."
    else:
        for character in point:
            table.pop(ord(character), None)
    return table


@MATH.function(
    "parseNumber",
    "text; [decimalSeparator]",
    "The number that a text shows, grouping characters ignored.",
    Example('{{parseNumber("1.234,5"; ",")}}', 1234.5),
    Example('{{parseNumber("x")}}', error="'x' is not a valid number."),
)
def parse_number(text: Any, separator: Any) -> Any:
    if type(text) is not str or not text:
        if is_empty(text):
            return UNDEFINED
        if isinstance(text, (int, float)) and not isinstance(text, bool):
            return text
    point = separator if type(separator) is str and separator else "." if is_empty(separator) else to_text(separator)
    digits = (text if type(text) is str else to_text(text)).translate(_digits_only(point))
    number = number_of_literal(digits.replace(point, ".") if len(point) > 1 else digits)
    if number is None:
        raise invalid(text, "number")
    return number if type(number) is float else normal(number)


@MATH.function(
    "formatNumber",
    "number: number; [decimals: number]; [decimalSeparator]; [thousandsSeparator]",
    "A number as text with so many decimals and separators.",
    Example('{{formatNumber(1234567.891; 2; "."; ",")}}', "1,234,567.89"),
    Example("{{formatNumber(1234.5; 1)}}", "1.234,5"),
)
def format_number(number: Any, decimals: Any, separator: Any, grouping: Any) -> Any:
    if number is UNDEFINED:
        return UNDEFINED
    number = normal(number)
    if not math.isfinite(number):
        return number_text(number)
    places = 0 if decimals is UNDEFINED or decimals != decimals else max(0, min(100, _to_int(decimals)))
    rounded = Decimal(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)
    whole, _, fraction = f"{abs(rounded):f}".partition(".")
    point = "," if separator is UNDEFINED or separator is None else to_text(separator)
    group = "." if grouping is UNDEFINED or grouping is None else to_text(grouping)
    grouped = f"{int(whole):,}".replace(",", group)
    sign = "-" if rounded < 0 else ""
    return f"{sign}{grouped}{point}{fraction}" if fraction else f"{sign}{grouped}"
