"""
The gateway's routes: webhooks, the API, callbacks of OAuth providers, `/health` and `/ready`.

Its access log has no query, since that of a callback holds a code, and of a webhook only its id, since its address is a
secret; pages say no more than that the command which waits knows why (spec/connections.md 7.3, 12).
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from connections.redirect import query_of
from runtime.errors import ScenaristError, UsageError
from runtime.logs import get_logger
from workers.authorizing import CALLBACK, authorizing_of
from workers.gateway.api.serving import api_routes
from workers.gateway.framing import Framed
from workers.gateway.intake import PREFIX, Intake
from workers.gateway.messages import Message, Receive, Send
from workers.loopback import MAX_FORM, PAGE_HEADERS, page
from workers.runner import SegmentRunner
from workers.service import Service

#: Longest path in the access log.
_MAX_PATH = 200
#: What may be a token, wherever it stands in a path: ids and names of ours are shorter.
_SECRET = re.compile(r"[A-Za-z0-9_-]{28,}")
#: Longest time in which the form of a callback has to arrive: whoever knows the address may send one.
FORM_SECONDS = 20.0

log = get_logger(__name__)


def gateway_app(service: Service, intake: Intake) -> Any:
    """The ASGI application over the ledger of this service; `intake` takes the requests to webhooks."""
    runner = service.runner

    def ping() -> bool:
        try:
            return bool(runner.runs.client.ping())
        except RedisError:
            return False

    async def health(_request: Request) -> Response:
        """The process is there."""
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        """It can do its work: the server is reached."""
        good = await run_in_threadpool(ping)
        return JSONResponse({"status": "ready" if good else "no server"}, status_code=200 if good else 503)

    async def callback(request: Request) -> Response:
        """An OAuth provider sends a browser back."""
        status, form = await form_of(request) if request.method == "POST" else (200, "")
        if status != 200:
            return _page(status, "Not authorized", "That is not what a provider sends.")
        query = query_of(f"?{request.url.query}", form)
        return await run_in_threadpool(_finished, runner, query, request.url.path)

    routes = [
        Route("/health", health, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route(CALLBACK + "/{app}/{component}", callback, methods=["GET", "POST"]),
        # The addresses of the hosted product, of which the state alone tells where they belong.
        Route(CALLBACK + "/{app}", callback, methods=["GET", "POST"]),
    ]
    routes += api_routes(service, lambda: intake.stopping)
    rest = Starlette(routes=routes)
    # A redirect would be built from the Host header, which is the sender's.
    rest.router.redirect_slashes = False
    return _AccessLog(Framed(_Hooks(intake, rest)))


async def form_of(request: Request) -> tuple[int, str]:
    """The form of a callback, with the status 200, or the one that says why there is none."""
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_FORM:
                    return 413, ""
    except (TimeoutError, ClientDisconnect):
        return 408, ""
    return 200, body.decode("utf-8", "replace")


def _finished(runner: SegmentRunner, query: dict[str, str], path: str) -> Response:
    with runner.secrets.scope() as secrets:
        try:
            authorizing_of(runner, secrets).finish(query, path)
        except UsageError as error:
            return _page(400, "Not authorized", error.message)
        except ScenaristError:
            # The words are the provider's; they are told to the person at the command, not to whoever has the address.
            return _page(400, "Not authorized", "The command that waits for this says why.")
        except RedisError:
            log.error("callback lost", reason="the server cannot be reached")
            return _page(503, "Not authorized", "The server cannot be reached. Try again in a moment.")
    return _page(200, "Authorized", "The connection is stored. You can close this window.")


def _page(status: int, title: str, text: str) -> Response:
    return HTMLResponse(page(title, text), status_code=status, headers=PAGE_HEADERS)


class _Hooks:
    """Requests to webhooks go to the intake, before any routing; others to the rest."""

    def __init__(self, intake: Intake, rest: Any) -> None:
        self._intake, self._rest = intake, rest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._intake(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


class _AccessLog:
    """One event a request: method, path without query or the webhook's id, status, time."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            path: str = scope["path"][:_MAX_PATH]
            if path.startswith(PREFIX):
                path = PREFIX + "*"
            # A mistyped address of a webhook comes here too, and most of it may be right.
            path = _SECRET.sub("*", path)
            more = {"hook": scope["scenarist.hook"]} if "scenarist.hook" in scope else {}
            log.info("request", method=scope["method"], path=path, status=status, ms=milliseconds, **more)
