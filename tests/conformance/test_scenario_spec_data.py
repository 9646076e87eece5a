"""The paragraphs of spec/scenarios.md 2.6 to 2.10: filters, spans, addressing, variables, limits, conversion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.scenario.filters import OPERATORS, canonical
from runtime.scenario.testing import MemoryRunner
from runtime.values import UNDEFINED
from tests.conformance.scenario_spec import Place, paragraph, service_in
from tests.unit.scenario.flows import branch, choice, directive, feeder, gather, handled, merge, recall, remember, text
from tests.unit.scenario.helpers import (
    compose,
    fail,
    imported,
    module,
    performer,
    plan,
    router,
    run,
    scenario,
    start,
    when,
)
from workers.ledger.states import RunState
from workers.segment import RUN_TIME

DATE = datetime(2024, 5, 10, 12, tzinfo=UTC)
BROKEN = '{{parseDate("x"; "YYYY")}}'


@pytest.fixture(name="place", scope="module")
def place_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A ledger of its own."""
    with service_in(tmp_path_factory.mktemp("spec")) as service:
        yield Place(service)


def ran(*flow: Any, **settings: Any) -> list[int]:
    """Ids of the modules that operated, in order."""
    return [number for number, _ in run(scenario(*flow, **settings)).outputs()]


def gave(number: int, *flow: Any, **settings: Any) -> list[Any]:
    """The output bundles of one module, a list for each operation (the class of the error where it failed)."""
    return [out for module_id, out in run(scenario(*flow, **settings)).outputs() if module_id == number]


def shown(number: int, *flow: Any, **settings: Any) -> list[Any]:
    """What a Compose module showed, one value an operation."""
    return [out[0]["value"] for out in gave(number, *flow, **settings)]


# -- 2.6 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.6", "A bundle that fails a filter is dropped for this path only")
def test_2_6_a_blocked_bundle_is_no_error_and_no_operation() -> None:
    """Its siblings and the other route of the router go on."""
    result = run(
        scenario(
            start({"n": 1}, {"n": 2}),
            router(2, [compose(3, "x", filter=when("{{1.n}}", "number:equal", "2"))], [compose(4, "y")]),
        )
    )

    assert (result.status, [number for number, _ in result.outputs()], result.filtered) == (
        "success",
        [1, 4, 3, 4],
        [3],
    )


@paragraph("2.6", "| family | operators")
@pytest.mark.parametrize(
    ("a", "operator", "b", "expected"),
    [
        *[(value, "exist", None, False) for value in (UNDEFINED, None, "")],
        *[(value, "exist", None, True) for value in ([], {}, 0, False, "x")],
        (UNDEFINED, "notexist", None, True),
        (None, "text:equal", "", True),
        (DATE, "text:equal", "2024-05-10T12:00:00.000Z", True),
        (["a", {"b": 1}], "text:equal", 'a, {"b":1}', True),
        ("Abc", "text:contain", "b", True),
        ("Abc", "text:notcontain:ci", "B", False),
        ("Abc", "text:startwith", "a", False),
        ("Abc", "text:startwith:ci", "a", True),
        ("Abc", "text:notendwith", "c", False),
        ("xaby", "text:pattern", "a.y", True),
        ("xaby", "text:pattern", "/a.y/", False),
        ("xaby", "text:notpattern", "^a", True),
        ("5", "number:equal", 5, True),
        *[(value, "number:lessorequal", 9, False) for value in ("1,5", "", None, True, DATE, [5], {})],
        *[(value, "number:notequal", 9, True) for value in ("1,5", "", None, True, DATE, [5], {})],
        ("2024-05-10", "date:less", DATE, True),
        ("soon", "date:less", DATE, False),
        ("soon", "date:notequal", DATE, True),
        ("v1.2.3", "semver:greaterorequal", "1.2.3-rc.1", True),
        ("1.2.3-rc.2", "semver:less", "1.2.3-rc.10", True),
        ("1.2", "semver:equal", "1.2", False),
        (DATE, "time:greater", "11:59:59", True),
        ("09:30", "time:less", "10:00", True),
        (0, "boolean:equal", True, True),
        ("FALSE", "boolean:equal", False, True),
        (None, "boolean:equal", False, True),
        ([], "boolean:equal", True, True),
        ([1, 2], "array:contain", "2", True),
        (["A"], "array:contain:ci", "a", True),
        ("x", "array:equal", 1, True),
        (None, "array:equal", 0, True),
        (None, "array:contain", "", False),
        ([1, 2, 3], "array:greater", "2", True),
        ([1], "array:equal", "one", False),
    ],
)
def test_2_6_each_family_converts_both_sides(a: Any, operator: str, b: Any, expected: bool) -> None:
    """The rows of the table; a failed conversion is false, for `notequal` true."""
    assert OPERATORS[operator](a, b, "UTC") is expected


