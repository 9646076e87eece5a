"""
Polling triggers against a model of a service: pages of any size, items that come and go between polls and between
pages, polls that fail in the middle. What comes out is exactly what is new, once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.trigger import run_trigger
from runtime.effects import Effect, Emit, HttpRequest, HttpResponse, Recall, Remember, Warn, drive
from runtime.errors import ModuleError, ServiceConnectionError
from tests.unit.modules.harness import job_of

START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Service:
    """Items with ids that grow; several may have the same date. Lists them as `order` says, a page at a time."""

    order: str
    page: int
    items: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0
    minute: int = 0
    #: Number of the request in a poll that breaks, and of the one before which an item comes.
    fails_at: int = 0
    grows_at: int = 0
    asked: int = 0

    def add(self, *, same_date: bool) -> None:
        self.made += 1
        self.minute += not same_date
        date = (START + timedelta(minutes=self.minute)).isoformat()
        self.items.append({"id": self.made, "at": date})

    def remove(self, position: int) -> None:
        if self.items:
            self.items.pop(position % len(self.items))

    def answer(self, request: HttpRequest) -> HttpResponse:
        self.asked += 1
        if self.asked == self.fails_at:
            raise ServiceConnectionError("Connection failed: reset")
        if self.asked == self.grows_at:
            self.add(same_date=True)
        number = int(parse_qs(urlsplit(request.url).query)["page"][0]) - 1
        listed = sorted(self.items, key=lambda item: item["id"], reverse=self.order == "desc")
        body = listed[number * self.page : (number + 1) * self.page]
        return HttpResponse(200, (("content-type", "application/json"),), json.dumps(body).encode(), request.url)


@dataclass
class Watch:
    """A trigger with its memory; what a poll gives counts only when the poll ends well."""

    kind: str
    service: Service
    limit: int
    memory: Any = None
    given: list[int] = field(default_factory=list)

    def poll(self, *, rolled_back: bool = False) -> int:
        trigger = {"type": self.kind, "order": self.service.order, "id": "{{item.id}}", "date": "{{item.at}}"}
        communication = {
            "url": "/items",
            "qs": {"page": "{{pagination.page}}"},
            "pagination": {"qs": {"page": "{{pagination.page}}"}},
            "response": {"iterate": "{{body}}", "limit": self.limit, "trigger": trigger},
        }
        found: list[int] = []
        memory: list[Any] = []
        self.service.asked = 0

        def perform(effect: Effect) -> Any:
            match effect:
                case HttpRequest():
                    return self.service.answer(effect)
                case Emit(bundles):
                    found.extend(bundle["id"] for bundle in bundles)
                case Recall():
                    return self.memory
                case Remember(value=value):
                    # As it comes back from a store.
                    memory.append(json.loads(json.dumps(value)))
                case Warn():
                    pass
                case _:
                    raise AssertionError(effect)
            return None

        try:
            drive(run_trigger(job_of("trigger", communication)), perform)
        except ModuleError:
            return 0
        if rolled_back:
            return len(found)
        self.given += found
        if memory:
            self.memory = memory[-1]
        return len(found)


STEP = st.one_of(
    st.tuples(st.just("add"), st.booleans()),
    st.tuples(st.just("remove"), st.integers(0, 50)),
    st.tuples(st.just("poll"), st.just(0)),
    st.tuples(st.just("fail"), st.integers(1, 4)),
    st.tuples(st.just("grow"), st.integers(1, 4)),
    st.tuples(st.just("roll back"), st.just(0)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["id", "date"]),
    order=st.sampled_from(["asc", "desc", "unordered"]),
    page=st.integers(1, 5),
    limit=st.integers(1, 7),
    steps=st.lists(STEP, max_size=30),
)
def test_each_new_item_comes_once(kind: str, order: str, page: int, limit: int, steps: list[tuple[str, Any]]) -> None:
    """
    Whatever happens between and during polls: no item comes twice, every item that stays comes, oldest first.
    """
    service = Service(order, page)
    watch = Watch(kind, service, limit)
    for what, much in steps:
        service.fails_at = service.grows_at = 0
        if what == "add":
            service.add(same_date=much)
        elif what == "remove":
            service.remove(much)
        else:
            service.fails_at = much if what == "fail" else 0
            # An item that comes while pages are read moves the others only where the newest stand first.
            service.grows_at = much if what == "grow" else 0
            watch.poll(rolled_back=what == "roll back")
    service.fails_at = service.grows_at = 0
    while watch.poll():
        pass

    assert watch.given == sorted(set(watch.given)), "once each, oldest first"
    assert {item["id"] for item in service.items} <= set(watch.given)


def test_items_of_one_date_are_found_over_several_polls() -> None:
    """With a limit of one, three items of one date come one by one, and a fourth that comes later too."""
    service = Service("desc", 10)
    watch = Watch("date", service, 1)
    for _ in range(3):
        service.add(same_date=True)
    polls = [watch.poll() for _ in range(4)]
    service.add(same_date=True)
    polls.append(watch.poll())

    assert (polls, watch.given) == ([1, 1, 1, 0, 1], [1, 2, 3, 4])
    assert watch.memory["ids_at_last"] == [1, 2, 3, 4]
