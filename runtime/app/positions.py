"""
Where each value of a JSON text stands.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

_TOKENS: Final = re.compile(r'"[^"\\]*(?:\\[\s\S][^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')

#: Characters of pointers that are kept. Past it the scan ends and `locate` answers with the value around: only a file
#: made to exhaust memory (a long key over millions of values) gets there.
MAX_POINTER_TEXT = 50_000_000


class Repeat(NamedTuple):
    """A key that stands twice in one object."""

    pointer: str
    key: str
    first: int
    second: int


class Places(NamedTuple):
    """Offsets in the text by JSON pointer, and the keys that stand twice."""

    values: dict[str, int]
    keys: dict[str, int]
    repeats: list[Repeat]


#: Characters of a key that a pointer keeps; and the length past which a pointer names the value around.
MAX_KEY: Final = 200
MAX_POINTER: Final = 2000


def escape_pointer(key: str) -> str:
    """A key as a part of a JSON pointer; a very long one is cut, here as in every pointer of this package."""
    return key[:MAX_KEY].replace("~", "~0").replace("/", "~1")


def child_pointer(pointer: str, key: str | int) -> str:
    """The pointer of a member or element."""
    if len(pointer) > MAX_POINTER:
        return pointer
    return f"{pointer}/{key}" if isinstance(key, int) else f"{pointer}/{escape_pointer(key)}"


def scan(text: str) -> Places:
    """Offsets of all values and keys of a text that the parser has accepted."""
    places = Places({}, {}, [])
    values, keys = places.values, places.keys
    #: Open containers: pointer, index (arrays) or -1, the keys seen.
    stack: list[tuple[str, int, dict[str, int]]] = []
    pointer, expects_key = "", False
    budget = MAX_POINTER_TEXT
    for match in _TOKENS.finditer(text):
        token = match[0]
        first = token[0]
        if first in ":":
            continue
        if first == ",":
            parent, index, seen = stack[-1]
            if index < 0:
                expects_key = True
            else:
                stack[-1] = (parent, index + 1, seen)
                pointer = child_pointer(parent, index + 1)
        elif first in "]}":
            stack.pop()
            expects_key = False
        elif expects_key:
            key = json.loads(token, strict=False)
            parent, _, seen = stack[-1]
            pointer = child_pointer(parent, key)
            if key in seen:
                places.repeats.append(Repeat(pointer, key, seen[key], match.start()))
            seen[key] = keys[pointer] = match.start()
            expects_key = False
        else:
            budget -= len(pointer)
            if budget < 0:
                break
            values[pointer] = match.start()
            if first == "{":
                stack.append((pointer, -1, {}))
                expects_key = True
            elif first == "[":
                stack.append((pointer, 0, {}))
                pointer = child_pointer(pointer, 0)
    return places
