"""
A small help desk with an HTTP API: the service that the example app talks to. Data lives in memory; nothing is printed.

In a test or a script:

    with SampleApi(api_key="...") as api:
        ...  # api.url, api.requests

As a process, `python sample_api.py --announce FILE` reads the API key as the first line of standard input, writes its
URL to FILE once it accepts requests, and ends when standard input closes, on SIGTERM or Ctrl-C.

Every path wants `Authorization: Basic base64(account:apiKey)`:

    GET    /whoami                        who the key belongs to
    GET    /customers                     all customers
    GET    /customers/{id}
    GET    /tickets?status=&priority=&page=&per_page=
    POST   /tickets                       subject is required; the same reference twice is refused with 409
    GET    /tickets/{id}
    PATCH  /tickets/{id}
    DELETE /tickets/{id}                  204 without a body
    POST   /tickets/{id}/comments
"""

from __future__ import annotations

import argparse
import base64
import copy
import hmac
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ACCOUNT = "acme"
#: Larger bodies are refused: the sample data need a few hundred bytes.
MAX_BODY_BYTES = 1 << 20

CUSTOMERS = [
    {"id": 11, "name": "Ada Novak", "email": "ada.novak@example.com", "company": "Lantern Books"},
    {"id": 12, "name": "Bram de Wit", "email": "bram@example.com", "company": "De Wit Fietsen"},
    {"id": 13, "name": "Chidi Okafor", "email": "chidi@example.com", "company": "Okafor & Daughters"},
]
TICKETS = [
    {"subject": "Invoice shows the wrong address", "priority": "urgent", "customerId": 11, "tags": ["billing"]},
    {"subject": "How do I invite a colleague?", "priority": "low", "customerId": 12, "tags": []},
    {"subject": "Export stops at row 500", "priority": "normal", "customerId": 13, "tags": ["export", "bug"]},
    {"subject": "Cannot log in since this morning", "priority": "urgent", "customerId": 13, "tags": ["login"]},
    {"subject": "Please delete my old account", "priority": "normal", "customerId": 11, "tags": ["privacy"]},
]


class Refused(Exception):
    """The request is answered with this status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Desk:
    """The data and what can be done with them; one lock, since requests come on many threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    customers: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.customers = {customer["id"]: dict(customer) for customer in CUSTOMERS}
        for number, ticket in enumerate(TICKETS, 1):
            self.add({**copy.deepcopy(ticket), "createdAt": f"2026-03-{number:02d}T08:30:00.000Z"})

    def add(self, given: dict[str, Any]) -> dict[str, Any]:
        subject = given.get("subject")
        if not isinstance(subject, str) or not subject:
            raise Refused(422, "invalid", "subject is required")
        if given.get("customerId") is not None and given["customerId"] not in self.customers:
            raise Refused(422, "invalid", f"there is no customer {given['customerId']}")
        reference = given.get("reference")
        if reference and any(ticket.get("reference") == reference for ticket in self.tickets.values()):
            raise Refused(409, "duplicate", f"a ticket with the reference {reference} exists")
        number = 101 + len(self.tickets)
        ticket = {
            "id": number, "status": "open", "priority": "normal", "tags": [], "comments": [],
            "createdAt": "2026-03-10T08:30:00.000Z", **given,
        }  # fmt: skip
        self.tickets[number] = ticket
        return ticket

    def ticket(self, number: int) -> dict[str, Any]:
        if number not in self.tickets:
            raise Refused(404, "not_found", f"there is no ticket {number}")
        return self.tickets[number]

    def customer(self, number: int) -> dict[str, Any]:
        if number not in self.customers:
            raise Refused(404, "not_found", f"there is no customer {number}")
        return self.customers[number]

    def search(self, query: dict[str, str]) -> dict[str, Any]:
        found = [
            ticket
            for ticket in self.tickets.values()
            if all(query.get(name) in (None, "", ticket[name]) for name in ("status", "priority"))
        ]
        try:
            page, size = max(1, int(query.get("page", "1"))), min(50, max(1, int(query.get("per_page", "20"))))
        except ValueError:
            raise Refused(400, "invalid", "page and per_page are whole numbers") from None
        rows = found[(page - 1) * size : page * size]
        return {"tickets": rows, "total": len(found), "nextPage": page + 1 if page * size < len(found) else None}


Answer = tuple[int, Any]


