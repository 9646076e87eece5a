"""The paragraphs of spec/scenarios.md 2.1 to 2.5: phases, cycles, order, counting, routers and if-else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.effects import Emit, Remember, Steps
from runtime.errors import DataError, InconsistencyError, ScenarioTimeoutError
from runtime.scenario.steps import Commit, Failed, Finished, Operation
from runtime.scenario.testing import MemoryRunner
from tests.conformance.scenario_spec import Place, paragraph, service_in, stored
from tests.unit.scenario.flows import branch, choice, directive, feeder, gather, handled, merge
from tests.unit.scenario.helpers import compose, fail, module, performer, plan, router, run, scenario, start, when


@pytest.fixture(name="place", scope="module")
def place_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A ledger of its own."""
    with service_in(tmp_path_factory.mktemp("spec")) as service:
        yield Place(service)


def ran(*flow: Any, **settings: Any) -> list[int]:
    """Ids of the modules that operated, in order."""
    return [number for number, _ in run(scenario(*flow, **settings)).outputs()]


def shown(number: int, *flow: Any, **settings: Any) -> list[Any]:
    """What a Compose module showed, one value an operation."""
    outputs = run(scenario(*flow, **settings)).outputs()
    return [out[0]["value"] for module_id, out in outputs if module_id == number and isinstance(out[0], dict)]


def writing(operation: Operation) -> Steps[None]:
    """A module with state outside the run: writes, and gives one bundle."""
    yield Remember("trigger", str(operation.module_id), operation.module_id)
    yield Emit([{}])


def wrote(*flow: Any, **settings: Any) -> Any:
    """A run of modules that write; the module `test:Poll` is the start."""
    doing = {"test:Do": writing, "test:Start": writing, "test:Poll": writing}
    return run(scenario(*flow, **settings), doing)  # type: ignore[arg-type]


# -- 2.1 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.1", "```initialization")
def test_2_1_each_cycle_is_an_operation_and_then_a_commit_or_a_rollback() -> None:
    """Two cycles commit; in a third run the second one fails and is rolled back."""
    bad = module(2, "json:ParseJSON", {"json": '{{if(executionId = "no"; 1; "{")}}'})

    assert run(scenario(start({}), roundtrips=2)).phases == ["commit", "commit"]
    assert run(scenario(start({}), bad, roundtrips=2)).phases == ["rollback"]


@paragraph("2.1", "Initialization: every module instance of the blueprint is created")
def test_2_1_a_connection_in_a_route_that_is_not_taken_is_checked_before_the_first_cycle(place: Place) -> None:
    """Its record says `invalid`: the run ends in its initialization, without a step."""
    service = place.service
    made = service.connections.add("http", "basicauth", name="keys", parameters={"username": "u", "password": "p"})
    call = module(
        3, "http:ActionSendDataBasicAuth", {"url": "http://127.0.0.1:9/", "method": "get"}, version=3,
        parameters={"handleErrors": True, "key": 5}, filter=when("{{1.no}}", "exist"),
    )  # fmt: skip
    flow = scenario(start({}), router(2, [call], [compose(4, "x")]))
    working = place.inline(flow, bindings={"5": made.name})
    vault = service.runner.vault
    vault.update(replace(vault.find(made.name, app="http"), state="invalid"))

    refused = place.inline(flow, bindings={"5": made.name})

    assert (working["status"], working["operations"]) == ("success", 2)
    assert (refused["status"], refused["steps"], refused["operations"]) == ("error", [], 0)


@paragraph("2.1", "Operation: the start module produces bundles")
def test_2_1_the_start_module_makes_bundles_and_the_tree_takes_them() -> None:
    """One operation of the start, one of the next module for each of its bundles."""
    assert ran(start({}, {}), compose(2, "x")) == [1, 2, 2]


@paragraph("2.1", "Commit: all modules that took part are committed")
def test_2_1_only_transactional_modules_can_undo(place: Place) -> None:
    """A rollback takes a data store's record back; a variable, which is no such thing, keeps its value."""
    flow = (start({}), stored(2, "a"), fail(3))

    assert place.rows(scenario(*flow, autoCommit=False)) == ("error", [])
    assert place.rows(scenario(*flow[:2], autoCommit=False)) == ("success", ["a"])


