"""Writes to data stores in the ledger: with the checkpoint or not at all, once, and only for their own store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.errors import UsageError
from tests.ledger_kit import accept, claimed, runs, server  # noqa: F401  fixtures
from workers.ledger.records import Checkpoint, FenceLost, StoreFull
from workers.ledger.runs import Runs
from workers.ledger.stores import Stores


@pytest.fixture(name="stores")
def stores_fixture(runs: Runs) -> Stores:  # noqa: F811  the fixture
    """The stores beside the runs, with one of two records."""
    made = Stores(runs.client, runs.keys, runs.key_wrap, most=10_000)
    made.replace("s", {"a": {"n": 1}, "b": {"n": 2}})
    return made


def keys_of(stores: Stores) -> list[str]:
    """Keys in order of insertion."""
    return [key for key, _ in stores.records("s")]


def test_a_repeated_checkpoint_writes_once(runs: Runs, stores: Stores) -> None:  # noqa: F811  the fixture
    """Sent again after a lost answer it changes nothing, and answers the same."""
    claim = claimed(runs, accept(runs))
    writes = (stores.write("s", "put", "c", {"n": 3}), stores.write("s", "delete", "a"))
    made = Checkpoint({}, stores=writes, store_bytes=stores.most)

    first, again = runs.checkpoint(claim, 1, made), runs.checkpoint(claim, 1, made)

    assert first == again
    assert first.applied == (True, True)
    assert keys_of(stores) == ["b", "c"]
    assert stores.show("s").size == sum(map(len, runs.client.hvals(runs.keys.store_records(writes[0].store))))


def test_a_lost_run_writes_nothing(runs: Runs, stores: Stores) -> None:  # noqa: F811  the fixture
    """The fence guards stores like everything else."""
    claim = claimed(runs, accept(runs))
    made = Checkpoint({}, stores=(stores.write("s", "clear"),), store_bytes=stores.most)

    with pytest.raises(FenceLost):
        runs.checkpoint(replace(claim, fence=claim.fence + 1), 1, made)

    assert keys_of(stores) == ["a", "b"]


def test_a_full_store_refuses_the_whole_checkpoint(runs: Runs, stores: Stores) -> None:  # noqa: F811  the fixture
    """Neither the writes before it nor the cursor are there; a replacement by less is no growth."""
    claim = claimed(runs, accept(runs))
    big = {"v": "x" * 6000}
    both = (stores.write("s", "put", "c", big), stores.write("s", "put", "d", big))

    with pytest.raises(StoreFull):
        runs.checkpoint(claim, 1, Checkpoint({"at": 1}, stores=both, store_bytes=stores.most))
    cleared = (stores.write("s", "put", "c", big), stores.write("s", "clear"), stores.write("s", "put", "d", big))
    runs.checkpoint(claim, 1, Checkpoint({"at": 1}, stores=cleared, store_bytes=stores.most))
    runs.checkpoint(claim, 2, Checkpoint({}, stores=(stores.write("s", "put", "d", {}),), store_bytes=1))

    assert keys_of(stores) == ["d"]
    assert stores.get("s", "d") == {}


def test_a_store_that_was_replaced_is_left_alone(runs: Runs, stores: Stores) -> None:  # noqa: F811  the fixture
    """The write was sealed for the old one."""
    claim = claimed(runs, accept(runs))
    write = stores.write("s", "put", "c", {})
    stores.replace("s", {"z": {}})

    answer = runs.checkpoint(claim, 1, Checkpoint({}, stores=(write,), store_bytes=stores.most))

    assert answer.applied == (False,)
    assert keys_of(stores) == ["z"]


def test_stores_of_one_run_are_not_listed_and_end_by_themselves(stores: Stores) -> None:
    """Records that come later get the same end."""
    stores.replace("private", {}, private=True)

    assert [row.name for row in stores.list()] == ["s"]
    assert stores.client.ttl(stores.keys.store("private")) > 0


def test_a_store_over_its_limit_is_not_imported(stores: Stores) -> None:
    """The old records stay."""
    with pytest.raises(UsageError, match="store_bytes"):
        stores.replace("s", {"big": {"v": "x" * 20_000}})

    assert keys_of(stores) == ["a", "b"]
    stores.remove("s")
    with pytest.raises(UsageError, match="no data store"):
        stores.remove("s")
