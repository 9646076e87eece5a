"""
Keys and certificates that a person gives to a connection: checked text of the types `pkey` and `cert`, for `jwt`, for
`oauth.private_key`, for bodies, and as the `ca` that a request trusts (spec/communication.md 17, 20).
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import RSAKey
from oauthlib.oauth1.rfc5849 import signature as rfc5849

from connections.record import ConnectionState
from runtime.errors import BundleValidationError, InvalidConfigurationError, ModuleError
from tests.integration.test_http_tls import certificate_fixture
from tests.ledger_kit import settings_in
from tests.oauth_apps import COMMON, callback, oauth1_flow, write_app
from tests.servers import Answer, Received, ScriptServer
from tests.unit.iml.test_jws_vectors import pem, private_key
from workers.service import Service, open_service

__all__ = ["certificate_fixture"]

KEY = private_key()
#: How a key arrives from a form field or an environment variable: on one line, its breaks written out.
PASTED = pem(KEY).replace("\n", "\\n")
INPUTS = [
    {"name": "key", "type": "pkey", "label": "Key", "required": True, "editable": True},
    {"name": "certificate", "type": "cert", "label": "Certificate", "required": True},
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("home"), SCENARIST_ALLOW_NETS="127.0.0.0/8,::1/128")
    with open_service(settings) as opened:
        yield opened


def vault_app(folder: Path, url: str) -> str:
    """A service with a certificate of its own that wants a signed token and the client's certificate in the body."""
    asks = {
        "ca": "{{connection.certificate}}",
        "temp": {"claims": {"iss": "us"}},
        "headers": {"authorization": "Bearer {{jwt(temp.claims, connection.key, 'RS256')}}"},
    }
    communication = {
        "url": f"{url}/login",
        "method": "POST",
        "body": {"certificate": "{{parameters.certificate}}"},
        **asks,
        "response": {"error": {"message": "refused: {{body.message}}"}},
        "log": {"sanitize": ["request.headers.authorization"]},
    }
    return str(write_app(folder, url, communication, params=INPUTS, base=asks, name="vault"))


@pytest.fixture
def vault(certificate: tuple[str, ssl.SSLContext]) -> Iterator[ScriptServer]:
    """The service; it looks into tokens with the public key, and knows the certificate."""

    def answer(request: Received) -> Answer:
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        claims = jwt.decode(token, RSAKey.import_key(KEY.public_key()), algorithms=["RS256"]).claims
        known = not request.body or json.loads(request.body) == {"certificate": certificate[0]}
        status, body = (200, {"iss": claims["iss"]}) if known else (403, {"message": "another certificate"})
        return Answer(status, (("Content-Type", "application/json"),), json.dumps(body).encode())

    with ScriptServer(tls=certificate[1]) as server:
        server.script.handler = answer
        yield server


@pytest.mark.parametrize("key", [pytest.param(pem(KEY), id="lines"), pytest.param(PASTED, id="one line")])
def test_key_and_certificate_are_used(
    service: Service, vault: ScriptServer, certificate: tuple[str, ssl.SSLContext], tmp_path: Path, key: str
) -> None:
    """The request trusts the given certificate, sends it, and signs with the given key; so do modules."""
    name = f"vault {len(key)}"
    app = vault_app(tmp_path / "app", f"https://localhost:{vault.port}")
    pasted = certificate[0].replace("\n", "\r\n")
    record = service.connections.add(app, "acc", name=name, parameters={"key": key, "certificate": pasted}).record

    assert record.state is ConnectionState.VALID
    # Line ends are made equal, and nothing else is changed.
    assert record.data["certificate"] == certificate[0]
    report = service.local.module(app, "whoami", parameters={}, connection=name)
    assert report.error is None
    assert report.bundles[0] == {"iss": "us"}
    shown = json.dumps([report.to_json(trace=True), service.connections.show(name).to_json()])
    assert "PRIVATE KEY" not in shown
    assert certificate[0].splitlines()[2] not in shown


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        pytest.param("key", "no key", "private key", id="no key"),
        pytest.param("key", "certificate", "private key", id="a certificate instead of a key"),
        pytest.param("certificate", pem(KEY), "certificate", id="a key instead of a certificate"),
    ],
)
def test_other_texts_are_refused(
    service: Service, vault: ScriptServer, certificate: tuple[str, ssl.SSLContext], tmp_path: Path,
    field: str, value: str, words: str,
) -> None:  # fmt: skip
    """What is no key or certificate is named by its field and never shown; nothing is sent or stored."""
    app = vault_app(tmp_path / "app", f"https://localhost:{vault.port}")
    given = {"key": pem(KEY), "certificate": certificate[0]}
    given[field] = given.get(value, value)

    with pytest.raises(BundleValidationError) as caught:
        service.connections.add(app, "acc", name="refused", parameters=given)
    text = json.dumps(caught.value.to_json())
    assert f"Invalid {words} in parameter '{field}'." in text
    assert "BEGIN" not in text
    assert vault.received == []
    assert "refused" not in [view.name for view in service.connections.list()]


