"""What an evaluation knows besides its context, and where a template stands (spec/iml.md 6, 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

#: Steps that one render may take: one a node of the document, one an item that a function visits (spec/iml.md 13).
MAX_STEPS: Final = 1_000_000
#: Longest text, in characters, that an expression may give (spec/iml.md 13: 32 MiB).
MAX_TEXT: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a document stands, for messages.

    `component` as in "module listRows", `pointer` the JSON pointer of the document inside its file ("" = whole file).
    """

    component: str = ""
    pointer: str = ""
    file: str = ""

    def text(self, pointer: str = "", column: int = 0) -> str:
        """The place of something inside the document: "module listRows, /response/output, column 12"."""
        path = self.pointer + pointer
        parts = [self.component or self.file, path, f"column {column}" if column else ""]
        return ", ".join([part for part in parts if part])


@dataclass(frozen=True, slots=True)
class Environment:
    """
    What an evaluation may know besides the context.

    `now` is aware and is taken once per rendered operation by the caller; `timezone` is the scenario's. `functions`
    are the app's custom functions: they are called with IML values and win over built-in ones. `strict_functions`
    takes `createJSON`, `parseJSON`, `jwt` and `base64url` away, as scenario mappers do (spec/iml.md 7.1).
    """

    now: datetime
    timezone: str = "UTC"
    execution_id: str | None = None
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    max_steps: int = MAX_STEPS
    max_text: int = MAX_TEXT
    strict_functions: bool = False
