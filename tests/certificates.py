"""Certificates for tests: an authority of our own, what it issues, and server contexts with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both as PEM text; `locked` is the key under the passphrase `open sesame`."""

    certificate: str
    key: str
    locked: str


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(slots=True)
class Authority:
    """A certificate authority that lives as long as the test."""

    name: str = "test authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self.issue(self.name, authority=True).certificate

    def issue(self, name: str, *, authority: bool = False) -> Issued:
        """A certificate for a host or a client of this name."""
        key = self.key if authority else ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

        def text(encryption: serialization.KeySerializationEncryption) -> str:
            form = serialization.PrivateFormat.PKCS8
            return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode("ascii")

        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            text(serialization.NoEncryption()),
            text(serialization.BestAvailableEncryption(b"open sesame")),
        )

    def server(self, folder: Path, name: str = "localhost", *, clients: bool = False) -> ssl.SSLContext:
        """The context of a server of this name; with `clients` it wants certificates of this authority."""
        issued = self.issue(name)
        path = folder / f"{name}.pem"
        path.write_text(issued.certificate + issued.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.pem)
        return context
