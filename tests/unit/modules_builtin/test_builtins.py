"""Built-in modules one by one: spec/scenarios.md 4.2 to 4.4."""

from __future__ import annotations

from typing import Any

import pytest

from modules.builtin import BUILTIN_MODULES, builtin_catalog
from runtime.scenario.catalog import Role, UnknownApp, UnknownModule, UnknownVersion
from runtime.values import Bundle
from tests.unit.scenario.helpers import compose, module, run, scenario, start


def outputs(name: str, mapper: Any, *, given: Any = None, **rest: Any) -> list[Bundle] | str:
    """What one module gives for one input bundle, or the class of its error."""
    return run(scenario(start(given or {}), module(2, name, mapper, **rest))).outputs()[1][1]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param([1, "x", [2], {"a": 1}, None], [1, "x", [2], {"a": 1}, None], id="elements"),
        pytest.param("one", ["one"], id="single value"),
        pytest.param('["json"]', ['["json"]'], id="json text is not parsed"),
        pytest.param([], [], id="empty"),
        pytest.param(None, [], id="null"),
    ],
)
def test_the_iterator_gives_one_bundle_per_element(array: Any, expected: list[Any]) -> None:
    """A collection becomes the bundle, anything else `{value}`; nothing gives nothing."""
    bundles = outputs("builtin:BasicFeeder", {"array": "{{1.l}}"}, given={"l": array})

    assert bundles == [item if isinstance(item, dict) else {"value": item} for item in expected]


def test_an_iterator_hands_over_more_than_one_page() -> None:
    """All bundles arrive, in order."""
    bundles = outputs("builtin:BasicFeeder", {"array": "{{1.l}}"}, given={"l": list(range(1201))})

    assert bundles == [{"value": number} for number in range(1201)]


def test_the_repeater_counts() -> None:
    """`repeats` bundles from `start` in steps of `step`; out of range is a validation error."""
    assert outputs("builtin:BasicRepeater", {"start": "5", "repeats": 3, "step": "10"}) == [
        {"i": 5},
        {"i": 15},
        {"i": 25},
    ]
    assert outputs("builtin:BasicRepeater", {"start": 1, "repeats": 0, "step": 1}) == []
    assert outputs("builtin:BasicRepeater", {"start": 1, "repeats": 10_001, "step": 1}) == "BundleValidationError"


def test_the_basic_trigger_gives_one_bundle_per_entry() -> None:
    """Values are text; IML in them is evaluated with nothing to address."""
    values = [
        {"spec": [{"name": "a", "value": "1"}, {"name": "b", "value": '{{upper("x")}}'}]},
        {"spec": [{"name": "a", "value": ""}]},
    ]

    result = run(scenario(module(1, "util:BasicTrigger", parameters={"values": values}), roundtrips=2))

    assert result.outputs() == [(1, [{"a": "1", "b": "X"}, {"a": ""}])] * 2


def test_variables_keep_odd_names_and_nothing_is_null() -> None:
    """Names with spaces and brackets; an entry cannot see the one before it; unset is null."""
    variables = [{"name": "my [x]", "value": "1"}, {"name": "y", "value": "{{2.`my [x]`}}"}]
    flow = scenario(
        start({}),
        module(2, "util:SetVariables", {"variables": variables, "scope": "roundtrip"}),
        module(3, "util:GetVariables", {"variables": ["y", "my [x]", "z"]}),
        module(4, "util:GetVariable2", {"name": "my [x]"}),
    )

    assert run(flow).outputs()[1:] == [
        (2, [{"my [x]": "1", "y": None}]),
        (3, [{"y": None, "my [x]": "1", "z": None}]),
        (4, [{"my [x]": "1"}]),
    ]


def test_the_old_variable_modules_give_value() -> None:
    """`util:SetVariable` and `util:GetVariable`."""
    flow = scenario(
        start({}),
        module(2, "util:SetVariable", {"name": "a", "value": 7}),
        module(3, "util:GetVariable", {"name": "a"}),
    )

    assert run(flow).outputs()[1:] == [(2, [{"value": 7, "a": 7}]), (3, [{"value": 7}])]


def test_compose_gives_text() -> None:
    """Nothing gives the empty text; a collection alone is refused."""
    assert outputs("util:ComposeTransformer", {"value": "{{1.n}}"}, given={"n": 1.5}) == [{"value": "1.5"}]
    assert outputs("util:ComposeTransformer", {}) == [{"value": ""}]
    assert outputs("util:ComposeTransformer", {"value": "{{1.c}}"}, given={"c": {}}) == "BundleValidationError"


@pytest.mark.parametrize("seconds", [0, 301, "x", 1.5])
def test_a_sleep_out_of_range_is_refused(seconds: Any) -> None:
    """1 to 300 whole seconds."""
    assert outputs("util:FunctionSleep", {"duration": "{{1.s}}"}, given={"s": seconds}) == "BundleValidationError"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": [1, {"b": null}]}', [{"a": [1, {"b": None}]}], id="object"),
        pytest.param('[{"a":1}, 2, [3]]', [{"a": 1}, {"value": 2}, {"value": [3]}], id="array"),
        pytest.param("[]", [], id="empty array"),
        pytest.param("5", [{"value": 5}], id="number"),
        pytest.param('"2024-01-01T00:00:00Z"', [{"value": "2024-01-01T00:00:00Z"}], id="dates stay text"),
        pytest.param("12345678901234567890", [{"value": 12345678901234567890}], id="long integers stay exact"),
        pytest.param("1e999", [{"value": None}], id="infinity never enters a bundle"),
        pytest.param("{oops", "BundleValidationError", id="broken"),
        pytest.param("NaN", "BundleValidationError", id="no JSON"),
        pytest.param("[" * 100_000, "BundleValidationError", id="too deep"),
        pytest.param("", "BundleValidationError", id="empty"),
    ],
)
def test_parse_json(text: str, expected: Any) -> None:
    """One bundle per element of an array; a broken text is a `BundleValidationError`."""
    assert outputs("json:ParseJSON", {"json": "{{1.t}}"}, given={"t": text}) == expected


def test_a_broken_json_text_is_named_exactly() -> None:
    """The message is fixed."""
    result = run(scenario(start({"t": "{"}), module(2, "json:ParseJSON", {"json": "{{1.t}}"})))

    assert result.finished is not None and result.finished.error is not None
    assert result.finished.error.message == "Source is not valid JSON."


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("", '{"a":1,"l":[],"o":{}}'),
        ("2", '{\n  "a": 1,\n  "l": [],\n  "o": {}\n}'),
        ("tab", '{\n\t"a": 1,\n\t"l": [],\n\t"o": {}\n}'),
    ],
)
def test_transform_to_json(space: str, expected: str) -> None:
    """Indented as the settings say; undefined gives `null`, a text a JSON string."""
    given = {"c": {"a": 1, "l": [], "o": {}}}
    rest = {"parameters": {"space": space}}

    assert outputs("json:TransformToJSON", {"object": "{{1.c}}"}, given=given, **rest) == [{"json": expected}]
    assert outputs("json:TransformToJSON", {"object": "{{1.no}}"}, **rest) == [{"json": "null"}]
    assert outputs("json:TransformToJSON", {"object": 'say "hi"'}, **rest) == [{"json": '"say \\"hi\\""'}]


@pytest.mark.parametrize(
    ("function", "expected", "empty"),
    [("sum", 12, 0), ("avg", 4, None), ("count", 5, 0), ("min", 2, None), ("max", 6, None)],
)
def test_numeric_aggregator(function: str, expected: Any, empty: Any) -> None:
    """Numbers and numeric text; count counts bundles; an empty set has no average."""

    def result(values: list[Any]) -> Any:
        flow = scenario(
            start({"l": values}),
            module(2, "builtin:BasicFeeder", {"array": "{{1.l}}"}),
            module(3, "util:FunctionAggregator2", {"value": "{{2.value}}"}, parameters={"feeder": 2, "fn": function}),
        )
        return run(flow).outputs()[-1][1][0]["result"]

    assert (result([4, "6", 2, "x", None]), result([])) == (expected, empty)


def test_table_and_text_aggregators_join() -> None:
    """Columns in the order of the file; separators by name; no trailing one."""
    parameters = {"feeder": 1, "columnSeparator": "other", "otherColumnSeparator": ";", "rowSeparator": "\n"}
    table = module(2, "util:AggregateAggregator", {"b": "{{1.b}}", "a": "{{1.a}}"}, parameters=parameters)
    lines = module(2, "util:TextAggregator", {"value": "{{1.a}}"}, parameters={"feeder": 1, "rowSeparator": "\t"})
    rows = start({"a": "x", "b": 1}, {"a": "y"})

    assert run(scenario(rows, table)).outputs()[-1][1][0]["text"] == "1;x\n;y"
    assert run(scenario(rows, lines)).outputs()[-1][1][0]["text"] == "x\ty"


def test_aggregate_to_json_collects_items() -> None:
    """The key `item` alone stands for the item itself."""

    def text(mapper: dict[str, Any]) -> Any:
        aggregator = module(2, "json:AggregateToJSON", mapper, parameters={"feeder": 1, "type": 1, "space": ""})
        return run(scenario(start("x", "y"), aggregator)).outputs()[-1][1][0]["json"]

    assert (text({"item": "{{1.value}}"}), text({"v": "{{1.value}}"})) == ('["x","y"]', '[{"v":"x"},{"v":"y"}]')


def test_a_warning_on_purpose_makes_the_run_a_warning() -> None:
    """It gives `{}` and goes on; the bundles before stay addressable."""
    result = run(scenario(start({"n": 1}), module(2, "builtin:ThrowWarning", {"message": "x"}), compose(3, "{{1.n}}")))

    assert (result.status, result.outputs()[1:]) == ("warning", [(2, [{}]), (3, [{"value": "1"}])])


def test_the_catalog_knows_exactly_what_the_table_holds() -> None:
    """What is not in the table is refused with the nearest names."""
    catalog = builtin_catalog()

    assert catalog.names() == sorted(BUILTIN_MODULES)
    assert catalog.lookup("builtin:BasicRouter", 1).role is Role.ROUTER
    with pytest.raises(UnknownModule) as module_error:
        catalog.lookup("util:SetVariabel2", 1)
    assert module_error.value.near[0] == "util:SetVariable2"
    with pytest.raises(UnknownVersion):
        catalog.lookup("json:ParseJSON", 9)
    with pytest.raises(UnknownApp):
        catalog.lookup("nowhere:Do", 1)
