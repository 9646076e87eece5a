"""Bundles made ready for a store of their own: encrypted chunks and pieces of buffers (design section 10.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runtime import codec
from runtime.values import Buffer, Bundle
from workers.ledger.bundles import BLOB_BYTES, cut_chunks
from workers.ledger.cipher import RunCipher


@dataclass(slots=True)
class Packing:
    """Collects what one cipher encrypts: `chunks` and `blobs` by field name."""

    cipher: RunCipher
    chunks: dict[str, bytes] = field(default_factory=dict[str, bytes])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def put_blob(self, buffer: Buffer) -> str:
        """Keep a buffer's bytes; gives their hash."""
        digest = codec.blob_hash(buffer)
        if f"{digest}:0" not in self.blobs:
            self.blobs.update(cipher_pieces(self.cipher, digest, buffer.data))
        return digest

    def add(self, number: int, bundles: Iterable[Bundle]) -> None:
        """
        Add the bundles of one number, from index 0.

        Raises:
            DataError: One of them cannot be stored.
        """
        for start, plain in cut_chunks(codec.dumps(bundle, self.put_blob) for bundle in bundles):
            name = f"{number}:{start}"
            self.chunks[name] = self.cipher.encrypt(plain, f"chunk {name}")

    @property
    def size(self) -> int:
        """Bytes of everything so far."""
        return sum(map(len, self.chunks.values())) + sum(map(len, self.blobs.values()))


def cipher_pieces(cipher: RunCipher, digest: str, data: bytes) -> dict[str, bytes]:
    """A buffer's bytes as encrypted pieces by field name."""
    return {
        f"{digest}:{at // BLOB_BYTES}": cipher.encrypt(data[at : at + BLOB_BYTES], f"blob {digest}:{at // BLOB_BYTES}")
        for at in range(0, len(data), BLOB_BYTES)
    }
