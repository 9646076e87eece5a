"""
AWS request signing, versions 2 and 4. Pure: the same request, keys and instant give the same signature.

Source: spec/communication.md section 16. A request is signed at the last moment, when its address and body are final
and its date is the current one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from runtime.effects import HttpRequest, Pieces
from runtime.errors import InvalidConfigurationError
from runtime.values import UNDEFINED, to_text

#: Parts of the query that belong to the signed resource in version 2.
SUBRESOURCES: Final = frozenset({
    "acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy",
    "requestPayment", "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires", "restore", "tagging", "torrent",
    "uploadId", "uploads", "versionId", "versioning", "versions", "website",
})  # fmt: skip
_DEFAULT_REGION: Final = "us-east-1"
#: `eu-west-1`, alone or behind the service as in `s3-eu-west-1`.
_REGION: Final = re.compile(r"(?:(?P<service>.+)-)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\Z")
_DOMAIN: Final = re.compile(r"\.amazonaws\.com(?:\.cn)?\Z")


@dataclass(frozen=True, slots=True)
class AwsSigner:
    """The `aws` directive of one request, evaluated. `sign` gives the request with its signature."""

    key: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)
    bucket: str = ""
    version: str = "2"
    service: str = ""
    region: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no log may show."""
        return tuple(value for value in (self.secret, self.session) if value)

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """
        The signed request.

        Raises:
            InvalidConfigurationError: Version 4 cannot tell the service from the host.
        """
        return _signed_v4(self, request, now) if self.version == "4" else _signed_v2(self, request, now)


def signer_of(value: Any) -> AwsSigner | None:
    """
    The signer of an evaluated `aws` directive; None when there is none.

    Raises:
        InvalidConfigurationError: A key is missing, or the version is neither 2 nor 4.
    """
    if value is None or value is UNDEFINED or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise InvalidConfigurationError("aws: an object is needed")

    def text(name: str) -> str:
        part = value.get(name)
        return "" if part is None or part is UNDEFINED else to_text(part).strip()

    if not text("key") or not text("secret"):
        raise InvalidConfigurationError("aws: key and secret are needed")
    version = text("sign_version") or "2"
    if version not in ("2", "4"):
        raise InvalidConfigurationError(f"aws.sign_version: '{version[:10]}' is neither 2 nor 4")
    return AwsSigner(
        text("key"), text("secret"), text("session"), text("bucket"), version, text("service"), text("region")
    )


# -- version 2 ---------------------------------------------------------------------------------------------------------


def _signed_v2(signer: AwsSigner, request: HttpRequest, now: datetime) -> HttpRequest:
    headers = list(request.headers)
    if signer.session:
        headers = _with(headers, "x-amz-security-token", signer.session)
    names = _by_name(headers)
    if "date" not in names and "x-amz-date" not in names:
        headers.append(("Date", format_datetime(now.astimezone(UTC), usegmt=True)))
    text = string_to_sign_v2(request.method, request.url, headers, signer.bucket)
    digest = hmac.digest(signer.secret.encode("utf-8"), text.encode("utf-8"), "sha1")
    signature = base64.b64encode(digest).decode("ascii")
    return replace(request, headers=tuple(_with(headers, "Authorization", f"AWS {signer.key}:{signature}")))


def string_to_sign_v2(method: str, url: str, headers: Iterable[tuple[str, str]], bucket: str = "") -> str:
    """What version 2 signs: method, Content-MD5, Content-Type, Date, the `x-amz-` headers, the resource."""
    names = _by_name(headers)
    amazon = sorted((name, values) for name, values in names.items() if name.startswith("x-amz-"))
    # With a date of Amazon's own the line of the other one stays empty.
    date = "" if "x-amz-date" in names else ",".join(names.get("date", ()))
    parts = urlsplit(url)
    query = [piece.partition("=") for piece in parts.query.split("&") if piece]
    kept = sorted((name, equals, unquote(value)) for name, equals, value in query if name in SUBRESOURCES)
    resource = (f"/{bucket}" if bucket else "") + (parts.path or "/")
    if kept:
        resource += "?" + "&".join(name + equals + value for name, equals, value in kept)
    lines = [method, ",".join(names.get("content-md5", ())), ",".join(names.get("content-type", ())), date]
    lines += [f"{name}:{','.join(_folded(value) for value in values)}" for name, values in amazon]
    return "\n".join([*lines, resource])


