"""
Which directive is available where (spec/communication.md 2, 3, 4), as tables.
"""

from __future__ import annotations

from typing import Final

#: Columns of the matrix, in its order. `O2` phases that differ are handled by `PHASES`.
KINDS: Final = ("BASE", "CB", "O1", "O2", "ACT", "SEA", "TRG", "UNI", "INS", "RES", "RPC", "EPO", "ATT", "WHK")

#: How messages name a column.
NAMES: Final[dict[str, str]] = {
    "BASE": "Base",
    "CB": "a basic connection",
    "O1": "a phase of an OAuth 1 connection",
    "O2": "a phase of an OAuth 2 connection",
    "ACT": "an action",
    "SEA": "a search",
    "TRG": "a polling trigger",
    "UNI": "a universal module",
    "INS": "an instant trigger",
    "RES": "a responder",
    "RPC": "an RPC",
    "EPO": "an epoch",
    "ATT": "a webhook's attach, detach or update",
    "WHK": "a webhook",
}

#: Kinds in which a directive that is not available is an error.
STRICT_KINDS: Final = frozenset({"CB", "O1", "O2"})

#              BASE CB O1 O2 ACT SEA TRG UNI INS RES RPC EPO ATT WHK
_REQUEST: Final[dict[str, str]] = {
    "url": "      +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "baseUrl": "  +  -  -  -   -   -   -   -   -   -   -   -   -   -",
    "method": "   +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "headers": "  +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "qs": "       +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "body": "     +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "type": "     +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "encodeUrl": "+  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "ca": "       +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "condition": "+  +  +  +   +   +   +   +   +   -   +   +   +   +",
    "temp": "     +  +  +  +   +   +   +   +   +   +   +   +   +   +",
    "gzip": "     +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "redirect": " +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "aws": "      +  -  -  -   +   +   +   +   +   -   +   +   +   -",
    "oauth": "    +  -  +  -   +   +   +   +   +   -   +   +   +   -",
    "digest": "   +  +  -  -   +   +   +   +   +   -   +   +   +   -",
    "pagination": "+  -  -  -   -   +   +   -   -   -   +   +   -   -",
    "repeat": "   -  -  -  -   +   +   +   +   +   -   +   +   +   -",
    "timeout": "  +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "log": "      +  +  +  +   +   +   +   +   +   +   +   +   +   +",
    "shareCookies": "+ + + + + + + + + - + + + -",
    "rejectUnauthorized": "+ + + + + + + + + - + + + -",
    "useQuerystring": "+ + + + + + + + + - + + + -",
    "response": " +  +  +  +   +   +   +   +   +   +   +   +   +   -",
    "respond": "  -  -  -  -   -   -   -   -   -   -   -   -   -   +",
    "verification": "- - - - - - - - - - - - - +",
    "iterate": "  -  -  -  -   -   -   -   -   -   -   -   -   -   +",
    "output": "   -  -  -  -   -   -   -   -   -   -   -   -   -   +",
    "uid": "      -  -  -  -   -   -   -   -   -   -   -   -   -   +",
    "endpoint": " -  -  -  -   +   +   -   +   -   -   +   -   -   -",
    "input": "    -  -  -  -   +   +   -   +   -   -   +   -   -   -",
}
_RESPONSE: Final[dict[str, str]] = {
    "type": "     +  +  +  +   +   +   +   +   +   +   +   +   +   -",
    "valid": "    +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "error": "    +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "temp": "     +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "iterate": "  +  -  -  -   +   +   +   +   -   -   +   +   -   -",
    "output": "   +  -  -  -   +   +   +   +   +   -   +   +   -   -",
    "limit": "    +  -  -  -   -   +   +   -   -   -   +   +   -   -",
    "wrapper": "  +  -  -  -   +   +   +   +   +   -   +   -   -   -",
    "trigger": "  -  -  -  -   -   -   +   -   -   -   -   -   -   -",
    "data": "     +  +  +  +   -   -   -   -   -   -   -   -   +   -",
    "metadata": " +  +  +  +   -   -   -   -   -   -   -   -   -   -",
    "uid": "      +  +  +  +   -   -   -   -   -   -   -   -   -   -",
    "expires": "  -  +  -  +   -   -   -   -   -   -   -   -   -   -",
    "scope": "    -  -  -  +   -   -   -   -   -   -   -   -   -   -",
    "oauth": "    +  +  +  +   +   +   +   +   +   -   +   +   +   -",
    "status": "   -  -  -  -   -   -   -   -   -   +   -   -   -   -",
    "headers": "  -  -  -  -   -   -   -   -   -   +   -   -   -   -",
    "body": "     -  -  -  -   -   -   -   -   -   +   -   -   -   -",
}


