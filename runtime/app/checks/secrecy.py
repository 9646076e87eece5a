"""
Secrets that are sent or saved and stand in no `log.sanitize` (C118; spec/communication.md 21, app-format.md 7).

Our own logs mask them all the same; the hosted platform's do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from runtime.app.checks.communications import requests
from runtime.app.checks.context import Check, Request, Spot, spot

#: Names of headers, query and body members that carry a secret.
_SECRET: Final = re.compile(
    r"authorization|cookie|x-auth|auth-?token|access-?_?token|refresh-?_?token|api-?_?key|api-?_?token|secret|password",
    re.IGNORECASE,
)
#: An expression that reads something secret may do so; a fixed text is not one.
_READS: Final = re.compile(r"\{\{[^}]*\b(?:connection|parameters|common|data|temp)\b")
_TOKEN: Final = re.compile(r"\{\{\s*body\.([\w.]*(?:token|secret|password)\w*)\s*\}\}", re.IGNORECASE)
_PART: Final = re.compile(r"`([^`]*)`|([^.`\[\]<>]+)")
_MAX_PATHS: Final = 500


def check_secrecy(check: Check) -> None:
    """One finding for each secret member of a request that no list covers."""
    base = spot(check, "app", check.app.base)
    shared = _paths(base)
    for request in requests(check):
        if request.kind in ("WHK", "RES") or check.report.full:
            continue
        own = _paths(request.spot)
        covering = own if request.kind in ("CB", "O1", "O2") else own | shared
        if not covering:
            # C104 says that there is no list at all.
            continue
        _sent(request, covering)
        _saved(request, covering)


def _paths(place: Spot) -> frozenset[tuple[str, ...]]:
    """Lower-case sanitize paths of a request, split at dots."""
    value = place.at("log").at("sanitize").value
    found: set[tuple[str, ...]] = set()
    for path in value[:_MAX_PATHS] if isinstance(value, list) else ():
        if isinstance(path, str):
            parts = [(quoted or plain).strip().lower() for quoted, plain in _PART.findall(path.partition("<")[0])]
            found.add(tuple(parts))
    return frozenset(found)


def _covered(path: tuple[str, ...], covering: frozenset[tuple[str, ...]]) -> bool:
    return any(path[:length] in covering for length in range(1, len(path) + 1))


def _sent(request: Request, covering: frozenset[tuple[str, ...]]) -> None:
    for part in ("headers", "qs", "body"):
        place = request.spot.at(part)
        for path, member in _members(place, ("request", part), 0):
            if _SECRET.search(path[-1]) and isinstance(member.value, str) and _READS.search(member.value):
                _say(member, path, covering)


def _members(place: Spot, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Spot]]:
    if not isinstance(place.value, dict) or depth > 4:
        return
    for key in place.value:
        member = place.at(key)
        yield (*path, key.lower()), member
        yield from _members(member, (*path, key.lower()), depth + 1)


def _saved(request: Request, covering: frozenset[tuple[str, ...]]) -> None:
    """A token of the answer that a connection keeps."""
    data = request.spot.at("response").at("data")
    value: Any = data.value
    for key in value if isinstance(value, dict) else ():
        match = _TOKEN.search(value[key]) if isinstance(value[key], str) else None
        if match:
            _say(data.at(key), ("response", "body", *match[1].lower().split(".")), covering)


def _say(place: Spot, path: tuple[str, ...], covering: frozenset[tuple[str, ...]]) -> None:
    if not _covered(path, covering):
        shown = ".".join([part if re.fullmatch(r"[\w-]+", part) else f"`{part}`" for part in path])[:200]
        place.say(
            "warning", "C118", f"the secret {shown} stands in no log.sanitize", key=True, hint=f'add "{shown}" to it'
        )