@paragraph("2.6", "An expression in a filter that fails")
def test_2_6_a_failing_filter_fails_the_module_behind_it() -> None:
    """DataError with the filter's name, the module's error route applies, the route counts as taken."""
    odd = when(BROKEN, "exist", name="odd")
    bare = run(scenario(start({}), compose(2, "x", filter=odd)))
    ignored = compose(3, "x", filter=odd, **handled(directive(9, "Ignore")))
    on_router = router(2, [compose(3, "x")], filter=odd, **handled(directive(9, "Ignore")))

    assert bare.finished is not None and bare.finished.error is not None
    assert bare.finished.error.name == "DataError"
    assert bare.finished.error.message.startswith("Failed to evaluate filter 'odd': ")
    assert bare.finished.operations == 2
    assert ran(start({}), router(2, [ignored], [compose(4, "y")], parameters={"else": 1})) == [1, 3]
    assert run(scenario(start({}), on_router)).status == "success"


@paragraph("2.6", "Frequency in the sample")
def test_2_6_every_operator_of_the_sample_is_known() -> None:
    """The names that blueprints use."""
    names = "exist text:equal text:contain:ci number:lessorequal notexist text:equal:ci boolean:equal number:greater"

    assert set(names.split()) <= OPERATORS.keys()


@paragraph("2.6", "Names seen in generated files")
@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("text:startswith", "text:startwith"), ("text:endswith", "text:endwith"), ("text:notEqual", "text:notequal"),
        ("date:before", "date:less"), ("date:after", "date:greater"), ("string:equal", "text:equal"),
        ("number:greaterThan", "number:greater"), ("notexists", "notexist"), ("exists", "exist"),
    ],
)  # fmt: skip
def test_2_6_misspelt_operators_are_rewritten_with_a_warning(name: str, real: str) -> None:
    """The import says so and goes on."""
    result = imported(scenario(start({}), compose(2, "x", filter=when("{{1.a}}", name, "b"))))

    assert canonical(name) == real
    assert [(finding.severity, finding.code) for finding in result.findings] == [("warning", "W-OFF-OPERATOR")]


# -- 2.7 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.7", "Iterator builtin:BasicFeeder")
@pytest.mark.parametrize(
    ("value", "bundles"),
    [
        pytest.param("one", [{"value": "one"}], id="no array: one element"),
        pytest.param([], [], id="empty"),
        pytest.param(None, [], id="null"),
        pytest.param([None, 1], [{"value": None}, {"value": 1}], id="null inside"),
        pytest.param([{"a": 1}, "x", [2]], [{"a": 1}, {"value": "x"}, {"value": [2]}], id="elements of all kinds"),
    ],
)
def test_2_7_the_iterator_makes_a_bundle_of_each_element(value: Any, bundles: list[Any]) -> None:
    """A collection becomes the bundle, anything else its `value`; both are numbered."""
    (out,) = gave(2, start({"l": value}), feeder(2))
    stamps = compose(3, "{{2.`__IMTINDEX__`}}/{{2.`__IMTLENGTH__`}}")

    assert out == bundles
    assert shown(3, start({"l": value}), feeder(2), stamps) == [f"{n + 1}/{len(bundles)}" for n in range(len(bundles))]