@paragraph("2.1", "Finalization: connections closed")
@pytest.mark.parametrize("broken", [False, True])
def test_2_1_nothing_of_a_run_stays_open_behind_its_end(place: Place, broken: bool) -> None:
    """With and without an error: no lease, no place in the queue."""
    scenario_id = place.scenario(scenario(start({}), *([fail(2)] if broken else [compose(2, "x")])))
    run_id = place.accept(scenario_id)

    report = place.work(run_id)

    runs = place.service.runner.runs
    assert report.status == ("error" if broken else "success")
    assert all(runs.client.zscore(key, run_id) is None for key in (runs.keys.leased, runs.keys.queued, runs.keys.due))


@paragraph("2.1", "A failure inside commit or rollback itself = InconsistencyError")
def test_2_1_a_failing_commit_ends_the_run_and_undoes_nothing() -> None:
    """No rollback follows, and no further cycle."""
    runner = MemoryRunner(plan(scenario(start({}), roundtrips=3)), performer())
    halted = runner.run(stop_after=1)
    engine = runner.engine()
    assert halted.cursor is not None
    step = engine.next(halted.cursor)
    assert isinstance(step, Commit)

    end = engine.next(engine.apply(halted.cursor, step, Failed(InconsistencyError("half written"))))

    assert isinstance(end, Finished)
    assert (end.status, end.cycles, end.error) == ("error", 1, InconsistencyError("half written"))


@paragraph("2.1", "Hook order for our module interface")
def test_2_1_a_module_starts_anew_in_each_cycle_and_keeps_nothing_but_what_was_committed(place: Place) -> None:
    """An increment that resets with the run counts within one cycle; one for the execution goes on."""

    def counts(reset: str) -> list[int]:
        count = module(2, "util:FunctionIncrement", parameters={"reset": reset})
        steps = place.inline(scenario(start({}, {}), count, roundtrips=2))["steps"]
        return [step["output"][0]["i"] for step in steps if step["module"] == 2]

    assert counts("run") == [1, 2, 1, 2]
    assert counts("execution") == [1, 2, 3, 4]


@paragraph("2.1", "Auto commit")
@pytest.mark.parametrize(
    ("settings", "phases", "back"),
    [
        pytest.param({"autoCommit": True}, ["auto commit", "rollback"], [1], id="each at once, the start last"),
        pytest.param(
            {"autoCommit": True, "autoCommitTriggerLast": False}, ["auto commit"] * 2 + ["rollback"], [], id="all"
        ),
        pytest.param({"autoCommit": False}, ["rollback"], [2, 1], id="none before the end"),
    ],
)
def test_2_1_auto_commit_leaves_only_the_start_to_a_later_error(settings: Any, phases: Any, back: Any) -> None:
    """Module 3 fails behind two modules that wrote: what was committed before, what is rolled back."""
    result = wrote(module(1, "test:Poll"), module(2, "test:Do"), fail(3), **settings)

    assert result.phases == phases
    assert [intent.module for intent in result.rolled_back] == back


@paragraph("2.1", "With autoCommit:false, gateway:WebhookRespond acts last")
@pytest.mark.parametrize("auto", [True, False])
def test_2_1_a_response_is_no_end_of_the_flow(auto: bool) -> None:
    """Whenever it acts, the modules behind it run; where nobody waits it does nothing."""
    answer = module(2, "gateway:WebhookRespond", {"status": "200", "body": "x"})
    event = module(1, "gateway:CustomWebHook", parameters={"hook": 1})
    compiled = plan(scenario(event, answer, compose(3, "x"), autoCommit=auto))

    def perform(operation: Operation, bundles: Any) -> Any:
        return [{}] if operation.start else performer()(operation, bundles)

    assert [step.module for step in MemoryRunner(compiled, perform).run().steps] == [1, 2, 3]


@paragraph("2.1", "Commit order at end of cycle")
@pytest.mark.parametrize(("last", "order"), [(True, [2, 3, 1]), (False, [1, 2, 3])])
def test_2_1_commits_come_in_order_of_execution_and_rollbacks_in_reverse(last: bool, order: list[int]) -> None:
    """The start module last with `autoCommitTriggerLast`, else first."""
    flow = (module(1, "test:Poll"), module(2, "test:Do"), module(3, "test:Do"))
    settings = {"autoCommit": False, "autoCommitTriggerLast": last}

    assert [intent.module for intent in wrote(*flow, **settings).committed] == order
    assert [intent.module for intent in wrote(*flow, fail(4), **settings).rolled_back] == [3, 2, 1]


