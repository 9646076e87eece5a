"""The examples of RFC 7515, appendix A, against what signs for `jwt`, and its tokens against another library."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from runtime.iml.functions.general import _sign
from runtime.values import Buffer
from tests.unit.iml.helpers import render

PAYLOAD = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
OCT = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC"
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6"
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
    "yuXpoQ"
)
EXPONENT = (
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pW"
    "J1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv"
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRu"
    "OopznQ"
)
RSA_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def private_key() -> rsa.RSAPrivateKey:
    """The RSA key of appendix A.2."""
    n, d, e = (int.from_bytes(decoded(text)) for text in (MODULUS, EXPONENT, "AQAB"))
    p, q = rsa.rsa_recover_prime_factors(n, e, d)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, n)
    )
    return numbers.private_key()


def pem(key: rsa.RSAPrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    ("header", "algorithm", "signature"),
    [
        pytest.param(
            '{"typ":"JWT",\r\n "alg":"HS256"}', "HS256", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", id="A.1"
        ),
        pytest.param('{"alg":"RS256"}', "RS256", RSA_SIGNATURE, id="A.2"),
    ],
)
def test_rfc_7515_appendix_a(header: str, algorithm: str, signature: str) -> None:
    """The signature over the RFC's own header and payload, blanks and breaks included, is the one that it prints."""
    signed = f"{encoded(header.encode())}.{encoded(PAYLOAD.encode())}"
    secret: Any = Buffer(decoded(OCT)) if algorithm == "HS256" else pem(private_key())

    assert encoded(_sign(signed, secret, algorithm)) == signature


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512"])
def test_tokens_verify_with_another_library(algorithm: str) -> None:
    """With the keys of appendix A: binary for HMAC, PEM of either form for RSA; header and payload stay."""
    key = private_key()
    secrets = [Buffer(decoded(OCT))]
    if algorithm.startswith("RS"):
        secrets = [pem(key), pem(key, serialization.PrivateFormat.TraditionalOpenSSL)]  # type: ignore[list-item]
    for secret in secrets:
        context = {"p": PAYLOAD, "k": secret, "o": {"header": {"kid": "1"}}}
        token = render(f'{{{{jwt(p; k; "{algorithm}"; o)}}}}', context)
        public = RSAKey.import_key(key.public_key()) if algorithm.startswith("RS") else OctKey.import_key(decoded(OCT))
        found = jwt.decode(token, public, algorithms=[algorithm])

        assert found.header == {"alg": algorithm, "typ": "JWT", "kid": "1"}
        assert found.claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
        assert decoded(token.split(".")[1]) == PAYLOAD.encode()
