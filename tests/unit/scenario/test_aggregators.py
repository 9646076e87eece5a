"""Open spans: collecting, flushing, groups, empties, nesting (spec/scenarios.md 2.7)."""

from __future__ import annotations

from typing import Any

from runtime.scenario.testing import MemoryRunner
from tests.unit.scenario.helpers import compose, fail, module, performer, plan, router, run, scenario, start, when


def _feeder(number: int, array: str, **rest: Any) -> dict[str, Any]:
    return module(number, "builtin:BasicFeeder", {"array": array}, **rest)


def _array(number: int, feeder: int, mapper: Any, **rest: Any) -> dict[str, Any]:
    return module(number, "builtin:BasicAggregator", mapper, parameters={"feeder": feeder}, **rest)


def _text(number: int, feeder: int, value: str, **rest: Any) -> dict[str, Any]:
    parameters = {"feeder": feeder, "rowSeparator": "other", "otherRowSeparator": ","}
    return module(number, "util:TextAggregator", {"value": value}, parameters=parameters, **rest)


def _last(result: Any, number: int) -> list[Any]:
    return [out for module_id, out in result.outputs() if module_id == number]


def test_an_aggregator_collects_one_operation_of_its_feeder() -> None:
    """One bundle out; behind it the feeder and everything between is not addressable, what is before it is."""
    flow = scenario(
        start({"t": "top", "l": ["x", "y"]}),
        _feeder(2, "{{1.l}}"),
        compose(3, "{{2.value}}!"),
        _array(4, 2, {"v": "{{3.value}}"}),
        compose(5, "[{{2.value}}][{{3.value}}][{{1.t}}]"),
    )

    result = run(flow)

    assert _last(result, 4) == [[{"array": [{"v": "x!"}, {"v": "y!"}], "__IMTAGGLENGTH__": 2}]]
    assert _last(result, 5) == [[{"value": "[][][top]"}]]


def test_a_flush_is_one_operation_and_collecting_is_none() -> None:
    """1 start + 1 iterator + 1 flush."""
    result = run(scenario(start({"l": [1, 2, 3]}), _feeder(2, "{{1.l}}"), _array(4, 2, {"v": "{{2.value}}"})))

    assert result.finished is not None and result.finished.operations == 3


def test_a_feeder_without_bundles_gives_an_empty_result_unless_told_not_to() -> None:
    """It operated: one empty flush; with `stopIfEmpty` nothing. A feeder that did not run: no flush."""
    empty = (start({"l": []}), _feeder(2, "{{1.l}}"))
    blocked = (start({"l": [1]}), _feeder(2, "{{1.l}}", filter=when("{{1.no}}", "exist")))

    assert _last(run(scenario(*empty, _array(4, 2, {}))), 4) == [[{"array": [], "__IMTAGGLENGTH__": 0}]]
    assert _last(run(scenario(*empty, _array(4, 2, {}, flags={"stopIfEmpty": True}))), 4) == []
    assert _last(run(scenario(*blocked, _array(4, 2, {}))), 4) == []


def test_group_by_gives_one_bundle_per_key_in_first_seen_order() -> None:
    """Keys are compared as text; every bundle carries its key and is stamped for later modules."""
    rows = [{"g": "b", "n": 1}, {"g": "a", "n": 2}, {"g": "b", "n": 3}]
    flow = scenario(
        start({"l": rows}),
        _feeder(2, "{{1.l}}"),
        _text(4, 2, "{{2.n}}", flags={"groupBy": "{{2.g}}"}),
        compose(5, "{{4.`__IMTKEY__`}}:{{4.text}} {{4.`__IMTINDEX__`}}/{{4.`__IMTLENGTH__`}}"),
    )

    assert _last(run(flow), 5) == [[{"value": "b:1,3 1/2"}], [{"value": "a:2 2/2"}]]


def test_an_empty_group_by_flushes_without_a_bundle() -> None:
    """One operation, nothing goes on."""
    flow = scenario(start({"l": []}), _feeder(2, "{{1.l}}"), _array(4, 2, {}, flags={"groupBy": "{{2.value}}"}))

    assert _last(run(flow), 4) == [[]]


def test_aggregators_in_routes_flush_after_the_last_bundle_in_route_order() -> None:
    """Each bundle passes all routes first; the modules behind each aggregator run at its flush."""
    flow = scenario(
        start({"l": [1, 2]}),
        _feeder(2, "{{1.l}}"),
        router(
            3,
            [_text(4, 2, "a{{2.value}}"), compose(5, "{{4.text}}")],
            [_text(6, 2, "b{{2.value}}"), compose(7, "{{6.text}}")],
        ),
    )

    tail = [(number, out[0].get("value")) for number, out in run(flow).outputs()[2:]]

    assert tail == [(4, None), (5, "a1,a2"), (6, None), (7, "b1,b2")]


