"""Requests whose end two readers may see in different places, and connections that broke before their answer."""

from __future__ import annotations

from typing import Any

import h11

from workers.gateway.messages import Message, Receive, Send

_BOTH = b"The request has two lengths."


class Framed:
    """
    An ASGI application that gets only requests with one length.

    The library takes `Transfer-Encoding` where `Content-Length` stands too; a proxy before us may have taken the other,
    and what it sees as a body would be a second request here (RFC 9112 6.1).
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        broken = False

        async def sent(message: Message) -> None:
            nonlocal broken
            if broken:
                return
            try:
                await send(message)
            except h11.LocalProtocolError:
                # What came after the head was no HTTP: it was refused and the connection closed meanwhile.
                broken = True

        if scope["type"] == "http" and _two_lengths(scope):
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BOTH))]
            headers.append((b"connection", b"close"))
            await sent({"type": "http.response.start", "status": 400, "headers": headers})
            await sent({"type": "http.response.body", "body": _BOTH})
            return
        await self._inner(scope, receive, sent)


def _two_lengths(scope: Message) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"content-length" in names and b"transfer-encoding" in names
