"""
Where the files of an app come from: a folder, or files in memory (a registered app is stored as its files).

Paths are relative to the app root with `/` between the parts. They come from the app itself, so they are untrusted:
`clean_path` decides lexically that a path stays inside, and a folder decides once more on the real path, which also
finds symbolic links that lead out (spec/app-format.md 4).
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from runtime.errors import ScenaristError

#: A component file over this size is refused before it is read (spec/app-format.md 4).
MAX_FILE_BYTES = 5 * 1024 * 1024

Trouble: TypeAlias = Literal["missing", "outside", "large", "unreadable"]


class SourceError(ScenaristError):
    """A file cannot be had. `trouble` says why; `path` is the path as the app wrote it."""

    name = "SourceError"

    def __init__(self, trouble: Trouble, path: str, message: str) -> None:
        super().__init__(message)
        self.trouble: Trouble = trouble
        self.path = path


class AppSource(Protocol):
    """The files below one app root."""

    @property
    def label(self) -> str:
        """A name for people: the folder's name, or what the owner of the files calls them."""
        ...

    def read(self, path: str) -> bytes:
        """
        The bytes of one file, at most `MAX_FILE_BYTES`.

        Raises:
            SourceError: No such file, a path or link that leaves the root, a file too large or not readable.
        """
        ...

    def exists(self, path: str) -> bool:
        """True when `path` names a file inside the root."""
        ...

    def entries(self, folder: str = "") -> list[tuple[str, bool]]:
        """Names directly inside a folder, sorted, each with True for a sub-folder; empty when there is none."""
        ...


def clean_path(path: str) -> str:
    """
    A path from an app in its shortest form, `general/../base.json` -> `base.json`.

    Raises:
        SourceError: It is absolute, leaves the root, or holds what no POSIX path of an app holds.
    """
    if not path or "\0" in path or "\\" in path or path.startswith("/") or path[1:2] == ":":
        raise SourceError("outside", path, f"path {shown_path(path)} is not a relative path with `/` between its parts")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise SourceError("outside", path, f"path {shown_path(path)} leaves the app folder")
            parts.pop()
        else:
            parts.append(part)
    if not parts:
        raise SourceError("missing", path, f"path {shown_path(path)} names no file")
    return "/".join(parts)


def shown_path(path: str) -> str:
    """A path of an app for a message: quoted, short, without control characters."""
    short = path if len(path) <= 200 else path[:197] + "..."
    return '"' + "".join([char if char.isprintable() else "?" for char in short]) + '"'


class FolderSource:
    """The files below a folder on disk. Nothing outside of it is ever opened."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @property
    def label(self) -> str:
        """Name of the folder."""
        return self.root.name

    def _inside(self, path: str) -> Path:
        try:
            real = self.root.joinpath(*clean_path(path).split("/")).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceError("unreadable", path, f"file {shown_path(path)} cannot be opened") from error
        if not real.is_relative_to(self.root):
            raise SourceError("outside", path, f"file {shown_path(path)} is a link that leaves the app folder")
        return real

    def read(self, path: str) -> bytes:
        """The bytes of one file; see `AppSource.read`."""
        real = self._inside(path)
        try:
            status = real.stat()
            if not stat.S_ISREG(status.st_mode):
                raise SourceError("missing", path, f"{shown_path(path)} is not a file")
            if status.st_size > MAX_FILE_BYTES:
                raise SourceError("large", path, f"file {shown_path(path)} is larger than 5 MiB")
            with real.open("rb") as stream:
                return stream.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError as error:
            raise SourceError("missing", path, f"file {shown_path(path)} does not exist") from error
        except OSError as error:
            reason = error.strerror or "no access"
            raise SourceError("unreadable", path, f"file {shown_path(path)} cannot be read: {reason}") from error

    def exists(self, path: str) -> bool:
        """True when `path` names a file inside the root."""
        try:
            return self._inside(path).is_file()
        except (SourceError, OSError):
            return False

    def entries(self, folder: str = "") -> list[tuple[str, bool]]:
        """Names directly inside a folder; see `AppSource.entries`."""
        try:
            real = self._inside(folder) if folder else self.root
            found = [(entry.name, entry.is_dir()) for entry in real.iterdir()]
        except (SourceError, OSError):
            return []
        return sorted(found)


class MemorySource:
    """Files in memory: how a registered app is loaded again. `label` is the name of the app when no origin names it."""

    def __init__(self, files: Mapping[str, bytes], *, label: str = "app") -> None:
        self.files = dict(files)
        self._label = label

    @property
    def label(self) -> str:
        """What the owner of the files calls them."""
        return self._label

    def read(self, path: str) -> bytes:
        """The bytes of one file; see `AppSource.read`."""
        data = self.files.get(clean_path(path))
        if data is None:
            raise SourceError("missing", path, f"file {shown_path(path)} does not exist")
        if len(data) > MAX_FILE_BYTES:
            raise SourceError("large", path, f"file {shown_path(path)} is larger than 5 MiB")
        return data

    def exists(self, path: str) -> bool:
        """True when there is such a file."""
        try:
            return clean_path(path) in self.files
        except SourceError:
            return False

    def entries(self, folder: str = "") -> list[tuple[str, bool]]:
        """Names directly inside a folder; see `AppSource.entries`."""
        prefix = f"{folder}/" if folder else ""
        found: set[tuple[str, bool]] = set()
        for path in self.files:
            if path.startswith(prefix):
                name, slash, _ = path[len(prefix) :].partition("/")
                found.add((name, bool(slash)))
        return sorted(found)