THREE = start({"l": ["a", "b", "c"]}, {"l": ["d"]})


@paragraph("2.7", "Aggregator = any module of type aggregator")
def test_2_7_an_aggregator_hands_on_once_for_each_operation_of_its_source() -> None:
    """Two operations of the iterator: two results; the source may be any module of the path."""
    assert gave(3, THREE, feeder(2), text(3, 2, "{{2.value}}")) == [
        [{"text": "abc", "__IMTAGGLENGTH__": 3}],
        [{"text": "d", "__IMTAGGLENGTH__": 1}],
    ]
    assert gave(3, THREE, feeder(2), text(3, 1, "{{2.value}}")) == [[{"text": "abcd", "__IMTAGGLENGTH__": 4}]]


@paragraph("2.7", "Source module S operates once")
def test_2_7_the_source_operates_before_anything_is_collected() -> None:
    """One operation of it for each of its input bundles."""
    assert ran(THREE, feeder(2), text(3, 2, "x"), compose(4, "y")) == [1, 2, 3, 4, 2, 3, 4]


@paragraph("2.7", "Each of the n goes depth-first towards the aggregator A")
def test_2_7_what_reaches_the_aggregator_is_collected() -> None:
    """Multiplied bundles all, filtered, ignored and stored ones not; the mapper is evaluated at each."""
    twice = module(3, "builtin:BasicRepeater", {"start": 1, "repeats": 2, "step": 1})
    blocked = text(3, 2, "{{2.value}}", filter=when("{{2.value}}", "text:notequal", "b"))
    broken = module(4, "json:ParseJSON", {"json": '{{if(2.value = "b"; "{"; "[1]")}}'})

    def collected(*between: Any, **settings: Any) -> str:
        return gave(9, start({"l": ["a", "b"]}), feeder(2), *between, text(9, 2, "{{2.value}}"), **settings)[0][0][
            "text"
        ]

    assert collected(twice) == "aabb"
    assert gave(3, start({"l": ["a", "b"]}), feeder(2), blocked)[0][0]["text"] == "a"
    assert collected({**broken, **handled(directive(8, "Ignore"))}) == "a"
    assert collected({**broken, **handled(directive(8, "Break"))}, dlq=True) == "a"


@paragraph("2.7", "When all n are done, A flushes")
def test_2_7_behind_the_aggregator_the_span_is_not_addressable() -> None:
    """What was visible before the source is, and the aggregator."""
    flow = (
        start({"t": "top", "l": ["x"]}), feeder(2), compose(3, "in"), text(4, 2, "{{3.value}}"),
        compose(5, "{{1.t}}[{{2.value}}][{{3.value}}]{{4.text}}"),
    )  # fmt: skip

    assert shown(5, *flow) == ["top[][]in"]


@paragraph("2.7", "Source = start module")
def test_2_7_with_the_start_module_as_source_it_flushes_once_a_cycle() -> None:
    """Two cycles, two results."""
    assert [out[0]["text"] for out in gave(2, start({"v": "a"}, {"v": "b"}), text(2, 1, "{{1.v}}"), roundtrips=2)] == [
        "ab",
        "ab",
    ]


@paragraph("2.7", "A inside a route of a router")
def test_2_7_each_bundle_passes_all_routes_before_the_aggregators_flush() -> None:
    """In the order of their routes; what is behind them in the route runs then."""
    flow = (
        start({"l": ["a", "b"]}), feeder(2),
        router(3, [text(4, 2, "{{2.value}}"), compose(5, "1")], [compose(6, "{{2.value}}")],
               [text(7, 2, "{{2.value}}"), compose(8, "2")]),
    )  # fmt: skip

    assert ran(*flow) == [1, 2, 6, 6, 4, 5, 7, 8]


