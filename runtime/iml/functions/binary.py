"""Functions of bytes: encodings and hashes (spec/iml.md 7.2, spec/connections.md 7.9)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any, Final

from runtime.coercion import CODE_PAGES, decode_buffer, encode_text, utf8
from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.operators import print_text
from runtime.iml.registry import Example, Family
from runtime.values import Buffer, is_empty, to_text

BINARY: Final = Family("binary")

#: The example of RFC 7636, appendix B.
_VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_URL_ALPHABET: Final = str.maketrans("+/", "-_", "=")


def bytes_of(evaluation: Evaluation, value: Any) -> bytes:
    """The bytes of a buffer, or the UTF-8 bytes of any other value's text."""
    return value.data if isinstance(value, Buffer) else utf8(print_text(evaluation, value))


@BINARY.function(
    "base64",
    "value",
    "Base64 of a buffer, or of the UTF-8 bytes of a text.",
    Example('{{base64("make")}}', "bWFrZQ=="),
    gives="text",
    needs_evaluation=True,
)
def base64_text(evaluation: Evaluation, value: Any) -> str:
    data = bytes_of(evaluation, value)
    evaluation.room(len(data) * 4 // 3)
    return base64.b64encode(data).decode("ascii")


@BINARY.function(
    "base64url",
    "value",
    "A base64 text in the alphabet of URLs and without padding, as PKCE asks for; a buffer is encoded first.",
    Example('{{base64url(sha256(v; "base64"))}}', "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", {"v": _VERIFIER}),
    Example('{{base64url("+/8=")}}', "-_8"),
    Example(
        '{{base64url("no base64!")}}', error="The value is not a base64 text. Encode it first: base64url(base64(value))"
    ),
    gives="text",
    app_only=True,
    needs_evaluation=True,
)
def base64_url(evaluation: Evaluation, value: Any) -> str:
    text = base64_text(evaluation, value) if isinstance(value, Buffer) else print_text(evaluation, value)
    if _BASE64.fullmatch(text) is None:
        # The text may be a secret, so it is not shown.
        raise FunctionFailed("The value is not a base64 text. Encode it first: base64url(base64(value))")
    return text.translate(_URL_ALPHABET)


@BINARY.function(
    "md5",
    "value",
    "MD5 hash, hexadecimal.",
    Example('{{md5("a")}}', "0cc175b9c0f1b6a831c399e269772661"),
    gives="text",
    needs_evaluation=True,
)
def md5(evaluation: Evaluation, value: Any) -> str:
    return hashlib.md5(bytes_of(evaluation, value), usedforsecurity=False).hexdigest()


def _key(evaluation: Evaluation, key: Any, encoding: Any) -> bytes:
    name = "text" if is_empty(encoding) else to_text(encoding)
    if name not in ("text", "hex", "base64", "binary"):
        raise FunctionFailed(f"Unknown key encoding: {name}")
    if isinstance(key, Buffer):
        return key.data
    data = encode_text(print_text(evaluation, key), "utf8" if name == "text" else name)
    return data or b""


def _hash(name: str, example: str) -> None:
    make: Callable[..., Any] = getattr(hashlib, name)

    def run(evaluation: Evaluation, value: Any, encoding: Any, key: Any, key_encoding: Any) -> str:
        shape = "hex" if is_empty(encoding) else to_text(encoding)
        data = bytes_of(evaluation, value)
        if is_empty(key) or (isinstance(key, Buffer) and not key.data):
            digest = make(data).digest()
        else:
            digest = hmac.new(_key(evaluation, key, key_encoding), data, name).digest()
        if shape == "hex":
            return digest.hex()
        if shape == "base64":
            return base64.b64encode(digest).decode("ascii")
        if shape in ("latin1", "binary"):
            return digest.decode("latin-1")
        raise FunctionFailed(f"Unknown encoding: {shape}")

    BINARY.function(
        name,
        "value; [encoding]; [key]; [keyEncoding]",
        f"{name.upper()} hash, or HMAC with a key. Encodings: hex, base64, latin1. "
        "Key encodings: text, hex, base64, binary.",
        Example(f'{{{{{name}("a"; "base64")}}}}', example),
        gives="text",
        needs_evaluation=True,
    )(run)


_hash("sha1", "hvfkN/qlp/zhXR3cuerq6jd2Z7g=")
_hash("sha256", "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=")
_hash(
    "sha512",
    "H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ==",
)


@BINARY.function(
    "toBinary",
    "value; [encoding]",
    "A buffer from a text. Encodings: utf8, hex, base64, latin1, ascii.",
    Example('{{toString(toBinary("6d616b65"; "hex"))}}', "make"),
    needs_evaluation=True,
)
def to_binary(evaluation: Evaluation, value: Any, encoding: Any) -> Buffer:
    if isinstance(value, Buffer):
        return value
    name = "utf8" if is_empty(encoding) else to_text(encoding)
    data = encode_text(print_text(evaluation, value), name)
    if data is None:
        raise FunctionFailed(f"Unknown encoding: {name}")
    return Buffer(data, codepage=name if name in CODE_PAGES and name not in ("utf8", "utf-8") else None)


@BINARY.function(
    "toString",
    "value",
    "Any value as text.",
    Example("{{toString(1.50)}}", "1.5"),
    gives="text",
    needs_evaluation=True,
)
def to_string(evaluation: Evaluation, value: Any) -> str:
    if isinstance(value, Buffer):
        return evaluation.text(decode_buffer(value))
    return print_text(evaluation, value)
