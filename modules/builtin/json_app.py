"""The app `json` (spec/scenarios.md 4.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from modules.builtin.builtin import FEEDER
from modules.builtin.job import Builtin, BuiltinJob, invalid, pure
from modules.builtin.structures import declared, source_text, structured
from modules.builtin.xml_app import element
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.scenario.structures import refuse_unknown
from runtime.values import UNDEFINED, Bundle, compact_json, to_text

#: Settings of the modules themselves among their fields.
_OWN: Final = frozenset({"type", "space", "feeder"})
#: Indentation by its name in a blueprint.
_SPACES: Final = {"tab": "\t", "2": "  ", "4": "    "}


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _float(text: str) -> float | None:
    number = float(text)
    # Infinity never enters a bundle (spec/modules.md 0); JSON text can spell one as 1e999.
    return None if number - number != 0 else number


def parse_json(job: BuiltinJob) -> list[Bundle]:
    """
    Parse JSON: the object's fields; one bundle per element of an array; `{value}` for anything else. With a data
    structure its fields have its types, and a strict one refuses others; without, those that the blueprint keeps of it.
    """
    value = read_json(source_text(job, "json"))
    elements: list[Any] = value if isinstance(value, list) else [value]
    bundles: list[Bundle] = [element if isinstance(element, dict) else {"value": element} for element in elements]
    for bundle in bundles:
        refuse_unknown(job.structure, bundle)
    fields = job.structure["spec"] if job.structure is not None else _interface(job)
    return [_typed(bundle, fields, job.environment.timezone) for bundle in bundles] if fields else bundles


def read_json(source: str) -> Any:
    """
    The value of a JSON text.

    Raises:
        BundleValidationError: It is none.
    """
    try:
        return json.loads(source, parse_constant=_constant, parse_float=_float)
    except (ValueError, RecursionError):
        raise invalid("Source is not valid JSON.") from None


def _interface(job: BuiltinJob) -> list[dict[str, Any]]:
    """The fields of the chosen data structure as the blueprint keeps them: the module's output."""
    known: list[Any] = job.interface if isinstance(job.interface, list) else []
    if job.config.get("type", "") in ("", None, UNDEFINED):
        return []
    return [item for item in known if isinstance(item, dict) and isinstance(item.get("name"), str)]


def _typed(bundle: Bundle, fields: list[dict[str, Any]], timezone: str) -> Bundle:
    values = {name: value for name, value in bundle.items() if value is not None and value != ""}
    converted = structured(fields, values, timezone, others=True, complete=False)
    return {name: converted.get(name, value) for name, value in bundle.items()}


def create(job: BuiltinJob) -> list[Bundle]:
    """A collection as JSON text, in the order and types of the structure; fields without a value are left out."""
    fields = _fields(job)
    value = structured(fields, _mapped(job.mapped), job.environment.timezone, others=not fields, complete=True)
    return [{"json": json_text(value, to_text(job.config.get("space", "")))}]


def _fields(job: BuiltinJob) -> list[dict[str, Any]]:
    """The fields of the chosen data structure, else those that the blueprint keeps of the mapper."""
    return job.structure["spec"] if job.structure is not None else declared(job, skip=_OWN)


def _mapped(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _OWN}


def to_xml(job: BuiltinJob) -> list[Bundle]:
    """JSON text as XML: a collection with one key makes that the root element."""
    value = read_json(source_text(job, "json"))
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        return [{"xml": element(name, inner)}]
    return [{"xml": element("root", {"item": value} if isinstance(value, list) else value)}]


def transform(job: BuiltinJob) -> list[Bundle]:
    """Any value as JSON text; undefined gives `null`, a text a JSON string."""
    value = job.config.get("object", UNDEFINED)
    return [{"json": json_text(None if value is UNDEFINED else value, to_text(job.config.get("space", "")))}]


def aggregate(job: BuiltinJob) -> list[Bundle]:
    """A JSON array of the collected items; of their key `item` when nothing else is mapped."""
    space, fields = to_text(job.config.get("space", "")), _fields(job)
    simple = [item.get("name") for item in fields] == ["item"]

    def convert(item: dict[str, Any]) -> Any:
        if fields:
            item = structured(fields, _mapped(item), job.environment.timezone, others=False, complete=True)
        if simple or list(item) == ["item"]:
            return item.get("item")
        return item

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        return {"json": json_text([convert(item) for item in items], space)}

    assert job.collected is not None and job.read is not None  # noqa: S101  an aggregator always gets both
    return flush(job.collected, job.read, make)


def json_text(value: Any, space: str) -> str:
    """JSON text of a value, indented as `JSON.stringify` does it."""
    indent = _SPACES.get(space, "")
    return _indented(value, indent, "") if indent else compact_json(value)


def _indented(value: Any, indent: str, current: str) -> str:
    inner = current + indent
    if isinstance(value, dict) and value:
        members = [
            f"{inner}{compact_json(key)}: {_indented(member, indent, inner)}"
            for key, member in value.items()
            if member is not UNDEFINED
        ]
        return "{\n" + ",\n".join(members) + "\n" + current + "}" if members else "{}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join([inner + _indented(item, indent, inner) for item in value]) + "\n" + current + "]"
    return compact_json(value)


_SPACE: Final[dict[str, Any]] = {"name": "space", "type": "text"}
_TYPE: Final[dict[str, Any]] = {"name": "type", "type": "any"}

ENTRIES: Final = (
    Builtin(
        "json:ParseJSON",
        run=pure(parse_json),
        static=[_TYPE],
        mappable=[{"name": "json", "type": "any", "required": True}],
        multi_bundle=True,
        structured=True,
    ),
    Builtin("json:CreateJSON", run=pure(create), static=[_TYPE, _SPACE], structured=True),
    Builtin("json:JSONToXML", run=pure(to_xml), mappable=[{"name": "json", "type": "any", "required": True}]),
    Builtin("json:TransformToJSON", run=pure(transform), static=[_SPACE], mappable=[{"name": "object", "type": "any"}]),
    Builtin(
        "json:AggregateToJSON",
        role=Role.AGGREGATOR,
        run=pure(aggregate),
        static=[FEEDER, _TYPE, _SPACE],
        multi_bundle=True,
        open_mapper=True,
        structured=True,
    ),
)
