"""Posts JSON to an address that somebody named, outside of any run: callbacks and notifications."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from runtime.effects import HttpRequest
from runtime.errors import ModuleError, UsageError
from runtime.http import HttpPerformer

_TIMEOUT: Final = timedelta(seconds=10)
#: Waits between tries; after the last one it is given up.
DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600))


def checked_address(address: str, name: str) -> str:
    """
    An address that can be posted to; `name` is what it was given as.

    Raises:
        UsageError: It is none. The message does not repeat it, since it may hold a password.
    """
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{name} has to be an address that starts with http:// or https://, without a user name.")
    return address


def post(http: HttpPerformer, address: str, body: Any, *, delivery: str) -> str:
    """
    Post once, under the address guard, without following redirects; gives why it was not taken, '' when it was.

    `delivery` is the same for each try; a receiver gets its hash as `X-Delivery-Id`.
    """
    digest = hashlib.sha256(delivery.encode()).hexdigest()[:32]
    request = HttpRequest(
        "POST",
        address,
        (("Content-Type", "application/json"), ("X-Delivery-Id", digest)),
        json.dumps(body).encode(),
        timeout=_TIMEOUT,
        follow_redirects=False,
        follow_all_redirects=False,
    )
    try:
        status = http.send(request).status
    except ModuleError as error:
        return error.name
    return "" if 200 <= status < 300 else f"status {status}"
