"""
The cookie jar of one component run with `shareCookies` (spec/communication.md 3 and 30). Nothing is kept after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import Request

from runtime.effects import HttpRequest


class _Answer:
    """What `CookieJar` reads of an answer."""

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._message = Message()
        for name, value in lines:
            if name.lower() in ("set-cookie", "set-cookie2"):
                self._message[name] = value

    def info(self) -> Message:
        return self._message


class Cookies:
    """Cookies of one run: what an answer sets goes out with later requests that it is meant for."""

    def __init__(self) -> None:
        self._jar = CookieJar(DefaultCookiePolicy(rfc2965=False, netscape=True))

    def add_to(self, request: HttpRequest) -> HttpRequest:
        """The request with a `Cookie` header for what fits its address, behind the author's own cookies."""
        carrier = Request(request.url)  # noqa: S310  only carries the address, nothing is opened
        self._jar.add_cookie_header(carrier)
        header = carrier.get_header("Cookie")
        if not header:
            return request
        own = [value for name, value in request.headers if name.lower() == "cookie"]
        others = tuple(pair for pair in request.headers if pair[0].lower() != "cookie")
        return replace(request, headers=(*others, ("Cookie", "; ".join([*own, header]))))

    def read(self, url: str, lines: Iterable[tuple[str, str]]) -> None:
        """Keep what an answer from this address sets."""
        carrier = Request(url)  # noqa: S310  only carries the address, nothing is opened
        self._jar.extract_cookies(_Answer(lines), carrier)  # type: ignore[arg-type]  it reads `info()` alone