def test_unreadable_certificate_and_key(service: Service, vault: ScriptServer, tmp_path: Path) -> None:
    """Text that only looks like them is an error of the request, without a word of it."""
    app = vault_app(tmp_path / "app", f"https://localhost:{vault.port}")
    body = "\n".join(["A" * 64] * 3)
    false = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    with pytest.raises(InvalidConfigurationError) as caught:
        service.connections.add(app, "acc", name="no", parameters={"key": pem(KEY), "certificate": false})
    assert "AAAA" not in caught.value.message

    broken = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    with pytest.raises(ModuleError) as signing:
        service.connections.add(app, "acc", name="no", parameters={"key": broken, "certificate": false})
    assert "must be an asymmetric key when using RS256" in signing.value.message
    assert vault.received == []


def test_another_authority_is_not_trusted(
    service: Service, vault: ScriptServer, certificate: tuple[str, ssl.SSLContext], tmp_path: Path
) -> None:
    """Without `ca` the same service is refused by its certificate."""
    app = Path(vault_app(tmp_path / "app", f"https://localhost:{vault.port}"))
    communication = json.loads((app / "acc.json").read_text())
    del communication["ca"]
    (app / "acc.json").write_text(json.dumps(communication))

    with pytest.raises(ModuleError, match="TLS connection to localhost failed"):
        service.connections.add(str(app), "acc", name="no", parameters={"key": pem(KEY), "certificate": certificate[0]})


@pytest.mark.parametrize("key", [pytest.param(pem(KEY), id="lines"), pytest.param(PASTED, id="one line")])
def test_key_signs_oauth1(service: Service, tmp_path: Path, key: str) -> None:
    """`oauth.private_key` takes the input; the signature of the first phase is good under the public key."""
    tokens = Answer(
        200, (("Content-Type", "application/x-www-form-urlencoded"),), b"oauth_token=t1&oauth_token_secret=s"
    )
    with ScriptServer([tokens]) as server:
        flow: dict[str, Any] = oauth1_flow(
            server.url, signature_method="RSA-SHA1", private_key="{{parameters.key}}", consumer_secret=""
        )
        app = str(write_app(tmp_path / "app", server.url, flow, params=INPUTS[:1], name="signed"))
        service.apps.set_common(app, COMMON)
        service.connections.begin(app, "acc", name="x", parameters={"key": key}, redirect_uri=callback("signed"))
        header = server.received[0].header("authorization") or ""
        url = f"{server.url}/request_token"

    parts = (part.split("=", 1) for part in header.removeprefix("OAuth ").split(", "))
    fields = {name: unquote(text.strip('"')) for name, text in parts}
    signature = base64.b64decode(fields.pop("oauth_signature"))
    base = rfc5849.signature_base_string("POST", url, rfc5849.normalize_parameters(list(fields.items())))
    KEY.public_key().verify(signature, base.encode(), padding.PKCS1v15(), hashes.SHA1())
