"""
Paths of `log.sanitize`: their grammar, and masking what they name (spec/communication.md section 21).

Grammar: segments joined by dots; a segment is a name, or anything in back ticks, then any number of `[]` (every
element) and `[n]` (the n-th, from 1). A dash is part of a name. Names match without regard to case. The first segment
is `request` or `response`. A form `request.body<parameters.secret>` names a value *inside* the text at the path.

Whenever a path cannot be followed exactly, more is masked rather than less: a list of paths is written to hide things.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote_plus

from runtime.sanitize.encodings import MASK

#: Every element of an array.
EVERY: Final = 0
#: A longer text is masked as a whole instead of being parsed to follow a path into it.
MAX_PARSED: Final = 4 * 1024 * 1024
#: Nobody writes a longer path; reading one may take time that grows with its square.
MAX_PATH: Final = 1000
#: A name, or the number of an array element (`EVERY` for all).
Part: TypeAlias = "str | int"

_SEGMENT: Final = re.compile(r"(?:`([^`]*)`|([^.\[\]`<>\s\0]+))((?:\[\s*\d*\s*\])*)")
_INDEX: Final = re.compile(r"\[\s*(\d*)\s*\]")
#: `a=b&c=d` and nothing that a form would have encoded.
_FORM: Final = re.compile(r"[^\s<>{}\"=&]+=[^\s<>{}\"=&]*(?:&[^\s<>{}\"=&]+=[^\s<>{}\"&]*)*&?")


@dataclass(frozen=True, slots=True)
class SanitizePath:
    """
    One parsed path. `parts` come after the root; `inner` is the expression between `<` and `>`, None without.

    `exact` is false when the rest of the text could not be read; the path then ends early and masks more.
    """

    root: str
    parts: tuple[Part, ...]
    inner: str | None = None
    exact: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The name parts in lower case, without element numbers."""
        return tuple(part.lower() for part in self.parts if isinstance(part, str))


@functools.lru_cache(maxsize=1024)
def parse_path(text: str) -> SanitizePath | None:
    """A path of `log.sanitize`; None when it starts with neither `request` nor `response`, and so has no effect."""
    path, inner = text.strip(), None
    if len(path) > MAX_PATH:
        # Ends early, and so masks more.
        path = path[:MAX_PATH] + "\0"
    if path.endswith(">") and "<" in path:
        path, _, inner = path[:-1].partition("<")
        path, inner = path.strip(), inner.strip()
    match = _SEGMENT.match(path)
    if match is None:
        return None
    root = (match[1] if match[1] is not None else match[2]).lower()
    if root not in ("request", "response"):
        return None
    parts: list[Part] = list(_indexes(match[3]))
    at, exact = match.end(), True
    while at < len(path):
        match = _SEGMENT.match(path, at + 1) if path[at] == "." else None
        if match is None:
            exact = False
            break
        parts.append(match[1] if match[1] is not None else match[2])
        parts.extend(_indexes(match[3]))
        at = match.end()
    return SanitizePath(root, tuple(parts), inner, exact)


def _indexes(text: str) -> list[int]:
    return [int(number) if number else EVERY for number in _INDEX.findall(text)]


def apply_path(value: Any, parts: tuple[Part, ...]) -> Any:
    """
    JSON data with everything at this path masked, as a changed copy.

    Arrays on the way count with every element; a text on the way is parsed as JSON or as a form, and masked as a whole
    when it is neither. A path that matches nothing changes nothing. `[0]` stands for `[]`.
    """
    if not parts:
        return MASK
    part, rest = parts[0], parts[1:]
    if isinstance(value, dict):
        if not isinstance(part, str):
            # `a[].b` where `a` is no array: the element is the value itself (spec/communication.md 14).
            return apply_path(value, rest)
        wanted = part.lower()
        return {
            key: apply_path(member, rest) if str(key).lower() == wanted else member for key, member in value.items()
        }
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if not isinstance(part, int):
            return [apply_path(item, parts) for item in items]
        return [
            apply_path(item, rest) if part in (EVERY, number) else item for number, item in enumerate(items, start=1)
        ]
    if isinstance(value, str):
        return _apply_to_text(value, parts)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return MASK


def _apply_to_text(text: str, parts: tuple[Part, ...]) -> str:
    if not text.strip():
        return text
    if len(text) > MAX_PARSED:
        return MASK
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return _apply_to_form(text, parts)
    if not isinstance(parsed, (dict, list)):
        return MASK
    changed = apply_path(parsed, parts)
    return text if changed == parsed else json.dumps(changed, ensure_ascii=False, separators=(",", ":"))


def _apply_to_form(text: str, parts: tuple[Part, ...]) -> str:
    if not _FORM.fullmatch(text):
        return MASK
    return mask_query(text, [tuple(part for part in parts if isinstance(part, str))])


def mask_query(query: str, paths: list[tuple[str, ...]]) -> str:
    """A query or form with the values of these parameters masked; `("a", "b")` names `a[b]`, `("a",)` all of `a`."""
    pieces = query.split("&")
    for number, piece in enumerate(pieces):
        name, separator, _ = piece.partition("=")
        if separator and names_match(unquote_plus(name), paths):
            pieces[number] = f"{name}={MASK}"
    return "&".join(pieces)


def names_match(name: str, paths: list[tuple[str, ...]]) -> bool:
    """Whether a parameter's name, such as `a[b][0]`, is one of the paths or lies below one. Case does not count."""
    full = name.lower()
    nested = tuple(part for part in re.split(r"[\[\]]+", full) if part)
    for path in paths:
        wanted = tuple(part.lower() for part in path)
        if wanted == (full,) or nested[: len(wanted)] == wanted:
            return True
    return False


def mask_pairs(pairs: Any, path: tuple[Part, ...]) -> Any:
    """`request.qs` with one path applied: flat names such as `a[b]` are addressed by `a.b` as well."""
    if not path or not isinstance(pairs, dict):
        return MASK
    names = tuple(part for part in path if isinstance(part, str))
    numbered = isinstance(path[-1], int) and path[-1] != EVERY
    result: dict[str, Any] = {}
    for name, value in pairs.items():
        if not names_match(name, [names]):
            result[name] = value
        elif numbered and isinstance(value, list) and name.lower() == names[-1].lower():
            result[name] = apply_path(value, (path[-1],))
        else:
            result[name] = MASK
    return result
