"""
Collects findings and gives each its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from runtime.app.findings import Finding, Severity
from runtime.app.jsonc import Document

#: Findings about one app that are kept.
MAX_FINDINGS: Final = 5000


class Report:
    """
    A growing list of findings. A `check-ignore` comment in the file silences warnings and infos of its code.

    A file made to have millions of faults ends at `MAX_FINDINGS`; nobody reads more.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._lookups = MAX_FINDINGS

    @property
    def full(self) -> bool:
        """True when no more findings are taken; loops over parts of a file end then."""
        return len(self.findings) >= MAX_FINDINGS

    def near(self, name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str:
        """The known name most like this one, "" when none is near, or after very many questions."""
        self._lookups -= 1
        return nearest(name, known, cutoff=cutoff) if self._lookups > 0 else ""

    def add(
        self,
        severity: Severity,
        code: str,
        message: str,
        *,
        document: Document | None = None,
        pointer: str = "",
        key: bool = False,
        offset: int = 0,
        file: str = "",
        component: str = "",
        hint: str = "",
        excerpt: tuple[str, int] | None = None,
    ) -> None:
        """
        Note one finding.

        Args:
            severity: Errors are never silenced by a comment.
            code: Its stable code.
            message: What is wrong, without the place.
            document: The file it stands in; `file` names one that was not parsed.
            pointer: JSON pointer of the value in the document.
            key: True when the key of that value is meant rather than the value.
            offset: Characters into the text at `pointer`.
            file: Path for findings without a document.
            component: `module "x"`.
            hint: What to do.
            excerpt: The text of an expression and the column in it.
        """
        if self.full:
            return
        line = column = 0
        if document is not None:
            file = document.file
            line, column = document.locate_key(pointer) if key else document.locate(pointer, offset)
            if severity != "error" and document.ignored(code, line):
                return
        self.findings.append(Finding(severity, code, message, file, line, column, component, hint, pointer, excerpt))

    def extend(self, findings: Iterable[Finding]) -> None:
        """Take findings that have their place already."""
        self.findings.extend(findings)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str:
    """The known name most like this one, "" when none is near."""
    choices = list(known)
    same = [choice for choice in choices if choice.lower() == name.lower()]
    found = same or difflib.get_close_matches(name[:100], choices, n=1, cutoff=cutoff)
    return found[0] if found else ""


def listed(names: Iterable[str], *, most: int = 12) -> str:
    """Names for a message: `a, b, c`; the first of them when there are many, `none` when there are none."""
    every = sorted(names)
    shown = ", ".join(every[:most])
    return (f"{shown}, ... ({len(every)} in all)" if len(every) > most else shown) or "none"