@paragraph("2.7", "Nesting: inner span")
def test_2_7_an_inner_result_is_a_bundle_on_the_way_to_the_outer_aggregator() -> None:
    """The inner one flushes once for each operation of its source."""
    flow = (
        start({"l": ["a", "b"]}, {"l": []}),
        feeder(2),
        text(3, 2, "{{2.value}}"),
        gather(4, 1, {"v": "{{3.text}}"}),
    )

    assert gave(4, *flow) == [[{"array": [{"v": "ab"}, {"v": ""}], "__IMTAGGLENGTH__": 2}]]


@paragraph("2.7", "Empty: S operated and nothing reached A")
@pytest.mark.parametrize(
    ("source", "flags", "results"),
    [
        pytest.param(feeder(2), {}, [[{"array": [], "__IMTAGGLENGTH__": 0}]], id="no bundles: an empty result"),
        pytest.param(feeder(2), {"stopIfEmpty": True}, [], id="stopIfEmpty"),
        pytest.param(feeder(2, filter=when("{{1.no}}", "exist")), {}, [], id="the source did not operate"),
        pytest.param(fail(2, **handled(directive(9, "Ignore"))), {}, [], id="the source failed and was dropped"),
        pytest.param(
            fail(2, **handled(directive(9, "Resume", {"r": 1}))), {}, [[{"array": [{}], "__IMTAGGLENGTH__": 1}]],
            id="the source was resumed",
        ),
    ],
)  # fmt: skip
def test_2_7_an_empty_span(source: Any, flags: Any, results: Any) -> None:
    """One flush with an empty result where the source operated, none where it did not."""
    assert gave(3, start({"l": []}), source, gather(3, 2, {}, flags=flags)) == results


@paragraph("2.7", "Group by (flags.groupBy, IML)")
def test_2_7_one_bundle_for_each_key_in_the_order_of_their_appearance() -> None:
    """Keys compare as text; an empty span gives an operation without a bundle, with `stopIfEmpty` none."""
    rows = start({"l": [{"g": 1, "v": "a"}, {"g": "x", "v": "b"}, {"g": "1", "v": "c"}]})
    grouped = {"flags": {"groupBy": "{{2.g}}"}}
    (groups,) = gave(3, rows, feeder(2), text(3, 2, "{{2.v}}", **grouped))
    stopped = {"flags": {"groupBy": "{{2.g}}", "stopIfEmpty": True}}

    assert [(bundle["__IMTKEY__"], bundle["text"]) for bundle in groups] == [("1", "ac"), ("x", "b")]
    assert gave(3, start({"l": []}), feeder(2), text(3, 2, "x", **grouped)) == [[]]
    assert gave(3, start({"l": []}), feeder(2), text(3, 2, "x", **stopped)) == []


@paragraph("2.7", "An error in A's mapper or group-by evaluation belongs to A")
@pytest.mark.parametrize(
    ("handler", "settings", "elements"),
    [("Ignore", {}, ["a", "c"]), ("Break", {"dlq": True}, ["a", "c"]), ("Resume", {}, ["a", "s", "c"])],
)
def test_2_7_an_error_while_collecting_is_the_aggregators(handler: str, settings: Any, elements: list[str]) -> None:
    """Left out after Ignore, Break and storing; the substitute is collected after Resume."""
    value = '{{if(2.value = "b"; parseDate("x"; "YYYY"); 2.value)}}'
    mapper = {"v": "s"} if handler == "Resume" else None
    own = gather(3, 2, {"v": value}, **handled(directive(9, handler, mapper)))
    outputs = gave(3, start({"l": ["a", "b", "c"]}), feeder(2), own, **settings)

    assert outputs[0] == "DataError"
    assert [item["v"] for item in outputs[1][0]["array"]] == elements


