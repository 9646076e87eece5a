"""`HttpPerformer`: what performs requests for a process; its client is made when the first one is sent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runtime.effects import Delivery, HttpRequest, HttpResponse, SendMail
from runtime.http.policy import NetworkPolicy
from runtime.tracing import span

if TYPE_CHECKING:
    from runtime.http.client import HttpClient


class HttpPerformer:
    """
    Performs requests for all threads of a process. Make it after a fork; `close` ends its connections.

    Args:
        policy: Which addresses may be reached, and the limits.
    """

    def __init__(self, policy: NetworkPolicy | None = None) -> None:
        self._policy = policy or NetworkPolicy()
        self._lock = threading.Lock()
        self._client: HttpClient | None = None

    def __enter__(self) -> HttpPerformer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections that wait for another request."""
        if self._client is not None:
            self._client.close()

    def deliver(self, mail: SendMail) -> Delivery:
        """Hand a message to a mail server, under the same rules. Raises the errors of `send_mail`."""
        from runtime.http.smtp import send_mail

        return send_mail(mail, self._policy)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request, follow its redirects and read the whole answer. Raises as `HttpClient.send`."""
        client = self._client
        if client is None:
            # The libraries below take a fifth of a second to import; most commands send nothing.
            from runtime.http.client import HttpClient

            with self._lock:
                client = self._client = self._client or HttpClient(self._policy)
        # Neither address nor host: what a span holds leaves the redacted world.
        with span("request", method=request.method, number=request.number) as traced:
            answer = client.send(request)
            traced.note("status", answer.status)
            return answer
