"""
Pagination, iterate and limit against a model server over real HTTP: whatever the page sizes, the filter, the limit and
the moment of a failure, exactly the right items come out, in order, and no page is asked for in vain.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.communication import Kind, Limits, Scope, compile_communication, run_communication
from runtime.effects import Effect, HttpRequest, Warn, drive
from runtime.errors import ServiceConnectionError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.iml import Environment
from tests.servers import Answer, Received, ScriptServer
from tests.unit.communication.harness import NOW

POLICY = NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.0/8"),))
#: One way of paging -> (query of the first request, pagination directive).
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "page number": (
        {"page": "{{pagination.page}}"},
        {"condition": "{{body.pages >= pagination.page}}"},
    ),
    "cursor": ({}, {"qs": {"at": "{{body.next}}"}, "condition": "{{body.next}}"}),
    "next link": ({}, {"url": "{{body.link}}", "condition": "{{body.link}}"}),
}


class Model:
    """The service: its items in pages; the page at which it answers 503."""

    def __init__(self) -> None:
        self.url = ""
        self.pages: list[list[dict[str, int]]] = [[]]
        self.broken: int | None = None
        self.asked: list[int] = []

    def __call__(self, request: Received) -> Answer:
        query = parse_qs(urlsplit(request.target).query)
        index = int(query["page"][0]) - 1 if "page" in query else int(query.get("at", ["0"])[0])
        self.asked.append(index)
        if index == self.broken:
            return Answer(503)
        last = index + 1 >= len(self.pages)
        body = {
            "items": self.pages[index] if index < len(self.pages) else [],
            "pages": len(self.pages),
            "next": None if last else str(index + 1),
            "link": None if last else f"{self.url}/items?at={index + 1}",
        }
        return Answer(200, (("Content-Type", "application/json"),), json.dumps(body).encode())


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Model, HttpPerformer]]:
    model = Model()
    with ScriptServer() as server, HttpPerformer(POLICY) as http:
        server.script.handler = model
        model.url = server.url
        yield model, http


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    way=st.sampled_from(sorted(WAYS)),
    limit=st.none() | st.integers(0, 30),
    filtered=st.booleans(),
    broken=st.none() | st.integers(0, 7),
)
def test_exactly_the_right_items_come_out(
    service: tuple[Model, HttpPerformer],
    sizes: list[int],
    way: str,
    limit: int | None,
    filtered: bool,
    broken: int | None,
) -> None:
    """spec/communication.md 12, 18: the limit counts after the filter and ends the asking; a failing page fails all."""
    model, http = service
    numbers = iter(range(sum(sizes)))
    model.pages = [[{"n": next(numbers)} for _ in range(size)] for size in sizes]
    model.broken, model.asked = broken, []
    qs, pagination = WAYS[way]
    container = {"container": "{{body.items}}"} | ({"condition": "{{item.n % 2 = 0}}"} if filtered else {})
    response: dict[str, Any] = {"iterate": container, "output": "{{item}}"}
    if limit is not None:
        response["limit"] = limit
    document = {"url": f"{model.url}/items", "qs": qs, "pagination": pagination, "response": response}
    plan = compile_communication(document, kind=Kind.SEARCH, component="module items")

    def perform(effect: Effect) -> Any:
        if isinstance(effect, HttpRequest):
            return http.send(effect)
        assert isinstance(effect, Warn)
        return None

    passing = [[item for item in page if not filtered or item["n"] % 2 == 0] for page in model.pages]
    needed = 0
    if limit != 0:
        found = 0
        for page in passing:
            needed += 1
            found += len(page)
            if limit is not None and found >= limit:
                break
    expected = [item for page in passing[:needed] for item in page][:limit]
    run = run_communication(plan, Scope({}, Environment(now=NOW), Limits()))
    if broken is not None and broken < needed:
        with pytest.raises(ServiceConnectionError):
            drive(run, perform)
        assert model.asked == list(range(broken + 1))
    else:
        assert (drive(run, perform).output or []) == expected
        assert model.asked == list(range(needed))
