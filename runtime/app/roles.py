"""
The kinds of components, their roles, and what an absent role holds (spec/app-format.md 3, 10.2, 10.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Shape: TypeAlias = Literal["object", "array", "any"]


@dataclass(frozen=True, slots=True)
class Role:
    """
    One role. `shapes` are the JSON shapes that its content may have; `empty` is what an absent file holds.

    `code` marks roles that are no JSON: code, test, readme.
    """

    name: str
    empty: Literal["object", "array", "none"]
    shapes: tuple[Literal["object", "array", "text"], ...]
    code: bool = False

    def empty_value(self) -> Any:
        """A fresh empty content."""
        return {} if self.empty == "object" else [] if self.empty == "array" else None


def _objects(*names: str) -> dict[str, Role]:
    return {name: Role(name, "object", ("object",)) for name in names}


def _requests(*names: str) -> dict[str, Role]:
    return {name: Role(name, "object", ("object", "array")) for name in names}


def _lists(*names: str) -> dict[str, Role]:
    return {name: Role(name, "array", ("array", "text")) for name in names}


def _texts(*names: str) -> dict[str, Role]:
    return {name: Role(name, "none", (), code=True) for name in names}


_SAMPLES = {"samples": Role("samples", "object", ("object", "text"))}
#: Roles of the app itself.
GENERAL_ROLES: Final[dict[str, Role]] = {
    **_objects("base", "common"),
    "groups": Role("groups", "array", ("array",)),
    **_texts("readme"),
}

#: Kind -> role name -> role.
ROLES: Final[dict[str, dict[str, Role]]] = {
    "connection": {
        **_requests("communication"),
        **_lists("params", "installSpec"),
        "defaultScope": Role("defaultScope", "array", ("array",)),
        **_objects("common", "scopeList", "installDirectives"),
    },
    "webhook": {
        **_requests("communication", "attach", "detach", "update"),
        **_lists("params", "requiredScope"),
    },
    "module": {
        **_requests("communication"),
        **_objects("epoch"),
        **_lists("staticParams", "mappableParams", "interface", "scope"),
        **_SAMPLES,
    },
    "rpc": {**_requests("communication"), **_lists("params")},
    "function": {**_texts("code", "test")},
    "endpoint": {
        **_objects("communication"),
        **_lists("scope", "inputParameters", "outputParameters"),
        **_texts("context"),
    },
}

KINDS: Final = tuple(ROLES)

#: Role names of the online API that the loader takes when the proper role is absent (A204).
ONLINE_ROLES: Final[dict[str, dict[str, str]]] = {
    "connection": {"api": "communication", "parameters": "params", "scopes": "scopeList", "scope": "defaultScope"},
    "webhook": {"api": "communication", "parameters": "params", "scope": "requiredScope"},
    "module": {"api": "communication", "parameters": "staticParams", "expect": "mappableParams"},
    "rpc": {"api": "communication", "parameters": "params"},
    "function": {},
    "endpoint": {},
}

#: Form of local ids (2.3).
ID_PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    "module": re.compile(r"[a-zA-Z][0-9a-zA-Z]{2,63}"),
    "rpc": re.compile(r"[a-zA-Z][0-9a-zA-Z]{2,63}"),
    "function": re.compile(r"[a-zA-Z][0-9a-zA-Z]{1,94}[0-9a-zA-Z]"),
    "connection": re.compile(r"[a-zA-Z][0-9a-zA-Z-]{1,33}[0-9a-zA-Z]"),
    "webhook": re.compile(r"[a-zA-Z][0-9a-zA-Z-]{1,33}[0-9a-zA-Z]"),
    "endpoint": re.compile(r"[a-zA-Z][0-9a-zA-Z]{1,126}[0-9a-zA-Z]"),
}

#: `moduleType` and the number of the export layout's `typeId` (2.2, 10.2).
MODULE_TYPES: Final[dict[str, int]] = {
    "trigger": 1,
    "action": 4,
    "search": 9,
    "instant_trigger": 10,
    "responder": 11,
    "universal": 12,
}

#: Root keys of an OAuth connection's communication, 2 and 1 (spec/connections.md 7, 9).
OAUTH2_KEYS: Final = frozenset({"preauthorize", "authorize", "token", "info", "refresh", "invalidate"})
OAUTH1_KEYS: Final = frozenset({"oauth", "requestToken", "authorize", "accessToken", "info", "invalidate"})