@paragraph("2.7", "An error in A's mapper or group-by evaluation belongs to A")
def test_2_7_a_substitute_whose_key_failed_is_in_the_group_without_a_key() -> None:
    """And a module between source and aggregator that is resumed is collected with its substitute."""
    key = '{{if(2.value = "b"; parseDate("x"; "YYYY"); "k")}}'
    resumed = handled(directive(9, "Resume", {"v": "s"}))
    keyed = gather(3, 2, {"v": "{{2.value}}"}, flags={"groupBy": key}, **resumed)
    between = module(3, "json:ParseJSON", {"json": '{{if(2.value = "b"; "{"; "[{}]")}}'}, **resumed)
    rows = start({"l": ["a", "b"]})

    groups = gave(3, rows, feeder(2), keyed)[-1]
    (inner,) = gave(4, rows, feeder(2), between, gather(4, 2, {"v": "{{3.v}}"}))

    assert [(bundle["__IMTKEY__"], bundle["array"]) for bundle in groups] == [("k", [{"v": "a"}]), ("", [{"v": "s"}])]
    assert inner[0]["array"] == [{}, {"v": "s"}]


@paragraph("2.7", "Output shapes: 4.2, 4.3, 4.4")
def test_2_7_every_aggregator_says_how_many_it_collected() -> None:
    """Array, text, numbers, table, JSON."""
    kinds = {
        "builtin:BasicAggregator": ({"v": "{{1.n}}"}, {}, {"array": [{"v": 1}, {"v": 2}]}),
        "util:TextAggregator": ({"value": "{{1.n}}"}, {"rowSeparator": "\t"}, {"text": "1\t2"}),
        "util:FunctionAggregator2": ({"value": "{{1.n}}"}, {"fn": "sum"}, {"result": 3}),
        "util:AggregateAggregator": (
            {"a": "{{1.n}}", "b": "x"}, {"columnSeparator": ",", "rowSeparator": "\n"}, {"text": "1,x\n2,x"}
        ),
        "json:AggregateToJSON": ({"n": "{{1.n}}"}, {"type": "", "space": ""}, {"json": '[{"n":1},{"n":2}]'}),
    }  # fmt: skip

    for name, (mapper, parameters, result) in kinds.items():
        item = module(2, name, mapper, parameters={"feeder": 1, **parameters})
        assert gave(2, start({"n": 1}, {"n": 2}), item) == [[{**result, "__IMTAGGLENGTH__": 2}]], name


@paragraph("2.7", "Converger (module type 10")
def test_2_7_only_if_else_and_merge_join() -> None:
    """There is no module that waits for several routes: routes of a router never meet."""
    result = imported(scenario(start({}), {**module(2, "builtin:BasicConverger"), "mapper": {}}))

    assert [finding.code for finding in result.findings if finding.severity == "error"] == ["E-UNKNOWN-MODULE"]


# -- 2.8 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.8", "{{id.field}}, nested")
def test_2_8_what_an_address_finds() -> None:
    """Nested fields, elements from 1, first element, odd names, the whole bundle; a bare number is a number."""
    first = start({"a": {"b": "deep"}, "items": [{"n": "i1"}, {"n": "i2"}], "Full name": "Ada", "0": "zero"})

    def at(expression: str) -> Any:
        return shown(2, first, compose(2, expression))[0]

    assert at("{{1.a.b}}|{{1.items[2].n}}|{{1.items[].n}}|{{1.`Full name`}}|{{1.`0`}}") == "deep|i2|i1|Ada|zero"
    assert at("{{2.3}} {{1}}") == "2.3 1"
    assert '"Full name":"Ada"' in at("x{{`1`}}") and "__IMTINDEX__" in at("x{{`1`}}")
    result = run(scenario(first, compose(2, '{{map(1; "a")}}')))
    assert result.finished is not None and result.finished.error is not None
    assert "'1' is not a valid array" in result.finished.error.message


