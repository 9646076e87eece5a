"""The second process of interrupted runs: takes cursor and bundles, a line a run, and goes on to the end of each."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from typing import Any

from runtime import codec
from runtime.scenario.cursor import Cursor
from runtime.scenario.testing import MemoryRun, MemoryRunner
from tests.unit.scenario.helpers import performer, plan


def go_on(stored: dict[str, Any]) -> MemoryRun:
    """Go on from what one process left: blueprint, cursor, clock and bundles as JSON data."""
    runner = MemoryRunner(plan(stored["blueprint"]), performer())

    def blob(digest: str, _size: int) -> bytes:
        return b64decode(stored["blobs"][digest])

    for number, bundles in stored["bundles"].items():
        runner.bundles.append(int(number), [codec.unmark(bundle, blob) for bundle in bundles])
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


def wrote(run: MemoryRun) -> list[Any]:
    """What it committed and took back, as JSON data."""
    return [[[intent.module, intent.key] for intent in part] for part in (run.committed, run.rolled_back)]


def told(run: MemoryRun) -> list[Any]:
    """Everything that a test compares."""
    return [shown(run), ended(run), run.phases, len(run.incomplete), wrote(run)]


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(told(go_on(json.loads(line)))) + "\n")
        sys.stdout.flush()
