"""OAuth 1.0 signatures: the examples of RFC 5849, and where the parameters are sent (communication.md 17)."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from oauthlib.oauth1.rfc5849 import signature as rfc5849

from runtime.communication import Kind, Scope, compile_communication, run_communication
from runtime.communication.oauth1 import Freshness, sign_oauth1
from runtime.effects import ExchangeLog, HttpRequest, HttpResponse, Warn, drive
from runtime.errors import InvalidConfigurationError
from runtime.iml import Environment
from tests.unit.communication.harness import NOW

KEYS = {
    "consumer_key": "dpf43f3p2l4k3l03",
    "consumer_secret": "kd94hf93k423kf44",
    "token": "nnch734d00sl2jdk",
    "token_secret": "pfkkdhi9sl3r4s00",
}


def fresh(nonce: str, timestamp: int) -> Freshness:
    return Freshness(lambda: nonce, lambda: timestamp, version=False)


def request(url: str, method: str = "GET", **fields: Any) -> HttpRequest:
    query = tuple(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return HttpRequest(method, url, log=ExchangeLog(qs=query), **fields)


def authorization(signed: HttpRequest) -> dict[str, str]:
    value = dict(signed.headers)["Authorization"]
    assert value.startswith("OAuth ")
    parts = (part.split("=", 1) for part in value.removeprefix("OAuth ").split(", "))
    return {name: unquote(text.strip('"')) for name, text in parts}


def test_rfc_5849_photos_example() -> None:
    """Section 1.2: the request for the photo, signed with HMAC-SHA1, gives the signature that the RFC prints."""
    sent = request("http://photos.example.net/photos?file=vacation.jpg&size=original")
    fields = authorization(sign_oauth1(sent, KEYS, fresh("chapoH", 137131202)))

    assert fields["oauth_signature"] == "MdpQcU8iPSUjWoN/UDMsK2sui9I="
    assert fields["oauth_token"] == KEYS["token"]


def test_rfc_5849_token_credentials() -> None:
    """Section 1.2: the request that brings the verifier."""
    consumer = {name: KEYS[name] for name in ("consumer_key", "consumer_secret")}
    keys = {"token": "hh5s93j4hdidpola", "token_secret": "hdhd0244k9j7ao03", "verifier": "hfdp7dh39dks9884"}
    sent = request("https://photos.example.net/token", "POST")
    fields = authorization(sign_oauth1(sent, {**consumer, **keys}, fresh("walatlh", 137131201)))

    assert fields["oauth_signature"] == "gKgrFCywp7rO0OXSjdot/IHF7IU="


def test_oauth_core_example() -> None:
    """OAuth Core 1.0a, appendix A.5: the same request for the photo, with a version."""
    sent = request("http://photos.example.net/photos?file=vacation.jpg&size=original")
    versioned = Freshness(lambda: "kllo9940pd9333jh", lambda: 1191242096)

    assert authorization(sign_oauth1(sent, KEYS, versioned))["oauth_signature"] == "tR3+Ty81lMeYAr/Fid0kMTYa/WM="


def test_rfc_5849_base_string() -> None:
    """Section 3.4.1: duplicated names, escapes, an empty value and a form body as the RFC prints them."""
    body = b"c2&a3=2+q"
    sent = request(
        "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        "POST",
        body=body,
        headers=(("Content-Type", "application/x-www-form-urlencoded"),),
    )
    keys = {"consumer_key": "9djdj82h48djs9d2", "token": "kkk9d7dh3k39sjv7"}
    seen: list[str] = []
    original = rfc5849.sign_hmac_sha1_with_client
    rfc5849.sign_hmac_sha1_with_client = lambda text, client: seen.append(text) or original(text, client)  # type: ignore[assignment,func-returns-value]
    try:
        sign_oauth1(sent, keys, fresh("7d8f3e4a", 137131201))
    finally:
        rfc5849.sign_hmac_sha1_with_client = original

    expected = (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26"
        "c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )
    assert seen == [expected]


def test_plaintext_is_the_keys() -> None:
    """Section 3.4.4."""
    signed = sign_oauth1(request("https://photos.example.net/initiate"), {**KEYS, "signature_method": "PLAINTEXT"})

    assert authorization(signed)["oauth_signature"] == "kd94hf93k423kf44&pfkkdhi9sl3r4s00"


def test_rsa_sha1_is_verified_by_the_public_key() -> None:
    """A PEM key, also one whose breaks were pasted as `\\n`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    sent = request("http://photos.example.net/photos?size=original")
    keys = {"consumer_key": "c", "private_key": pem.replace("\n", "\\n"), "signature_method": "RSA-SHA1"}
    fields = authorization(sign_oauth1(sent, keys))

    pairs = [("size", "original"), *((k, v) for k, v in fields.items() if k != "oauth_signature")]
    base = rfc5849.signature_base_string("GET", "http://photos.example.net/photos", rfc5849.normalize_parameters(pairs))
    signature = base64.b64decode(fields["oauth_signature"])
    key.public_key().verify(signature, base.encode(), padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(InvalidConfigurationError, match="not an RSA private key"):
        sign_oauth1(sent, {**keys, "private_key": "no key"})


@pytest.mark.parametrize("transport", ["header", "query", "body"])
def test_transports(transport: str) -> None:
    """The parameters go into a header, the query or a form body, once."""
    sent = request(
        "http://s.test/a?b=1",
        "POST",
        body=b"c=2",
        headers=(("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", "Bearer old")),
    )
    signed = sign_oauth1(sent, {**KEYS, "transport_method": transport, "signature_method": "hmac-sha256"})

    places = {
        "header": dict(signed.headers)["Authorization"],
        "query": urlsplit(signed.url).query,
        "body": (signed.body or b"").decode(),
    }
    assert {name for name, text in places.items() if "oauth_signature=" in text} == {transport}
    assert places["query"].startswith("b=1")
    assert places["body"].startswith("c=2")


def test_body_transport_needs_a_form() -> None:
    """A JSON body cannot carry them."""
    sent = replace(request("http://s.test/", "POST"), body=b"{}", headers=(("Content-Type", "application/json"),))

    with pytest.raises(InvalidConfigurationError, match="urlencoded"):
        sign_oauth1(sent, {**KEYS, "transport_method": "body"})


def test_body_hash_only_when_asked_for() -> None:
    """`body_hash` true is computed, a text is sent as it is."""
    sent = replace(request("http://s.test/", "POST"), body=b"Hello World!")

    assert "oauth_body_hash" not in authorization(sign_oauth1(sent, KEYS))
    # The example of the body hash extension.
    assert (
        authorization(sign_oauth1(sent, {**KEYS, "body_hash": True}))["oauth_body_hash"]
        == "Lve95gjOVATpfV8EL5X4nxwjKHE="
    )
    assert authorization(sign_oauth1(sent, {**KEYS, "body_hash": "h"}))["oauth_body_hash"] == "h"


@pytest.mark.parametrize(("field", "value"), [("signature_method", "HMAC-MD5"), ("transport_method", "cookie")])
def test_unknown_words_are_refused(field: str, value: str) -> None:
    """The message lists what is known."""
    with pytest.raises(InvalidConfigurationError, match=f"oauth.{field} must be one of"):
        sign_oauth1(request("http://s.test/"), {**KEYS, field: value})


def test_directive_without_an_oauth1_connection_has_no_effect() -> None:
    """In a module it is ignored with a warning; with one, the module's own keys win over the connection's."""
    plan = compile_communication(
        {"url": "http://s.test/", "oauth": {"token": "own"}}, kind=Kind.ACTION, component="module x"
    )
    sent: list[HttpRequest] = []
    warnings: list[str] = []

    def perform(effect: Any) -> Any:
        if isinstance(effect, Warn):
            warnings.append(effect.message)
            return None
        sent.append(effect)
        return HttpResponse(200, (), b"{}", effect.url)

    environment = Environment(now=NOW)
    drive(run_communication(plan, Scope({}, environment)), perform)
    drive(run_communication(plan, Scope({}, environment, signing=KEYS)), perform)

    assert len(warnings) == 1
    assert "Authorization" not in dict(sent[0].headers)
    assert authorization(sent[1])["oauth_token"] == "own"
    assert authorization(sent[1])["oauth_consumer_key"] == KEYS["consumer_key"]
