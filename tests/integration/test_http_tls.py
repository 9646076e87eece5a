"""TLS and proxies on real sockets (communication.md 20)."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.effects import HttpRequest
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError
from runtime.http import HttpPerformer, NetworkPolicy
from tests.servers import Answer, ScriptServer

NETS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.fixture(name="certificate", scope="module")
def certificate_fixture(tmp_path_factory):
    """A self-signed certificate for `localhost`: its PEM text and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "both.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return pem.decode("ascii"), context


@pytest.fixture(name="http")
def http_fixture():
    """A performer that may reach loopback."""
    with HttpPerformer(NetworkPolicy(allow_nets=NETS)) as performer:
        yield performer


def localhost(server: ScriptServer) -> str:
    return f"https://localhost:{server.port}/"


@pytest.mark.parametrize("written", ["as it is", "with escaped line breaks"])
def test_a_ca_is_trusted_for_its_request(http, certificate, written):
    """The host name is checked although the connection goes to an address; another request does not trust it."""
    pem, context = certificate
    ca = pem if written == "as it is" else pem.replace("\n", "\\n")
    with ScriptServer([Answer(body=b"ok"), Answer()], tls=context) as server:
        response = http.send(HttpRequest("GET", localhost(server), ca=ca))
        with pytest.raises(ModuleRuntimeError, match="TLS connection to localhost failed: self-signed certificate"):
            http.send(HttpRequest("GET", localhost(server)))

    assert response.body == b"ok"


def test_a_certificate_for_another_name_is_refused(http, certificate):
    """Trusting the issuer is not enough."""
    pem, context = certificate
    failure = pytest.raises(ModuleRuntimeError, match=r"TLS connection to 127\.0\.0\.1 failed")
    with ScriptServer([Answer()], tls=context) as server, failure:
        http.send(HttpRequest("GET", f"https://127.0.0.1:{server.port}/", ca=pem))

    assert server.received == []


def test_insecure_tls_only_where_the_operator_allows_it(http, certificate):
    """`rejectUnauthorized: false` is refused by default."""
    _, context = certificate
    policy = NetworkPolicy(allow_nets=NETS, allow_insecure_tls=True)
    with ScriptServer([Answer(body=b"ok")], tls=context) as server, HttpPerformer(policy) as lax:
        response = lax.send(HttpRequest("GET", localhost(server), verify_tls=False))
        with pytest.raises(InvalidConfigurationError):
            http.send(HttpRequest("GET", localhost(server), verify_tls=False))

    assert response.body == b"ok"


def test_a_proxy_is_used_only_when_configured(http, monkeypatch):
    """Requests go to the configured proxy in absolute form; the environment's variables are never read."""
    with ScriptServer([Answer(body=b"via proxy")]) as proxy, ScriptServer([Answer(body=b"direct")]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        direct = http.send(HttpRequest("GET", server.url + "/x"))
        with HttpPerformer(NetworkPolicy(proxy=proxy.url)) as proxied:
            response = proxied.send(HttpRequest("GET", "http://service.invalid/a?b=c"))

    assert (direct.body, response.body) == (b"direct", b"via proxy")
    assert proxy.received[0].target == "http://service.invalid/a?b=c"
    assert proxy.received[0].header("host") == "service.invalid"


def test_a_proxy_does_not_open_private_networks():
    """The target is checked also when somebody else connects to it."""
    refusal = pytest.raises(InvalidConfigurationError)
    with ScriptServer([Answer()]) as proxy, HttpPerformer(NetworkPolicy(proxy=proxy.url)) as http, refusal:
        http.send(HttpRequest("GET", "http://169.254.169.254/latest"))

    assert proxy.received == []
