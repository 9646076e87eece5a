"""
Redirects: the request that follows a 3xx answer. Pure; who follows checks the new address like any other.

Source: spec/communication.md section 23.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from runtime.effects import HttpRequest
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError

#: Most redirects of one exchange.
MAX_REDIRECTS: Final = 21
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_READING: Final = frozenset({"GET", "HEAD"})
_PRIVATE: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
#: Everything that may stand in an address as it is; the rest of a Location is escaped.
_SAFE: Final = "%!#$&'()*+,;=:@/?[]-._~"


def next_request(request: HttpRequest, status: int, headers: Iterable[tuple[str, str]]) -> HttpRequest | None:
    """
    The request to send next; None when the answer is the final one.

    Raises:
        InvalidConfigurationError: The new address is not http or https.
        ModuleRuntimeError: The new address cannot be read.
    """
    if status not in _FOLLOWED:
        return None
    reading = request.method in _READING
    if not (request.follow_redirects if reading else request.follow_all_redirects):
        return None
    location = next((value for name, value in headers if name.lower() == "location"), "").strip()
    if not location:
        return None
    try:
        url = urljoin(request.url, quote(location, safe=_SAFE, errors="replace")).partition("#")[0]
        old, new = urlsplit(request.url), urlsplit(url)
        moved = _leaves(old, new)
    except ValueError:
        raise ModuleRuntimeError("The service redirects to an address that cannot be read.") from None
    if new.scheme not in ("http", "https") or not new.hostname:
        raise InvalidConfigurationError("The service redirects to an address that is not http or https.")
    if new.username is not None:
        # Credentials in a redirect come from the service, not from the author.
        url = new._replace(netloc=new.netloc.rpartition("@")[2]).geturl()
    as_get = (status == 303 and request.method != "HEAD") or (status in (301, 302) and request.method == "POST")
    kept = request.headers
    if as_get:
        kept = tuple(pair for pair in kept if not pair[0].lower().startswith("content-"))
    if moved:
        dropped = _PRIVATE | request.sensitive_headers | {"host"}
        kept = tuple(pair for pair in kept if pair[0].lower() not in dropped)
    return replace(
        request,
        method="GET" if as_get else request.method,
        url=url,
        headers=kept,
        body=None if as_get else request.body,
        digest=None if moved else request.digest,
        client=None if moved else request.client,
        # Another host gets no signature: it was not meant to have one.
        signer=None if moved else request.signer,
    )


def _leaves(old: SplitResult, new: SplitResult) -> bool:
    """True when the new address is another host, another port of it, or the same without encryption."""
    if old.hostname != new.hostname or (old.scheme == "https" and new.scheme == "http"):
        return True
    return old.scheme == new.scheme and old.port != new.port
