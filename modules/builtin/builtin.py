"""
The app `builtin`: flow control (spec/scenarios.md 4.2, 3.9). Routers, if-else, merge and the directives belong to the
engine; here stand the iterator, the repeater, the array aggregator and the modules that raise on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modules.builtin.job import PAGE, Builtin, BuiltinJob, pure
from runtime.effects import Emit, Steps, Warn
from runtime.errors import ModuleRuntimeError
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED, Bundle

#: Most bundles of a repeater (spec/scenarios.md 2.9).
MAX_REPEATS: Final = 10_000

#: The field that names an aggregator's source module. The importer checks that it is there (E-FEEDER), aliases too.
FEEDER: Final[dict[str, Any]] = {"name": "feeder", "type": "any"}


def feed_array(job: BuiltinJob) -> Steps[None]:
    """Iterator: one bundle for each element; what is no collection becomes `{value}`; nothing gives nothing."""
    elements = job.config.get("array", UNDEFINED)
    if elements is None or elements is UNDEFINED:
        return
    for start in range(0, len(elements), PAGE):
        page = elements[start : start + PAGE]
        yield Emit([element if isinstance(element, dict) else {"value": element} for element in page])


def repeat(job: BuiltinJob) -> Steps[None]:
    """Repeater: `repeats` bundles `{i: start + k * step}`."""
    start, step, repeats = job.config["start"], job.config["step"], int(job.config["repeats"])
    for first in range(0, repeats, PAGE):
        yield Emit([{"i": start + k * step} for k in range(first, min(first + PAGE, repeats))])


def aggregate_array(job: BuiltinJob) -> list[Bundle]:
    """Array aggregator: `{array: [...]}`."""

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        return {"array": list(items)}

    assert job.collected is not None and job.read is not None  # noqa: S101  an aggregator always gets both
    return flush(job.collected, job.read, make)


def throw_error(job: BuiltinJob) -> list[Bundle]:
    """Raise a `RuntimeError` on purpose."""
    raise ModuleRuntimeError(job.config["message"])


def throw_warning(job: BuiltinJob) -> Steps[None]:
    """Log a warning, which makes the run a warning, and go on with `{}`."""
    yield Warn(job.config["message"])
    yield Emit([{}])


_MESSAGE: Final[list[dict[str, Any]]] = [{"name": "message", "type": "text", "required": True}]


def _number(name: str, **validate: int) -> dict[str, Any]:
    return {"name": name, "type": "number", "required": True, "default": 1, "validate": validate}


ENTRIES: Final = (
    Builtin("builtin:BasicRouter", role=Role.ROUTER),
    Builtin("builtin:BasicIfElse", role=Role.IF_ELSE),
    Builtin("builtin:BasicMerge", role=Role.MERGE),
    Builtin("builtin:Resume", role=Role.RESUME, open_mapper=True),
    Builtin("builtin:Ignore", role=Role.IGNORE),
    Builtin("builtin:Break", role=Role.BREAK, open_mapper=True),
    Builtin("builtin:Commit", role=Role.COMMIT),
    Builtin("builtin:Rollback", role=Role.ROLLBACK),
    Builtin("builtin:BasicFeeder", run=feed_array, mappable=[{"name": "array", "type": "array"}], multi_bundle=True),
    Builtin(
        "builtin:BasicRepeater",
        run=repeat,
        mappable=[_number("start"), _number("repeats", min=0, max=MAX_REPEATS), _number("step")],
        multi_bundle=True,
    ),
    Builtin(
        "builtin:BasicAggregator",
        role=Role.AGGREGATOR,
        run=pure(aggregate_array),
        static=[FEEDER],
        multi_bundle=True,
        open_mapper=True,
    ),
    Builtin("builtin:ThrowError", run=pure(throw_error), mappable=_MESSAGE),
    Builtin("builtin:ThrowWarning", run=throw_warning, mappable=_MESSAGE),
)
