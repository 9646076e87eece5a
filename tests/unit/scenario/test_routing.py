"""Router, if-else, merge: spec/scenarios.md 1.5, 2.5."""

from __future__ import annotations

from typing import Any

from tests.unit.scenario.helpers import compose, fail, module, router, run, scenario, start, when


def _ran(*flow: Any, **settings: Any) -> list[int]:
    return [number for number, _ in run(scenario(*flow, **settings)).outputs()]


def test_routes_run_one_after_the_other() -> None:
    """A route starts only after the one before is finished, with everything nested in it."""
    inner = router(3, [compose(4, "a")], [compose(5, "b")])

    assert _ran(start({}), router(2, [compose(9, "x"), inner], [compose(6, "c")])) == [1, 9, 4, 5, 6]


def test_a_route_sees_nothing_of_another_route() -> None:
    """All routes have the data from before the router."""
    result = run(scenario(start({"n": 1}), router(2, [compose(3, "x")], [compose(4, "{{1.n}}[{{3.value}}]")])))

    assert result.outputs()[-1] == (4, [{"value": "1[]"}])


def test_the_fallback_runs_last_and_only_if_no_other_route_was_taken() -> None:
    """It may stand first; its own filter does not count."""
    flow = (
        start({"n": 1}, {"n": 2}),
        router(
            2,
            [compose(3, "else", filter=when("{{1.nope}}", "exist"))],
            [compose(4, "two", filter=when("{{1.n}}", "number:equal", "2"))],
            parameters={"else": 0},
        ),
    )

    assert _ran(*flow) == [1, 3, 4]


def test_a_disabled_route_is_skipped_and_not_taken() -> None:
    """Also when it is the fallback: then there is none."""
    disabled = {"flow": [compose(3, "x")], "disabled": True}

    assert _ran(start({}), router(2, disabled, [compose(4, "y")], parameters={"else": 1})) == [1, 4]
    assert _ran(start({}), router(2, disabled, parameters={"else": 0})) == [1]


def test_an_empty_route_counts_as_taken() -> None:
    """It has no first module, hence no filter: the fallback does not run."""
    assert _ran(start({}), router(2, [], [compose(4, "y")], parameters={"else": 1})) == [1]


def test_a_route_whose_first_filter_fails_counts_as_taken() -> None:
    """Its module fails, its error route decides, and the fallback does not run."""
    broken = when('{{parseDate(1.t; "YYYY")}}', "exist")
    ignore = [module(9, "builtin:Ignore")]
    flow = (
        start({"t": "x"}),
        router(2, [compose(3, "x", filter=broken, onerror=ignore)], [compose(4, "y")], parameters={"else": 1}),
    )

    assert _ran(*flow) == [1, 3]


def test_a_filter_on_a_router_gates_the_whole_router() -> None:
    """No route runs for a bundle that it blocks."""
    flow = (start({"n": 1}, {"n": 2}), router(2, [compose(3, "x")], filter=when("{{1.n}}", "number:equal", "2")))

    assert _ran(*flow) == [1, 3]


def test_an_error_in_a_route_prevents_the_next_route() -> None:
    """Unhandled, it ends the run."""
    assert _ran(start({}), router(2, [fail(3)], [compose(4, "x")])) == [1, 3]


def _if_else(*branches: dict[str, Any]) -> dict[str, Any]:
    return {"id": 2, "module": "builtin:BasicIfElse", "version": 1, "mapper": None, "branches": list(branches)}


def _branch(flow: list[Any], test: str | None, *, merge: bool = False, **rest: Any) -> dict[str, Any]:
    if test is None:
        return {"type": "else", "label": "else", "flow": flow, "merge": merge, **rest}
    conditions = [[{"a": "{{1.n}}", "o": "number:equal", "b": test}]]
    return {"type": "condition", "label": test, "conditions": conditions, "flow": flow, "merge": merge, **rest}


def _merge(outputs: Any = (), **rest: Any) -> dict[str, Any]:
    return {"id": 8, "module": "builtin:BasicMerge", "version": 1, "mapper": None, "outputs": list(outputs), **rest}


