"""The app `util`: tools (spec/scenarios.md 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

from modules.builtin.builtin import FEEDER
from modules.builtin.job import Builtin, BuiltinJob, invalid, pure
from modules.builtin.patterns import is_found
from runtime.coercion import parse_number_text
from runtime.effects import Emit, Recall, Remember, Sleep, Steps
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.values import ERASE, UNDEFINED, Buffer, Bundle, to_text

#: Seconds of one sleep (spec/scenarios.md 2.9).
MAX_SLEEP: Final = 300

#: Separators by their name in a blueprint; `other` takes the field beside it, anything else nothing.
_SEPARATORS: Final = {"\n": "\n", "\t": "\t", ",": ",", "\\n": "\n", "\\t": "\t"}


def basic_trigger(job: BuiltinJob) -> list[Bundle]:
    """One bundle per entry, fields by name."""
    return [
        {field["name"]: field.get("value", "") for field in entry.get("spec") or [] if field.get("name")}
        for entry in job.config.get("values") or []
    ]


def _value(value: Any) -> Any:
    """What a variable holds: a value that maps to nothing is null (spec/scenarios.md 2.8)."""
    return None if value is UNDEFINED or value is ERASE or value == "" else value


def set_variable(job: BuiltinJob) -> Steps[None]:
    """Set one scenario variable; its name is the key of the output."""
    value = _value(job.config.get("value"))
    yield _remember(job, job.config["name"], value)
    yield Emit([{job.config["name"]: value}])


def set_variable_old(job: BuiltinJob) -> Steps[None]:
    """The older form: the output has the key `value`, and the variable's name too."""
    name, value = job.config["name"], _value(job.config.get("value"))
    yield _remember(job, name, value)
    yield Emit([{"value": value, name: value}])


def set_variables(job: BuiltinJob) -> Steps[None]:
    """Set several variables; one field per variable."""
    bundle: Bundle = {}
    for entry in job.config.get("variables") or []:
        bundle[entry["name"]] = _value(entry.get("value"))
    for name, value in bundle.items():
        yield _remember(job, name, value)
    yield Emit([bundle])


def _remember(job: BuiltinJob, name: str, value: Any) -> Remember:
    return Remember("variable", name, {"scope": job.config.get("scope", "roundtrip"), "value": value})


def get_variable(job: BuiltinJob) -> Steps[None]:
    """Read one variable; one that was never set is null."""
    name = job.config["name"]
    value = yield Recall("variable", name)
    yield Emit([{name: value}])


def get_variable_old(job: BuiltinJob) -> Steps[None]:
    """The older form: the output has the key `value`."""
    value = yield Recall("variable", job.config["name"])
    yield Emit([{"value": value}])


def get_variables(job: BuiltinJob) -> Steps[None]:
    """Read several variables; one field per name."""
    bundle: Bundle = {}
    for name in job.config.get("variables") or []:
        bundle[name] = yield Recall("variable", name)
    yield Emit([bundle])


def sleep(job: BuiltinJob) -> Steps[None]:
    """Wait, then pass one empty bundle on. A parked sleep comes back with `resume` and has waited already."""
    if job.resume is None:
        yield Sleep(timedelta(seconds=job.config["duration"]), resume={"slept": True})
    yield Emit([{}])


def increment(job: BuiltinJob) -> Steps[None]:
    """Count from 1: in a cycle, in an execution, or for good."""
    reset = to_text(job.config["reset"])
    count = (yield Recall("increment", reset)) + 1
    yield Remember("increment", reset, count)
    yield Emit([{"i": count}])


def switch(job: BuiltinJob) -> list[Bundle]:
    """The output of the first case that fits the input, else `elseOutput`; nothing of both gives no bundle."""
    text, regular = to_text(job.config.get("input", "")), job.config.get("useRegExpMatch", UNDEFINED) is True
    for case in job.config.get("casesTable") or []:
        pattern = to_text(case.get("pattern", "")) if isinstance(case, dict) else None
        if pattern is not None and (is_found(text, pattern) if regular else pattern == text):
            output = case.get("output", UNDEFINED)
            return [{} if output is UNDEFINED else {"output": output}]
    other = job.config.get("elseOutput", UNDEFINED)
    return [] if other is UNDEFINED or other is None or other == "" else [{"output": other}]


def convert_encoding(job: BuiltinJob) -> list[Bundle]:
    """A text from one code page to another: `{data}` is a buffer."""
    value, target = job.config["input"], to_text(job.config.get("outputCodepage", "")) or "utf-8"
    source = to_text(job.config.get("inputCodepage", "")) or "utf-8"
    try:
        text = value.data.decode(source, "replace") if isinstance(value, Buffer) else to_text(value)
        return [{"data": Buffer(text.encode(target, "replace"), target)}]
    except (LookupError, UnicodeError):
        raise invalid(f"The code page {source!r} or {target!r} is not known.") from None


def compose(job: BuiltinJob) -> list[Bundle]:
    """Compose a string: `{value}`; nothing gives the empty text."""
    value = job.config.get("value", "")
    # A binary without an encoding of its own is UTF-8 here.
    return [{"value": value.data.decode("utf-8", "replace") if isinstance(value, Buffer) else to_text(value)}]


def _rows(job: BuiltinJob, make: Callable[[Iterator[dict[str, Any]]], Bundle]) -> list[Bundle]:
    assert job.collected is not None and job.read is not None  # noqa: S101  an aggregator always gets both
    return flush(job.collected, job.read, make)


def _separator(job: BuiltinJob, field: str) -> str:
    chosen = job.config.get(field, "")
    if chosen == "other":
        return to_text(job.config.get("other" + field[0].upper() + field[1:], ""))
    return _SEPARATORS.get(chosen, "")


