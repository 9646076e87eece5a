"""Bundles of a run: stored in chunks, read back exactly, gone when they are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.errors import DataSizeLimitExceededError, ScenaristError
from runtime.values import Buffer
from tests.ledger_kit import accept, claimed, runs, server
from workers.ledger.bundles import CHUNK_BYTES, BundleStore, ChunkReader
from workers.ledger.records import Checkpoint, Claim
from workers.ledger.runs import Runs

__all__ = ["runs", "server"]


@dataclass
class Place:
    """A claimed run with its store."""

    runs: Runs
    claim: Claim
    store: BundleStore
    seq: int = 0
    put: list[str] = field(default_factory=list)

    def put_chunks(self, chunks: dict[str, bytes]) -> None:
        self.put += chunks
        self.runs.put_chunks(self.claim, chunks)

    def put_blob(self, digest: str, data: bytes) -> None:
        self.put.append(digest)
        self.runs.put_blob(self.claim, digest, data)

    def checkpoint(self, dropped: tuple[str, ...] = ()) -> None:
        self.seq += 1
        self.runs.checkpoint(self.claim, self.seq, Checkpoint({}, chunks=self.store.pending_chunks(), dropped=dropped))
        self.store.written()

    def reader(self) -> ChunkReader:
        """Somebody else who reads this run."""
        return self.runs.reader(self.claim.run, self.claim.cipher)


@pytest.fixture
def place(runs: Runs) -> Place:
    """A fresh claimed run that may hold 8 MB."""
    claim = claimed(runs, accept(runs))
    made = Place(runs, claim, None)  # type: ignore[arg-type]
    made.store = BundleStore(runs.client, runs.keys, claim.run, claim.cipher, held=0, most=8_000_000, sink=made)
    return made


def bundle(number: int, size: int = 10) -> dict[str, Any]:
    """A bundle of about this size."""
    return {"n": number, "text": "x" * size}


def test_bundles_come_back_before_and_after_the_checkpoint(place: Place) -> None:
    """A bundle can be read as soon as it is written, by its own segment; by others after the checkpoint."""
    place.store.append(1, [bundle(0), bundle(1)])
    assert place.store.get(1, 1) == bundle(1)
    with pytest.raises(ScenaristError, match="not stored"):
        place.reader().get(1, 0)

    place.checkpoint()

    assert place.reader().get(1, 1) == bundle(1)
    assert place.store.get(1, 0) == bundle(0)


def test_many_bundles_go_out_in_chunks(place: Place) -> None:
    """Outputs beyond a chunk's size are written as they come; each index is found again, in any order."""
    place.store.append(1, [bundle(number, 40_000) for number in range(50)])
    place.checkpoint()

    reader = place.reader()

    assert place.put
    assert max(map(len, place.runs.client.hvals(place.runs.keys.bundles(place.claim.run)))) < CHUNK_BYTES + 100
    assert [reader.get(1, index)["n"] for index in (49, 0, 25, 24, 49)] == [49, 0, 25, 24, 49]
    assert reader.count(1) == 50


def test_bundles_that_come_one_by_one_join_one_number(place: Place) -> None:
    """Elements that an aggregator collects, with a checkpoint between them, are one row of bundles."""
    for number in range(40):
        place.store.append(7, [bundle(number)])
        place.checkpoint()

    reader = place.reader()

    assert [reader.get(7, index)["n"] for index in range(40)] == list(range(40))
    assert place.store.count(7) == reader.count(7) == 40


def test_buffers_are_stored_once_by_content(place: Place) -> None:
    """A buffer's bytes lie in pieces by hash; two bundles with the same bytes share them."""
    data = bytes(range(256)) * 10_000
    place.store.append(1, [{"f": Buffer(data, "binary", "a")}, {"f": Buffer(data, None, "b")}, {"f": Buffer(b"")}])
    place.checkpoint()

    reader = place.reader()

    assert reader.get(1, 1) == {"f": Buffer(data, None, "b")}
    assert reader.get(1, 2) == {"f": Buffer(b"")}
    assert place.runs.client.hlen(place.runs.keys.blobs(place.claim.run)) == 3
    assert place.runs.header(place.claim.run).bytes > len(data)


def test_run_may_not_hold_more_than_allowed(place: Place) -> None:
    """A run that would hold too much fails in the module that asks for it."""
    with pytest.raises(DataSizeLimitExceededError, match="SCENARIST_RUN_BYTES"):
        place.store.append(1, (bundle(number, 1_000_000) for number in range(100)))


def test_discarded_bundles_are_gone(place: Place) -> None:
    """What a failed operation wrote is replaced by its error; numbers beside it stay."""
    place.store.append(1, [bundle(1)])
    place.store.append(2, [bundle(number, 100_000) for number in range(5)])
    dropped = place.store.discard(2)
    place.store.append(2, [{"error": 1}])
    chunks = place.store.pending_chunks()

    place.checkpoint(tuple(set(dropped) - chunks.keys()))

    reader = place.reader()
    assert reader.get(2, 0) == {"error": 1}
    assert reader.count(2) == 1
    assert reader.get(1, 0) == bundle(1)


def test_chunk_of_another_place_is_refused(place: Place) -> None:
    """Stored bytes that are moved to another number are noticed, not read."""
    place.store.append(1, [bundle(1)])
    place.checkpoint()
    key = place.runs.keys.bundles(place.claim.run)
    place.runs.client.hset(key, "2:0", place.runs.client.hget(key, "1:0"))

    with pytest.raises(ScenaristError):
        place.reader().get(2, 0)
