"""What was evaluated before a wait is what the operation goes on with (design section 10.3)."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import codec
from runtime.effects import Emit, Sleep, Steps
from runtime.scenario.keeping import keep_config, kept_config
from runtime.scenario.steps import Operation
from runtime.scenario.testing import MemoryRunner
from runtime.values import ERASE, FORCED_EMPTY
from tests.unit.scenario.helpers import module, performer, plan, scenario, start


@pytest.mark.parametrize("recycle", [False, True])
def test_waking_evaluates_nothing_again(recycle: bool) -> None:
    """`uuid` and `now` keep the values that they had when the operation began, however often it waits."""
    seen: list[dict[str, Any]] = []

    def waiting(operation: Operation) -> Steps[None]:
        from datetime import timedelta

        seen.append(operation.mapped)
        if len(seen) < 3:
            yield Sleep(timedelta(minutes=5), resume={"n": len(seen)})
        yield Emit([{"id": operation.mapped["id"]}])

    flow = scenario(start({}), module(2, "test:Do", {"id": "{{uuid}}", "at": "{{now}}", "e": "{{emptystring}}"}))
    runner = MemoryRunner(plan(flow), performer({"test:Do": waiting}), recycle=recycle)  # type: ignore[dict-item]

    assert runner.run().status == "success"

    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]
    assert seen[2]["e"] is FORCED_EMPTY


def test_marks_survive_the_store() -> None:
    """`emptystring` and `erase` come back in their places, at any depth, through marked JSON."""
    static, mapped = {"a": 1}, {"x": FORCED_EMPTY, "l": [ERASE, {"y": ERASE, "z": 2}], "n": None}

    stored = codec.loads(codec.dumps(keep_config(static, mapped), lambda _buffer: ""), lambda _digest, _size: b"")
    again = kept_config(stored)

    assert again == (static, mapped)
    assert again[1]["x"] is FORCED_EMPTY
    assert again[1]["l"][0] is ERASE
    assert again[1]["l"][1]["y"] is ERASE
