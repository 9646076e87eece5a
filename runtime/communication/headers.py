"""
Request headers: names in Title-Case, values checked, repeats as several lines. Source: spec/communication.md 9.
"""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.communication.url import scalar_text
from runtime.errors import DataError
from runtime.values import UNDEFINED

_TOKEN: Final = re.compile(r"\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
#: Control characters besides the tab: the protocol allows none, and CR or LF would let a value add headers.
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
#: Framing belongs to the engine: a length of the author's that does not fit the body breaks the exchange.
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})

Lines = list[tuple[str, str]]


def title_case(name: str) -> str:
    """`tESt-wiTh-dAsh` as `Test-With-Dash`."""
    return "-".join([part[:1].upper() + part[1:].lower() for part in name.split("-")])


def header_lines(*layers: dict[str, Any]) -> Lines:
    """
    The header lines of one or more collections, later ones override earlier ones by name at the earlier place.

    Raises:
        DataError: A name is no header name, a value is a collection or a buffer or holds control characters.
    """
    found: dict[str, list[str]] = {}
    for layer in layers:
        for key, value in layer.items():
            name = title_case(str(key).strip())
            if not _TOKEN.match(name):
                raise DataError("invalid header name")
            if name.lower() in _FRAMING:
                continue
            # An overriding null takes the header away.
            found[name] = _values(name, value)
    return [(name, value) for name, values in found.items() for value in values]


def _values(name: str, value: Any) -> list[str]:
    if value is None or value is UNDEFINED:
        return []
    items = value if isinstance(value, list) else [value]
    texts: list[str] = []
    for item in items:
        if item is None or item is UNDEFINED:
            continue
        if isinstance(item, (dict, list)):
            raise DataError(f"invalid header value for {name}")
        text = scalar_text(item, f"the header {name}")
        if _CONTROL.search(text):
            raise DataError(f"invalid header value for {name}")
        texts.append(text.strip(" \t"))
    return texts
