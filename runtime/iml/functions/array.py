"""Array functions (spec/iml.md 7.5). They never change their arguments; each item that they visit is one step."""

from __future__ import annotations

import math
import random
from datetime import datetime
from typing import Any, Final

from runtime.coercion import invalid
from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.operators import print_text, utf16_key
from runtime.iml.paths import get_path
from runtime.iml.registry import Example, Family
from runtime.values import UNDEFINED, Buffer, is_empty, milliseconds, to_text

ARRAY: Final = Family("array")
_PEOPLE: Final = {"l": [{"n": "Bob", "age": 22}, {"n": "Ann", "age": 31}], "a": [3, 1, 3]}


def identity(value: Any) -> Any:
    """A hashable stand-in: two values have the same one exactly when they are equal (`=`). NaN equals nothing."""
    if isinstance(value, str):
        return str(value)
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, (int, float)):
        return (float, value) if value == value else (float, object())
    if isinstance(value, datetime):
        return (datetime, value)
    if isinstance(value, Buffer):
        return (bytes, value.data)
    if isinstance(value, list):
        return (list, tuple(identity(item) for item in value))
    if isinstance(value, dict):
        return (dict, frozenset((key, identity(item)) for key, item in value.items() if item is not UNDEFINED))
    return value


@ARRAY.function(
    "add",
    "array: array; *values",
    "The array with values appended.",
    Example("{{add(a; 9)}}", [3, 1, 3, 9], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def add(evaluation: Evaluation, array: list[Any], *values: Any) -> list[Any]:
    evaluation.charge(len(array) + len(values))
    return [*array, *values]


@ARRAY.function(
    "arrayDifference",
    "array1: array; array2: array; [mode]",
    "Items of the first array that the second has not; `symmetric` adds those of the second that the first has not.",
    Example('{{arrayDifference(a; b; "symmetric")}}', [3, 3, 2], {"a": [3, 1, 3], "b": [1, 2]}),
    gives="array",
    needs_evaluation=True,
)
def array_difference(evaluation: Evaluation, first: list[Any], second: list[Any], mode: Any) -> list[Any]:
    name = "classic" if is_empty(mode) else to_text(mode)
    if name not in ("classic", "symmetric"):
        raise FunctionFailed(f"'{name}' is not a valid mode. Modes: classic, symmetric.")
    evaluation.charge(2 * (len(first) + len(second)))
    seen_first = {identity(item) for item in first} if name == "symmetric" else set[Any]()
    seen_second = {identity(item) for item in second}
    result = [item for item in first if identity(item) not in seen_second]
    if name == "symmetric":
        result += [item for item in second if identity(item) not in seen_first]
    return result


def _unique(evaluation: Evaluation, array: list[Any], keys: list[Any]) -> list[Any]:
    evaluation.charge(len(array))
    seen: set[Any] = set()
    result: list[Any] = []
    for item, key in zip(array, keys, strict=True):
        mark = identity(key)
        if mark not in seen:
            seen.add(mark)
            result.append(item)
    return result


@ARRAY.function(
    "deduplicate",
    "array: array",
    "The array with the first of equal items only.",
    Example("{{deduplicate(a)}}", [3, 1], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def deduplicate(evaluation: Evaluation, array: list[Any]) -> list[Any]:
    return _unique(evaluation, array, array)


@ARRAY.function(
    "distinct",
    "array: array; [key]",
    "The same, compared by what stands at a path.",
    Example('{{map(distinct(l; "n"); "n")}}', ["Bob", "Ann"], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def distinct(evaluation: Evaluation, array: list[Any], key: Any) -> list[Any]:
    if is_empty(key):
        return _unique(evaluation, array, array)
    path = to_text(key)
    return _unique(evaluation, array, [get_path(item, path) for item in array])


@ARRAY.function("first", "array: array", "The first item.", Example("{{first(a)}}", 3, _PEOPLE))
def first_item(array: list[Any]) -> Any:
    return array[0] if array else UNDEFINED


@ARRAY.function("last", "array: array", "The last item.", Example("{{last(l).n}}", "Ann", _PEOPLE))
def last_item(array: list[Any]) -> Any:
    return array[-1] if array else UNDEFINED


@ARRAY.function(
    "flatten",
    "array: array; [depth: number]",
    "The items of nested arrays in one array, so many levels deep.",
    Example("{{flatten(a)}}", [1, 2, [3]], {"a": [1, [2, [3]]]}),
    gives="array",
    needs_evaluation=True,
)
def flatten(evaluation: Evaluation, array: list[Any], depth: Any) -> list[Any]:
    limit = 1 if depth is UNDEFINED else depth
    result: list[Any] = []
    waiting: list[tuple[Any, int]] = [(array, -1)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, list) and (level < 0 or level < limit):
            evaluation.charge(len(value))
            waiting += [(item, level + 1) for item in reversed(value)]
        else:
            result.append(value)
    return result


@ARRAY.function(
    "join",
    "array: array; [separator]",
    "The items as one text.",
    Example('{{join(a; " + ")}}', "3 + 1 + 3", _PEOPLE),
    gives="text",
    needs_evaluation=True,
)
def join(evaluation: Evaluation, array: list[Any], separator: Any) -> str:
    between = "," if separator is UNDEFINED or separator is None else print_text(evaluation, separator)
    evaluation.charge(len(array))
    try:
        # Nearly always all items are texts; what is none makes `join` itself refuse.
        length = sum(map(len, array)) + len(between) * len(array)
        if length > 200:
            evaluation.room(length)
        return between.join(array)
    except TypeError:
        pass
    parts = [item if type(item) is str else print_text(evaluation, item) for item in array]
    length = sum(map(len, parts)) + len(between) * max(0, len(parts) - 1)
    if length > 200:
        evaluation.room(length)
    return between.join(parts)


@ARRAY.function(
    "keys",
    "value",
    "The keys of a collection, or the positions of an array from 0.",
    Example("{{keys(l[1])}}", ["n", "age"], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def keys(evaluation: Evaluation, value: Any) -> list[Any]:
    if value is None or value is UNDEFINED:
        return []
    if not isinstance(value, (dict, list)):
        raise invalid(value, "collection")
    evaluation.charge(len(value))
    return [str(position) for position in range(len(value))] if isinstance(value, list) else list(value)


def _at(item: Any, path: str) -> Any:
    """`get_path`, quick for the usual case of a plain key that exists."""
    if type(item) is dict:
        found = item.get(path, UNDEFINED)
        if found is not UNDEFINED:
            return found
    return get_path(item, path)


def _wanted(values: Any) -> set[str]:
    if isinstance(values, list):
        return {to_text(value).strip() for value in values}
    return {part.strip() for part in to_text(values).split(",")}


@ARRAY.function(
    "map",
    "array: array; key; [filterKey]; [values]",
    "What stands at a path in every item; with a filter only of items whose other value is one of a list.",
    Example('{{map(l; "n")}}', ["Bob", "Ann"], _PEOPLE),
    Example('{{map(l; "n"; "age"; "31,40")}}', ["Ann"], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def map_items(evaluation: Evaluation, array: list[Any], key: Any, filter_key: Any, values: Any) -> list[Any]:
    path = to_text(key)
    evaluation.charge(len(array))
    items = array
    if not is_empty(filter_key):
        filter_path = to_text(filter_key)
        if is_empty(values):
            items = [item for item in items if is_empty(get_path(item, filter_path))]
        else:
            wanted = _wanted(values)
            items = [item for item in items if to_text(get_path(item, filter_path)).strip() in wanted]
    if not path:
        return []
    found = [_at(item, path) for item in items]
    return [value for value in found if value is not UNDEFINED]


@ARRAY.function(
    "merge",
    "*arrays",
    "All arrays one after the other.",
    Example("{{merge(a; a)}}", [3, 1, 3, 3, 1, 3], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def merge(evaluation: Evaluation, *arrays: Any) -> list[Any]:
    result: list[Any] = []
    for array in arrays:
        if is_empty(array):
            continue
        if not isinstance(array, list):
            raise invalid(array, "array")
        evaluation.charge(len(array))
        result += array
    return result


@ARRAY.function(
    "remove",
    "array: array; *values",
    "The array without the items that equal one of the values.",
    Example("{{remove(a; 3)}}", [1], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def remove(evaluation: Evaluation, array: list[Any], *values: Any) -> list[Any]:
    unwanted = {identity(value) for value in values if not isinstance(value, (list, dict))}
    evaluation.charge(len(array))
    return [item for item in array if isinstance(item, (list, dict)) or identity(item) not in unwanted]


@ARRAY.function(
    "reverse",
    "array: array",
    "The items in opposite order.",
    Example("{{reverse(b)}}", [2, 1], {"b": [1, 2]}),
    gives="array",
    needs_evaluation=True,
)
def reverse(evaluation: Evaluation, array: list[Any]) -> list[Any]:
    evaluation.charge(len(array))
    return array[::-1]


@ARRAY.function(
    "shuffle",
    "array: array",
    "The items in random order.",
    Example("{{length(shuffle(a))}}", 3, _PEOPLE),
    gives="array",
    pure=False,
    needs_evaluation=True,
)
def shuffle(evaluation: Evaluation, array: list[Any]) -> list[Any]:
    evaluation.charge(len(array))
    return random.sample(array, len(array))


def _position(number: Any, missing: int, length: int) -> int:
    if number is UNDEFINED or number != number:
        return missing
    position = int(max(-length, min(length, number))) if math.isfinite(number) else (length if number > 0 else -length)
    return max(0, position + length) if position < 0 else position


@ARRAY.function(
    "slice",
    "array: array; start: number; [end: number]",
    "The items from a 0-based position up to another; negative positions count from the end.",
    Example("{{slice(a; 1)}}", [1, 3], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def slice_items(evaluation: Evaluation, array: list[Any], start: Any, end: Any) -> list[Any]:
    evaluation.charge(len(array))
    return array[_position(start, 0, len(array)) : _position(end, len(array), len(array))]


_ORDERS: Final = ("asc", "desc", "asc ci", "desc ci")


def sort_key(value: Any, *, ignore_case: bool = False) -> tuple[Any, ...]:
    """A key that orders values as spec/iml.md 5.5 says; undefined and null have to be kept apart before."""
    if isinstance(value, bool):
        return (0, value)
    if isinstance(value, (int, float)):
        return (1, 0, value) if value == value else (1, 1, 0)
    if isinstance(value, datetime):
        return (2, milliseconds(value))
    if isinstance(value, str):
        return (3, utf16_key(value.lower() if ignore_case else value))
    return (4,)


@ARRAY.function(
    "sort",
    "array: array; [order]; [key]",
    "The items in order `asc`, `desc`, `asc ci` or `desc ci`, by what stands at a path.",
    Example("{{sort(a)}}", [1, 3, 3], _PEOPLE),
    Example('{{map(sort(l; "desc"; "age"); "n")}}', ["Ann", "Bob"], _PEOPLE),
    gives="array",
    needs_evaluation=True,
)
def sort(evaluation: Evaluation, array: list[Any], order: Any, key: Any) -> list[Any]:
    name = "asc" if is_empty(order) else to_text(order)
    if name not in _ORDERS:
        name, key = "asc", name
    path = "" if is_empty(key) else to_text(key)
    evaluation.charge(2 * len(array))
    values = [(get_path(item, path) if path else item, item) for item in array]
    present = [pair for pair in values if pair[0] is not None and pair[0] is not UNDEFINED]
    absent = [item for value, item in values if value is None or value is UNDEFINED]
    present.sort(key=lambda pair: sort_key(pair[0], ignore_case=name.endswith("ci")), reverse=name.startswith("desc"))
    return [item for _, item in present] + absent


@ARRAY.function(
    "toArray",
    "collection: collection",
    "One collection with `key` and `value` for each entry.",
    Example("{{toArray(o)}}", [{"key": "a", "value": 1}], {"o": {"a": 1}}),
    gives="array",
    needs_evaluation=True,
)
def to_array(evaluation: Evaluation, collection: dict[str, Any]) -> list[Any]:
    evaluation.charge(len(collection))
    return [{"key": key, "value": value} for key, value in collection.items() if value is not UNDEFINED]


@ARRAY.function(
    "toCollection",
    "array: array; key; value",
    "A collection whose keys and values stand at two paths of every item.",
    Example('{{toCollection(l; "n"; "age")}}', {"Bob": 22, "Ann": 31}, _PEOPLE),
    gives="collection",
    needs_evaluation=True,
)
def to_collection(evaluation: Evaluation, array: list[Any], key: Any, value: Any) -> dict[str, Any]:
    key_path, value_path = to_text(key), to_text(value)
    evaluation.charge(len(array))
    result: dict[str, Any] = {}
    for item in array:
        plain = type(item) is dict
        name = item.get(key_path) if plain else None
        if name is None or name is UNDEFINED:
            name = get_path(item, key_path)
        if is_empty(name):
            continue
        member = item.get(value_path) if plain else None
        if member is None or member is UNDEFINED:
            member = get_path(item, value_path)
        if member is not UNDEFINED:
            result[name if type(name) is str else to_text(name)] = member
    return result
