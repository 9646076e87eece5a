"""Errors with and without error routes, the five directives: spec/scenarios.md 3.2 to 3.4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import DataError, MaxFileSizeExceededError, RateLimitError
from runtime.scenario.steps import Incomplete
from runtime.scenario.testing import MemoryRunner
from tests.unit.scenario.helpers import (
    compose,
    fail,
    module,
    performer,
    plan,
    raising,
    router,
    run,
    scenario,
    start,
    when,
)

ROWS = ({"j": "{}"}, {"j": "oops"}, {"j": "{}"})


def _parse(directive: str | None, mapper: Any = None, **rest: Any) -> dict[str, Any]:
    """Parse JSON of the second of three bundles fails; with this directive as its error route."""
    route = {"onerror": [module(9, directive, mapper)]} if directive else {}
    return module(2, "json:ParseJSON", {"json": "{{1.j}}"}, **route, **rest)


def _ran(result: Any) -> list[int]:
    return [number for number, _ in result.outputs()]


def test_an_unhandled_error_ends_the_run_with_a_rollback() -> None:
    """Status error, the module named, later bundles not processed."""
    result = run(scenario(start(*ROWS), _parse(None), compose(3, "x"), roundtrips=3))

    assert result.finished is not None and result.finished.error is not None
    assert (result.status, result.phases, _ran(result)) == ("error", ["rollback"], [1, 2, 3, 2])
    assert (result.finished.error.name, result.finished.error_module) == ("BundleValidationError", 2)


@pytest.mark.parametrize(
    ("directive", "mapper", "ran", "status", "phases"),
    [
        pytest.param("builtin:Ignore", None, [1, 2, 3, 2, 2, 3], "success", ["commit", "commit"], id="ignore"),
        pytest.param("builtin:Resume", {"v": "s"}, [1, 2, 3, 2, 3, 2, 3], "success", ["commit", "commit"], id="resume"),
        pytest.param("builtin:Commit", None, [1, 2, 3, 2], "success", ["commit"], id="commit"),
        pytest.param("builtin:Rollback", None, [1, 2, 3, 2], "error", ["rollback"], id="rollback"),
        pytest.param("builtin:Break", None, [1, 2, 3, 2], "error", ["rollback"], id="break without storage"),
    ],
)
def test_what_each_directive_does_to_the_run(
    directive: str, mapper: Any, ran: list[int], status: str, phases: list[str]
) -> None:
    """Bundle 2 of 3 fails: what still runs, how the cycle ends, whether further cycles follow."""
    result = run(scenario(start(*ROWS), _parse(directive, mapper), compose(3, "{{2.v}}"), roundtrips=2))

    cycles = [number for number, _ in result.outputs()]
    assert (cycles[: len(ran)], result.status, result.phases) == (ran, status, phases)
    if status == "success" and directive != "builtin:Commit":
        assert cycles == ran * 2


def test_resume_puts_its_mapper_in_place_of_the_output() -> None:
    """Keys not given are absent, an empty text stays; a multi-bundle module's substitute is the only one."""
    flow = scenario(
        start({"j": "oops", "n": 7}),
        _parse("builtin:Resume", {"v": "{{1.n}} {{2.error.type}}", "e": ""}),
        compose(3, "{{2.v}}|{{2.e}}|{{2.`__IMTLENGTH__`}}|{{2.error.type}}"),
    )

    assert run(flow).outputs()[-1] == (3, [{"value": "7 BundleValidationError||1|"}])


def test_break_stores_the_bundle_and_the_rest_goes_on() -> None:
    """With storage on: the bundle leaves the flow with its retry schedule, the run is a success, later routes run."""
    flow = scenario(
        start({"n": 1}), router(2, [fail(3, onerror=[module(9, "builtin:Break")])], [compose(4, "x")]), dlq=True
    )

    result = run(flow)

    assert (result.status, _ran(result)) == ("success", [1, 3, 4])
    assert [(item.module_id, item.retry, item.error.name) for item in result.incomplete] == [
        (3, (3, 15), "RuntimeError")
    ]
    assert set(result.incomplete[0].inputs) == {1}


def test_break_without_automatic_retry_is_a_warning() -> None:
    """Its values may be expressions."""
    handler = [module(9, "builtin:Break", {"retry": False, "count": "{{1.n}}", "interval": 1})]

    result = run(scenario(start({"n": 1}), fail(3, onerror=handler), dlq=True))

    assert (result.status, result.incomplete[0].retry) == ("warning", None)


def test_without_a_handler_a_stored_failure_makes_a_warning() -> None:
    """`dlq`: one record per failing bundle; siblings go on and the cycle commits."""
    result = run(scenario(start(*ROWS), _parse(None), compose(3, "x"), dlq=True))

    assert (result.status, result.phases, _ran(result)) == ("warning", ["commit"], [1, 2, 3, 2, 2, 3])
    assert [type(item) for item in result.incomplete] == [Incomplete]


def test_an_error_of_the_start_module_is_never_stored() -> None:
    """There is nothing to resume; Break there acts as Rollback."""
    broken = module(1, "json:ParseJSON", {"json": "oops"})
    breaking = module(1, "json:ParseJSON", {"json": "oops"}, onerror=[module(9, "builtin:Break")])

    assert [run(scenario(item, dlq=True)).status for item in (broken, breaking)] == ["error", "error"]