# -- version 4 ---------------------------------------------------------------------------------------------------------


def _signed_v4(signer: AwsSigner, request: HttpRequest, now: datetime) -> HttpRequest:
    service, region = _service(signer, urlsplit(request.url).hostname or "")
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    payload = _digest(request.body)
    headers = _with(list(request.headers), "X-Amz-Date", moment)
    headers = _with(headers, "X-Amz-Content-Sha256", payload)
    if signer.session:
        headers = _with(headers, "X-Amz-Security-Token", signer.session)
    host = urlsplit(request.url).netloc.rpartition("@")[2]
    named = [*((name, value) for name, value in headers if name.lower() != "host"), ("host", host)]
    signed = sorted({name.lower() for name, _ in named if name.lower() == "host" or name.lower().startswith("x-amz-")})
    authorization = authorization_v4(
        signer, request.method, request.url, named, signed, payload, moment, service=service, region=region
    )
    return replace(request, headers=tuple(_with(headers, "Authorization", authorization)))


def authorization_v4(
    signer: AwsSigner,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    signed: list[str],
    payload: str,
    moment: str,
    *,
    service: str,
    region: str,
) -> str:
    """
    The Authorization header of version 4.

    Args:
        signer: The keys.
        method: Of the request.
        url: Its final address.
        headers: All of its headers, `host` among them.
        signed: Lower-case names of those that are signed, sorted.
        payload: SHA-256 of the body in hex.
        moment: The instant as `20150830T123600Z`.
        service: Such as `s3`; its path is signed as it is, other services' paths are encoded once more.
        region: Such as `us-east-1`.
    """
    canonical = canonical_request_v4(method, url, headers, signed, payload, raw_path=service == "s3")
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode('utf-8')).hexdigest()}"
    key = signing_key_v4(signer.secret, moment[:8], region, service)
    signature = hmac.new(key, text.encode("utf-8"), "sha256").hexdigest()
    names = ";".join(signed)
    return f"AWS4-HMAC-SHA256 Credential={signer.key}/{scope}, SignedHeaders={names}, Signature={signature}"


def canonical_request_v4(
    method: str, url: str, headers: Iterable[tuple[str, str]], signed: list[str], payload: str, *, raw_path: bool
) -> str:
    """The canonical request of version 4."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if not raw_path:
        path = quote(_normal_path(path), safe="/~")
    pairs = [piece.partition("=") for piece in parts.query.split("&") if piece]
    query = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    names = _by_name(headers)
    lines = [f"{name}:{','.join(_folded(value) for value in names.get(name, ()))}" for name in signed]
    shown = "&".join(f"{name}={value}" for name, value in query)
    return "\n".join([method, path, shown, *lines, "", ";".join(signed), payload])


def signing_key_v4(secret: str, day: str, region: str, service: str) -> bytes:
    """The key that signs on one day (`20150830`) in one region for one service."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8"), "sha256")
    return key


def _service(signer: AwsSigner, host: str) -> tuple[str, str]:
    """Service and region: those given, else those in the host's name."""
    found_service = found_region = ""
    if _DOMAIN.search(host):
        *front, last = _DOMAIN.sub("", host).split(".")
        match = _REGION.match(last)
        if match is None:
            found_service = last
        else:
            found_region = match["region"]
            found_service = match["service"] or (front[-1] if front else "")
    service = signer.service or found_service
    if not service:
        raise InvalidConfigurationError(f"aws.service is missing, and the host {host} does not tell it")
    return service, signer.region or found_region or _DEFAULT_REGION


# -- both --------------------------------------------------------------------------------------------------------------


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, value in headers:
        names.setdefault(name.lower(), []).append(value)
    return names


def _digest(body: bytes | Pieces | None) -> str:
    digest = hashlib.sha256()
    for block in body.pieces if isinstance(body, Pieces) else (body or b"",):
        digest.update(block)
    return digest.hexdigest()


def _with(headers: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    """The headers with this one in place of every other of its name."""
    return [*((key, old) for key, old in headers if key.lower() != name.lower()), (name, value)]


def _folded(value: str) -> str:
    return re.sub(r" +", " ", value.strip())


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _normal_path(path: str) -> str:
    """The path without `.`, `..` and empty segments; a slash at the end stays."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(segments) + end