def aggregate_text(job: BuiltinJob) -> list[Bundle]:
    """Text aggregator: values joined, no trailing separator; empty values take part."""
    between = _separator(job, "rowSeparator")
    return _rows(job, lambda items: {"text": between.join([to_text(item.get("value")) for item in items])})


def _numbers(items: Iterator[dict[str, Any]]) -> list[int | float]:
    """Numbers and numeric text; everything else is left out (spec/scenarios.md 4.3)."""
    found: list[int | float] = []
    for item in items:
        value = item.get("value")
        number = parse_number_text(value) if isinstance(value, str) else value
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            found.append(number)
    return found


def aggregate_numbers(job: BuiltinJob) -> list[Bundle]:
    """Numeric aggregator: sum, avg, count, min or max; count counts bundles."""
    function = job.config.get("fn", "sum")

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        if function == "count":
            return {"result": sum(1 for _ in items)}
        numbers = _numbers(items)
        if function == "sum":
            return {"result": sum(numbers)}
        if not numbers:
            return {"result": None}
        if function == "avg":
            return {"result": sum(numbers) / len(numbers)}
        return {"result": min(numbers) if function == "min" else max(numbers)}

    return _rows(job, make)


def aggregate_table(job: BuiltinJob) -> list[Bundle]:
    """Table aggregator: columns of a row in the order of the file, rows below each other."""
    column, row = _separator(job, "columnSeparator"), _separator(job, "rowSeparator")
    columns = job.collected.fields if job.collected else ()

    def line(item: dict[str, Any]) -> str:
        return column.join([to_text(item.get(name)) for name in columns])

    return _rows(job, lambda items: {"text": row.join([line(item) for item in items])})


_NAME: Final[dict[str, Any]] = {"name": "name", "type": "text", "required": True}
_SCOPE: Final[dict[str, Any]] = {
    "name": "scope",
    "type": "select",
    "required": True,
    "default": "roundtrip",
    "options": [{"label": "One cycle", "value": "roundtrip"}, {"label": "One execution", "value": "execution"}],
}
_VALUE: Final[dict[str, Any]] = {"name": "value", "type": "any"}


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "type": "text"}


ENTRIES: Final = (
    Builtin(
        "util:BasicTrigger",
        role=Role.BASIC_TRIGGER,
        run=pure(basic_trigger),
        static=[
            {
                "name": "values",
                "type": "array",
                "required": True,
                "spec": [{"name": "spec", "type": "array", "spec": [_NAME, _text("value")]}],
            }
        ],
        multi_bundle=True,
        evaluates_parameters=True,
    ),
    Builtin("util:SetVariable2", run=set_variable, mappable=[_NAME, _SCOPE, _VALUE]),
    Builtin("util:SetVariable", run=set_variable_old, mappable=[_NAME, _SCOPE, _VALUE]),
    Builtin(
        "util:SetVariables",
        run=set_variables,
        mappable=[{"name": "variables", "type": "array", "spec": [_NAME, _VALUE]}, _SCOPE],
    ),
    Builtin("util:GetVariable2", run=get_variable, mappable=[_NAME]),
    Builtin("util:GetVariable", run=get_variable_old, mappable=[_NAME]),
    Builtin(
        "util:GetVariables",
        run=get_variables,
        mappable=[{"name": "variables", "type": "array", "spec": {"type": "text"}}],
    ),
    Builtin("util:ComposeTransformer", run=pure(compose), mappable=[_text("value")]),
    Builtin(
        "util:FunctionIncrement",
        run=increment,
        static=[
            {
                "name": "reset",
                "type": "select",
                "required": True,
                "default": "run",
                "options": [{"label": name, "value": name} for name in ("run", "execution", "scenario")],
            }
        ],
    ),
    Builtin(
        "util:Switcher",
        run=pure(switch),
        mappable=[
            _text("input"),
            {"name": "useRegExpMatch", "type": "boolean", "required": True},
            {"name": "casesTable", "type": "array", "spec": [_text("pattern"), {"name": "output", "type": "any"}]},
            {"name": "elseOutput", "type": "any"},
        ],
    ),
    *(
        Builtin(
            name,
            run=pure(convert_encoding),
            mappable=[
                {"name": "input", "type": "any", "required": True},
                _text("inputCodepage"),
                _text("outputCodepage"),
            ],
        )
        for name in ("util:ConvertEncoding", "util:TransformEncoding")
    ),
    Builtin(
        "util:FunctionSleep",
        run=sleep,
        mappable=[{"name": "duration", "type": "uinteger", "required": True, "validate": {"min": 1, "max": MAX_SLEEP}}],
    ),
    Builtin(
        "util:TextAggregator",
        role=Role.AGGREGATOR,
        run=pure(aggregate_text),
        static=[FEEDER, _text("rowSeparator"), _text("otherRowSeparator")],
        mappable=[_text("value")],
        multi_bundle=True,
        open_mapper=True,
    ),
    Builtin(
        "util:FunctionAggregator2",
        role=Role.AGGREGATOR,
        run=pure(aggregate_numbers),
        static=[
            FEEDER,
            {
                "name": "fn",
                "type": "select",
                "required": True,
                "options": [{"label": name, "value": name} for name in ("sum", "avg", "count", "min", "max")],
            },
        ],
        mappable=[_VALUE],
        multi_bundle=True,
        open_mapper=True,
    ),
    Builtin(
        "util:AggregateAggregator",
        role=Role.AGGREGATOR,
        run=pure(aggregate_table),
        static=[
            FEEDER,
            _text("columnSeparator"),
            _text("otherColumnSeparator"),
            _text("rowSeparator"),
            _text("otherRowSeparator"),
        ],
        multi_bundle=True,
        open_mapper=True,
    ),
)
