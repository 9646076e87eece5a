"""
Nothing accepted is lost, and nothing happens twice unseen, whatever is killed at whatever moment (issue S6).

`make faults` runs 1,000 starts, `FAULTS_SEED=n make faults` repeats a sequence of decisions.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.storm import Storm
from tests.integration.test_gateway_intake import free_port
from workers.doctor import examine
from workers.ledger.states import RESTING, RunState

# It has many processes for few cores; waiting inside is by condition.
pytestmark = pytest.mark.timeout(600)

SIZE = int(os.environ.get("FAULTS_SIZE", "60"))
SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def test_storm(tmp_path: Path) -> None:
    with Storm(tmp_path, SEED, SIZE, free_port()).running() as storm:
        print(storm)  # noqa: T201  shown when it fails: the seed repeats it
        storm.blow()
        storm.settle()
        check_promises(storm)
        storm.decide()
        check_end(storm)


def check_promises(storm: Storm) -> None:
    """Before anybody decides anything: nothing was lost, and nothing happened twice."""
    runs, service, what = storm.place.service.runner.runs, storm.place.service, str(storm)
    headers = {header.id: header for header in runs.list(limit=100_000)}
    undecided = [header for header in headers.values() if header.state is RunState.INCOMPLETE]

    # Every accepted run has ended, waits for a decision, or stands in line behind such a one.
    assert not [run for run in storm.accepted.runs if run not in headers], what
    behind = {header.scenario for header in undecided} & {storm.polling}
    open_ = [header for header in headers.values() if header.state not in RESTING and header.scenario not in behind]
    assert not open_, what
    assert not [header.error for header in headers.values() if header.state is RunState.ERROR], what

    # No unsafe request was repeated: where its outcome is not known, its run has stopped.
    repeated = {path: count for (method, path), count in storm.api.seen.items() if method == "POST" and count > 1}
    assert not repeated, what

    # Each event that was answered with 200 has run, or is shown with its run.
    rows = service.runner.events.list(storm.hook.id, limit=100_000)
    shown = {service.runner.events.event(storm.hook, row.id)["n"] for row in rows}
    done = {number for number in storm.accepted.events if storm.api.seen["GET", f"/f/{number}"]}
    assert set(storm.accepted.events) <= done | shown, what
    assert {row.run for row in rows} <= {header.id for header in undecided}, what

    # The store holds what the runs have committed, and nothing else.
    stored = {int(key) for key in service.stores.export("done")}
    direct = {int(run, 16): headers[run].state for run in storm.accepted.runs if headers[run].scenario == storm.direct}
    assert {number for number, state in direct.items() if state is RunState.SUCCESS} <= stored <= set(direct), what


def check_end(storm: Storm) -> None:
    """After a person has let the undecided runs go on: everything is done, and nothing is left behind."""
    service, what = storm.place.service, str(storm)
    headers = {header.id: header for header in service.runs.list(limit=100_000)}
    assert all(header.state is RunState.SUCCESS for header in headers.values()), what
    for number in {*storm.accepted.events, *storm.accepted.unclear}:
        assert storm.api.seen["POST", f"/e/{number}"] <= 1 + (f"/e/{number}" in storm.decided), what
    again = {path for (method, path), count in storm.api.seen.items() if method == "POST" and count > 1}
    assert again <= storm.decided, what

    # Each item of the trigger was handed out, once.
    assert {path for _, path in storm.api.seen if path.startswith("/w/")} == {
        f"/w/{item}" for item in storm.accepted.items
    }, what
    assert {int(key) for key in service.stores.export("done")} == {
        int(run, 16) for run in storm.accepted.runs if headers[run].scenario == storm.direct
    }, what

    client, keys = service.server.client, storm.place.keys
    assert service.runner.events.list(storm.hook.id) == [], what
    for index in (keys.leased, keys.queued, keys.due, keys.instant_runs(storm.hook.scenario)):
        assert not client.exists(index), (what, index)
    assert not client.exists(keys.hook_held(storm.hook.id)), what
    assert not [finding for finding in examine(storm.place.environment) if finding.level == "error"], what