@paragraph("2.8", "Visible from module m")
def test_2_8_visible_is_what_stands_before_a_module_on_its_path() -> None:
    """Also before the enclosing router, if-else and error route; there the failed module's error too."""
    all_four = "{{1.n}}{{2.value}}{{4.value}}{{5.error.message}}"
    flow = (
        start({"n": 1}), compose(2, "two"),
        router(3, [compose(4, "four"), fail(5, "e", **handled(compose(6, all_four)))],
               [choice(7, branch([compose(8, "{{1.n}}{{2.value}}[{{4.value}}]")], "1"))]),
    )  # fmt: skip

    assert shown(6, *flow) == ["1twofoure"]
    assert shown(8, *flow) == ["1two[]"]


@paragraph("2.8", "Reference to something not on the path")
def test_2_8_what_is_not_on_the_path_is_empty() -> None:
    """A sibling route, a branch behind its merge, a closed span."""
    sibling = router(2, [compose(3, "x")], [compose(4, "[{{3.value}}]")])
    merged = (choice(2, branch([compose(3, "x")], "1", merge=True)), merge(4, "m"), compose(5, "[{{3.value}}]{{4.r}}"))

    assert shown(4, start({}), sibling) == ["[]"]
    assert shown(5, start({"n": 1}), *merged) == ["[]m"]


@paragraph("2.8", "Environment: {{now}}")
def test_2_8_the_environment_of_a_run(place: Place) -> None:
    """Clock, random values, ids, inputs and the scenario itself."""
    names = "now timestamp random uuid executionId var.input.who var.scenario.name var.scenario.executionId"
    blueprint = scenario(start({}), compose(2, "|".join(f"{{{{{name}}}}}" for name in names.split())))
    blueprint["io"] = {"input_spec": [{"name": "who", "type": "text"}], "output_spec": []}

    report = place.inline(blueprint, inputs={"who": "Ada"})

    now, timestamp, random, uuid, execution, who, name, same = report["steps"][1]["output"][0]["value"].split("|")
    assert abs(datetime.fromisoformat(now) - datetime.now(UTC)) < timedelta(minutes=5)
    assert abs(int(timestamp) - datetime.now(UTC).timestamp()) < 300
    assert 0 <= float(random) < 1
    assert len(uuid) == 36
    assert execution == same != ""
    assert (who, name) == ("Ada", "test")


@paragraph("2.8", "Environment: {{now}}")
def test_2_8_custom_variables_are_those_of_the_run() -> None:
    """`var.organization` and `var.team`."""
    runner = MemoryRunner(
        plan(scenario(start({}), compose(2, "{{var.organization.a}}{{var.team.b}}"))), performer(),
        variables={"organization": {"a": 1}, "team": {"b": 2}},
    )  # fmt: skip

    assert runner.run().outputs()[-1] == (2, [{"value": "12"}])


@paragraph("2.8", "Scenario variables (util:SetVariable2")
def test_2_8_a_variable_lives_as_long_as_its_scope() -> None:
    """A cycle or the execution; the cycle's is read first; the last writer wins, also across routes."""
    two = {"roundtrips": 2}
    both = router(4, [remember(5, "v", "a")], [remember(6, "v", "b")], [recall(7, "v"), compose(8, "{{7.v}}")])
    order = (remember(1, "v", "long", "execution"), remember(2, "v", "short"), recall(3, "v"), compose(4, "{{3.v}}"))

    assert shown(2, recall(1, "v"), compose(2, "[{{1.v}}]"), remember(3, "v", "x"), **two) == ["[]", "[]"]
    assert shown(2, recall(1, "v"), compose(2, "[{{1.v}}]"), remember(3, "v", "x", "execution"), **two) == ["[]", "[x]"]
    assert shown(8, start({}), both) == ["b"]
    assert shown(4, *order) == ["short"]
    assert gave(2, start({}), remember(2, "v", "{{1.none}}")) == [[{"v": None}]]


@paragraph("2.8", "Scenario variables (util:SetVariable2")
def test_2_8_no_directive_takes_a_variable_back() -> None:
    """It was set on the path that Ignore dropped."""
    routes = [
        [remember(3, "v", "x"), fail(4, **handled(directive(9, "Ignore")))],
        [recall(5, "v"), compose(6, "{{5.v}}")],
    ]

    assert shown(6, start({}), router(2, *routes)) == ["x"]


