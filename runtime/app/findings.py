"""
What a checker says about one place of an app or a blueprint (spec/app-format.md 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "info"]

#: Order of severities, the worst first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One finding. `line` and `column` are 1-based, 0 = the whole file; `pointer` is the JSON pointer in the file.

    `component` is written as in messages: `module "listRows"`; `hint` says what to do. `excerpt` is the text that an
    expression stands in and the 1-based column in it, for an editor's caret.
    """

    severity: Severity
    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    component: str = ""
    hint: str = ""
    pointer: str = ""
    excerpt: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        # Names and keys of an app are untrusted: no control character of theirs reaches a terminal or a log.
        for name in ("message", "file", "component", "hint"):
            value: str = getattr(self, name)
            if not value.isprintable():
                clean = "".join(
                    [char if char.isprintable() else " " if char in "\r\n\t" else "\ufffd" for char in value]
                )
                object.__setattr__(self, name, clean)

    def text(self) -> str:
        """One line: `<severity> <code> <file>:<line>:<col> <component>: <what> — <what to do>` (app-format.md 7)."""
        place = self.file
        if self.file and self.line:
            place = f"{self.file}:{self.line}:{self.column}"
        head = " ".join([part for part in (self.severity, self.code, place, self.component) if part])
        return f"{head}: {self.message}" + (f" — {self.hint}" if self.hint else "")

    def to_json(self) -> dict[str, Any]:
        """The finding as one object of the checker's JSON list (spec/app-format.md 7)."""
        return {
            "severity": self.severity,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "component": self.component,
            "message": self.message,
            "hint": self.hint,
        }


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, by file, line and column, so that a list reads like the files do."""
    return sorted(
        dict.fromkeys(findings),
        key=lambda f: (f.file, f.line, f.column, SEVERITIES.index(f.severity), f.code, f.message),
    )
