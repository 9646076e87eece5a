"""The app `archive`: pack files and take them out again, in memory (spec/scenarios.md 4.10)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

from modules.builtin.builtin import FEEDER
from modules.builtin.job import Builtin, BuiltinJob, field, invalid, pure
from runtime.errors import MaxFileSizeExceededError
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.values import Buffer, Bundle, to_text

#: Most bytes that an archive may hold when it is unpacked, and most files in it: small archives can hold huge ones.
MAX_BYTES: Final = 100 << 20
MAX_FILES: Final = 10_000
_EXTENSIONS: Final = {"zip": ".zip", "gzip": ".tar.gz", "tar": ".tar"}
#: The same files give the same bytes: every entry has the first instant that zip knows.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def _bytes(value: Any) -> bytes:
    return value.data if isinstance(value, Buffer) else to_text(value).encode("utf-8", "replace")


def _name(value: Any) -> str:
    """A path inside of an archive: relative, without parent folders."""
    parts = [part for part in to_text(value).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "file"


def pack(job: BuiltinJob) -> list[Bundle]:
    """Create an archive of the collected files: `{fileName, data}`."""
    kind = to_text(job.config.get("type", "")) or "zip"
    if kind not in _EXTENSIONS:
        raise invalid(f"There is no archive type {kind!r}; known are {', '.join(_EXTENSIONS)}.")

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        archive = ""
        files: list[tuple[str, bytes]] = []
        size = 0
        for item in items:
            archive = archive or to_text(item.get("archiveName", item.get("name", "")))
            files.append((_name(item.get("fileName", "")), _bytes(item.get("data", ""))))
            size += len(files[-1][1])
            if size > MAX_BYTES:
                raise MaxFileSizeExceededError(f"The files have more than {MAX_BYTES >> 20} MiB together.")
        archive = archive or to_text(job.config.get("archiveName", "")) or "archive"
        if not archive.endswith(_EXTENSIONS[kind]):
            archive += _EXTENSIONS[kind]
        data = _zip(files, to_text(job.config.get("comment", ""))) if kind == "zip" else _tar(files, kind == "gzip")
        return {"fileName": archive, "data": Buffer(data, name=archive)}

    assert job.collected is not None and job.read is not None  # noqa: S101  an aggregator always gets both
    return flush(job.collected, job.read, make)


def _zip(files: list[tuple[str, bytes]], comment: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment.encode("utf-8", "replace")[:65_535]
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _tar(files: list[tuple[str, bytes]], compressed: bool) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0) if compressed else stream.getvalue()


def extract(job: BuiltinJob) -> list[Bundle]:
    """One bundle per file of an archive: `{fileName, filePath, data, size}`."""
    data = _bytes(job.config["data"])
    try:
        if data[:2] == b"\x1f\x8b":
            data = inflated(data, 31)
            if not tarfile.is_tarfile(io.BytesIO(data)):
                name = to_text(job.config.get("fileName", "")).rpartition("/")[2].removesuffix(".gz") or "file"
                return [_file(name, data)]
        if zipfile.is_zipfile(io.BytesIO(data)):
            return list(_unzip(data))
        return list(_untar(data))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise invalid("The data are no archive that can be read (zip, tar, gzip).") from None


def _unzip(data: bytes) -> Iterator[Bundle]:
    total = 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _count(len(entries))
        for entry in entries:
            # Read by the limit, not by the size that the archive claims.
            with archive.open(entry) as stream:
                content = stream.read(MAX_BYTES - total + 1)
            total += len(content)
            _limit(total)
            yield _file(entry.filename, content)


def _untar(data: bytes) -> Iterator[Bundle]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        entries = [entry for entry in archive.getmembers() if entry.isfile()]
        _count(len(entries))
        for entry in entries:
            stream = archive.extractfile(entry)
            yield _file(entry.name, stream.read() if stream is not None else b"")


def _count(number: int) -> None:
    if number > MAX_FILES:
        raise MaxFileSizeExceededError(f"The archive holds more than {MAX_FILES} files.")


def _limit(size: int) -> None:
    if size > MAX_BYTES:
        raise MaxFileSizeExceededError(f"The archive holds more than {MAX_BYTES >> 20} MiB.")


def _file(path: str, data: bytes) -> Bundle:
    place = _name(path)
    name = place.rpartition("/")[2]
    return {"fileName": name, "filePath": place, "data": Buffer(data, name=name), "size": len(data)}


def inflated(data: bytes, window: int) -> bytes:
    """
    Decompressed bytes. `window` is zlib's: 31 for gzip, 15 for zlib, -15 for a bare stream.

    Raises:
        MaxFileSizeExceededError: They are more than `MAX_BYTES`.
        zlib.error: The data are damaged.
    """
    reader = zlib.decompressobj(window)
    found = reader.decompress(data, MAX_BYTES + 1)
    _limit(len(found))
    if not reader.eof:
        raise zlib.error("the data end too early")
    return found


def deflate(job: BuiltinJob) -> list[Bundle]:
    """Compress a buffer."""
    return [{"data": Buffer(zlib.compress(_bytes(job.config["data"])))}]


def inflate(job: BuiltinJob) -> list[Bundle]:
    """Decompress a buffer: zlib, gzip or a bare deflate stream."""
    data = _bytes(job.config["data"])
    for window in (47, -15):
        try:
            return [{"data": Buffer(inflated(data, window))}]
        except zlib.error:
            continue
    raise invalid("The data are not compressed by deflate.")


_DATA: Final = field("data", "any", required=True)

ENTRIES: Final = (
    Builtin(
        "archive:PackAggregator",
        role=Role.AGGREGATOR,
        run=pure(pack),
        static=[FEEDER, field("type"), field("comment"), field("archiveName")],
        multi_bundle=True,
        open_mapper=True,
    ),
    Builtin("archive:Extract", run=pure(extract), mappable=[field("fileName"), _DATA], multi_bundle=True),
    Builtin("archive:Deflate", run=pure(deflate), mappable=[_DATA]),
    Builtin("archive:Inflate", run=pure(inflate), mappable=[_DATA]),
)
