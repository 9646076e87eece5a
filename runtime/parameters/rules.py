"""
`validate`: limits on a value that already has its type (spec/modules.md 2.2, 2.3).
"""

from __future__ import annotations

from typing import Any

from runtime.parameters.fields import Field
from runtime.parameters.patterns import matches
from runtime.values import equal, number_text, shown, to_text


def same_value(left: Any, right: Any) -> bool:
    """Equal in type, or equal as text for texts, numbers and booleans (2.8)."""
    if equal(left, right):
        return True
    plain = (str, int, float)
    return isinstance(left, plain) and isinstance(right, plain) and to_text(left) == to_text(right)


def utf16_length(text: str) -> int:
    """Length as JavaScript counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def value_fault(field: Field, value: Any, path: str) -> str | None:
    """The error text of the first limit that a single value breaks, None when it keeps them all."""
    rules = field.validate
    if isinstance(value, str):
        length = utf16_length(value)
        if rules.min is not None and length < rules.min:
            return f"Value of parameter '{path}' must be at least {number_text(rules.min)} characters long."
        if rules.max is not None and length > rules.max:
            return f"Value of parameter '{path}' exceeded maximum length of {number_text(rules.max)} characters."
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if rules.min is not None and value < rules.min:
            return f"Value of parameter '{path}' is too small. Minimum value is {number_text(rules.min)}."
        if rules.max is not None and value > rules.max:
            return f"Value of parameter '{path}' is too big. Maximum value is {number_text(rules.max)}."
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if rules.pattern is not None and plain and not matches(rules.pattern, to_text(value)):
        return f"Value of parameter '{path}' doesn't match the pattern: {rules.pattern}"
    return enum_fault(field, value, path)


def enum_fault(field: Field, value: Any, path: str) -> str | None:
    """The error text for a value, or an element of an array, that is not among the allowed ones."""
    allowed = field.validate.enum
    if allowed is None or any(same_value(value, item) for item in allowed):
        return None
    return f"Value of parameter '{path}' must be one of the following: {', '.join([shown(item) for item in allowed])}"


def items_fault(field: Field, value: list[Any], path: str) -> str | None:
    """The error text for too few or too many items of an array or a multiple select."""
    rules = field.validate
    few = rules.min_items is not None and len(value) < rules.min_items
    if not few and (rules.max_items is None or len(value) <= rules.max_items):
        return None
    limit = number_text((rules.min_items if few else rules.max_items) or 0)
    word = "less" if few else "more"
    if field.type == "select":
        return f"Selected {word} than {limit} items in parameter '{path}'."
    return f"Array '{path}' has {word} than {limit} items."