def test_a_file_that_is_too_large_is_dropped_when_data_loss_is_allowed() -> None:
    """`dataloss`: warning, the bundle is dropped, the run goes on."""
    error = raising(MaxFileSizeExceededError("too large"))

    result = run(scenario(start({}, {}), module(2, "test:Do"), dataloss=True), {"test:Do": error})

    assert (result.status, _ran(result)) == ("warning", [1, 2, 2])


@pytest.mark.parametrize(
    "tail", [pytest.param([], id="nothing"), pytest.param([compose(7, "x", filter=when("", "exist"))], id="filtered")]
)
def test_an_error_route_without_directive_ignores(tail: list[Any]) -> None:
    """So does one whose last module is dropped by a filter inside the route."""
    result = run(
        scenario(start(*ROWS), module(2, "json:ParseJSON", {"json": "{{1.j}}"}, onerror=[compose(8, "e"), *tail]))
    )

    assert (result.status, _ran(result)) == ("success", [1, 2, 2, 8, 2])


def test_a_blocking_filter_on_the_first_module_of_an_error_route_leaves_the_error_unhandled() -> None:
    """The default applies, with the original error."""
    handler = [module(9, "builtin:Ignore", filter=when("{{2.error.type}}", "text:equal", "DataError"))]

    result = run(scenario(start(*ROWS), module(2, "json:ParseJSON", {"json": "{{1.j}}"}, onerror=handler)))

    assert result.finished is not None and result.finished.error is not None
    assert (result.status, result.finished.error.name, result.filtered) == ("error", "BundleValidationError", [9])


def test_a_router_in_an_error_route_without_a_taken_route_leaves_the_error_unhandled() -> None:
    """A fallback that runs is taken."""

    def flow(**options: Any) -> dict[str, Any]:
        blocked = module(9, "builtin:Ignore", filter=when("{{1.no}}", "exist"))
        return scenario(start({}), fail(2, onerror=[router(8, [blocked], **options)]))

    assert run(flow()).status == "error"
    assert run(flow(parameters={"else": 0})).status == "success"


def test_the_error_is_addressable_in_its_route_only() -> None:
    """`message`, `type`, `name`, `detail`; the failed module's own fields are empty."""
    shown = compose(8, "{{2.error.type}} {{2.error.name}} {{2.error.message}} [{{2.value}}]")

    result = run(scenario(start({"m": "no stock"}), fail(2, "{{1.m}}", onerror=[shown])))

    assert result.outputs()[-1] == (8, [{"value": "RuntimeError RuntimeError no stock []"}])


def test_an_error_in_an_error_route_without_a_handler_is_the_new_cause() -> None:
    """The first one is among its suberrors."""
    result = run(scenario(start({}), fail(2, "first", onerror=[fail(8, "second")])))

    assert result.finished is not None and result.finished.error is not None
    assert result.finished.error.message == "second"
    assert (result.finished.error.suberrors, result.finished.error_module) == (("first",), 8)


def test_an_error_route_may_have_handlers_of_its_own() -> None:
    """The inner directive decides for the module in the route; the outer one is then Ignore."""
    inner = fail(7, "inner", onerror=[module(8, "builtin:Resume", {"ok": "yes"})])

    result = run(scenario(start({}), fail(2, "outer", onerror=[inner, compose(9, "{{7.ok}} {{2.error.message}}")])))

    assert (result.status, result.outputs()[-1]) == ("success", (9, [{"value": "yes outer"}]))


def test_the_first_bundle_that_reaches_a_directive_decides() -> None:
    """Remaining bundles of the error route are not processed."""
    feeder = module(7, "builtin:BasicFeeder", {"array": "{{1.l}}"})
    handler = [feeder, compose(8, "{{7.value}}"), module(9, "builtin:Resume", {"v": "{{8.value}}"})]

    result = run(scenario(start({"l": ["a", "b"]}), fail(2, onerror=handler), compose(3, "{{2.v}}")))

    assert [(number, out) for number, out in result.outputs() if number in (3, 8)] == [
        (8, [{"value": "a"}]),
        (3, [{"value": "a"}]),
    ]


def test_a_handler_on_a_router_covers_modules_without_their_own() -> None:
    """Resume ends the failed path and lets later routes run; Ignore skips them for this bundle only."""

    def flow(directive: str) -> dict[str, Any]:
        routes = [[module(3, "json:ParseJSON", {"json": "{{1.j}}"})], [compose(4, "x")]]
        return scenario(start(*ROWS), router(2, *routes, onerror=[module(9, directive)]))

    assert _ran(run(flow("builtin:Resume"))) == [1, 3, 4, 3, 4, 3, 4]
    assert _ran(run(flow("builtin:Ignore"))) == [1, 3, 4, 3, 3, 4]


def test_an_error_goes_through_its_stored_form_unchanged() -> None:
    """Delay, status code and suberrors of the error that ended the run survive the cursor."""
    error = RateLimitError("slow down", status_code=429, delay_ms=700, suberrors=["a"])

    result = run(scenario(start({}), module(2, "test:Do")), {"test:Do": raising(error)})

    assert result.finished is not None
    assert result.finished.error == error


def test_a_refused_incomplete_execution_fails_the_run_unless_data_may_be_lost() -> None:
    """Storing fails: rollback and error; with `dataloss` the bundle is dropped with a warning."""

    def status(**settings: Any) -> str:
        compiled = plan(scenario(start({}), module(2, "test:Do"), dlq=True, **settings))
        runner = MemoryRunner(
            compiled, performer({"test:Do": raising(DataError("bad"))}), refuse="the limit is reached"
        )
        return runner.run().status

    assert [status(), status(dataloss=True)] == ["error", "warning"]