# -- 2.2 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.2", "| start module | number of cycles |")
@pytest.mark.parametrize(
    ("first", "given", "waiting", "cycles"),
    [
        pytest.param("test:Poll", [2, 1, 0, 5], None, 3, id="polling: until a read gives nothing"),
        pytest.param("test:Poll", [1] * 9, None, 5, id="polling: at most roundtrips"),
        pytest.param("test:Hook", [1] * 9, 7, 7, id="events: one a cycle, roundtrips do not count"),
        pytest.param("test:Hook", [1] * 9, 1, 1, id="one event a run"),
        pytest.param("test:Start", [1, 0, 0, 0, 0], None, 5, id="no trigger: exactly roundtrips"),
    ],
)
def test_2_2_the_start_module_decides_how_many_cycles_there_are(
    first: str, given: list[int], waiting: int | None, cycles: int
) -> None:
    """`roundtrips` is 5."""

    def begin(operation: Operation) -> list[dict[str, Any]]:
        return [{}] * given[operation.cycle - 1]

    result = run(scenario(module(1, first), roundtrips=5), {first: begin}, cycles=waiting)

    assert result.finished is not None
    assert result.finished.cycles == cycles


@paragraph("2.2", "| start module | number of cycles |")
def test_2_2_the_basic_trigger_keeps_no_position() -> None:
    """It runs every cycle and gives the same each time."""
    first = module(1, "util:BasicTrigger", parameters={"values": [{"spec": [{"name": "a", "value": "x"}]}]})

    assert shown(2, first, compose(2, "{{1.a}}"), roundtrips=3) == ["x", "x", "x"]


@paragraph("2.2", "A trigger's own limit/maxResults bounds bundles per cycle")
def test_2_2_a_limit_counts_for_each_cycle() -> None:
    """Each cycle reads anew, up to the trigger's limit; a manual run honours `roundtrips` like any other."""

    def poll(operation: Operation) -> list[dict[str, Any]]:
        return [{}, {}]

    result = run(scenario(module(1, "test:Poll"), compose(2, "x"), roundtrips=3), {"test:Poll": poll})

    assert [number for number, _ in result.outputs()] == [1, 2, 2] * 3


@paragraph("2.2", "Time limit is checked between operations")
def test_2_2_the_time_limit_ends_the_run_after_the_operation_that_runs() -> None:
    """Rollback of the running cycle; the cycle before stays committed."""
    runner = MemoryRunner(plan(scenario(start({}), compose(2, "x"), roundtrips=2)), performer())
    halted = runner.run(stop_after=4)
    assert halted.cursor is not None

    rest = runner.run(runner.engine().interrupt(halted.cursor, ScenarioTimeoutError("over")))

    assert (halted.phases, rest.phases, rest.status) == (["commit"], ["rollback"], "error")
    assert rest.finished is not None and rest.finished.error == ScenarioTimeoutError("over")


@paragraph("2.2", "Time limit is checked between operations")
def test_2_2_the_time_limit_is_a_setting(tmp_path: Any) -> None:
    """A run whose time is over before its first operation has no step."""
    with service_in(tmp_path, SCENARIST_RUN_TIME_SECONDS="0.000001") as service:
        report = Place(service).inline(scenario(start({}), compose(2, "x")))

    assert (report["status"], report["error"]["type"], report["steps"]) == ("error", "ScenarioTimeoutError", [])


# -- 2.3 ---------------------------------------------------------------------------------------------------------------

PAIRS = start({"l": ["a", "b"]}, {"l": ["c", "d"]})


@paragraph("2.3", "One bundle is taken through the whole remaining tree")
def test_2_3_depth_comes_first() -> None:
    """Trigger 2, module A 2 each, module B: A1 B11 B12 A2 B21 B22."""
    assert ran(PAIRS, feeder(2), compose(3, "x")) == [1, 2, 3, 3, 2, 3, 3]
    assert shown(3, PAIRS, feeder(2), compose(3, "{{2.value}}")) == ["a", "b", "c", "d"]


