"""Reading the expression language's case file: its notation for values, and how results compare (spec/iml.md 15)."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from runtime.iml import Environment
from runtime.values import UNDEFINED, Buffer, to_text
from tests.paths import SHARED


@lru_cache(maxsize=1)
def load_cases() -> list[dict[str, Any]]:
    """All cases; none when the folder `shared` is absent."""
    path = SHARED / "spec" / "iml-cases.json"
    return json.loads(path.read_text()) if path.exists() else []


def decode(value: Any) -> Any:
    """A value from its notation."""
    if isinstance(value, dict):
        if value.keys() == {"$date"}:
            return datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))
        if value.keys() == {"$buffer"}:
            return Buffer(base64.b64decode(value["$buffer"]))
        if value.keys() == {"$undefined"}:
            return UNDEFINED
        if value.keys() == {"$number"}:
            return float(value["$number"].replace("Infinity", "inf"))
        return {key: decode(member) for key, member in value.items()}
    return [decode(item) for item in value] if isinstance(value, list) else value


def same(left: Any, right: Any) -> bool:
    """Equality with types, a relative tolerance for numbers, NaN equal to itself, key order ignored."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        if left != left or right != right:
            return left != left and right != right
        return left == right or abs(left - right) <= 1e-12 * max(abs(left), abs(right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, Buffer) and isinstance(right, Buffer):
        return left.data == right.data
    return left is right or (type(left) is type(right) and left == right)


def environment_of(case: dict[str, Any]) -> Environment:
    """The environment that a case is rendered in."""
    return Environment(now=datetime.now(UTC), timezone=case.get("timezone", "UTC"))


def matches(expected: Any, result: Any) -> bool:
    """Whether a result, or the error raised instead, is what a case expects."""
    if isinstance(expected, dict) and "$error" in expected:
        fragment = expected["$error"]
        return isinstance(result, Exception) and (fragment in str(result) or fragment == type(result).__name__)
    if isinstance(result, Exception):
        return False
    if isinstance(expected, dict) and "$match" in expected:
        return isinstance(result, (str, int, float)) and re.search(expected["$match"], to_text(result)) is not None
    return same(result, decode(expected))
