"""
Static checks of a module's settings against its declared fields: E-REQ, E-DATATYPE, W-DEFAULT (spec/scenarios.md 1.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from runtime.coercion import parse_number_text
from runtime.parameters.fields import Field
from runtime.scenario.blueprint import Module
from runtime.scenario.catalog import ModuleInfo
from runtime.values import to_text

_NUMBERS: Final = frozenset({"number", "integer", "uinteger", "port"})


def check_fields(module: Module, info: ModuleInfo) -> Iterator[tuple[str, str, str]]:
    """(code, message, pointer inside the module) for each doubtful setting."""
    fields = (*info.static_fields, *info.mappable_fields)
    for field in fields:
        if not isinstance(field, Field) or not field.name or field.visual:
            continue
        place = next((key for key, given in _given(module) if field.name in given), None)
        if place is None:
            yield from _absent(field)
            continue
        value = dict(_given(module))[place][field.name]
        problem = _wrong(field, value)
        if problem:
            yield "E-DATATYPE", problem, f"/{place}/{field.name}"


def _given(module: Module) -> tuple[tuple[str, dict[str, Any]], ...]:
    return (("mapper", module.mapper), ("parameters", module.parameters))


def _absent(field: Field) -> Iterator[tuple[str, str, str]]:
    if not field.required or field.type == "boolean":
        return
    if field.has_default:
        yield "W-DEFAULT", f"the required field {field.name!r} is absent: its default is used", ""
    else:
        yield "E-REQ", f"the required field {field.name!r} is absent", ""


def _wrong(field: Field, value: Any) -> str:
    """What is wrong with a literal value, `""` when nothing is or when only the run can tell."""
    if value is None or value == "" or (isinstance(value, str) and "{{" in value):
        return ""
    if field.type in _NUMBERS:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and not (isinstance(value, str) and parse_number_text(value) is not None):
            return f"{field.name!r} is no number"
    elif field.type == "boolean" and isinstance(value, (list, dict)):
        return f"{field.name!r} is neither true nor false"
    elif field.type == "select" and field.options.known and field.options.items:
        chosen: list[Any] = value if isinstance(value, list) else [value]
        known = {to_text(option.value) for option in field.options.items}
        absent = [to_text(item) for item in chosen if not isinstance(item, (list, dict)) and to_text(item) not in known]
        if absent and not any("{{" in text for text in absent):
            return f"{field.name!r} has no option {absent[0]!r}; known: {', '.join(sorted(known))}"
    return ""
