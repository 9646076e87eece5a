"""Dotted paths given as text, as `get`, `map`, `sort` and `distinct` take them (spec/iml.md 7.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from runtime.iml.operators import item_at, step_index, step_name, whole_index
from runtime.values import UNDEFINED

_PIECE: Final = re.compile(r"\[([^\[\]]*)\]|[^.\[]+|\[")


@lru_cache(maxsize=1024)
def split_path(path: str) -> tuple[str | int, ...]:
    """The steps of a path: names, and 1-based indexes for `[n]`."""
    steps: list[str | int] = []
    for match in _PIECE.finditer(path):
        if match[1] is None:
            steps.append(match[0])
            continue
        index = 1 if not match[1].strip() else whole_index(match[1].strip())
        steps.append(match[1].strip("\"'` ") if index is None else index)
    return tuple(steps)


def get_path(source: Any, path: str) -> Any:
    """What stands at a dotted path; undefined when there is nothing. A key equal to the whole path wins."""
    if isinstance(source, dict):
        if path in source:
            return source[path]
    elif not isinstance(source, list):
        return UNDEFINED
    value: Any = source
    steps = split_path(path)
    if not steps:
        return UNDEFINED
    for step in steps:
        if type(step) is str:
            value = value.get(step, UNDEFINED) if type(value) is dict else step_name(value, step)
        else:
            value = step_index(value, step)
    return value


def get(source: Any, path: Any) -> Any:
    """`get(source; path)` with a path of any type."""
    if isinstance(path, str):
        if type(source) is dict and path:
            return get_path(source, path)
        if isinstance(source, list) and path[:1] == "-":
            index = whole_index(path)
            return UNDEFINED if index is None else item_at(source, index)
        return get_path(source, path) if path else UNDEFINED
    if isinstance(path, (int, float)) and not isinstance(path, bool):
        return step_index(source, path)
    return UNDEFINED
