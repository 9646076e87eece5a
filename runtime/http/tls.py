"""
TLS contexts: which certificates are trusted, and the one that a client shows (spec/communication.md 20).
"""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi

from runtime.effects import ClientCertificate
from runtime.errors import InvalidConfigurationError


def tls_context(ca: str | None = None, client: ClientCertificate | None = None, verify: bool = True) -> ssl.SSLContext:
    """
    A context that trusts the usual authorities and `ca`, and shows `client` to a server that asks for it.

    Raises:
        InvalidConfigurationError: One of them is no certificate, or the key does not belong to it.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca:
        try:
            context.load_verify_locations(cadata=_lines(ca))
        except (ssl.SSLError, ValueError):
            raise InvalidConfigurationError("ca: not a certificate in PEM form") from None
    if client is not None:
        _show(context, client)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(client: ClientCertificate) -> str:
    """A text that is the same for the same certificate, key and passphrase only, and tells nothing about them."""
    digest = hashlib.sha256()
    for part in (client.certificate, client.key, client.passphrase):
        digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()


def _show(context: ssl.SSLContext, client: ClientCertificate) -> None:
    text = f"{_lines(client.certificate).strip()}\n{_lines(client.key).strip()}\n"
    passphrase = client.passphrase.encode("utf-8", "surrogatepass")
    # Always given: without it the library would ask for one at the terminal.
    with _file(text.encode("utf-8", "replace")) as path:
        try:
            context.load_cert_chain(path, password=passphrase)
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                message = "client certificate: the private key does not belong to the certificate"
            elif "ENCRYPTED" in client.key:
                message = "client certificate: the private key is encrypted and its passphrase is missing or wrong"
            else:
                message = "client certificate: certificate and private key must be in PEM form"
            raise InvalidConfigurationError(message) from None


@contextmanager
def _file(data: bytes) -> Generator[str]:
    """
    The path of a file with these bytes for the time of the block. The TLS library reads keys from files only: this one
    lies in memory and has no name; where the system has no such files, it is the owner's alone and removed at once.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            _write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    handle, path = tempfile.mkstemp(prefix="scenarist-")
    try:
        _write(handle, data)
        yield path
    finally:
        with suppress(OSError):
            os.ftruncate(handle, 0)
        os.close(handle)
        with suppress(OSError):
            Path(path).unlink()


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _lines(pem: str) -> str:
    """A PEM text whose line ends were written as two characters, as forms and JSON in JSON do."""
    return pem.replace("\\n", "\n")