@paragraph("2.3", "```run_flow(flow, i, ctx)")
def test_2_3_the_pseudo_code_in_one_flow() -> None:
    """Filter, router, operation with stamps, aggregator behind the router, its flow behind it."""
    flow = (
        PAIRS,
        feeder(2),
        router(
            3,
            [compose(4, "{{2.value}}{{2.`__IMTINDEX__`}}/{{2.`__IMTLENGTH__`}}", filter=when("{{2.value}}", "exist"))],
            [gather(5, 2, {"v": "{{2.value}}"}), compose(6, "{{length(5.array)}}{{5.`__IMTLENGTH__`}}")],
        ),
    )

    assert shown(4, *flow) == ["a1/2", "b2/2", "c1/2", "d2/2"]
    assert ran(*flow) == [1, 2, 4, 4, 5, 6, 2, 4, 4, 5, 6]
    assert shown(6, *flow) == ["21", "21"]


@paragraph("2.3", "The start module: same, with outs = read()")
def test_2_3_an_aggregator_can_be_fed_by_the_start_module() -> None:
    """It hands on when the start module's bundles are done."""
    assert ran(PAIRS, compose(2, "x"), gather(3, 1, {})) == [1, 2, 2, 3]


@paragraph("2.3", "A module that returns no bundle ends the path")
def test_2_3_no_bundle_ends_the_path_and_continue_gives_a_marker() -> None:
    """An iterator over nothing; a pattern without a match that continues gives `__IMTLENGTH__` 0 and no index."""
    none = module(2, "regexp:Parser", {"text": "abc"}, parameters={"pattern": "z"})
    on = module(2, "regexp:Parser", {"text": "abc"}, parameters={"pattern": "z", "continueWhenNoRes": True})
    seen = compose(3, "[{{2.`__IMTLENGTH__`}}][{{2.`__IMTINDEX__`}}]")

    assert ran(start({}), none, seen) == [1, 2]
    assert shown(3, start({}), on, seen) == ["[0][]"]
    assert shown(4, start({}), on, gather(3, 2, {"v": "{{2.i}}"}), compose(4, "{{3.`__IMTAGGLENGTH__`}}")) == ["1"]


@paragraph("2.3", "A module finishes first, then its bundles are processed")
def test_2_3_an_error_on_the_last_page_means_that_none_went_on() -> None:
    """A module that has given two bundles and then fails: nothing behind it ran."""

    def pages(operation: Operation) -> Steps[None]:
        yield Emit([{}])
        yield Emit([{}])
        raise DataError("page 3")

    result = run(scenario(start({}), module(2, "test:Do"), compose(3, "x")), {"test:Do": pages})  # type: ignore[dict-item]

    assert result.outputs()[1:] == [(2, "DataError")]


@paragraph("2.3", "__IMTINDEX__ (1-based")
def test_2_3_position_and_total_are_readable_behind_every_module_of_many_bundles() -> None:
    """Behind an iterator, a repeater and Parse JSON; not behind a module of one bundle."""
    stamp = "{{2.`__IMTINDEX__`}}/{{2.`__IMTLENGTH__`}}"
    many = [
        feeder(2, '{{split("a,b"; ",")}}'),
        module(2, "builtin:BasicRepeater", {"start": 1, "repeats": 2, "step": 1}),
        module(2, "json:ParseJSON", {"json": "[1, 2]"}),
    ]

    assert [shown(3, start({}), item, compose(3, stamp)) for item in many] == [["1/2", "2/2"]] * 3
    assert shown(3, start({}), compose(2, "x"), compose(3, stamp)) == ["/"]


@paragraph("2.3", "What an output that is undefined")
def test_2_3_simple_values_become_bundles_of_their_own_kind() -> None:
    """Parse JSON of an array of simple values, and an iterator over one with a null inside (sections 2.7, 4.4)."""
    simple = module(2, "json:ParseJSON", {"json": "[1, null]"})

    assert run(scenario(start({}), simple)).outputs()[-1][1] == [{"value": 1}, {"value": None}]


