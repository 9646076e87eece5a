"""The app `json` (spec/scenarios.md 4.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from modules.builtin.builtin import FEEDER
from modules.builtin.job import Builtin, BuiltinJob, invalid, pure
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED, Buffer, Bundle, compact_json, to_text

#: Indentation by its name in a blueprint.
_SPACES: Final = {"tab": "\t", "2": "  ", "4": "    "}


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _float(text: str) -> float | None:
    number = float(text)
    # Infinity never enters a bundle (spec/modules.md 0); JSON text can spell one as 1e999.
    return None if number - number != 0 else number


def parse_json(job: BuiltinJob) -> list[Bundle]:
    """Parse JSON: the object's fields; one bundle per element of an array; `{value}` for anything else."""
    source = job.config["json"]
    text = source.data.decode("utf-8-sig", "replace") if isinstance(source, Buffer) else to_text(source)
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=_constant, parse_float=_float)
    except (ValueError, RecursionError):
        raise invalid("Source is not valid JSON.") from None
    elements: list[Any] = value if isinstance(value, list) else [value]
    return [element if isinstance(element, dict) else {"value": element} for element in elements]


def transform(job: BuiltinJob) -> list[Bundle]:
    """Any value as JSON text; undefined gives `null`, a text a JSON string."""
    value = job.config.get("object", UNDEFINED)
    return [{"json": json_text(None if value is UNDEFINED else value, to_text(job.config.get("space", "")))}]


def aggregate(job: BuiltinJob) -> list[Bundle]:
    """A JSON array of the collected items; of their key `item` when nothing else is mapped."""
    space = to_text(job.config.get("space", ""))

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        return {"json": json_text([item["item"] if list(item) == ["item"] else item for item in items], space)}

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
        mappable=[{"name": "json", "type": "text", "required": True}],
        multi_bundle=True,
    ),
    Builtin("json:TransformToJSON", run=pure(transform), static=[_SPACE], mappable=[{"name": "object", "type": "any"}]),
    Builtin(
        "json:AggregateToJSON",
        role=Role.AGGREGATOR,
        run=pure(aggregate),
        static=[FEEDER, _TYPE, _SPACE],
        multi_bundle=True,
        open_mapper=True,
    ),
)
