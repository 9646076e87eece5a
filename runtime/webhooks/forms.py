"""
Queries and forms as values: repeated names are arrays, `a[b]=c` is nested, `a[]=1` and `a[0]=1` are elements.

As the usual parser of Node does it, within limits: a deeper name keeps its rest as one key, more values than
`MAX_VALUES` are refused rather than dropped. Source: spec/modules.md 5.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_plus

from runtime.webhooks.incoming import BadRequest

#: Most values of a query or a form.
MAX_VALUES: Final = 1000
#: Brackets of a name that are followed; what is behind them is part of the last key.
MAX_DEPTH: Final = 5
#: The highest index of an array; with a higher one the collection keeps its numbers as keys.
MAX_INDEX: Final = 20


class _Slot:
    """One name: its values in order, and what is nested below it."""

    __slots__ = ("appended", "members", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.members: dict[str, _Slot] = {}
        self.appended: list[_Slot] = []

    def below(self, key: str) -> _Slot:
        if key == "":
            self.appended.append(_Slot())
            return self.appended[-1]
        return self.members.setdefault(key, _Slot())

    def value(self) -> Any:
        """The values, then the nested ones: one alone stands for itself, more are an array."""
        nested = self.nested()
        if nested is None:
            return self.values[0] if len(self.values) == 1 else list(self.values)
        if not self.values:
            return nested
        return [*self.values, *nested] if isinstance(nested, list) else [*self.values, nested]

    def nested(self) -> Any:
        appended = [slot.value() for slot in self.appended]
        if not self.members:
            return appended or None
        if all(_is_index(key) for key in self.members):
            numbered = [self.members[key].value() for key in sorted(self.members, key=int)]
            return numbered + appended
        members = {key: slot.value() for key, slot in self.members.items()}
        for value in appended:
            # `a[x]=1&a[]=2`: the collection stays one, its loose values are numbered.
            number = 0
            while str(number) in members:
                number += 1
            members[str(number)] = value
        return members


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= 2 and int(key) <= MAX_INDEX and (key == "0" or key[0] != "0")


def steps_of(name: str) -> list[str]:
    """`a[b][]` as `["a", "b", ""]`; brackets that do not pair belong to the text around them."""
    open_at = name.find("[")
    if open_at < 0 or not name.endswith("]"):
        return [name]
    head = name[:open_at]
    steps = [head] if head else []
    rest = name[open_at:]
    for _ in range(MAX_DEPTH):
        end = rest.find("]")
        if not rest.startswith("[") or end < 0:
            break
        steps.append(rest[1:end])
        rest = rest[end + 1 :]
    if rest:
        steps.append(rest)
    return steps if steps[0] else [name]


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """
    The collection that names and values make.

    Raises:
        BadRequest: There are more than `MAX_VALUES`.
    """
    root: dict[str, _Slot] = {}
    for number, (name, value) in enumerate(pairs):
        if number >= MAX_VALUES:
            raise BadRequest(f"The request has more than {MAX_VALUES} values.", 413)
        first, *steps = steps_of(name)
        slot = root.setdefault(first, _Slot())
        for step in steps:
            slot = slot.below(step)
        slot.values.append(value)
    return {name: slot.value() for name, slot in root.items()}


def parse_query(text: str) -> dict[str, Any]:
    """
    `a=1&b=2&b=3&c[d]=4` as `{a: "1", b: ["2", "3"], c: {d: "4"}}`.

    Raises:
        BadRequest: There are more than `MAX_VALUES`.
    """
    if not text:
        return {}
    if text.count("&") >= 4 * MAX_VALUES:
        raise BadRequest(f"The request has more than {MAX_VALUES} values.", 413)
    return nest(_decoded(piece) for piece in text.split("&") if piece)


def _decoded(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace")