def test_the_first_true_branch_runs_and_no_other() -> None:
    """Conditions in order; the else branch when none is true; the if-else counts as an operation without a bundle."""
    choice = _if_else(
        _branch([compose(3, "a")], "1"), _branch([compose(4, "b")], "1"), _branch([compose(5, "c")], None)
    )

    result = run(scenario(start({"n": 1}, {"n": 2}), choice))

    assert result.outputs()[1:] == [
        (2, []),
        (3, [{"value": "a"}]),
        (2, []),
        (5, [{"value": "c"}]),
    ]


def test_a_merge_goes_on_for_each_bundle_of_a_merging_branch() -> None:
    """Each bundle that reaches the end of the branch passes the merge; behind it the branch is not addressable."""
    choice = _if_else(
        _branch([module(3, "builtin:BasicFeeder", {"array": "{{1.l}}"})], "1", merge=True),
        _branch([], None, merge=True),
    )
    merge = _merge([{"name": "r", "mappings": ["<{{3.value}}>", "none"]}])
    flow = scenario(
        start({"n": 1, "l": ["x", "y"]}, {"n": 2}), choice, merge, compose(9, "{{8.r}}{{1.n}}[{{3.value}}]")
    )

    shown = [out[0]["value"] for number, out in run(flow).outputs() if number == 9]

    assert shown == ["<x>1[]", "<y>1[]", "none2[]"]


def test_a_merge_without_outputs_hands_the_last_bundle_on() -> None:
    """`{}` for an empty branch."""
    choice = _if_else(_branch([compose(3, "a")], "1", merge=True), _branch([], None, merge=True))

    result = run(scenario(start({"n": 1}, {"n": 2}), choice, _merge(), compose(9, "[{{8.value}}]")))

    assert [out for number, out in result.outputs() if number == 9] == [[{"value": "[a]"}], [{"value": "[]"}]]


def test_a_filter_of_the_merge_stops_only_its_branch() -> None:
    """`filters` has one entry per merging branch; a blocked bundle is no operation of the merge."""
    choice = _if_else(
        _branch([compose(3, "a")], "1", merge=True),
        _branch([compose(5, "never merges")], "7"),
        _branch([compose(4, "b")], None, merge=True),
    )
    merge = _merge([{"name": "r", "mappings": ["A", "B"]}], filters=[when("{{3.value}}", "text:equal", "zz"), None])

    result = run(scenario(start({"n": 1}, {"n": 2}), choice, merge))

    assert [(number, out) for number, out in result.outputs() if number == 8] == [(8, [{"r": "B"}])]
    assert result.filtered == [8]


def test_a_branch_that_does_not_merge_ends_there() -> None:
    """What follows the if-else runs only through merging branches."""
    choice = _if_else(_branch([compose(3, "a")], "1"), _branch([compose(4, "b")], None, merge=True))

    assert _ran(start({"n": 1}), choice, _merge(), compose(9, "x")) == [1, 2, 3]


def test_an_if_else_inside_a_branch_merges_into_it() -> None:
    """The inner merge goes on in the branch; the end of the branch is then the outer merge, once per bundle."""
    inner = {**_if_else(_branch([compose(3, "in")], None, merge=True)), "id": 12}
    inner_merge = {**_merge([{"name": "i", "mappings": ["{{3.value}}{{1.n}}"]}]), "id": 13}
    outer = _if_else(_branch([inner, inner_merge], None, merge=True))
    flow = scenario(
        start({"n": 1}, {"n": 2}), outer, _merge([{"name": "o", "mappings": ["<{{13.i}}>"]}]), compose(9, "{{8.o}}")
    )

    ran = [(number, out) for number, out in run(flow).outputs() if number in (8, 9, 13)]

    assert ran == [
        (13, [{"i": "in1"}]),
        (8, [{"o": "<in1>"}]),
        (9, [{"value": "<in1>"}]),
        (13, [{"i": "in2"}]),
        (8, [{"o": "<in2>"}]),
        (9, [{"value": "<in2>"}]),
    ]


def test_a_placeholder_passes_the_bundle_on_without_an_operation() -> None:
    """As the editor puts it into branches that do nothing."""
    flow = (start({"n": 1}), {"id": 2, "module": "placeholder:Placeholder", "version": 1}, compose(3, "{{1.n}}"))

    assert _ran(*flow) == [1, 3]
