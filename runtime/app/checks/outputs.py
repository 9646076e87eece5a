"""
Outputs, samples and interfaces of one module against each other (P317 to P319; spec/modules.md 3.1, 3.2).

An interface never changes an output, so that everything here is a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from runtime.app.checks.context import Check, Spot, has_iml, spot
from runtime.app.specs import ModuleSpec
from runtime.parameters.fields import field_type

#: Levels of collections that are compared; deeper ones are data of the service.
MAX_LEVELS: Final = 6
#: Names that one finding lists.
_LISTED: Final = 6
_NUMBERS: Final = frozenset({"number", "integer", "uinteger", "port"})
#: Types whose samples are texts.
_TEXTS: Final = frozenset({"text", "email", "url", "uuid", "filename", "color", "path", "timezone", "password"})


def check_outputs(check: Check) -> None:
    """Fields that an output has and the interface does not declare, and samples unlike the interface."""
    for module in check.app.modules.values():
        if check.report.full:
            return
        declared = _declared(module.interface.value)
        if declared is None:
            continue
        for output in _outputs(check, module):
            _compare(output, declared, 0)
        sample = spot(check, module.title, module.samples)
        if isinstance(sample.value, dict):
            _sample(sample, declared, 0)


def _outputs(check: Check, module: ModuleSpec) -> list[Spot]:
    """The outputs that become bundles: that of the last request with one, without a wrapper behind it."""
    if module.type not in ("action", "search", "trigger", "universal", "instant_trigger"):
        return []
    whole = spot(check, module.title, module.communication)
    requests = [whole.at(index) for index in range(len(whole.value))] if isinstance(whole.value, list) else [whole]
    found = [request.at("response") for request in requests if "output" in request.at("response")]
    if not found or "wrapper" in found[-1]:
        return []
    output = found[-1].at("output")
    return [output] if isinstance(output.value, dict) else []


def _declared(raw: Any) -> dict[str, dict[str, Any]] | None:
    """The fields of an interface by name; None where nothing can be known: empty, from an RPC, or nested lists."""
    if not isinstance(raw, list) or not raw:
        return None
    fields: dict[str, dict[str, Any]] = {}
    for item in raw:
        if not isinstance(item, dict):
            return None
        if isinstance(item.get("name"), str):
            fields.setdefault(item["name"], item)
    return fields or None


def _inner(field: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The fields in a collection, or in the elements of an array of collections."""
    inner = field.get("spec")
    if isinstance(inner, dict):
        inner = inner.get("spec") if field_type(inner.get("type")) == "collection" else None
    return _declared(inner)


def _compare(output: Spot, declared: dict[str, dict[str, Any]], level: int) -> None:
    unknown = [key for key in output.value if "{{" not in key and key not in declared]
    if unknown:
        _undeclared(output, unknown, "P317", "the interface does not declare")
    for key, value in output.value.items():
        field = declared.get(key)
        if field is not None and isinstance(value, dict) and level < MAX_LEVELS:
            inner = _inner(field)
            if inner is not None and field_type(field.get("type")) == "collection":
                _compare(output.at(key), inner, level + 1)


def _sample(sample: Spot, declared: dict[str, dict[str, Any]], level: int) -> None:
    unknown = [key for key in sample.value if key not in declared and not key.startswith("__IMT")]
    if unknown:
        _undeclared(sample, unknown, "P318", "the sample has what the interface does not declare:")
    for key, value in sample.value.items():
        field = declared.get(key)
        if field is None or value is None or has_iml(value):
            continue
        kind = field_type(field.get("type"))
        place = sample.at(key)
        if not _fits(kind, value):
            place.say(
                "info", "P319", f'the sample of "{key[:60]}" is {_word(value)}, the interface says {kind}', key=True
            )
            continue
        inner = _inner(field) if level < MAX_LEVELS else None
        if inner is None:
            continue
        if isinstance(value, dict):
            _sample(place, inner, level + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            _sample(place.at(0), inner, level + 1)


def _undeclared(place: Spot, names: Iterable[str], code: str, what: str) -> None:
    every = list(names)
    shown = ", ".join([name[:60] for name in every[:_LISTED]])
    more = f", ... ({len(every)} in all)" if len(every) > _LISTED else ""
    place.at(every[0]).say("info", code, f"{what} {shown}{more}", key=True, hint="declare it, so that it can be mapped")


def _fits(kind: str, value: Any) -> bool:
    if kind == "array":
        return isinstance(value, list)
    if kind == "collection":
        return isinstance(value, dict)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, (str, int, float)) if kind in _TEXTS else True


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return {str: "a text", list: "an array", dict: "a collection"}.get(type(value), "something else")