# -- 2.4 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.4", "One operation per module execution per input bundle")
@pytest.mark.parametrize(
    ("flow", "operations"),
    [
        pytest.param([start()], 1, id="a start that finds nothing"),
        pytest.param([start({}, {}), compose(2, "x")], 3, id="one an input bundle"),
        pytest.param([start({}, {}), compose(2, "x", filter=when("{{1.n}}", "exist"))], 1, id="blocked ones are none"),
        pytest.param([start({}), router(2, [compose(3, "x")])], 2, id="a router is none"),
        pytest.param([start({}), fail(2, **handled(directive(3, "Ignore")))], 2, id="a directive is none"),
        pytest.param(
            [start({}), fail(2, **handled(compose(4, "x"), directive(3, "Ignore")))], 3, id="modules of error routes"
        ),
        pytest.param([start({}, {}, {}), gather(2, 1, {})], 2, id="an aggregator counts its flush"),
        pytest.param(
            [start({"n": 1}), choice(2, branch([], "1", merge=True)), merge(3, "x")], 3, id="if-else and merge"
        ),
        pytest.param(
            [start({}), {"id": 2, "module": "placeholder:Placeholder", "version": 1}], 1, id="a placeholder is none"
        ),
        pytest.param(
            [start({}), compose(2, "x", filter=when('{{parseDate("x"; "YYYY")}}', "exist"))], 2, id="a failing filter"
        ),
        pytest.param([start({}), compose(2, '{{parseDate("x"; "YYYY")}}')], 2, id="a failing mapper"),
        pytest.param(
            [start({}), gather(2, 1, {"v": '{{parseDate("x"; "YYYY")}}'}, **handled(directive(3, "Ignore")))],
            3,
            id="a bundle that an aggregator fails to collect, and its flush",
        ),
    ],
)
def test_2_4_what_counts_as_an_operation(flow: list[Any], operations: int) -> None:
    """Operations and steps of a run are the same."""
    result = run(scenario(*flow))

    assert result.finished is not None
    assert (result.finished.operations, len(result.steps)) == (operations, operations)


# -- 2.5 ---------------------------------------------------------------------------------------------------------------


@paragraph("2.5", "Router: for one bundle, routes in order")
def test_2_5_routes_run_one_after_the_other_and_the_fallback_last() -> None:
    """Nested ones first; nothing of a route is seen in the next; the fallback only if no other was taken."""
    nested = router(
        2, [compose(3, "a"), router(4, [compose(5, "b")], [compose(6, "c")])], [compose(7, "[{{3.value}}]")]
    )
    last = router(2, [compose(3, "f")], [compose(4, "x", filter=when("{{1.n}}", "exist"))], parameters={"else": 0})

    assert ran(start({}), nested) == [1, 3, 5, 6, 7]
    assert shown(7, start({}), nested) == ["[]"]
    assert ran(start({"n": 1}, {}), last) == [1, 4, 3]


@paragraph("2.5", "An error that stops the execution in route 1")
@pytest.mark.parametrize(
    ("handler", "expected"),
    [(None, [1, 3]), ("Rollback", [1, 3]), ("Commit", [1, 3]), ("Ignore", [1, 3, 4]), ("Resume", [1, 3, 4]),
     ("Break", [1, 3, 4])],
)  # fmt: skip
def test_2_5_what_an_error_in_route_1_means_for_route_2(handler: str | None, expected: list[int]) -> None:
    """What ends the execution ends it; what drops or replaces the bundle lets the next route run."""
    rest = handled(directive(9, handler)) if handler else {}

    assert ran(start({}), router(2, [fail(3, **rest)], [compose(4, "x")]), dlq=handler == "Break") == expected


@paragraph("2.5", "If-else: conditions in order")
def test_2_5_the_first_true_branch_goes_to_the_merge() -> None:
    """Once per bundle at the end of the branch; an empty branch passes; behind the merge the branch is not there."""
    flow = (
        start({"n": 1, "l": ["x", "y"]}, {"n": 2}, {"n": 3}),
        choice(2, branch([feeder(3)], "1", merge=True), branch([compose(4, "z")], "2"), branch([], None, merge=True)),
        merge(5, "<{{3.value}}>", "none"),
        compose(6, "{{5.r}}[{{3.value}}]"),
    )

    assert ran(*flow) == [1, 2, 3, 5, 6, 5, 6, 2, 4, 2, 5, 6]
    assert shown(6, *flow) == ["<x>[]", "<y>[]", "none[]"]
    assert run(scenario(*flow)).outputs()[1] == (2, [])


@paragraph("2.5", "If-else: conditions in order")
def test_2_5_nothing_follows_an_if_else_without_a_merge() -> None:
    """Without outputs a merge gives the last bundle of the branch."""
    silent = (start({"n": 1}), choice(2, branch([compose(3, "x")], "1")))
    handing_on = (
        start({"n": 1}),
        choice(2, branch([compose(3, "x")], "1", merge=True)),
        merge(4),
        compose(5, "{{4.value}}"),
    )

    assert ran(*silent) == [1, 2, 3]
    assert shown(5, *handing_on) == ["x"]
