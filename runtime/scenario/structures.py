"""
Data structures: what lies outside of a blueprint and says which fields records and JSON texts have (spec 4.4, 4.7).

A structure is plain JSON data, `{"strict": bool, "spec": [field...]}`; fields are written as in parameter lists. In a
file it may also be the bare list of fields, with a name beside it or anything else that an export puts there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from runtime.errors import ScenaristError, UsageError
from runtime.parameters import parse_fields
from runtime.parameters.failures import Failure, validation_error

#: `{"strict": bool, "spec": [field...]}`.
Structure: TypeAlias = "dict[str, Any]"
#: Fields of one structure, nested ones included, and how deep they may lie.
MOST_FIELDS = 2000
MOST_LEVELS = 20


def read_structure(data: object, where: str) -> Structure:
    """
    A structure out of parsed JSON.

    Raises:
        UsageError: It is none; says what is wrong.
    """
    value: Any = cast("dict[str, Any]", data).get("spec") if isinstance(data, dict) else data
    strict: Any = cast("dict[str, Any]", data).get("strict", False) if isinstance(data, dict) else False
    if not isinstance(value, list):
        raise UsageError(f'{where}: a data structure is a list of fields, or {{"strict": false, "spec": [...]}}.')
    if not isinstance(strict, bool):
        raise UsageError(f"{where}: strict must be true or false.")
    spec = cast("list[Any]", value)
    if (count := _count(spec, where, 0)) > MOST_FIELDS:
        raise UsageError(f"{where}: the data structure has {count} fields; {MOST_FIELDS} are allowed.")
    try:
        parse_fields(spec, where=where)
    except ScenaristError as error:
        raise UsageError(f"{where}: {error.message}") from None
    return {"strict": strict, "spec": spec}


def read_structures(data: object, where: str) -> dict[str, Structure]:
    """
    Structures by id or label, out of a file beside a blueprint.

    Raises:
        UsageError: It is no object of structures.
    """
    if not isinstance(data, dict):
        raise UsageError(f"{where}: must hold a JSON object of data structures by id or label.")
    return {name: read_structure(item, f'{where}: "{name}"') for name, item in cast("dict[str, Any]", data).items()}


def refuse_unknown(structure: Structure | None, value: Mapping[str, Any]) -> None:
    """
    Refuse keys that a strict structure does not have, in nested collections too.

    Raises:
        BundleValidationError: With one suberror for each of them.
    """
    if structure is None or not structure["strict"]:
        return
    unknown = _unknown(structure["spec"], value, "")
    if unknown:
        raise validation_error([Failure(path, f"Unknown field '{path}'.") for path in unknown])


def _unknown(spec: Sequence[Any], value: Mapping[str, Any], prefix: str) -> list[str]:
    fields = {item["name"]: item for item in spec if isinstance(item, dict) and isinstance(item.get("name"), str)}
    found = [prefix + name for name in value if name not in fields]
    for name, field in fields.items():
        inner, member = field.get("spec"), value.get(name)
        if not isinstance(inner, list):
            continue
        inner = cast("list[Any]", inner)
        if field.get("type") == "collection" and isinstance(member, dict):
            found += _unknown(inner, cast("dict[str, Any]", member), f"{prefix}{name}.")
        elif field.get("type") == "array" and isinstance(member, list):
            for index, item in enumerate(cast("list[Any]", member), 1):
                if isinstance(item, dict):
                    found += _unknown(inner, cast("dict[str, Any]", item), f"{prefix}{name}[{index}].")
    return found


def _count(spec: list[Any], where: str, level: int) -> int:
    if level > MOST_LEVELS:
        raise UsageError(f"{where}: the fields are nested more than {MOST_LEVELS} deep.")
    count = 0
    for item in spec:
        if not isinstance(item, dict) or not isinstance(cast("dict[str, Any]", item).get("name"), str):
            raise UsageError(f"{where}: every field needs a name.")
        inner = cast("dict[str, Any]", item).get("spec")
        count += 1 + (_count(cast("list[Any]", inner), where, level + 1) if isinstance(inner, list) else 0)
    return count
