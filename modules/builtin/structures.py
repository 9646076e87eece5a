"""
Modules with dynamic fields: what the mapper holds, converted by the fields that the blueprint keeps of them
(`metadata.expect`), else as it is (spec/scenarios.md 1.6, 2.10, 4.4, 4.7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from modules.builtin.job import BuiltinJob, invalid
from runtime.parameters import Field, parse_fields, resolve
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer, ForcedEmpty


def plain(value: Any) -> Any:
    """A mapped value without marks: `emptystring` as a text, `erase` as null, undefined members left out."""
    if value is ERASE:
        return None
    if isinstance(value, ForcedEmpty):
        return ""
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items() if member is not UNDEFINED}
    if isinstance(value, list):
        return [None if item is UNDEFINED else plain(item) for item in value]
    return value


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The values of fields that have one: nothing, null and a literal empty text are left out (spec/scenarios.md 2.10);
    `emptystring` and `erase` are values.
    """
    return {
        name: value
        for name, value in values.items()
        if value is not UNDEFINED
        and value is not None
        and not (isinstance(value, str) and value == "" and value is not FORCED_EMPTY)
    }


def declared(job: BuiltinJob, *, skip: Collection[str] = ()) -> list[dict[str, Any]]:
    """The fields of the structure as the blueprint keeps them, without those of the module itself."""
    fields: list[Any] = job.expect if isinstance(job.expect, list) else []
    return [field for field in fields if isinstance(field, dict) and field.get("name") not in skip]


def nested(job: BuiltinJob, name: str) -> list[dict[str, Any]]:
    """The fields below one collection field of the blueprint's snapshot."""
    for field in declared(job):
        if field.get("name") == name and isinstance(field.get("spec"), list):
            return [member for member in field["spec"] if isinstance(member, dict)]
    return []


def structured(
    fields: list[dict[str, Any]], values: Mapping[str, Any], timezone: str, *, others: bool, complete: bool
) -> dict[str, Any]:
    """
    Values in the order and types of a structure; without one as they are.

    Args:
        others: Keys that no field declares are kept.
        complete: Absent fields get their defaults, and required ones must be there.

    Raises:
        BundleValidationError: With one suberror for each value that does not fit.
    """
    filled = given(values)
    if not fields:
        return {name: plain(value) for name, value in filled.items()}
    if not complete:
        fields = [field for field in fields if field.get("name") in filled]
    found = resolve(parse_fields(fields), filled, timezone=timezone).values
    # A collection that nothing was given for is no value, and is left out like any other.
    found = {name: value for name, value in found.items() if name in filled or value != {}}
    if others:
        known = {field.name for field in parse_fields(fields) if isinstance(field, Field)}
        found |= {name: plain(value) for name, value in filled.items() if name not in known}
    return {name: plain(value) for name, value in found.items()}


def collection(job: BuiltinJob, name: str) -> dict[str, Any]:
    """
    The members of a mapped collection, marks kept; nothing gives none.

    Raises:
        BundleValidationError: It is no collection.
    """
    value = job.mapped.get(name, job.config.get(name, UNDEFINED))
    if value is UNDEFINED or value is None or value is ERASE or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid(f"Invalid collection in parameter '{name}'.")
    return value


def source_text(job: BuiltinJob, name: str) -> str:
    """
    A text, or a buffer as UTF-8, without a byte order mark.

    Raises:
        BundleValidationError: The value is neither, or has no text form.
    """
    value = job.config[name]
    if isinstance(value, Buffer):
        return value.data.decode("utf-8-sig", "replace")
    return str(resolve(parse_fields([{"name": name, "type": "text"}]), {name: value}).values[name]).removeprefix(
        "\ufeff"
    )
