"""Linear flows, order, stamps, counting, cycles: spec/scenarios.md 2.1 to 2.4."""

from __future__ import annotations

import pytest

from runtime.errors import ScenarioTimeoutError
from runtime.scenario.steps import Done, Finished, Operation, Rollback
from runtime.scenario.testing import MemoryRunner
from runtime.values import Bundle
from tests.unit.scenario.helpers import compose, module, performer, plan, run, scenario, start, when


def test_one_bundle_goes_through_the_whole_tree_before_the_next() -> None:
    """Trigger 2 bundles, module A gives 2, module B: call order A1 B11 B12 A2 B21 B22."""
    blueprint = scenario(
        start({"l": ["a", "b"]}, {"l": ["c", "d"]}),
        module(2, "builtin:BasicFeeder", {"array": "{{1.l}}"}),
        compose(3, "{{2.value}}"),
    )

    outputs = [(number, out) for number, out in run(blueprint).outputs() if number == 3]

    assert [bundle[0]["value"] for _, bundle in outputs] == ["a", "b", "c", "d"]


def test_a_mapper_sees_every_module_on_its_path() -> None:
    """A module may map any earlier module, not only the one before it; what is not there is empty."""
    blueprint = scenario(start({"n": 1}), compose(2, "x"), compose(3, "{{1.n}}{{2.value}}[{{1.nope}}]"))

    assert run(blueprint).outputs()[-1] == (3, [{"value": "1x[]"}])


def test_a_module_without_bundles_ends_the_path_silently() -> None:
    """An iterator over nothing gives no bundle; what is behind it does not run, and the run is a success."""
    blueprint = scenario(start({"l": []}), module(2, "builtin:BasicFeeder", {"array": "{{1.l}}"}), compose(3, "x"))

    result = run(blueprint)

    assert (result.status, [number for number, _ in result.outputs()]) == ("success", [1, 2])


def test_bundles_of_multi_bundle_modules_are_numbered_for_later_modules() -> None:
    """`__IMTINDEX__` and `__IMTLENGTH__` are readable behind an iterator, also in the whole bundle."""
    blueprint = scenario(
        start({"l": ["a", "b"]}),
        module(2, "builtin:BasicFeeder", {"array": "{{1.l}}"}),
        compose(3, "{{2.`__IMTINDEX__`}}/{{2.`__IMTLENGTH__`}}"),
    )

    shown = [out[0]["value"] for number, out in run(blueprint).outputs() if number == 3]

    assert shown == ["1/2", "2/2"]


def test_a_blocked_bundle_is_no_operation() -> None:
    """A bundle that fails a filter is dropped without an error and is not counted."""
    blueprint = scenario(
        start({"n": 1}, {"n": 2}, {"n": 3}), compose(2, "{{1.n}}", filter=when("{{1.n}}", "number:greater", "1"))
    )

    result = run(blueprint)

    assert result.finished is not None
    assert (result.finished.operations, result.filtered) == (3, [2])


def test_a_failing_filter_is_a_data_error_of_the_module_behind_it() -> None:
    """The failed evaluation counts as an operation, although the module was not called."""
    broken = when('{{parseDate(1.t; "YYYY")}}', "exist", name="odd")
    result = run(scenario(start({"t": "x"}), compose(2, "x", filter=broken)))

    assert result.finished is not None
    error = result.finished.error
    assert error is not None
    assert (result.status, result.finished.operations, error.name) == ("error", 2, "DataError")
    assert error.message.startswith("Failed to evaluate filter 'odd': Function 'parseDate' finished with error!")


def test_a_failing_mapper_names_its_field() -> None:
    """An error in an expression is a `DataError` of the module: Failed to map '<field>': <message>."""
    result = run(scenario(start({"t": "x"}), compose(2, '{{parseDate(1.t; "YYYY")}}')))

    assert result.finished is not None and result.finished.error is not None
    assert result.finished.error.message.startswith("Failed to map 'value': Function 'parseDate' finished")


def test_an_action_as_start_module_runs_exactly_roundtrips_cycles() -> None:
    """A start module that is no trigger runs every cycle, whatever it gave."""
    result = run(scenario(module(1, "json:ParseJSON", {"json": "[]"}), roundtrips=3))

    assert result.finished is not None
    assert (result.finished.cycles, result.finished.operations, result.phases) == (3, 3, ["commit"] * 3)


def test_a_polling_trigger_stops_when_it_reads_nothing() -> None:
    """Up to `roundtrips` cycles, fewer when a read gave no bundle; the empty read counts as an operation."""

    def poll(operation: Operation) -> list[Bundle]:
        return [{"n": operation.cycle}] if operation.cycle < 3 else []

    result = run(scenario(module(1, "test:Poll"), compose(2, "{{1.n}}"), roundtrips=9), {"test:Poll": poll})

    assert result.finished is not None
    assert (result.finished.cycles, result.finished.operations) == (3, 5)


def test_the_caller_says_how_many_events_an_instant_trigger_takes() -> None:
    """One queued event per cycle: `roundtrips` of the file does not count."""
    result = run(scenario(module(1, "test:Hook")), {"test:Hook": lambda operation: [{}]}, cycles=4)

    assert result.finished is not None and result.finished.cycles == 4


def test_an_interrupt_rolls_the_running_cycle_back() -> None:
    """The time limit ends the run between two operations; earlier cycles stay committed."""
    compiled = plan(scenario(start({"n": 1}), compose(2, "x"), roundtrips=2))
    runner = MemoryRunner(compiled, performer())
    halted = runner.run(stop_after=4)
    engine = runner.engine()
    assert halted.cursor is not None
    cursor = engine.interrupt(halted.cursor, ScenarioTimeoutError("over"))

    step = engine.next(cursor)
    assert isinstance(step, Rollback)
    end = engine.next(engine.apply(cursor, step, Done()))

    assert isinstance(end, Finished)
    assert (halted.phases, end.status, end.cycles, end.error) == (["commit"], "error", 2, ScenarioTimeoutError("over"))


def test_a_cursor_of_another_blueprint_is_refused() -> None:
    """A cursor goes with one content hash."""
    first, second = plan(scenario(start({}))), plan(scenario(start({"n": 1})))
    runner = MemoryRunner(first, performer())
    foreign = MemoryRunner(second, performer()).engine().start()
    engine = runner.engine()

    with pytest.raises(ValueError, match="another version"):
        engine.next(foreign)
