"""
The evaluated parameters of an operation that waits, as a bundle: they stay what they were, whenever it goes on.

Stored bundles know no `emptystring` and `erase` marks, so their places are written beside the values.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from runtime.values import ERASE, FORCED_EMPTY, Bundle

#: Where a mark stands: keys and indexes from the top.
_Path: TypeAlias = "list[str | int]"


def keep_config(static: dict[str, Any], mapped: dict[str, Any]) -> Bundle:
    """The bundle that holds both kinds of parameters."""
    empty: list[_Path] = []
    erased: list[_Path] = []
    _find(mapped, [], empty, erased)
    return {"static": static, "mapped": mapped, "empty": empty, "erased": erased}


def kept_config(bundle: Bundle) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `keep_config` was given: the static and the mapped parameters."""
    mapped = cast("dict[str, Any]", _copied(bundle["mapped"]))
    for places, mark in ((bundle["empty"], FORCED_EMPTY), (bundle["erased"], ERASE)):
        for path in places:
            holder: Any = mapped
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = mark
    return bundle["static"], mapped


def _find(value: Any, path: _Path, empty: list[_Path], erased: list[_Path]) -> None:
    if value is FORCED_EMPTY:
        empty.append(path)
    elif value is ERASE:
        erased.append(path)
    elif isinstance(value, dict):
        for key, member in cast("dict[str, Any]", value).items():
            _find(member, [*path, key], empty, erased)
    elif isinstance(value, list):
        for index, member in enumerate(cast("list[Any]", value)):
            _find(member, [*path, index], empty, erased)


def _copied(value: Any) -> Any:
    """Lists and collections anew: what a bundle store gives is shared."""
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in cast("dict[str, Any]", value).items()}
    return [_copied(member) for member in cast("list[Any]", value)] if isinstance(value, list) else value
