"""A polling trigger's position moves with the commit of its cycle, and with nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker_kit import Installation, call, installation, peer

WATCH: dict[str, Any] = {"id": 1, "module": "peer:watch", "version": 1, "parameters": {}, "mapper": {}}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """A fresh installation with an app that polls."""
    with peer() as api, installation(tmp_path, api.port) as made:
        yield made


def watched(place: Installation, scenario: str) -> tuple[str, list[Any]]:
    """One run in this process: its status and what the trigger gave."""
    report = place.service.runs.inline(scenario)
    return report.status, [bundle["id"] for bundle in report.steps[0]["output"]]


def test_committed_position_is_kept(place: Installation) -> None:
    """What a run has processed does not come again in the next one."""
    scenario = place.scenario(WATCH, call(2, "{{1.id}}"))

    assert watched(place, scenario) == ("success", [1, 2])
    assert watched(place, scenario) == ("success", [])


def test_rolled_back_position_comes_again(place: Installation) -> None:
    """A run that fails leaves the position where it was: the same items come again."""
    scenario = place.scenario(WATCH, call(2, "{{1.id}}", "NO SUCH METHOD"))

    assert watched(place, scenario) == ("error", [1, 2])
    assert watched(place, scenario) == ("error", [1, 2])


def test_scenarios_have_positions_of_their_own(place: Installation) -> None:
    """Two scenarios with the same trigger do not take each other's items."""
    first, second = place.scenario(WATCH), place.scenario(WATCH)

    assert watched(place, first) == ("success", [1, 2])
    assert watched(place, second) == ("success", [1, 2])
