"""
A run may stop after any step and go on elsewhere (issue point 3): same operations, same bundles, same end.

What goes to the next process is JSON: the cursor, and the bundles that it can still reach.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modules.builtin import BUILTIN_MODULES
from runtime import codec
from runtime.scenario.catalog import Role
from runtime.scenario.testing import MemoryRunner
from runtime.values import Buffer
from tests.paths import ROOT
from tests.unit.scenario.flows import FLOWS
from tests.unit.scenario.helpers import performer, plan
from tests.unit.scenario.second_process import shown, told, wrote

SHAPING = (
    "BasicAggregator BasicFeeder BasicIfElse BasicMerge BasicRepeater BasicRouter "
    "Break Commit Ignore Resume Rollback ThrowError ThrowWarning"
)


def whole(name: str) -> tuple[list[Any], int]:
    """The uninterrupted run: what it did as JSON data, and how many engine steps it took."""
    runner = MemoryRunner(plan(FLOWS[name]), performer())
    run = runner.run()
    count = 0
    while MemoryRunner(plan(FLOWS[name]), performer()).run(stop_after=count).finished is None:
        count += 1
    return json.loads(json.dumps(told(run))), count


def left(name: str, count: int) -> tuple[dict[str, Any], Any]:
    """What a process leaves that stops after so many steps, as JSON data that went through text; and its run."""
    runner = MemoryRunner(plan(FLOWS[name]), performer())
    run = runner.run(stop_after=count)
    assert run.cursor is not None
    runner.bundles.keep(run.cursor.reachable())
    blobs: dict[str, str] = {}

    def keep(buffer: Buffer) -> str:
        digest = codec.blob_hash(buffer)
        blobs[digest] = b64encode(buffer.data).decode()
        return digest

    stored = {
        "blobs": blobs,
        "blueprint": FLOWS[name],
        "cursor": run.cursor.to_json(),
        "clock": codec.mark(runner.clock),
        "bundles": {
            number: [codec.mark(bundle, keep) for bundle in bundles]
            for number, bundles in runner.bundles._chunks.items()
        },
    }
    return json.loads(json.dumps(stored)), run


@pytest.fixture(name="elsewhere", scope="module")
def elsewhere_fixture() -> Iterator[Callable[[Any], list[Any]]]:
    """Another process: what it is given goes on there, with a fresh plan, engine and store."""
    command = [sys.executable, "-m", "tests.unit.scenario.second_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None and process.stdout is not None
        sent, answers = process.stdin, process.stdout

        def go_on(rest: Any) -> list[Any]:
            sent.write(json.dumps(rest) + "\n")
            sent.flush()
            return json.loads(answers.readline())

        yield go_on
        sent.close()


@pytest.mark.parametrize("name", FLOWS)
def test_another_process_goes_on_after_every_step(name: str, elsewhere: Callable[[Any], list[Any]]) -> None:
    """Stopped after each step in turn: same operations, same bundles, same writes, same end as uninterrupted."""
    (steps, end, phases, stored, writes), count = whole(name)
    assert count

    for cut in range(1, count):
        rest, first = left(name, cut)
        second = elsewhere(rest)
        assert json.loads(json.dumps(shown(first))) + second[0] == steps, cut
        assert second[1] == end, cut
        assert first.phases + second[2] == phases, cut
        assert len(first.incomplete) + second[3] == stored, cut
        assert [one + other for one, other in zip(wrote(first), second[4], strict=True)] == writes, cut


@pytest.mark.parametrize("name", [name for name in FLOWS if FLOWS[name]["metadata"]["scenario"].get("dlq")])
def test_retry_of_every_stored_failure_ends(name: str) -> None:
    """A stored failure's snapshot reads nothing but its own bundles, and a retry that fails again stores it again."""
    runner = MemoryRunner(plan(FLOWS[name]), performer())
    run = runner.run()

    for start, step in zip(run.snapshots, run.incomplete, strict=True):
        again = runner.retry(start)
        assert again.steps[0].module == step.module_id
        assert [item.module_id for item in again.incomplete] == [step.module_id]


def test_the_flows_use_every_kind_of_module() -> None:
    """At least 30 blueprints, and in them every module name that shapes a flow or handles an error."""
    names = {name for flow in FLOWS.values() for name in _names(flow["flow"])}

    assert len(FLOWS) >= 30
    assert {f"builtin:{name}" for name in SHAPING.split()} <= names
    assert {name for name, entry in BUILTIN_MODULES.items() if entry.role is Role.AGGREGATOR} <= names


def _names(flow: list[Any]) -> set[str]:
    names: set[str] = set()
    for item in flow:
        names.add(item["module"])
        for inner in (*item.get("routes", ()), *item.get("branches", ())):
            names |= _names(inner["flow"])
        names |= _names(item.get("onerror", []))
    return names
