"""Runs that repeat a part of an ended one, and how long what they need is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from tests.worker_kit import Installation, Peer, blueprint, call, installation, peer
from workers.cli.tree import tree_lines
from workers.ledger.retention import Retention
from workers.views import RunReport

DAYS, GIGABYTE = timedelta(days=30), 1 << 30


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation; no worker runs."""
    with installation(tmp_path, api.port) as made:
        yield made


def items(number: int, *names: str) -> dict[str, Any]:
    """An iterator that gives one bundle a name."""
    mapper = {"array": list(names)}
    return {"id": number, "module": "builtin:BasicFeeder", "version": 1, "parameters": {}, "mapper": mapper}


FLOW = (
    items(1, "a", "b"),
    call(2, "{{1.value}}"),
    {
        "id": 3, "module": "util:SetVariable2", "version": 1, "parameters": {},
        "mapper": {"name": "n", "scope": "roundtrip", "value": "{{1.value}}"},
    },
    {
        "id": 4, "module": "builtin:BasicAggregator", "version": 1, "parameters": {"feeder": 1},
        "mapper": {"path": "{{2.path}}"},
    },
    {"id": 5, "module": "util:GetVariable2", "version": 1, "parameters": {}, "mapper": {"name": "n"}},
    call(6, "{{join(map(4.array; \"path\"); \"+\")}}-{{5.n}}"),
)  # fmt: skip


def ran(place: Installation, *flow: dict[str, Any], **settings: Any) -> RunReport:
    """A run that has ended."""
    return place.service.runs.inline(place.scenario(*flow, **settings))


def repeated(place: Installation, run: str, operation: int, **options: Any) -> RunReport:
    """The run that repeats another one, done in this process."""
    header = place.service.runs.repeat(run, operation, **options)
    place.service.runner.run_message(header.id, header.fence)
    return place.service.runs.show(header.id)


def id_of(report: RunReport) -> str:
    """The run's id."""
    assert report.header is not None
    return report.header.id


@pytest.mark.parametrize("operation", range(1, 9))
def test_every_operation_can_be_the_first_of_a_repetition(place: Installation, api: Peer, operation: int) -> None:
    """From each operation on: the same operations with the same bundles, spans and variables as in the old run."""
    first = ran(place, *FLOW)
    assert len(first.steps) == 8
    place.service.runner.library._plans._kept.clear()

    again = repeated(place, id_of(first), operation)

    def shown(steps: Any) -> list[Any]:
        return [(step["module"], step["status"], step["input"]) for step in steps]

    assert again.status == "success"
    assert shown(again.steps) == shown(first.steps[operation - 1 :])
    assert again.header is not None
    assert (again.header.kind, again.header.source) == ("replay", id_of(first))


def test_edited_bundle_takes_the_place_of_the_stored_one(place: Installation, api: Peer) -> None:
    """`--edit` replaces the bundle that comes into the operation, and nothing else."""
    first = ran(place, items(1, "a", "b"), call(2, "{{1.value}}"), call(3, "then-{{1.value}}"))

    again = repeated(place, id_of(first), 4, edit={"value": "edited"})

    assert [step["input"]["path"] for step in again.steps] == ["edited", "then-edited"]
    with pytest.raises(UsageError, match="start module"):
        place.service.runs.repeat(id_of(first), 1, edit={})


def test_repetition_uses_the_recorded_versions(place: Installation, api: Peer) -> None:
    """A later import under the same name changes nothing for the old run; `--current` takes today's blueprint."""
    first = ran(place, items(1, "a"), call(2, "old-{{1.value}}"))
    assert first.header is not None
    name = place.service.scenarios.show(first.header.scenario).name
    later = blueprint(items(1, "x"), call(2, "new-{{1.value}}"))
    assert place.service.scenarios.import_(later, name=name).updated

    assert repeated(place, id_of(first), 2).steps[0]["input"]["path"] == "old-a"
    today = repeated(place, id_of(first), 1, current=True)
    assert [step["input"].get("path") for step in today.steps] == [None, "new-a"]
    with pytest.raises(UsageError, match="start module"):
        place.service.runs.repeat(id_of(first), 2, current=True)


