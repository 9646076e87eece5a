"""
Which variable is there in which place (spec/modules.md 9, connections.md 8, communication.md 25), as tables.
"""

from __future__ import annotations

import re
from typing import Final

_ALWAYS: Final = frozenset({"now", "timestamp", "environment", "temp", "parameters", "connection", "common"})
_ANSWER: Final = frozenset({"body", "headers", "statusCode"})
_PAGES: Final = frozenset({"pagination", "iterate"})
_MODULE: Final = _ALWAYS | {"data", "scenario", "metadata"} | _ANSWER

#: Kind of a request spec (see `directives.KINDS`) -> the roots that exist somewhere in it.
ROOTS: Final[dict[str, frozenset[str]]] = {
    "ACT": _MODULE | _PAGES | {"item", "output"},
    "SEA": _MODULE | _PAGES | {"item", "output"},
    "UNI": _MODULE | _PAGES | {"item", "output"},
    "TRG": _MODULE | _PAGES | {"item", "output", "trigger"},
    "EPO": _MODULE | _PAGES | {"item", "trigger"},
    "INS": _MODULE | {"output", "webhook", "payload"},
    "RES": _ALWAYS | {"data", "scenario", "metadata", "webhook"},
    "RPC": _ALWAYS | _ANSWER | _PAGES | {"data", "metadata", "item", "output", "webhook"},
    "ATT": _ALWAYS | _ANSWER | {"data", "webhook"},
    "WHK": _ALWAYS | {"webhook", "data", "body", "headers", "query", "method", "item", "request"},
    "CB": _ALWAYS | _ANSWER | {"data", "oauth"},
    "O1": _ALWAYS | _ANSWER | {"data", "oauth", "query"},
    "O2": _ALWAYS | _ANSWER | {"data", "oauth", "query"},
}
#: Every root that exists anywhere. Base is inherited by all, so that only other names are wrong in it.
KNOWN: Final = frozenset[str]().union(*ROOTS.values())

#: Roots that exist when the answer has come, and not in what is sent.
_AFTER: Final = _ANSWER | {"item", "output"}
#: Where the answer is known: the response, the pages after the first, the question whether to repeat.
_AFTER_PLACES: Final = re.compile(r"(?:/\d+)?(?:/\w+)?/(?:response|pagination|repeat)(?:/|$)")


def fault(kind: str, pointer: str, root: str) -> str:
    """
    What is wrong with a variable at a place, "" for nothing.

    Args:
        kind: Column of the directive matrix; "" where nothing is known.
        pointer: JSON pointer of the text in its file.
        root: First name of the variable.
    """
    if not kind:
        return ""
    if root not in KNOWN:
        return f'there is no variable "{root[:60]}"; it is always empty'
    if kind == "BASE":
        return ""
    if root not in ROOTS[kind]:
        return f'the variable "{root}" does not exist here; it is always empty'
    if root in _AFTER and kind != "WHK" and not _AFTER_PLACES.match(pointer):
        return f'the variable "{root}" is empty here: it exists when the answer has come'
    return ""
