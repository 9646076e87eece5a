"""Around the gateway's routes: `/metrics`, counted answers, and how late the event loop is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runtime.counters import count, status_class
from workers.gateway.messages import Message, Receive, Send
from workers.metrics import CONTENT_TYPE, Metrics, loop_lag

#: Time between two looks at the event loop.
_LOOK_SECONDS = 0.5


class Watched:
    """An ASGI application with metrics around it; `metrics=None` leaves `/metrics` to a port of its own."""

    def __init__(self, inner: Any, metrics: Metrics | None) -> None:
        self._inner, self._metrics = inner, metrics
        self._look: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        if self._look is None:
            # The first request is within the loop that is to be watched.
            self._look = asyncio.get_running_loop().create_task(_look_at_loop())
        if scope["path"] == "/metrics" and self._metrics is not None:
            response = await self._exposition(self._metrics, scope)
            await response(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            count("gateway_requests", status_class(status))

    async def _exposition(self, metrics: Metrics, scope: Message) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return JSONResponse({"error": "Only GET."}, status_code=405, headers={"Allow": "GET, HEAD"})
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not metrics.allowed(given.decode("latin-1")):
            answer = {"error": "Give the metrics_token as Authorization: Bearer."}
            return JSONResponse(answer, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return Response(await run_in_threadpool(metrics.text), headers={"Content-Type": CONTENT_TYPE})


async def _look_at_loop() -> None:
    lag = loop_lag()
    while True:
        started = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)
        lag.observe(max(0.0, time.monotonic() - started - _LOOK_SECONDS))
