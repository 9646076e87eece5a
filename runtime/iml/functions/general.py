"""General functions (spec/iml.md 7.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

from runtime.coercion import invalid, utf8
from runtime.iml import paths
from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.registry import Example, Family
from runtime.values import UNDEFINED, compact_json, equal, is_empty, milliseconds, to_text, truthy

GENERAL: Final = Family("general")
_PERSON: Final = {"p": {"id": 1, "name": "Ann", "tags": ["a", "b"]}}


GENERAL.function(
    "get",
    "source; path",
    "What stands at a path: an item of an array by its number, or anything by a dotted path.",
    Example('{{get(p; "tags[2]")}}', "b", _PERSON),
    Example("{{get(p.tags; -1)}}", "b", _PERSON),
)(paths.get)


@GENERAL.function(
    "if",
    "test; then; [else]",
    "The second argument when the test is true, else the third. Only what is needed is evaluated.",
    Example('{{if(p.id > 1; "many"; "one")}}', "one", _PERSON),
    lazy=True,
)
def choose(test: Any, then: Any, otherwise: Any) -> Any:
    return then if truthy(test) else otherwise


@GENERAL.function(
    "ifempty",
    "value; instead",
    "The value, or the second argument when it is undefined, null or an empty text.",
    Example('{{ifempty(p.mail; "none")}}', "none", _PERSON),
    Example('{{ifempty(0; "none")}}', 0),
    lazy=True,
)
def if_empty(value: Any, instead: Any) -> Any:
    return instead if is_empty(value) else value


@GENERAL.function(
    "switch",
    "value; *cases",
    "The result behind the first case equal to the value; a last argument without a partner is for all others.",
    Example('{{switch(p.name; "Bob"; 1; "Ann"; 2; 3)}}', 2, _PERSON),
    lazy=True,
)
def switch(value: Any, *cases: Any) -> Any:
    for position in range(0, len(cases) - 1, 2):
        if equal(value, cases[position]):
            return cases[position + 1]
    return cases[-1] if len(cases) % 2 else UNDEFINED


@GENERAL.function(
    "equal",
    "left; right",
    "Whether two values are equal, as the operator `=` tells.",
    Example('{{equal(1; "1")}}', False),
    gives="boolean",
)
def equal_(left: Any, right: Any) -> bool:
    return equal(left, right)


def _keys(arguments: tuple[Any, ...]) -> set[str]:
    keys: set[str] = set()
    for argument in arguments:
        keys.update(to_text(key) for key in (argument if isinstance(argument, list) else [argument]))
    return keys


@GENERAL.function(
    "pick",
    "collection: collection; *keys",
    "A collection with only the named keys.",
    Example('{{pick(p; "name"; "id")}}', {"id": 1, "name": "Ann"}, _PERSON),
    gives="collection",
)
def pick(collection: dict[str, Any], *keys: Any) -> dict[str, Any]:
    wanted = _keys(keys)
    return {key: value for key, value in collection.items() if key in wanted}


@GENERAL.function(
    "omit",
    "collection: collection; *keys",
    "A collection without the named keys.",
    Example('{{omit(p; "name"; "tags")}}', {"id": 1}, _PERSON),
    gives="collection",
)
def omit(collection: dict[str, Any], *keys: Any) -> dict[str, Any]:
    unwanted = _keys(keys)
    return {key: value for key, value in collection.items() if key not in unwanted}


@GENERAL.function(
    "createJSON",
    "value",
    "A value as compact JSON text.",
    Example("{{createJSON(p.tags)}}", '["a","b"]', _PERSON),
    app_only=True,
    needs_evaluation=True,
)
def create_json(evaluation: Evaluation, value: Any) -> Any:
    return UNDEFINED if value is UNDEFINED else evaluation.text(compact_json(value))


def _refuse_constant(_: str) -> Any:
    raise ValueError("JSON has no NaN and no infinities")


@GENERAL.function(
    "parseJSON",
    "text",
    "The value that a JSON text stands for.",
    Example("{{parseJSON('{\"a\": [1, 2]}').a[2]}}", 2),
    Example('{{parseJSON("{")}}', error="Source is not valid JSON."),
    app_only=True,
    needs_evaluation=True,
)
def parse_json(evaluation: Evaluation, text: Any) -> Any:
    if is_empty(text):
        return UNDEFINED
    source = to_text(text)
    evaluation.room(len(source))
    try:
        return json.loads(source, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise FunctionFailed("Source is not valid JSON.") from None


_DIGESTS: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
#: Options of `jwt` that set a claim: option -> claim.
_CLAIMS: Final = {"audience": "aud", "issuer": "iss", "subject": "sub", "jwtid": "jti"}
_TIMES: Final = {"notBefore": "nbf", "expiresIn": "exp"}


def _url_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _sign(signed: str, secret: Any, algorithm: str) -> bytes:
    key = secret.data if hasattr(secret, "data") else utf8(to_text(secret))
    size = algorithm[2:]
    if algorithm.startswith("HS"):
        return hmac.new(key, signed.encode("ascii"), _DIGESTS[size]).digest()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[size]
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, rsa.RSAPrivateKey):
        # The library's own message may quote parts of the key.
        raise FunctionFailed(f"secretOrPrivateKey must be an asymmetric key when using {algorithm}")
    return private.sign(signed.encode("ascii"), padding.PKCS1v15(), digest)


def _claims(payload: dict[str, Any], options: dict[str, Any], second: int) -> dict[str, Any]:
    claims = dict(payload)
    issued = claims.get("iat", second)
    if "iat" not in claims and not truthy(options.get("noTimestamp", False)):
        claims["iat"] = second
    for option, claim in _TIMES.items():
        if not is_empty(options.get(option)):
            seconds = options[option]
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise FunctionFailed(f'"{option}" should be a number of seconds')
            start = issued if isinstance(issued, (int, float)) else second
            claims[claim] = start + seconds
    for option, claim in _CLAIMS.items():
        if not is_empty(options.get(option)):
            claims[claim] = options[option]
    return claims


@GENERAL.function(
    "jwt",
    "payload; secret; [algorithm]; [options]",
    "A signed JSON Web Token. Algorithms: HS256 (default), HS384, HS512, RS256, RS384, RS512.",
    Example(
        '{{jwt(p; "k"; "HS256"; o)}}',
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.HYfzqBpLbCOo950TeHdytWxg8UHtAmEQCW7ITVky6Gc",
        {"p": {"a": 1}, "o": {"noTimestamp": True}},
    ),
    Example('{{jwt(p; "")}}', error="secretOrPrivateKey must have a value", context={"p": {}}),
    app_only=True,
    pure=False,
    needs_evaluation=True,
)
def jwt(evaluation: Evaluation, payload: Any, secret: Any, algorithm: Any, options: Any) -> str:
    name = "HS256" if is_empty(algorithm) else to_text(algorithm)
    if is_empty(secret):
        raise FunctionFailed("secretOrPrivateKey must have a value")
    if name[:2] not in ("HS", "RS") or name[2:] not in _DIGESTS:
        raise FunctionFailed(f"Unsupported algorithm '{name}'.")
    chosen: dict[str, Any] = options if isinstance(options, dict) else {}
    header = {"alg": name, "typ": "JWT"}
    if isinstance(chosen.get("header"), dict):
        header |= chosen["header"]
    if isinstance(payload, dict):
        body = compact_json(_claims(payload, chosen, milliseconds(evaluation.environment.now) // 1000))
    elif isinstance(payload, str):
        body = payload
    else:
        raise invalid(payload, "collection")
    signed = f"{_url_base64(utf8(compact_json(header)))}.{_url_base64(utf8(body))}"
    return evaluation.text(f"{signed}.{_url_base64(_sign(signed, secret, name))}")
