"""
What is empty, and what an empty value becomes (spec/modules.md 8.1; only version 2 is built).
"""

from __future__ import annotations

from typing import Any, Final

from runtime.parameters.fields import Field
from runtime.values import ERASE, UNDEFINED, ForcedEmpty

#: The mapper sets marks in what a blueprint writes, which nests no deeper; data of bundles have none and may.
MAX_MARKED_DEPTH: Final = 200


def is_list(field: Field) -> bool:
    """True for types whose value is a list: their empty list counts as nothing."""
    return field.type in ("array", "filter") or (field.type == "select" and field.multiple)


def is_empty(field: Field, value: Any) -> bool:
    """Empty before the table of 8.1. `emptystring` is a value for a text and nothing for the other types."""
    if value is UNDEFINED or value is None or value is ERASE:
        return True
    if isinstance(value, str):
        forced = isinstance(value, ForcedEmpty) and field.type == "text"
        return value == "" and not forced
    if isinstance(value, list) and is_list(field):
        return value == [] or (field.type == "filter" and value == [[]])
    return False


def empty_value(field: Field, value: Any) -> Any:
    """What an empty value that is no collection becomes: undefined, and with `erase` null or an empty list."""
    if value is not ERASE or field.type == "boolean":
        return UNDEFINED
    return [] if is_list(field) else None


def unmarked(value: Any, depth: int = 0) -> Any:
    """
    A value of a field without a definition of its content, free of the mapper's marks: `erase` is null there and
    `emptystring` a text. The same object when it holds none.
    """
    if value is ERASE:
        return None
    if isinstance(value, ForcedEmpty):
        return ""
    if depth > MAX_MARKED_DEPTH:
        return value
    if isinstance(value, dict):
        members = {name: unmarked(member, depth + 1) for name, member in value.items() if member is not UNDEFINED}
        same = len(members) == len(value) and all(members[name] is member for name, member in value.items())
        return value if same else members
    if isinstance(value, list):
        items = [unmarked(item, depth + 1) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value
