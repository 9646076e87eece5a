"""What the importer says about a blueprint: stable codes, the module, the JSON pointer (spec/scenarios.md 1.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.app.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class BlueprintFinding:
    """
    One finding. `module` and `name` are the id and the name of the module, None and "" for the file as a whole;
    `pointer` is the JSON pointer inside the unwrapped blueprint, `excerpt` an expression's text and a column in it.
    """

    severity: Severity
    code: str
    message: str
    module: int | None = None
    name: str = ""
    pointer: str = ""
    hint: str = ""
    excerpt: tuple[str, int] | None = None

    @property
    def component(self) -> str:
        """The module as messages name it: `module 3 (json:ParseJSON)`."""
        if self.module is None:
            return self.name and f"module {self.name}"
        return f"module {self.module} ({self.name})" if self.name else f"module {self.module}"

    def text(self) -> str:
        """One line: severity, code, module, what, what to do."""
        head = " ".join([part for part in (self.severity, self.code, self.component) if part])
        return f"{head}: {self.message}" + (f" — {self.hint}" if self.hint else "")

    def finding(self, file: str = "", line: int = 0, column: int = 0) -> Finding:
        """The same as a finding of the checker, with its place in the file."""
        return Finding(
            self.severity, self.code, self.message, file, line, column, self.component, self.hint, self.pointer,
            self.excerpt,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The finding as one JSON object."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "module": self.module,
            "name": self.name,
            "pointer": self.pointer,
            "hint": self.hint,
        }


def severity(code: str) -> Severity:
    """`error` for codes that start with `E-`, except the ones that spec/scenarios.md 1.7 calls warnings."""
    return "error" if code.startswith("E-") and code != "E-RESPOND" else "warning"