def test_an_inner_span_flushes_into_the_outer_one() -> None:
    """Inner span: once per operation of its feeder; its output is an ordinary bundle on the way to the outer one."""
    flow = scenario(
        start({"l": [{"m": [1, 2]}, {"m": [3]}]}),
        _feeder(2, "{{1.l}}"),
        _feeder(3, "{{2.m}}"),
        _text(4, 3, "{{3.value}}"),
        _array(5, 2, {"t": "{{4.text}}", "gone": "{{3.value}}"}),
    )

    assert _last(run(flow), 5) == [[{"array": [{"t": "1,2"}, {"t": "3"}], "__IMTAGGLENGTH__": 2}]]


def test_a_second_aggregator_on_a_closed_span_collects_what_the_first_gives() -> None:
    """The values of the source are empty there."""
    flow = scenario(
        start({"n": 1}, {"n": 2}), _array(2, 1, {"n": "{{1.n}}"}), _array(3, 1, {"c": "{{2.array}}", "n": "{{1.n}}"})
    )

    assert _last(run(flow), 3) == [[{"array": [{"c": [{"n": 1}, {"n": 2}]}], "__IMTAGGLENGTH__": 1}]]


def test_an_aggregator_may_feed_another_one() -> None:
    """Its groups are the bundles that the next one collects."""
    flow = scenario(
        start({"g": "a"}, {"g": "b"}, {"g": "a"}),
        _array(2, 1, {}, flags={"groupBy": "{{1.g}}"}),
        _text(3, 2, "{{2.`__IMTKEY__`}}{{2.`__IMTAGGLENGTH__`}}"),
    )

    assert _last(run(flow), 3) == [[{"text": "a2,b1", "__IMTAGGLENGTH__": 2}]]


def test_ignored_bundles_are_not_collected_and_resumed_ones_are() -> None:
    """Between feeder and aggregator: Ignore leaves the bundle out, Resume puts the substitute in."""
    rows = [{"j": "{}"}, {"j": "oops"}]

    def flow(directive: str, mapper: Any = None) -> dict[str, Any]:
        parse = module(3, "json:ParseJSON", {"json": "{{2.j}}"}, onerror=[module(9, directive, mapper)])
        return scenario(start({"l": rows}), _feeder(2, "{{1.l}}"), parse, _text(4, 2, "[{{3.v}}]"))

    assert _last(run(flow("builtin:Ignore")), 4)[0][0]["text"] == "[]"
    assert _last(run(flow("builtin:Resume", {"v": "sub"})), 4)[0][0]["text"] == "[],[sub]"


def test_a_bundle_that_cannot_be_collected_is_a_failed_operation_of_the_aggregator() -> None:
    """Its handler applies: Ignore leaves the bundle out, Resume's mapper becomes the collected element."""

    def flow(directive: str, mapper: Any = None) -> dict[str, Any]:
        failing = '{{parseDate(2.value; "YYYY")}}'
        rest = {"onerror": [module(9, directive, mapper)]}
        return scenario(start({"l": ["x"]}), _feeder(2, "{{1.l}}"), _array(4, 2, {"d": failing}, **rest))

    assert _last(run(flow("builtin:Ignore")), 4) == ["DataError", [{"array": [], "__IMTAGGLENGTH__": 0}]]
    resumed = _last(run(flow("builtin:Resume", {"d": "none"})), 4)
    assert resumed == ["DataError", [{"array": [{"d": "none"}], "__IMTAGGLENGTH__": 1}]]


def test_an_error_in_the_span_ends_the_run_without_a_flush() -> None:
    """The aggregator does not flush."""
    result = run(scenario(start({"l": [1]}), _feeder(2, "{{1.l}}"), fail(3), _array(4, 2, {})))

    assert (result.status, _last(result, 4)) == ("error", [])


def test_flushed_elements_are_forgotten_when_nobody_can_reach_them() -> None:
    """`recycle` in every run drops what is out of reach; a long run over many spans keeps a handful of chunks."""
    rows = [{"m": [1, 2]} for _ in range(30)]
    flow = scenario(start({"l": rows}), _feeder(2, "{{1.l}}"), _feeder(3, "{{2.m}}"), _text(4, 3, "{{3.value}}"))

    runner = MemoryRunner(plan(flow), performer(), recycle=True)
    runner.run()

    assert len(runner.bundles) <= 6