class SampleApi:
    """The running server, on a free port of the loopback address. `requests` lists what arrived, oldest first."""

    def __init__(self, *, api_key: str, account: str = ACCOUNT) -> None:
        self._credentials = base64.b64encode(f"{account}:{api_key}".encode()).decode()
        self.account = account
        self.desk = Desk()
        self.requests: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> SampleApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, authorization: str) -> Answer:
        """Status and JSON body (None: no body) for one request."""
        if not hmac.compare_digest(authorization.encode(), f"Basic {self._credentials}".encode()):
            raise Refused(401, "unauthorized", "the account or the API key is wrong")
        with self.desk.lock:
            for pattern, handle in self._routes(query, body).get(method, []):
                if match := re.fullmatch(pattern, path):
                    status, value = handle(*map(int, match.groups()))
                    return status, copy.deepcopy(value)
        raise Refused(404, "not_found", f"there is no {method} {path}")

    def _routes(self, query: dict[str, str], body: Any) -> dict[str, list[tuple[str, Callable[..., Answer]]]]:
        desk = self.desk

        def fields() -> dict[str, Any]:
            if not isinstance(body, dict):
                raise Refused(400, "invalid", "the body must be a JSON object")
            return {name: value for name, value in body.items() if name not in ("id", "comments")}

        def change(number: int) -> Answer:
            ticket = desk.ticket(number)
            ticket.update(fields())
            return 200, ticket

        def remove(number: int) -> Answer:
            desk.ticket(number)
            del desk.tickets[number]
            return 204, None

        def comment(number: int) -> Answer:
            comments = desk.ticket(number)["comments"]
            comments.append({"id": number * 100 + len(comments) + 1, "ticketId": number, **fields()})
            return 201, comments[-1]

        who = {"id": 7, "account": self.account, "email": "support@example.com", "plan": "team"}
        return {
            "GET": [
                (r"/whoami", lambda: (200, who)),
                (r"/customers", lambda: (200, {"customers": list(desk.customers.values())})),
                (r"/customers/(\d+)", lambda number: (200, desk.customer(number))),
                (r"/tickets", lambda: (200, desk.search(query))),
                (r"/tickets/(\d+)", lambda number: (200, desk.ticket(number))),
            ],
            "POST": [
                (r"/tickets", lambda: (201, desk.add(fields()))),
                (r"/tickets/(\d+)/comments", comment),
            ],
            "PATCH": [(r"/tickets/(\d+)", change)],
            "DELETE": [(r"/tickets/(\d+)", remove)],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Header and body leave in two writes; without this each answer waits for the client's delayed ACK.
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def _serve(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                body: Any = None
                try:
                    body = self._body()
                    credentials = self.headers.get("Authorization", "")
                    status, value = api.answer(self.command, unquote(url.path), query, body, credentials)
                except Refused as refused:
                    status, value = refused.status, {"error": {"code": refused.code, "message": refused.message}}
                headers = {name.lower(): text for name, text in self.headers.items()}
                api.requests.append(Seen(self.command, url.path, query, headers, body, status))
                payload = b"" if value is None else json.dumps(value).encode()
                self.send_response(status)
                if value is not None:
                    self.send_header("Content-Type", "application/json")
                if status != 204:
                    self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def _body(self) -> Any:
                length = int(self.headers.get("Content-Length") or 0)
                if length > MAX_BODY_BYTES:
                    self.close_connection = True
                    raise Refused(413, "too_large", "the body is too large")
                raw = self.rfile.read(length)
                if not raw:
                    return None
                try:
                    return json.loads(raw)
                except ValueError:
                    raise Refused(400, "invalid", "the body is not JSON") from None

            do_GET = do_POST = do_PATCH = do_DELETE = _serve

        return Handler


def main() -> int:
    parser = argparse.ArgumentParser(description="A small help desk with an HTTP API, for the example app.")
    parser.add_argument("--announce", type=Path, required=True, help="file that gets the URL once it is served")
    announce: Path = parser.parse_args().announce
    # Without this the process would end with a traceback instead of closing its socket.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    api_key = sys.stdin.readline().strip()
    if not api_key:
        return 2
    with SampleApi(api_key=api_key) as api:
        # Written beside and renamed, so that a reader never sees half a URL.
        partial = announce.with_name(f"{announce.name}.{os.getpid()}")
        partial.write_text(api.url)
        partial.replace(announce)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
