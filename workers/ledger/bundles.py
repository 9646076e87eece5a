"""
A run's bundles and buffers: encrypted chunks by (number, index), pieces by hash (design sections 10.1 and 10.2).

A chunk is a JSON list of bundles in marked form under the field `number:first index`. It holds up to 256 KiB, or one
bundle. Which chunks there are is read from the server once, when a reader first misses one.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

import redis

from runtime import codec
from runtime.errors import DataSizeLimitExceededError, ScenaristError
from runtime.values import Buffer, Bundle
from workers.ledger.cipher import RunCipher
from workers.ledger.keys import Keys

#: A chunk is closed when it reaches this size: large enough for few round trips, small enough to hold in memory.
CHUNK_BYTES = 256 * 1024
#: Buffers are stored in pieces of this size.
BLOB_BYTES = 1 << 20
#: Decoded chunks that a reader keeps. A run reads at most one chunk per open batch, and batches nest only a few deep.
_CACHED_CHUNKS = 16
#: Bundles in these chunks together: full chunks of small bundles would take many megabytes.
_CACHED_BUNDLES = 4096
#: Small chunks behind the wanted one are fetched together, up to this number.
_READ_AHEAD = 64


def cut_chunks(bundles: Iterable[bytes], first: int = 0) -> Iterator[tuple[int, bytes]]:
    """Encoded bundles put together to chunks: (index of the first bundle, JSON list)."""
    held: list[bytes] = []
    size, start = 0, first
    for bundle in bundles:
        if held and size + len(bundle) > CHUNK_BYTES:
            yield start, b"[" + b",".join(held) + b"]"
            start += len(held)
            held, size = [], 0
        held.append(bundle)
        size += len(bundle)
    if held:
        yield start, b"[" + b",".join(held) + b"]"


class ChunkReader:
    """Reads bundles of one run. Gives a fresh copy of nothing: treat what it gives as frozen."""

    def __init__(self, client: redis.Redis, keys: Keys, run: str, cipher: RunCipher) -> None:
        self._client = client
        self._keys = keys
        self._run = run
        self._cipher = cipher
        #: number -> first indexes of its chunks, ascending.
        self._starts: dict[int, list[int]] = {}
        self._cache: OrderedDict[tuple[int, int], list[Bundle]] = OrderedDict()

    def get(self, operation: int, index: int) -> Bundle:
        """
        The bundle with this index under this number.

        Raises:
            ScenaristError: It is not stored (any more).
        """
        found = self._find(operation, index)
        if found is None:
            self.refresh()
            found = self._find(operation, index)
        if found is None:
            raise ScenaristError(f"run {self._run}: its bundle {operation}/{index} is not stored any more")
        return found

    def count(self, number: int) -> int:
        """How many bundles lie under this number (of those that were stored when this reader first looked)."""
        starts = self._starts.get(number)
        if starts is None:
            self.refresh()
            starts = self._starts.get(number)
        return 0 if not starts else starts[-1] + len(self._chunk(number, len(starts) - 1))

    def get_blob(self, digest: str, size: int) -> bytes:
        """
        The bytes of a buffer.

        Raises:
            ScenaristError: They are not stored.
        """
        fields = [f"{digest}:{piece}" for piece in range(-(-size // BLOB_BYTES))]
        if not fields:
            return b""
        found = cast("list[bytes | None]", self._client.hmget(self._keys.blobs(self._run), fields))
        parts = [
            self._cipher.decrypt(piece, f"blob {name}") for piece, name in zip(found, fields, strict=True) if piece
        ]
        data = b"".join(parts)
        if len(data) != size:
            raise ScenaristError(f"run {self._run}: the buffer {digest[:12]}… is not stored any more")
        return data

    def refresh(self) -> None:
        """Look again which chunks there are."""
        starts: dict[int, list[int]] = {}
        for name in cast("list[bytes]", self._client.hkeys(self._keys.bundles(self._run))):
            number, _, first = name.partition(b":")
            starts.setdefault(int(number), []).append(int(first))
        for known in starts.values():
            known.sort()
        self._starts = starts

    def _find(self, number: int, index: int) -> Bundle | None:
        starts = self._starts.get(number)
        if not starts:
            return None
        at = bisect.bisect_right(starts, index) - 1
        if at < 0:
            return None
        chunk = self._chunk(number, at)
        offset = index - starts[at]
        return chunk[offset] if offset < len(chunk) else None

    def _chunk(self, number: int, at: int) -> list[Bundle]:
        starts = self._starts[number]
        place = (number, starts[at])
        chunk = self._cache.get(place)
        if chunk is not None:
            self._cache.move_to_end(place)
            return chunk
        ahead = [f"{number}:{first}" for first in starts[at : at + self._ahead(starts, at)]]
        found = cast("list[bytes | None]", self._client.hmget(self._keys.bundles(self._run), ahead))
        for name, stored in reversed(list(zip(ahead, found, strict=True))):
            if stored is not None:
                plain = self._cipher.decrypt(stored, f"chunk {name}")
                chunk = cast("list[Bundle]", codec.loads(plain, self.get_blob))
                self._keep((number, int(name.partition(":")[2])), chunk)
        if found[0] is None or chunk is None:
            raise ScenaristError(f"run {self._run}: its bundles {number}/{starts[at]} are not stored any more")
        return chunk

    def _ahead(self, starts: list[int], at: int) -> int:
        # Chunks of a few bundles were written one by one (collected elements): fetch many of them at once.
        few = at + 1 < len(starts) and starts[at + 1] - starts[at] < 8
        return min(_CACHED_CHUNKS - 2, _READ_AHEAD) if few else 1

    def _keep(self, place: tuple[int, int], chunk: list[Bundle]) -> None:
        self._cache[place] = chunk
        self._cache.move_to_end(place)
        while len(self._cache) > _CACHED_CHUNKS or (len(self._cache) > 2 and self._cached() > _CACHED_BUNDLES):
            self._cache.popitem(last=False)

    def _cached(self) -> int:
        return sum(map(len, self._cache.values()))


class Sink(Protocol):
    """Where a segment's data go before their checkpoint; raises FenceLost when another worker has the run."""

    def put_chunks(self, chunks: dict[str, bytes]) -> None:
        """Write full chunks of the running operation."""
        ...

    def put_blob(self, digest: str, data: bytes) -> None:
        """Write a buffer's bytes."""
        ...