def _table(rows: dict[str, str]) -> dict[str, frozenset[str]]:
    return {
        name: frozenset(kind for kind, cell in zip(KINDS, row.split(), strict=True) if cell == "+")
        for name, row in rows.items()
    }


#: Directive -> the kinds that have it.
REQUEST: Final = _table(_REQUEST)
RESPONSE: Final = _table(_RESPONSE)

#: Both spellings of the two redirect directives are accepted.
REDIRECTS: Final = frozenset({"followRedirect", "followRedirects", "followAllRedirect", "followAllRedirects"})
for _spelling in REDIRECTS:
    REQUEST[_spelling] = REQUEST["redirect"]
del REQUEST["redirect"]

#: Directives of the response that only some phases of an OAuth connection have.
PHASES: Final[dict[str, frozenset[str]]] = {
    "metadata": frozenset({"info"}),
    "uid": frozenset({"info"}),
    "scope": frozenset({"token"}),
}

#: Keys inside of a directive.
INNER: Final[dict[str, frozenset[str]]] = {
    "pagination": frozenset({"mergeWithParent", "url", "method", "headers", "qs", "body", "condition"}),
    "repeat": frozenset({"condition", "delay", "limit"}),
    "log": frozenset({"sanitize"}),
    "condition": frozenset({"condition", "default"}),
    "aws": frozenset({"key", "secret", "session", "bucket", "sign_version", "service", "region"}),
    "oauth": frozenset({
        "consumer_key", "consumer_secret", "private_key", "token", "token_secret", "verifier", "signature_method",
        "transport_method", "body_hash",
    }),
    "digest": frozenset({"username", "password"}),
    "response.iterate": frozenset({"container", "condition"}),
    "response.valid": frozenset({"condition", "message", "type"}),
    "response.trigger": frozenset({"id", "date", "type", "order"}),
    "response.metadata": frozenset({"value", "type"}),
    "respond": frozenset({"type", "status", "headers", "body"}),
    "verification": frozenset({"condition", "respond"}),
    "iterate": frozenset({"container", "condition"}),
}  # fmt: skip

#: JSON shapes that a directive may have: o object, a array, s text, b boolean, n number. Others take anything.
SHAPES: Final[dict[str, str]] = {
    "url": "s", "baseUrl": "s", "method": "s", "headers": "os", "qs": "os", "type": "s", "ca": "s",
    "condition": "bso", "temp": "os", "gzip": "b", "encodeUrl": "b", "aws": "o", "oauth": "o", "digest": "o",
    "pagination": "o", "repeat": "o", "log": "o", "response": "o", "timeout": "n",
    "response.type": "so", "response.valid": "bso", "response.error": "so", "response.limit": "ns",
    "response.iterate": "so", "response.trigger": "o", "response.data": "os", "response.metadata": "os",
    "response.temp": "os",
}  # fmt: skip

#: Directives that are read without evaluation (D): an expression in them has no effect.
STATIC: Final = REDIRECTS | {"gzip", "encodeUrl", "timeout", "repeat.delay", "repeat.limit"}

#: Accepted by us and by Make's documentation, but not by the published schemas (app-format.md 6).
BEYOND_SCHEMA: Final = frozenset(
    {"followRedirect", "followAllRedirect", "useQuerystring", "shareCookies", "rejectUnauthorized"}
)
