"""
OAuth 1.0 signatures: the `oauth` directive over a request that is otherwise complete.

The base string is oauthlib's; what is sent beside it is ours. Source: spec/communication.md section 17, RFC 5849.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from runtime.communication.url import encode_component, encode_pairs
from runtime.effects import HttpRequest, Pieces
from runtime.errors import InvalidConfigurationError
from runtime.values import UNDEFINED, to_text

METHODS: Final = ("HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT")
TRANSPORTS: Final = ("header", "query", "body")
_FORM: Final = "application/x-www-form-urlencoded"

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Nonce and timestamp of a signature: new ones for each request that is sent. `version` may be left out."""

    nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    timestamp: Callable[[], int] = lambda: int(time.time())
    version: bool = True


def sign_oauth1(request: HttpRequest, directive: Mapping[str, Any], fresh: Freshness = Freshness()) -> HttpRequest:
    """
    The request with its OAuth 1.0 parameters and signature.

    `directive` holds the evaluated keys of the directive, and `callback` for the phase that asks for a request token.

    Raises:
        InvalidConfigurationError: A method or transport is unknown, the key is none, or the body cannot carry it.
    """
    fields = {key: to_text(value) for key, value in directive.items() if value not in (None, UNDEFINED, "", False)}
    method = fields.get("signature_method", METHODS[0]).upper()
    transport = fields.get("transport_method", TRANSPORTS[0]).lower()
    if method not in METHODS:
        raise InvalidConfigurationError(f"oauth.signature_method must be one of {', '.join(METHODS)}")
    if transport not in TRANSPORTS:
        raise InvalidConfigurationError(f"oauth.transport_method must be one of {', '.join(TRANSPORTS)}")
    form = _form(request)
    if transport == "body" and form is None:
        raise InvalidConfigurationError("oauth.transport_method: body needs a body of the type urlencoded")
    given = [*request.log.qs, *(form or ())]
    own = _own_pairs(fields, directive, method, fresh, request, given)
    signature = _signature(method, request, [*given, *own], fields)
    return _carried(request, transport, [*own, ("oauth_signature", signature)])


def _joined(request: HttpRequest) -> bytes:
    body = request.body
    return b"".join(body.pieces) if isinstance(body, Pieces) else body or b""


def _form(request: HttpRequest) -> Pairs | None:
    kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    if request.body is None or kind.partition(";")[0].strip().lower() != _FORM:
        return None
    return parse_qsl(_joined(request).decode("utf-8", "replace"), keep_blank_values=True)


def _own_pairs(
    fields: Mapping[str, str],
    directive: Mapping[str, Any],
    method: str,
    fresh: Freshness,
    request: HttpRequest,
    given: Pairs,
) -> Pairs:
    own: Pairs = [
        ("oauth_consumer_key", fields.get("consumer_key", "")),
        ("oauth_nonce", fresh.nonce()),
        ("oauth_signature_method", method),
        ("oauth_timestamp", str(fresh.timestamp())),
        *([("oauth_version", "1.0")] if fresh.version else []),
    ]
    known = {name for name, _ in given}
    for key in ("token", "verifier", "callback"):
        if fields.get(key) and f"oauth_{key}" not in known:
            own.append((f"oauth_{key}", fields[key]))
    wanted = directive.get("body_hash")
    if wanted is True:
        digest = hashlib.sha256 if method == "HMAC-SHA256" else hashlib.sha1
        own.append(("oauth_body_hash", base64.b64encode(digest(_joined(request)).digest()).decode("ascii")))
    elif isinstance(wanted, str) and wanted:
        own.append(("oauth_body_hash", wanted))
    return own


def _signature(method: str, request: HttpRequest, pairs: Pairs, fields: Mapping[str, str]) -> str:
    # A quarter of a second that only signing requests pay for.
    from oauthlib.oauth1.rfc5849 import signature as rfc5849

    keys = SimpleNamespace(
        client_secret=fields.get("consumer_secret", ""), resource_owner_secret=fields.get("token_secret", "")
    )
    if method == "PLAINTEXT":
        return rfc5849.sign_plaintext_with_client(None, keys)
    escaped = [(encode_component(name), encode_component(value)) for name, value in pairs]
    normalized = "&".join(f"{name}={value}" for name, value in sorted(escaped))
    text = rfc5849.signature_base_string(cast("Any", request.method), rfc5849.base_string_uri(request.url), normalized)
    if method == "RSA-SHA1":
        return _rsa_sha1(text, fields.get("private_key", ""))
    sign = rfc5849.sign_hmac_sha256_with_client if method == "HMAC-SHA256" else rfc5849.sign_hmac_sha1_with_client
    return sign(text, keys)


def _rsa_sha1(text: str, pem: str) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        # Keys that were pasted into one line keep their breaks as `\n`.
        key = load_pem_private_key(pem.replace("\\n", "\n").encode("utf-8", "replace"), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidConfigurationError("oauth.private_key: not an RSA private key in PEM form")
    # The algorithm is the protocol's: RFC 5849 knows no other hash for RSA.
    signed = key.sign(text.encode("ascii"), padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    return base64.b64encode(signed).decode("ascii")


def _carried(request: HttpRequest, transport: str, own: Pairs) -> HttpRequest:
    log = request.log
    if transport == "query":
        joint = "&" if "?" in request.url else "?"
        return replace(request, url=request.url + joint + encode_pairs(own), log=replace(log, qs=(*log.qs, *own)))
    if transport == "body":
        body = b"&".join(part for part in (_joined(request), encode_pairs(own).encode("ascii")) if part)
        logged = {**log.body, **dict(own)} if isinstance(log.body, dict) else log.body
        return replace(request, body=body, log=replace(log, body=logged))
    value = "OAuth " + ", ".join(f'{encode_component(name)}="{encode_component(text)}"' for name, text in own)
    kept = tuple(pair for pair in request.headers if pair[0].lower() != "authorization")
    return replace(request, headers=(*kept, ("Authorization", value)))
