"""Cursors as JSON, waits inside a module, unknown outcomes, commits: design section 10, spec/scenarios.md 2.1."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from runtime.effects import Emit, Remember, Sleep, Steps
from runtime.errors import InconsistencyError
from runtime.scenario.cursor import Cursor
from runtime.scenario.steps import Commit, Done, Failed, Finished, Operation, Unknown
from runtime.scenario.testing import NOW, MemoryRunner
from tests.unit.scenario.helpers import compose, fail, module, performer, plan, router, run, scenario, start

BUSY = scenario(
    start({"l": ["a", "b"]}, {"l": ["oops"]}),
    module(2, "builtin:BasicFeeder", {"array": "{{1.l}}"}),
    module(3, "util:SetVariables", {"variables": [{"name": "x y", "value": "{{2.value}}"}], "scope": "execution"}),
    module(4, "util:GetVariables", {"variables": ["x y"]}, onerror=[module(5, "builtin:Ignore")]),
    module(6, "builtin:BasicAggregator", {"v": "{{4.`x y`}}"}, parameters={"feeder": 2}),
    router(7, [compose(8, "n {{6.`__IMTAGGLENGTH__`}}"), fail(9, onerror=[compose(10, "e")])]),
)


def test_every_cursor_of_a_run_is_json_and_comes_back_equal() -> None:
    """from_json(to_json(c)) == c after each step, through text."""
    runner = MemoryRunner(plan(BUSY), performer())
    engine = runner.engine()
    cursor, seen = engine.start(), 0
    while True:
        copy = Cursor.from_json(json.loads(json.dumps(cursor.to_json())))
        assert copy == cursor
        seen += 1
        if isinstance(engine.next(cursor), Finished):
            break
        halted = runner.run(cursor, stop_after=1)
        assert halted.cursor is not None
        cursor = halted.cursor

    assert seen > 20


def test_a_cursor_holds_no_data() -> None:
    """However large the bundles are, the cursor stays small."""
    text = "x" * 100_000
    runner = MemoryRunner(
        plan(scenario(start({"t": text}), compose(2, "{{1.t}}"), compose(3, "{{2.value}}"))), performer()
    )

    halted = runner.run(stop_after=2)

    assert halted.cursor is not None
    assert len(json.dumps(halted.cursor.to_json())) < 1000


def test_a_newer_cursor_is_left_alone() -> None:
    """Its format is named."""
    data = MemoryRunner(plan(BUSY), performer()).engine().start().to_json()

    with pytest.raises(ValueError, match="format 99"):
        Cursor.from_json({**data, "v": 99})


def test_next_is_pure() -> None:
    """The same cursor gives the same step."""
    runner = MemoryRunner(plan(BUSY), performer())
    cursor = runner.run(stop_after=5).cursor
    assert cursor is not None

    assert runner.engine().next(cursor) == runner.engine().next(cursor)


def test_a_parked_operation_goes_on_where_it_slept() -> None:
    """Its bundles from before the wait stay, its number too; it counts once."""

    def steps(operation: Operation) -> Steps[None]:
        if operation.resume is None:
            yield Emit([{"n": 1}])
            yield Sleep(timedelta(minutes=5), resume={"page": 2})
        else:
            yield Emit([{"n": operation.resume["page"]}])

    def perform(operation: Operation, bundles: Any) -> Any:
        return steps(operation) if operation.name == "test:Do" else performer()(operation, bundles)

    for recycle in (False, True):
        runner = MemoryRunner(plan(scenario(start({}), module(2, "test:Do"), compose(3, "{{2.n}}"))), perform, recycle)
        result = runner.run()

        assert (result.waits, runner.clock - NOW) == (1, timedelta(minutes=5))
        assert result.outputs()[1:] == [(2, [{"n": 1}, {"n": 2}]), (3, [{"value": "1"}]), (3, [{"value": "2"}])]
        assert result.finished is not None and result.finished.operations == 4


def test_a_sleep_module_waits_and_passes_an_empty_bundle_on() -> None:
    """`util:FunctionSleep` parks for its duration."""
    result = run(scenario(start({}), module(2, "util:FunctionSleep", {"duration": "60"})))

    assert (result.waits, result.outputs()[-1]) == (1, (2, [{}]))


def test_a_step_of_unknown_outcome_stops_the_run_until_somebody_decides() -> None:
    """Status incomplete, the step named; a repetition starts the same operation again."""
    runner = MemoryRunner(plan(scenario(start({}), compose(2, "x"))), performer())
    engine = runner.engine()
    cursor = runner.run(stop_after=1).cursor
    assert cursor is not None
    step = engine.next(cursor)
    assert isinstance(step, Operation)

    stopped = engine.apply(cursor, step, Unknown())
    end = engine.next(stopped)

    assert isinstance(end, Finished)
    assert (end.status, end.unknown) == ("incomplete", (2, step.number))
    assert engine.next(engine.repeat_unknown(stopped)) == step


def _writer(operation: Operation) -> Steps[None]:
    yield Remember("store", f"key {operation.module_id}", operation.cycle)
    yield Emit([{}])


def _run_writers(*flow: Any, **settings: Any) -> Any:
    def perform(operation: Operation, bundles: Any) -> Any:
        return _writer(operation) if operation.name.startswith("test:") else performer()(operation, bundles)

    return MemoryRunner(plan(scenario(*flow, **settings)), perform, True).run()


def test_with_auto_commit_each_operation_is_committed_at_once_and_the_start_module_last() -> None:
    """A later error can undo the start module only."""
    flow = (module(1, "test:Start"), module(2, "test:Do"))

    good = _run_writers(*flow)
    bad = _run_writers(*flow, fail(3))

    assert [intent.key for intent in good.committed] == ["key 2", "key 1"]
    assert good.phases == ["auto commit", "commit"]
    assert [intent.key for intent in bad.committed] == ["key 2"]
    assert [intent.key for intent in bad.rolled_back] == ["key 1"]


def test_without_auto_commit_everything_is_committed_at_the_end_of_the_cycle() -> None:
    """In the order in which it was written; a rollback drops it all."""
    flow = (module(1, "test:Start"), module(2, "test:Do"))

    good = _run_writers(*flow, autoCommit=False, autoCommitTriggerLast=False)
    bad = _run_writers(*flow, fail(3), autoCommit=False)

    assert ([intent.key for intent in good.committed], good.phases) == (["key 1", "key 2"], ["commit"])
    assert (bad.committed, [intent.key for intent in bad.rolled_back]) == ([], ["key 2", "key 1"])


def test_the_start_module_commits_after_reading_when_it_is_not_last() -> None:
    """`autoCommitTriggerLast: false` with auto commit: a later error loses the unprocessed bundles."""
    bad = _run_writers(module(1, "test:Start"), fail(3), autoCommitTriggerLast=False)

    assert [intent.key for intent in bad.committed] == ["key 1"]


def test_a_failed_commit_ends_the_run_at_once() -> None:
    """`InconsistencyError`: nothing more is undone."""
    runner = MemoryRunner(plan(scenario(start({}), roundtrips=3)), performer())
    engine = runner.engine()
    cursor = runner.run(stop_after=1).cursor
    assert cursor is not None
    step = engine.next(cursor)
    assert isinstance(step, Commit)

    end = engine.next(engine.apply(cursor, step, Failed(InconsistencyError("no"))))

    assert isinstance(end, Finished)
    assert (end.status, end.cycles, end.error) == ("error", 1, InconsistencyError("no"))


def test_variables_of_a_cycle_are_cleared_and_those_of_the_execution_stay() -> None:
    """Two maps: reading looks in `roundtrip` first."""

    def setting(number: int, scope: str, value: str) -> dict[str, Any]:
        return module(number, "util:SetVariable2", {"name": "v", "scope": scope, "value": value})

    flow = scenario(
        start({}),
        module(2, "util:GetVariable2", {"name": "v"}),
        setting(3, "execution", "run"),
        setting(4, "roundtrip", "cycle"),
        module(5, "util:GetVariable2", {"name": "v"}),
        roundtrips=2,
    )

    read = [out[0]["v"] for number, out in run(flow).outputs() if number in (2, 5)]

    assert read == [None, "cycle", "run", "cycle"]


def test_a_cursor_applies_only_steps_of_next() -> None:
    """A step that the engine did not give is refused."""
    engine = MemoryRunner(plan(BUSY), performer()).engine()
    cursor = engine.start()

    with pytest.raises(TypeError, match="does not come from"):
        engine.apply(cursor, Commit(1, ()), Done())
