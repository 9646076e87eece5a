"""
Values of `filter` fields: a structure that the module receives, never evaluated here (spec/modules.md 2.9).
"""

from __future__ import annotations

from typing import Any, Final

from runtime.parameters.fields import Field
from runtime.parameters.rules import same_value
from runtime.values import is_empty

_TEXT: Final = (
    "equal", "notequal", "contain", "notcontain", "startwith", "notstartwith", "endwith", "notendwith", "pattern",
    "notpattern",
)  # fmt: skip
_ORDER: Final = ("equal", "notequal", "greater", "less", "greaterorequal", "lessorequal")
_ORDERED: Final = ("number", "date", "time", "semver", "array")

#: The built-in operators.
OPERATORS: Final = frozenset(
    ["exist", "notexist", "boolean:equal", "boolean:notequal"]
    + [f"text:{name}{case}" for name in _TEXT for case in ("", ":ci")]
    + [f"{kind}:{name}" for kind in _ORDERED for name in _ORDER]
    + [f"array:{name}{case}" for name in ("contain", "notcontain") for case in ("", ":ci")]
)


def is_filter(field: Field, value: Any) -> bool:
    """
    True when a value is a filter that the field can take: a list of lists of `{a, o, b}`, or with the logic `and` or
    `or` a list of them; `reverse` has the nested form too and means AND of ORs. `a` and `o` are needed, `o` must be
    known: one of `options.operators` (groups among them), any when an RPC gives those, else a built-in one.
    """
    if not isinstance(value, list):
        return False
    if field.logic in ("and", "or"):
        return all(_is_entry(field, entry) for entry in value)
    return all(isinstance(group, list) and all(_is_entry(field, entry) for entry in group) for group in value)


def _is_entry(field: Field, entry: Any) -> bool:
    if not isinstance(entry, dict) or is_empty(entry.get("a")):
        return False
    operator = entry.get("o")
    if field.options.any_operator:
        return not is_empty(operator)
    own = field.options.operators
    if own:
        return any(same_value(operator, known) for known in own)
    return isinstance(operator, str) and operator in OPERATORS
