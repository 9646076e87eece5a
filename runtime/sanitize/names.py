"""
Names whose values are never shown, whatever an app's `log.sanitize` says (spec/communication.md 21, connections.md 12).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_plus

from runtime.sanitize.encodings import MASK, Span

#: Tells whether values under this name are masked.
NameTest: TypeAlias = Callable[[str], bool]

#: Headers that carry credentials by their definition; lower case.
SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "set-cookie2", "x-amz-security-token"}
)
#: Keys of a connection's stored data whose values count as secrets from `SHORTEST_STORED` characters on.
STORED_SECRET: Final = re.compile(r"token|secret|key|password|pwd|auth|signature|code|cookie", re.IGNORECASE)
SHORTEST_STORED: Final = 6

_SEPARATORS: Final = re.compile(r"[-_.\s]+")
#: Names that mean a credential in every service; narrow, so that an author sees the rest of an exchange.
_ALWAYS: Final = frozenset(
    {
        "accesskey", "accesstoken", "apikey", "apisecret", "apitoken", "authorization", "authtoken",
        "clientassertion", "clientsecret", "codeverifier", "cookie", "idtoken", "oauthsignature", "oauthtoken",
        "oauthtokensecret", "oauthverifier", "passwd", "password", "privatekey", "proxyauthorization", "pwd",
        "refreshtoken", "secretkey", "setcookie", "signature", "xaccesstoken", "xamzcredential",
        "xamzsecuritytoken", "xamzsignature", "xapikey", "xapitoken", "xauthtoken",
    }
)  # fmt: skip
_PHASE: Final = re.compile(
    r"code|state|\w+code|oauth.*|.*(?:token|verifier|secret|passw|passphrase|pwd|apikey|assertion|signature).*"
)
_MEMBER: Final = re.compile(r'"((?:[^"\\]|\\.){1,100})"\s*:\s*("(?:[^"\\]|\\.)*"?|-?\d[\d.eE+-]*)')
_KEY: Final = re.compile(r'"([^"\\]{1,100})"\s*:')
_FIELD: Final = re.compile(r"(?:^|[?&\s;,('\"])([^\s?&=<>\";,('\[{]{1,100})=([^\s&<>\"]+)")


@functools.lru_cache(maxsize=4096)
def always_secret(name: str) -> bool:
    """Whether this name means a credential in every exchange."""
    return _SEPARATORS.sub("", name.lower()) in _ALWAYS


@functools.lru_cache(maxsize=4096)
def phase_secret(name: str) -> bool:
    """Whether values under this name are masked while a connection authorizes: tokens, codes, `state`, ..."""
    plain = _SEPARATORS.sub("", name.lower())
    return plain in _ALWAYS or _PHASE.fullmatch(plain) is not None


def stored_secret(name: str) -> bool:
    """Whether a key of a connection's stored data names a secret."""
    return STORED_SECRET.search(name) is not None


def has_names(text: str, secret: NameTest) -> bool:
    """Whether a JSON text without backslashes has a member or a form parameter of a secret name anywhere."""
    if any(map(secret, set(_KEY.findall(text)))):
        return True
    return "=" in text and any(secret(unquote_plus(match[1]).rstrip("]")) for match in _FIELD.finditer(text))


def mask_names(value: Any, secret: NameTest) -> Any:
    """JSON data with everything under a secret name masked, as a copy; texts that are JSON or a form count too."""
    if isinstance(value, dict):
        return {
            key: MASK
            if member is not None and not isinstance(member, bool) and secret(str(key))
            else mask_names(member, secret)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [mask_names(item, secret) for item in value]
    if isinstance(value, str):
        return _mask_text(value, secret)
    return value


def _mask_text(text: str, secret: NameTest) -> str:
    spans = name_spans(text, secret)
    if not spans:
        return text
    if text.lstrip()[:1] in ("{", "["):
        # Stays JSON, and follows escapes and nested objects exactly.
        try:
            masked = mask_names(json.loads(text), secret)
        except (ValueError, RecursionError):
            pass  # no JSON after all: masked as a text below
        else:
            return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
    parts: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start >= at:
            parts += [text[at:start], MASK]
            at = end
    return "".join([*parts, text[at:]])


def name_spans(text: str, secret: NameTest) -> list[Span]:
    """Where values of secret names stand in a text that may be JSON, a form or hold a URL; works on pieces of them."""
    spans: list[Span] = []
    if '"' in text:
        for match in _MEMBER.finditer(text):
            if secret(match[1]):
                start, end = match.span(2)
                quoted = match[2].startswith('"')
                closed = quoted and len(match[2]) > 1 and match[2].endswith('"')
                spans.append((start + quoted, end - closed))
    if "=" in text:
        spans += [match.span(2) for match in _FIELD.finditer(text) if secret(unquote_plus(match[1]).rstrip("]"))]
    return spans