@dataclass(slots=True)
class _Tail:
    """Bundles of one number that are not on the server yet."""

    first: int
    bundles: list[Bundle] = field(default_factory=list[Bundle])
    encoded: list[bytes] = field(default_factory=list[bytes])
    size: int = 0


class BundleStore(ChunkReader):
    """
    A segment's bundles: what it writes stays in memory until the next checkpoint or until a chunk is full, and can be
    read at once.
    """

    def __init__(
        self, client: redis.Redis, keys: Keys, run: str, cipher: RunCipher, *, held: int, most: int, sink: Sink
    ) -> None:
        super().__init__(client, keys, run, cipher)
        self._held = held
        self._most = most
        self._sink = sink
        self._blobs: set[str] = set()
        self._pending: dict[int, _Tail] = {}
        self._sizes: dict[int, int] = {}

    @property
    def held(self) -> int:
        """Bytes that the run holds, as far as this segment knows."""
        return self._held

    def size(self, number: int) -> int:
        """Bytes that this segment has written under a number."""
        return self._sizes.get(number, 0)

    def append(self, number: int, bundles: Iterable[Bundle]) -> None:
        """
        Write bundles behind those that lie under this number.

        Raises:
            DataSizeLimitExceededError: The run would hold more than it may.
            DataError: A bundle cannot be stored.
            FenceLost: Another worker has the run.
        """
        tail = self._pending.get(number)
        if tail is None:
            tail = self._pending[number] = _Tail(self._next_index(number))
        for bundle in bundles:
            encoded = codec.dumps(bundle, self._put_blob)
            self._grow(len(encoded))
            if tail.size and tail.size + len(encoded) > CHUNK_BYTES:
                self._sink.put_chunks(self._seal(number, tail))
                tail = self._pending[number] = _Tail(tail.first + len(tail.bundles))
            tail.bundles.append(bundle)
            tail.encoded.append(encoded)
            tail.size += len(encoded)
            self._sizes[number] = self._sizes.get(number, 0) + len(encoded)

    def pending_chunks(self) -> dict[str, bytes]:
        """Everything that waits for the checkpoint, sealed; `written` clears it."""
        chunks: dict[str, bytes] = {}
        for number, tail in self._pending.items():
            chunks.update(self._seal(number, tail))
        return chunks

    def written(self) -> None:
        """The checkpoint was written: nothing is pending any more."""
        self._pending.clear()

    def discard(self, number: int) -> tuple[str, ...]:
        """Forget what lies under this number; gives the fields that are on the server and have to be deleted."""
        pending = self._pending.pop(number, None)
        starts = self._starts.pop(number, [])
        for first in starts:
            self._cache.pop((number, first), None)
        on_server = [first for first in starts if pending is None or first < pending.first]
        return tuple(f"{number}:{first}" for first in on_server)

    def count(self, number: int) -> int:
        """How many bundles lie under this number, pending ones included."""
        tail = self._pending.get(number)
        return tail.first + len(tail.bundles) if tail else super().count(number)

    def numbers(self) -> set[int]:
        """Numbers under which this segment knows chunks."""
        return set(self._starts) | set(self._pending)

    def _next_index(self, number: int) -> int:
        if number not in self._starts:
            return 0
        return super().count(number)

    def _find(self, number: int, index: int) -> Bundle | None:
        tail = self._pending.get(number)
        if tail is not None and index >= tail.first:
            offset = index - tail.first
            return tail.bundles[offset] if offset < len(tail.bundles) else None
        return super()._find(number, index)

    def _seal(self, number: int, tail: _Tail) -> dict[str, bytes]:
        field = f"{number}:{tail.first}"
        starts = self._starts.setdefault(number, [])
        if not starts or starts[-1] < tail.first:
            starts.append(tail.first)
        self._keep((number, tail.first), tail.bundles)
        return {field: self._cipher.encrypt(b"[" + b",".join(tail.encoded) + b"]", f"chunk {field}")}

    def _put_blob(self, buffer: Buffer) -> str:
        digest = codec.blob_hash(buffer)
        if digest not in self._blobs:
            self._grow(len(buffer.data))
            self._sink.put_blob(digest, buffer.data)
            self._blobs.add(digest)
        return digest

    def _grow(self, size: int) -> None:
        self._held += size
        if self._held > self._most:
            raise DataSizeLimitExceededError(f"The run would hold more than {self._most} bytes (SCENARIST_RUN_BYTES).")
