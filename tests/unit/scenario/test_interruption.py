"""
A run may stop after any step and go on elsewhere (issue point 3): same operations, same bundles, same end.

What goes to the next process is JSON: the cursor, and the bundles that it can still reach.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from runtime import codec
from runtime.scenario.testing import MemoryRunner
from tests.paths import ROOT
from tests.unit.scenario.flows import FLOWS
from tests.unit.scenario.helpers import performer, plan
from tests.unit.scenario.second_process import ended, go_on, shown

#: These go on in a real second process, from the middle; a process costs a third of a second.
SAMPLE = ("everything at once", "sleep in an open span", "router in an error route", "if-else and merge")

SHAPING = (
    "BasicAggregator BasicFeeder BasicIfElse BasicMerge BasicRepeater BasicRouter "
    "Break Commit Ignore Resume Rollback ThrowError ThrowWarning"
)


def whole(name: str) -> tuple[list[Any], list[Any], list[str], int, int]:
    """The uninterrupted run: steps, end, phases, stored failures, and how many engine steps it took."""
    runner = MemoryRunner(plan(FLOWS[name]), performer())
    run = runner.run()
    count = 0
    while MemoryRunner(plan(FLOWS[name]), performer()).run(stop_after=count).finished is None:
        count += 1
    return shown(run), ended(run), run.phases, len(run.incomplete), count


def left(name: str, count: int) -> tuple[dict[str, Any], Any]:
    """What a process leaves that stops after so many steps, as JSON data that went through text; and its run."""
    runner = MemoryRunner(plan(FLOWS[name]), performer())
    run = runner.run(stop_after=count)
    assert run.cursor is not None
    runner.bundles.keep(run.cursor.reachable())
    stored = {
        "blueprint": FLOWS[name],
        "cursor": run.cursor.to_json(),
        "clock": codec.mark(runner.clock),
        "bundles": {
            number: [codec.mark(bundle) for bundle in bundles] for number, bundles in runner.bundles._chunks.items()
        },
    }
    return json.loads(json.dumps(stored)), run


@pytest.mark.parametrize("name", FLOWS)
def test_run_goes_on_after_every_step(name: str) -> None:
    """Stopped after each step in turn, with a fresh plan, engine and store behind it."""
    steps, end, phases, stored, count = whole(name)
    assert count

    for cut in range(1, count):
        rest, first = left(name, cut)
        second = go_on(rest)
        assert shown(first) + shown(second) == steps, cut
        assert ended(second) == end, cut
        assert first.phases + second.phases == phases, cut
        assert len(first.incomplete) + len(second.incomplete) == stored, cut


@pytest.mark.parametrize("name", SAMPLE)
def test_another_process_goes_on(name: str) -> None:
    """The same across a real process boundary, from the middle of the run."""
    steps, end, phases, stored, count = whole(name)
    rest, first = left(name, count // 2)

    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.scenario.second_process"],
        input=json.dumps(rest), capture_output=True, text=True, cwd=ROOT, check=True, timeout=60,
    )  # fmt: skip

    second = json.loads(done.stdout)
    assert shown(first) + second[0] == json.loads(json.dumps(steps))
    assert second[1] == json.loads(json.dumps(end))
    assert first.phases + second[2] == phases
    assert len(first.incomplete) + second[3] == stored


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


def _names(flow: list[Any]) -> set[str]:
    names: set[str] = set()
    for item in flow:
        names.add(item["module"])
        for inner in (*item.get("routes", ()), *item.get("branches", ())):
            names |= _names(inner["flow"])
        names |= _names(item.get("onerror", []))
    return names
