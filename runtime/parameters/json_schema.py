"""
`schema` of a json parameter: the subset of JSON Schema that forms use (spec/modules.md 2.2, 2.5).

Understood: `type`, `enum`, `const`; `properties`, `required`, `additionalProperties`, `minProperties`,
`maxProperties`; `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`; `minLength`, `maxLength`, `pattern`;
`minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`; `allOf`, `anyOf`, `oneOf`, `not`; `$ref`
within the schema.
Other keywords, `format` among them, refuse nothing. A schema that makes no sense refuses nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from runtime.parameters.patterns import matches
from runtime.values import equal

#: Steps of one validation; a schema that refers to itself ends here.
MAX_STEPS: Final = 20_000
#: Deepest value that is judged.
MAX_DEPTH: Final = 100


class _Steps:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MAX_STEPS


def schema_fault(schema: Any, value: Any) -> str | None:
    """
    What is wrong with a parsed JSON value, as words such as `name is missing`; None when it fits.

    Args:
        schema: A JSON Schema: an object, or true or false.
        value: The value.
    """
    return next(_faults(schema, value, "", _Steps(schema), 0), None)


def _faults(schema: Any, value: Any, path: str, steps: _Steps, depth: int) -> Iterator[str]:
    steps.left -= 1
    if steps.left < 0 or depth > MAX_DEPTH:
        return
    if schema is False:
        yield f"{path or 'the value'} is not allowed"
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$ref"), str):
        yield from _faults(_referred(schema["$ref"], steps.root), value, path, steps, depth + 1)
    yield from _plain(schema, value, path or "the value")
    yield from _combined(schema, value, path, steps, depth)
    if isinstance(value, dict):
        yield from _members(schema, value, path, steps, depth)
    elif isinstance(value, list):
        yield from _elements(schema, value, path, steps, depth)


def _referred(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        return True
    found: Any = root
    for part in unquote(reference[1:]).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return True
    return found


def _is_type(value: Any, name: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match name:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "number":
            return number
        case "integer":
            return number and float(value).is_integer()
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case _:
            return True


def _number(schema: Mapping[str, Any], name: str) -> float | int | None:
    value = schema.get(name)
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _plain(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    kinds = schema.get("type")
    names: list[Any] = kinds if isinstance(kinds, list) else [kinds]
    if names and not any(_is_type(value, name) for name in names):
        yield f"{path} must be of type {' or '.join([str(name) for name in names])}"
    allowed = schema.get("enum")
    if isinstance(allowed, list) and not any(equal(value, item) for item in allowed):
        yield f"{path} must be one of the allowed values"
    if "const" in schema and not equal(value, schema["const"]):
        yield f"{path} must be the one allowed value"
    sizes = {str: ("Length", "characters"), list: ("Items", "items"), dict: ("Properties", "members")}
    if type(value) in sizes:
        word, unit = sizes[type(value)]
        low, high = _number(schema, f"min{word}"), _number(schema, f"max{word}")
        if low is not None and len(value) < low:
            yield f"{path} must have at least {low} {unit}"
        if high is not None and len(value) > high:
            yield f"{path} must have at most {high} {unit}"
    pattern = schema.get("pattern")
    if isinstance(value, str) and isinstance(pattern, str) and not matches(pattern, value):
        yield f"{path} must match {pattern[:100]}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _limits(schema, value, path)


def _limits(schema: Mapping[str, Any], value: float, path: str) -> Iterator[str]:
    low, high = _number(schema, "minimum"), _number(schema, "maximum")
    over, under = _number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")
    step = _number(schema, "multipleOf")
    if low is not None and value < low:
        yield f"{path} must be at least {low}"
    if high is not None and value > high:
        yield f"{path} must be at most {high}"
    if over is not None and value <= over:
        yield f"{path} must be more than {over}"
    if under is not None and value >= under:
        yield f"{path} must be less than {under}"
    if step is not None and step > 0 and abs(value / step - round(value / step)) > 1e-9:
        yield f"{path} must be a multiple of {step}"


def _combined(schema: Mapping[str, Any], value: Any, path: str, steps: _Steps, depth: int) -> Iterator[str]:
    def fits(part: Any) -> bool:
        return next(_faults(part, value, path, steps, depth + 1), None) is None

    where = path or "the value"
    every, some, one = schema.get("allOf"), schema.get("anyOf"), schema.get("oneOf")
    for part in every if isinstance(every, list) else ():
        yield from _faults(part, value, path, steps, depth + 1)
    if isinstance(some, list) and some and not any(fits(part) for part in some):
        yield f"{where} fits none of the allowed forms"
    if isinstance(one, list) and one:
        number = sum(fits(part) for part in one)
        if number != 1:
            yield f"{where} fits {number or 'none'} of the allowed forms, where one is wanted"
    if "not" in schema and isinstance(schema["not"], (dict, bool)) and fits(schema["not"]):
        yield f"{where} has a form that is not allowed"


def _members(schema: Mapping[str, Any], value: dict[str, Any], path: str, steps: _Steps, depth: int) -> Iterator[str]:
    inner = schema.get("properties")
    properties: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            yield f"{path + '.' if path else ''}{name} is missing"
    rest = schema.get("additionalProperties", True)
    for name, member in value.items():
        place = f"{path}.{name}" if path else name
        if name in properties:
            yield from _faults(properties[name], member, place, steps, depth + 1)
        elif rest is not True:
            yield from _faults(rest, member, place, steps, depth + 1)


def _elements(schema: Mapping[str, Any], value: list[Any], path: str, steps: _Steps, depth: int) -> Iterator[str]:
    first = schema.get("prefixItems")
    # Older schemas write a list of schemas into `items`.
    if not isinstance(first, list):
        first = schema.get("items") if isinstance(schema.get("items"), list) else []
    heads: list[Any] = first if isinstance(first, list) else []
    rest = schema.get("items", True)
    for index, element in enumerate(value):
        part = heads[index] if index < len(heads) else rest
        if not isinstance(part, list):
            yield from _faults(part, element, f"{path}[{index}]", steps, depth + 1)
    if schema.get("uniqueItems") is True and len(value) <= 1000:
        for index, element in enumerate(value):
            if any(equal(element, other) for other in value[:index]):
                yield f"{path or 'the value'} has an item twice"
                return
