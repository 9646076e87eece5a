"""
What every rule works with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.app.findings import Severity
from runtime.app.jsonc import Document
from runtime.app.positions import child_pointer
from runtime.app.report import Report
from runtime.app.specs import App, CodeFile


@dataclass(slots=True)
class Check:
    """One run of the checker over one app."""

    app: App
    report: Report
    strict: bool = False
    #: Codes that are said without `strict` too.
    wanted: frozenset[str] = frozenset()

    def says(self, code: str) -> bool:
        """True when a rule that is off by default is on."""
        return self.strict or code in self.wanted


@dataclass(frozen=True, slots=True)
class Spot:
    """A value in a file of a component."""

    check: Check
    title: str
    document: Document | None
    value: Any
    pointer: str = ""

    def at(self, key: str | int) -> Spot:
        """The spot of a member; its value is None when there is none."""
        value = None
        if isinstance(self.value, dict):
            value = self.value.get(key)
        elif isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            value = self.value[key]
        return Spot(self.check, self.title, self.document, value, child_pointer(self.pointer, key))

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def say(
        self, severity: Severity, code: str, message: str, *, hint: str = "", key: bool = False, offset: int = 0
    ) -> None:
        """Add a finding at this place; `key` means the key in front of the value."""
        self.check.report.add(
            severity, code, message, document=self.document, pointer=self.pointer, key=key, offset=offset,
            component=self.title, hint=hint,
        )  # fmt: skip


def spot(check: Check, title: str, file: CodeFile) -> Spot:
    """The whole content of a role."""
    return Spot(check, title, file.document, file.value)


@dataclass(frozen=True, slots=True)
class Text:
    """A string of a document: a value, or (`key`) the name of a member."""

    text: str
    pointer: str
    key: bool = False


def strings(value: Any, pointer: str = "") -> Iterator[Text]:
    """All strings of a JSON value, keys of objects included, in the order of the file."""
    stack: list[Iterator[tuple[Any, str, str | None]]] = [iter([(value, pointer, None)])]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        current, place, key = found
        if key is not None:
            yield Text(key, place, key=True)
        if isinstance(current, str):
            yield Text(current, place)
        elif isinstance(current, dict):
            stack.append(_members(current, place))
        elif isinstance(current, list):
            stack.append(_elements(current, place))


def may_hold(file: CodeFile, mark: str) -> bool:
    """False when no text of a file can hold the mark: its characters are nowhere, nor is an escape that may be one."""
    return file.document is None or mark in file.document.text or "\\u00" in file.document.text


def _members(value: dict[str, Any], pointer: str) -> Iterator[tuple[Any, str, str | None]]:
    return ((member, child_pointer(pointer, key), key) for key, member in value.items())


def _elements(value: list[Any], pointer: str) -> Iterator[tuple[Any, str, str | None]]:
    return ((item, child_pointer(pointer, index), None) for index, item in enumerate(value))


@dataclass(slots=True)
class Request:
    """One request spec of a component."""

    spot: Spot
    kind: str
    index: int = 0
    single: bool = True
    #: Ids of the connections that it may run with.
    connections: list[str] = field(default_factory=list[str])


def has_iml(text: Any) -> bool:
    """True for a string with an expression."""
    return isinstance(text, str) and "{{" in text
