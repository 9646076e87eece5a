"""The second process of an interrupted run: takes cursor and bundles from standard input and goes on to the end."""

from __future__ import annotations

import json
import sys
from typing import Any

from runtime import codec
from runtime.scenario.cursor import Cursor
from runtime.scenario.testing import MemoryRun, MemoryRunner
from tests.unit.scenario.helpers import performer, plan


def go_on(stored: dict[str, Any]) -> MemoryRun:
    """Go on from what one process left: blueprint, cursor, clock and bundles as JSON data."""
    runner = MemoryRunner(plan(stored["blueprint"]), performer())
    for number, bundles in stored["bundles"].items():
        runner.bundles.append(int(number), [codec.unmark(bundle) for bundle in bundles])
    runner.clock = codec.unmark(stored["clock"])
    return runner.run(Cursor.from_json(stored["cursor"]))


def shown(run: MemoryRun) -> list[Any]:
    """What a run did, as JSON data: its steps with inputs and outputs."""
    return [
        [
            step.module,
            step.cycle,
            step.error.name if step.error else None,
            codec.mark(step.input),
            codec.mark(step.output),
        ]
        for step in run.steps
    ]


def ended(run: MemoryRun) -> list[Any]:
    """How it ended, as JSON data."""
    end = run.finished
    assert end is not None
    return [end.status, end.error.to_json() if end.error else None, end.error_module, end.operations, end.cycles]


if __name__ == "__main__":
    done = go_on(json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps([shown(done), ended(done), done.phases, len(done.incomplete)]))