# -- 2.9 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.9", "| limit | value | source |")
@pytest.mark.parametrize(
    ("seconds", "fits"), [("0", False), ("1", True), ("300", True), ("301", False), ("1.5", False)]
)
def test_2_9_a_sleep_takes_1_to_300_seconds(seconds: str, fits: bool) -> None:
    """Anything else does not run."""
    result = run(scenario(start({}), module(2, "util:FunctionSleep", {"duration": seconds})))

    assert result.outputs()[-1] == (2, [{}] if fits else "BundleValidationError")


@paragraph("2.9", "| limit | value | source |")
@pytest.mark.parametrize(("repeats", "fits"), [(0, True), (10_000, True), (10_001, False), (-1, False)])
def test_2_9_a_repeater_repeats_10000_times_at_most(repeats: int, fits: bool) -> None:
    """More is refused."""
    (out,) = gave(2, start({}), module(2, "builtin:BasicRepeater", {"start": 1, "repeats": repeats, "step": 1}))

    assert len(out) == repeats if fits else out == "BundleValidationError"


@paragraph("2.9", "Self-hosted defaults are configurable")
def test_2_9_the_defaults_are_the_numbers_of_the_table(place: Place) -> None:
    """40 minutes an execution, 40 seconds a call, 100 records and 10 MB of incomplete executions."""
    from runtime.communication import Limits
    from workers.ledger.incompletes import MOST_BYTES, MOST_RECORDS

    assert timedelta(minutes=40) == RUN_TIME
    assert Limits().timeout == timedelta(seconds=40)
    assert (MOST_RECORDS, MOST_BYTES) == (100, 10_000_000)
    assert place.service.settings.duration("run_time_seconds", RUN_TIME) == RUN_TIME


@paragraph("2.9", "Stop: a user stop is cooperative")
def test_2_9_a_stop_ends_the_run_after_the_operation_and_counts_for_nothing(place: Place) -> None:
    """Rolled back, `ExecutionInterruptedError`, no consecutive error."""
    target = place.scenario(scenario(start({}), module(2, "util:FunctionSleep", {"duration": "60"}), autoCommit=False))
    run_id = place.accept(target)
    assert place.work(run_id).status == "parked"

    place.service.runs.cancel(run_id)
    report = place.service.runs.show(run_id)

    assert report.status == "cancelled"
    assert place.service.scenarios.show(target).errors == 0


@paragraph("2.9", "Sequential (sequential:true)")
def test_2_9_a_sequential_scenario_runs_one_at_a_time_in_order(place: Place) -> None:
    """A second run waits for the first, also while that waits for a sleep."""
    target = place.scenario(scenario(start({}), module(2, "util:FunctionSleep", {"duration": "60"}), sequential=True))
    first, second = place.accept(target), place.accept(target)
    runs = place.service.runner.runs

    assert place.work(second).status == "queued"
    assert place.work(first).status == "parked"
    assert place.work(second).status == "queued"
    place.service.runs.cancel(first)
    assert place.work(second).status == "parked"
    assert runs.header(first).state is RunState.CANCELLED
    place.service.runs.cancel(second)


@paragraph("2.9", "Sequential (sequential:true)")
def test_2_9_an_open_incomplete_execution_holds_a_sequential_scenario(place: Place) -> None:
    """No new run starts until it is done with."""
    target = place.scenario(scenario(start({}), fail(2), sequential=True, dlq=True))
    assert place.auto(target).status == "warning"
    waiting = place.accept(target)
    assert place.work(waiting).status == "queued"

    (record,) = place.service.incompletes.list(scenario=target)
    place.service.incompletes.drop(record.id)

    assert place.work(waiting).status == "warning"


