"""What a module's final value must be, with the texts that people know from Make (spec/modules.md 1.4 and 1.5)."""

from __future__ import annotations

from typing import Any

from runtime.errors import ModuleRuntimeError
from runtime.values import UNDEFINED, Buffer, Bundle, type_name


def wrong_output(expected: str, value: object) -> ModuleRuntimeError:
    """The error of a value of the wrong shape."""
    return ModuleRuntimeError(f"Invalid module output. Expected {expected}, but found {type_name(value)}.")


def is_nothing(value: object) -> bool:
    """True for values that stand for "no output": undefined, null, `""`, false and an empty buffer."""
    if value is None or value is UNDEFINED or value is False:
        return True
    return (isinstance(value, (str, Buffer))) and len(value) == 0


def one_bundle(value: Any) -> Bundle:
    """
    The bundle of an action: its collection, an empty one for nothing.

    Raises:
        ModuleRuntimeError: The value is a list or another scalar.
    """
    if is_nothing(value):
        return {}
    if not isinstance(value, dict):
        raise wrong_output("Object", value)
    return value


def checked_bundles(values: list[Any]) -> list[Bundle]:
    """
    Elements of a list as bundles.

    Raises:
        ModuleRuntimeError: One is no collection.
    """
    for value in values:
        if not isinstance(value, dict):
            raise wrong_output("Object", value)
    return values


def many_bundles(value: Any) -> list[Bundle]:
    """
    The bundles of a search: the elements of a list, one for a collection, none for nothing.

    Raises:
        ModuleRuntimeError: The value, or an element of it, has another shape.
    """
    if isinstance(value, list):
        return checked_bundles(value)
    if isinstance(value, dict):
        return [value]
    if is_nothing(value):
        return []
    raise wrong_output("Array", value)
