"""
What failed in a list of parameters, and what would have been accepted: data for `--json` and for forms.

The texts are those of spec/modules.md 2.3. The data never hold the value that failed: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runtime.errors import BundleValidationError
from runtime.parameters.fields import SECRET_TYPES, Field
from runtime.values import number_text, shown

#: Options that are listed in `expected`.
MAX_LISTED: Final = 20
_WORDS: Final = {
    "array": "an array", "boolean": "true or false", "buffer": "a file or text", "cert": "a PEM certificate",
    "collection": "a collection", "color": "a color such as #1a2b3c", "date": "a date such as 2026-01-31T12:00:00Z",
    "email": "an email address", "file": "a path to a file", "filename": "a file name",
    "filter": "a list of lists of {a, o, b} with known operators", "folder": "a path to a folder",
    "integer": "a whole number", "json": "valid JSON", "number": "a number", "path": "a path",
    "pkey": "a PEM private key", "port": "a port from 1 to 65535", "time": "a time such as 07:30 or 07:30:15",
    "timestamp": "a time in seconds since 1970, or a date", "timezone": "a time zone such as Europe/Prague",
    "uinteger": "a whole number from 0", "url": "an address with http or https", "uuid": "a UUID",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: the path of the parameter, its text, the label of the form, and what would be accepted."""

    parameter: str
    message: str
    label: str = ""
    expected: str = ""

    def to_json(self) -> dict[str, str]:
        """The failure as one object."""
        data = {"parameter": self.parameter, "message": self.message, "label": self.label, "expected": self.expected}
        return {name: text for name, text in data.items() if text}


def validation_error(failures: Sequence[Failure]) -> BundleValidationError:
    """The error of these failures: the texts as suberrors, the data in `external` under `parameters`."""
    texts = [failure.message for failure in failures]
    lines = "".join([f"\n - {text}" for text in texts])
    return BundleValidationError(
        f"Validation failed for {len(texts)} parameter(s).{lines}",
        suberrors=texts,
        external={"parameters": [failure.to_json() for failure in failures]},
    )


def joined(errors: Sequence[BundleValidationError]) -> BundleValidationError:
    """One error for the failures of several lists, in their order."""
    failures: list[Failure] = []
    for error in errors:
        data: Any = error.external
        known: list[Any] = data.get("parameters", []) if isinstance(data, dict) else []
        failures += [Failure(**item) for item in known] or [Failure("", text) for text in error.suberrors]
    return validation_error(failures)


def expected(field: Field) -> str:
    """What a field accepts, in words."""
    rules = field.validate
    if field.type == "select" and field.options.items and field.options.known and not field.dynamic:
        values = [shown(option.value) for option in field.options.items if option.value is not None]
        more = ", ..." if len(values) > MAX_LISTED else ""
        return ("any of: " if field.multiple else "one of: ") + ", ".join(values[:MAX_LISTED]) + more
    words = _WORDS.get(field.type, "a text" if field.type in ("text", *SECRET_TYPES) else "a value")
    parts = [words]
    if field.type == "filename" and field.extension:
        parts.append("ending in " + " or ".join([f".{ending}" for ending in field.extension]))
    unit = "" if field.type in ("number", "integer", "uinteger", "port") else " characters"
    if rules.min is not None:
        parts.append(f"at least {number_text(rules.min)}{unit}")
    if rules.max is not None:
        parts.append(f"at most {number_text(rules.max)}{unit}")
    if rules.min_items is not None:
        parts.append(f"at least {number_text(rules.min_items)} items")
    if rules.max_items is not None:
        parts.append(f"at most {number_text(rules.max_items)} items")
    if rules.pattern is not None:
        parts.append(f"matching {rules.pattern[:200]}")
    if rules.enum is not None:
        parts.append("one of: " + ", ".join([shown(item) for item in rules.enum[:MAX_LISTED]]))
    return ", ".join(parts)