@paragraph("2.9", "Mapping onto Celery and Redis")
def test_2_9_one_message_is_one_segment_and_a_waiting_run_holds_no_worker(place: Place) -> None:
    """A run that sleeps gives its worker back: no lease, a wake-up, and its message does nothing meanwhile."""
    target = place.scenario(scenario(start({}), module(2, "util:FunctionSleep", {"duration": "300"}), compose(3, "x")))
    run_id = place.accept(target)
    runs = place.service.runner.runs

    assert place.work(run_id).status == "parked"
    assert runs.client.zscore(runs.keys.leased, run_id) is None
    assert runs.client.zscore(runs.keys.due, run_id) > datetime.now(UTC).timestamp() * 1000 + 200_000
    assert [step["module"] for step in place.work(run_id).steps] == [1]


# -- 2.10 --------------------------------------------------------------------------------------------------------------


@paragraph("2.10", "Every mapped value is converted to the type its field declares")
def test_2_10_a_value_that_cannot_be_converted_fails_before_the_module_runs() -> None:
    """`BundleValidationError` with the field in a suberror."""
    result = run(
        scenario(start({"s": "x"}), module(2, "builtin:BasicRepeater", {"start": "{{1.s}}", "repeats": 1, "step": 1}))
    )

    assert result.finished is not None and result.finished.error is not None
    error = result.finished.error
    assert (error.name, error.message.startswith("Validation failed for 1 parameter(s).")) == (
        "BundleValidationError",
        True,
    )
    assert [item for item in error.suberrors if "'start'" in str(item)]


@paragraph("2.10", "empty values are modules.md")
def test_2_10_required_fields_need_a_value() -> None:
    """Nothing, null and "" are none."""
    for value in ("", None, "{{1.none}}"):
        (out,) = gave(2, start({}), module(2, "util:GetVariable2", {"name": value, "x": "y"}))
        assert out == "BundleValidationError", value


@paragraph("2.10", "| field expects | from | result |")
@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("array", "x", ["x"]), ("boolean", 0, True), ("boolean", "False", False), ("boolean", "", None),
        ("boolean", "no", True), ("boolean", [], True), ("collection", "x", "error"), ("collection", 5, "error"),
        ("date", "2024-05-10", DATE.replace(hour=0)), ("date", "10.5.2024", DATE.replace(hour=0)),
        ("date", "05/10/2024", DATE.replace(hour=0)), ("date", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("date", "soon", "error"), ("date", True, "error"), ("number", "5.5", 5.5), ("number", "five", "error"),
        ("number", True, "error"), ("number", [], "error"), ("text", True, "true"), ("text", 1.5, "1.5"),
        ("text", DATE, "2024-05-10T12:00:00.000Z"), ("text", {"a": 1}, "error"), ("time", "09:30", "09:30"),
        ("time", "25:99", "error"),
    ],
)  # fmt: skip
def test_2_10_conversion_by_declared_type(kind: str, value: Any, result: Any) -> None:
    """The rows of the table, at a field of a data store record that declares its type."""
    from runtime.errors import BundleValidationError
    from runtime.parameters import parse_fields, resolve

    fields = parse_fields([{"name": "f", "type": kind}])
    if result == "error":
        with pytest.raises(BundleValidationError):
            resolve(fields, {"f": value}, timezone="UTC").values  # noqa: B018  raises
    else:
        assert resolve(fields, {"f": value}, timezone="UTC").values.get("f") == result


@paragraph("2.10", "Empty values: an optional field whose mapping gives nothing")
def test_2_10_nothing_is_left_out_and_the_two_keywords_are_not(place: Place) -> None:
    """Of an update: unmapped, empty and null fields stay as they are; `emptystring` and `erase` clear."""
    data = {"a": "", "b": None, "c": "{{1.none}}", "d": "{{emptystring}}", "e": "{{erase}}"}
    update = module(2, "datastore:UpdateRecord", {"key": "k", "data": data}, parameters={"datastore": 1})
    before = dict.fromkeys("abcde", "old")

    report = place.inline(scenario(start({}), update), stores={"1": {"k": before}})

    assert report["stores"]["1"]["k"] == {"a": "old", "b": "old", "c": "old", "d": "", "e": None}
