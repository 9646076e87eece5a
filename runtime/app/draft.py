"""
An app between its layout and its component objects: what a layout reader found, nothing resolved yet.

Each layout has a reader that makes an `AppDraft`; `loader` builds the same component objects from any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from runtime.app.jsonc import Document


@dataclass(frozen=True, slots=True)
class Link:
    """A role's file, and where the app says so (`document` and `pointer`; none when the file name itself says so)."""

    path: str
    document: Document | None = None
    pointer: str = ""


@dataclass(slots=True)
class Draft:
    """
    One component. `fields` have the names of the manifest (`connectionType`, `moduleType`, ...); `document` and
    `pointer` say where it is declared. `problems` make it unusable.
    """

    kind: str
    id: str
    fields: dict[str, Any]
    links: dict[str, Link]
    document: Document | None = None
    pointer: str = ""
    problems: list[str] = field(default_factory=list[str])

    @property
    def title(self) -> str:
        """How messages name it."""
        return f'{self.kind} "{self.id}"'

    def field_pointer(self, name: str) -> str:
        """JSON pointer of one of its fields."""
        return f"{self.pointer}/{name}"


@dataclass(slots=True)
class AppDraft:
    """One app. `declared` are the files that declare components (manifest, metadata): part of the hash."""

    name: str
    version: int
    label: str
    layout: Literal["manifest", "export"]
    general: dict[str, Link]
    components: list[Draft]
    aliases: dict[str, dict[str, str]]
    declared: dict[str, bytes]
