"""
Which layout a folder has, and where the root of an app is (spec/app-format.md 1, 10.1, 10.7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from runtime.app.jsonc import parse_jsonc
from runtime.app.source import AppSource, FolderSource, SourceError

MANIFEST: Final = "makecomapp.json"
METADATA: Final = "metadata.json"
#: Folder names of the export layout -> kind.
KIND_FOLDERS: Final[dict[str, str]] = {
    name: kind for kind in ("module", "connection", "webhook", "rpc", "function") for name in (kind, f"{kind}s")
}
#: Endings of a section file.
SECTION_ENDINGS: Final = (".imljson", ".iml.json", ".json")
_FLAT: Final = re.compile(r"(?:module|connection|webhook|rpc|function)\..+\.(?:imljson|iml\.json|json)")
#: Keys that tell one file per component (A104) from other JSON.
_COMPONENT_KEYS: Final = frozenset({"communication", "parameters", "interface", "expect", "samples", "api"})
_HINT: Final = "clone the app with the editor's local development, or write a makecomapp.json that names its files"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A folder that cannot be loaded: code and message of spec/app-format.md 10.7."""

    code: str
    message: str
    file: str = ""
    hint: str = ""


def _refuse(code: str, name: str, file: str) -> Refusal:
    return Refusal(code, f'this looks like the "{name}" layout, which is not supported', file, _HINT)


def _root_markers(source: AppSource) -> bool:
    """True when an app-level `metadata.json` lies here: beside it stands Base or a kind folder."""
    entries = source.entries()
    if (METADATA, False) not in entries:
        return False
    names = {name for name, is_folder in entries if is_folder}
    return bool(names & KIND_FOLDERS.keys()) or any(source.exists(f"base{ending}") for ending in SECTION_ENDINGS)


def is_root(source: AppSource) -> bool:
    """True when the manifest or an app-level `metadata.json` lies here."""
    return source.exists(MANIFEST) or _root_markers(source)


def find_root(path: Path) -> Path | Refusal:
    """
    The app root that a path of the command line means: the folder itself, the nearest one above it that is a root,
    or the only folder inside of it (an unpacked archive).
    """
    if path.suffix.lower() == ".zip" and path.is_file():
        return Refusal("A105", "an archive cannot be loaded", str(path), "unpack the archive first")
    if not path.exists():
        return Refusal("A100", "no such file or folder", str(path))
    start = path.resolve() if path.is_dir() else path.resolve().parent
    for folder in (start, *start.parents):
        if is_root(FolderSource(folder)):
            return folder
    try:
        inside = [entry for entry in start.iterdir() if not entry.name.startswith(".")]
    except OSError:
        inside = []
    if len(inside) == 1 and inside[0].is_dir() and _root_markers(FolderSource(inside[0])):
        return inside[0]
    return start


def recognise(source: AppSource) -> Literal["manifest", "export"] | Refusal:
    """The layout of the files, or why they are refused. The content of a manifest is not looked at here."""
    if source.exists(MANIFEST):
        return "manifest"
    if _root_markers(source):
        return "export"
    entries = source.entries()
    flat = next((name for name, is_folder in entries if not is_folder and _FLAT.fullmatch(name)), None)
    if flat:
        return _refuse("A103", "flat files", flat)
    for folder, is_folder in entries:
        if not is_folder or folder not in KIND_FOLDERS:
            continue
        for name, is_inner in source.entries(folder):
            path = f"{folder}/{name}"
            if not is_inner and name.endswith(SECTION_ENDINGS) and _is_component_file(source, path):
                return _refuse("A104", "one file per component", path)
            if is_inner and any(not deep and inner.endswith(SECTION_ENDINGS) for inner, deep in source.entries(path)):
                return _refuse("A101", "no manifest", path)
    return Refusal("A100", f"no Make app here: neither {MANIFEST} nor {METADATA}", source.label)


def _is_component_file(source: AppSource, path: str) -> bool:
    try:
        value: Any = parse_jsonc(source.read(path), path).value
    except SourceError:
        return False
    return isinstance(value, dict) and bool(_COMPONENT_KEYS & value.keys())


def refuse_manifest(reason: Literal["A102"], file: str) -> Refusal:
    """The refusal of a manifest that names no components."""
    return _refuse(reason, "no manifest", file)
