"""`temp`: how a new block is merged into what is there. Source: spec/communication.md section 5."""

from __future__ import annotations

from typing import Any

from runtime.errors import ModuleRuntimeError
from runtime.values import UNDEFINED


def merge_temp(temp: dict[str, Any], block: Any, path: str) -> dict[str, Any]:
    """
    A new `temp`: objects merged deeply, arrays and scalars replaced, undefined skipped, null stored.

    Raises:
        ModuleRuntimeError: The block is no collection.
    """
    if block is None or block is UNDEFINED or block == "":
        return temp
    if not isinstance(block, dict):
        raise ModuleRuntimeError(f"{path}: must be a collection")
    return _merge(temp, block)


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        if value is UNDEFINED:
            continue
        before = merged.get(key)
        merged[key] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
