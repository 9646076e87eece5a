"""HTTP/1.1 for the outside: as uvicorn's, and a connection whose request line and headers do not come is closed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Longest time until the headers of a request are there.
HEADER_SECONDS = 20.0


class GatewayProtocol(H11Protocol):
    """One connection."""

    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A connection is there: its first request has to come."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._expect(more=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came: once the headers are complete, the request has time limits of its own."""
        super().data_received(data)
        if self._busy():
            self._expect(more=False)
        elif self._headers_due is None:
            self._expect()

    def _expect(self, *, more: bool = True) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
        if more:
            self._headers_due = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._too_late)

    def _too_late(self) -> None:
        self._headers_due = None
        if not self._busy():
            self.transport.close()

    def _busy(self) -> bool:
        # The library says that it is always there; before the first request it is None.
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete
