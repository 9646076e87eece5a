"""
Decompression of answers with a bound on what comes out: a few kilobytes can hold gigabytes of zeros.

Source: spec/communication.md sections 22 and 23.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from runtime.errors import DataError, MaxFileSizeExceededError

#: More layers of compression than this have no honest use.
MAX_LAYERS: Final = 3


def too_large(limit: int) -> MaxFileSizeExceededError:
    """The error of an answer over the size limit."""
    return MaxFileSizeExceededError(f"The response is larger than {limit} bytes.")


class Layer(Protocol):
    """One content encoding being undone."""

    def feed(self, data: bytes) -> bytes:
        """What comes out for these bytes."""
        ...

    def end(self) -> None:
        """Check that the stream was complete."""
        ...


class _Inflate:
    def __init__(self, limit: int, *, gzip: bool) -> None:
        self._limit = limit
        self._left = limit
        self._gzip = gzip
        self._started = False
        self._stream = zlib.decompressobj(31 if gzip else 15)

    def feed(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        while data:
            try:
                out = self._stream.decompress(data, self._left + 1)
            except zlib.error as error:
                if self._started or self._gzip:
                    raise DataError("The compressed response is damaged.") from error
                # Some servers say deflate and send it without the zlib frame.
                self._stream = zlib.decompressobj(-15)
                self._started = True
                continue
            self._started = True
            self._left -= len(out)
            if self._left < 0:
                raise too_large(self._limit)
            pieces.append(out)
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._stream.unused_data.lstrip(b"\0")
                if data and self._gzip:
                    self._stream = zlib.decompressobj(31)
                else:
                    break
        return b"".join(pieces)

    def end(self) -> None:
        if self._started and not self._stream.eof:
            raise DataError("The compressed response is incomplete.")


def layers_for(encodings: str, limit: int) -> list[Layer]:
    """
    What undoes a `Content-Encoding`, in the order of use.

    Raises:
        DataError: An encoding is unknown, or there are too many.
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_LAYERS:
        raise DataError("The response is compressed too many times.")
    layers: list[Layer] = []
    for name in reversed(names):
        if name not in ("gzip", "x-gzip", "deflate"):
            raise DataError(f"The response is compressed as '{name[:40]}', which is not supported.")
        layers.append(_Inflate(limit, gzip=name != "deflate"))
    return layers
