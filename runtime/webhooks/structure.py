"""
The data structure of a custom webhook: what its events must look like, and how one is learned from an event.

A structure is a list of fields as parameter lists are written (spec/modules.md 2). Source: spec/scenarios.md 4.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from runtime.errors import BundleValidationError
from runtime.parameters import Field, parse_fields, resolve
from runtime.values import Buffer, Bundle
from runtime.webhooks.incoming import BadRequest

#: How deep an event is followed, how many fields a level may have, and how many elements of an array are looked at.
MAX_DEPTH: Final = 8
MAX_FIELDS: Final = 500
MAX_ELEMENTS: Final = 50
#: Failures that an answer names.
MAX_SHOWN: Final = 10

Structure = Sequence[Any]


def check(bundle: Bundle, structure: Structure, timezone: str) -> Bundle:
    """
    The event with its fields converted to their types; keys that the structure does not have stay as they are.

    Raises:
        BadRequest: A required field is missing, or a value does not fit.
    """
    fields = parse_fields(list(structure))
    try:
        found = resolve(fields, bundle, timezone=timezone, mode="form").values
    except BundleValidationError as error:
        first, *others = error.message.splitlines()
        more = [f"... and {len(others) - MAX_SHOWN} more"] if len(others) > MAX_SHOWN else []
        raise BadRequest("\n".join([first, *others[:MAX_SHOWN], *more])) from None
    known = {item.name for item in fields if isinstance(item, Field)}
    return {**found, **{key: value for key, value in bundle.items() if key not in known and key not in found}}


def learn(bundle: Bundle) -> list[dict[str, Any]]:
    """
    The structure of an event: names and types, nothing required.

    A text that looks like a date stays a text: what one event shows must not refuse the next.
    """
    return _fields([bundle], 0)


def _fields(samples: list[Bundle], depth: int) -> list[dict[str, Any]]:
    by_name: dict[str, list[Any]] = {}
    for sample in samples:
        for name, value in sample.items():
            if name.startswith("__IMT") and depth == 0:
                continue
            if name and (name in by_name or len(by_name) < MAX_FIELDS):
                by_name.setdefault(name, []).append(value)
    return [{"name": name, "label": name, **_described(values, depth)} for name, values in by_name.items()]


def _described(values: list[Any], depth: int) -> dict[str, Any]:
    kinds = {_kind(value) for value in values if value is not None}
    if len(kinds) != 1:
        return {"type": "any"}
    kind = kinds.pop()
    if kind == "collection":
        members = [value for value in values if isinstance(value, dict)]
        return {"type": kind, "spec": _fields(members, depth + 1)} if depth < MAX_DEPTH else {"type": kind}
    if kind == "array":
        elements = list(_elements(values))
        if not elements or depth >= MAX_DEPTH:
            return {"type": kind}
        below = _described(elements, depth + 1)
        if below["type"] == "collection":
            return {"type": kind, "spec": below.get("spec", [])}
        return {"type": kind} if below["type"] == "any" else {"type": kind, "spec": below}
    return {"type": kind}


def _elements(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value[:MAX_ELEMENTS]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, datetime):
        return "date"
    if isinstance(value, Buffer):
        return "buffer"
    if isinstance(value, list):
        return "array"
    return "collection" if isinstance(value, dict) else "text"