def test_what_is_not_kept_is_said(place: Installation, api: Peer) -> None:
    """A confidential run, one whose history was cleared, and one that has not ended cannot be repeated."""
    hidden = ran(place, *FLOW, confidential=True)
    cleared = ran(place, *FLOW)
    client, keys = place.service.runner.runs.client, place.keys
    client.delete(keys.bundles(id_of(cleared)))
    waiting = place.service.runs.enqueue(place.scenario(call(1, "a")))

    for run, operation, words in (
        (id_of(hidden), 1, "confidential"),
        (id_of(cleared), 3, "not kept any more"),
        (waiting.id, 1, "only a run that has ended"),
    ):
        with pytest.raises(UsageError, match=words):
            place.service.runs.repeat(run, operation)
    with pytest.raises(UsageError, match="operations 1 to 8"):
        place.service.runs.repeat(id_of(cleared), 9)


def test_tree_shows_bundles_filters_and_numbers(place: Installation, api: Peer) -> None:
    """Operations hang under the bundle that came in; a filter shows what it saw when it passed and when it stopped."""
    condition = {"name": "only a", "conditions": [[{"a": "{{1.value}}", "o": "text:equal", "b": "a"}]]}
    report = ran(place, items(1, "a", "b"), call(2, "{{1.value}}", filter=condition), call(3, "end"))

    lines = tree_lines(report.to_json()["steps"], report.details)

    text = "\n".join(line.split(" ms")[0] for line in lines)
    assert "#1  module 1  builtin:BasicFeeder  success  2 bundles" in text
    assert 'filter "only a": "a" text:equal "a" is true' in text
    assert "│  └─ #2  module 2  peer:call  success  1 bundle" in text
    assert "│     └─ #3  module 3  peer:call  success  1 bundle" in text
    assert "   └─ stopped in front of module 2  peer:call" in text
    assert 'filter "only a": "b" text:equal "a" is false' in text


def retention(place: Installation, *, keep: timedelta = DAYS, keep_bytes: int = GIGABYTE) -> Retention:
    """The scheduler's chore."""
    return Retention(place.service.runner.runs.client, place.keys, keep, keep_bytes)


def test_old_runs_go_whole_and_nothing_else(place: Installation, api: Peer) -> None:
    """After their time runs are gone without a trace; incomplete executions and positions stay (design 10.10)."""
    api.broken["/b"] = 400
    run = id_of(ran(place, items(1, "b"), call(2, "{{1.value}}"), dlq=True))
    young = id_of(ran(place, call(1, "a")))
    runner, keys = place.service.runner, place.keys
    runner.runs.client.zadd(keys.ended, {run: 1})

    assert retention(place).step() == 1

    assert runner.runs.client.keys(f"{keys.run(run)}*") == []
    assert [header.id for header in place.service.runs.list()] == [young]
    (record,) = place.service.incompletes.list()
    assert place.service.incompletes.show(record.id)[1]["1"]["value"] == "b"
    assert retention(place).step() == 0


def test_too_many_bytes_take_bundles_first_and_journals_later(place: Installation, api: Peer) -> None:
    """Over the limit the oldest run loses its bundles first; headers stay (design 10.10)."""
    old, new = id_of(ran(place, call(1, "a"))), id_of(ran(place, call(1, "b")))
    client, keys = place.service.runner.runs.client, place.keys
    held = int(client.get(keys.ended_bytes))

    retention(place, keep_bytes=held - 1).step()
    assert client.exists(keys.bundles(old), keys.bundles(new)) == 1
    retention(place, keep_bytes=0).step()
    assert client.exists(keys.bundles(new), keys.journal(old), keys.journal(new)) == 0

    assert int(client.get(keys.ended_bytes)) == 0
    assert {header.id for header in place.service.runs.list()} == {old, new}
    assert place.service.runs.show(old).steps == ()


def test_contents_stay_while_they_are_named(place: Installation, api: Peer) -> None:
    """Blueprints and app states go when no scenario, app, run or record has named them at two looks."""
    scenario = place.scenario(call(1, "a"))
    client, keys, chore = place.service.runner.runs.client, place.keys, retention(place)
    named = place.service.scenarios.show(scenario).blueprint
    orphan = place.service.runner.library.scenarios.put_blueprint(json.dumps({"flow": []}).encode())

    assert chore.clear_contents() == 0
    assert chore.clear_contents() == 1

    assert client.exists(keys.blueprint(named))
    assert not client.exists(keys.blueprint(orphan))
