"""A search over many pages holds one page at a time, whatever their number."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

from modules import MODULE_TYPES
from runtime.communication import Limits
from runtime.effects import Effect, Emit, HttpRequest, HttpResponse, Warn, drive
from tests.unit.modules.harness import job_of

PAGE = 500
COMMUNICATION = {
    "url": "/records",
    "qs": {"page": "{{pagination.page}}"},
    "pagination": {"qs": {"page": "{{pagination.page}}"}, "condition": "{{body.more}}"},
    "response": {
        "iterate": "{{body.items}}",
        "output": {"id": "{{item.id}}", "name": "{{upper(item.name)}}"},
        "temp": {"last": "{{body.items[1].id}}"},
    },
}


def most_memory(records: int) -> tuple[int, int]:
    """The bundles that came out, and the most memory that the search took, in bytes."""
    asked = found = 0
    limits = Limits(max_requests=10**6, max_pagination_requests=10**6, max_records=10**7)

    def perform(effect: Effect) -> Any:
        nonlocal asked, found
        match effect:
            case HttpRequest():
                first = asked * PAGE
                asked += 1
                items = [{"id": first + n, "name": f"name {first + n}", "text": "x" * 50} for n in range(PAGE)]
                body = json.dumps({"items": items, "more": first + PAGE < records}).encode()
                return HttpResponse(200, (("content-type", "application/json"),), body, effect.url)
            case Emit(bundles):
                found += len(bundles)
            case Warn(message):
                raise AssertionError(message)
            case _:
                raise AssertionError(effect)
        return None

    tracemalloc.start()
    try:
        drive(MODULE_TYPES["search"](job_of("search", COMMUNICATION, limits=limits)), perform)
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_records() -> None:
    """Ten times the records take no more memory than a tenth above that of the smaller search."""
    most_memory(PAGE)
    small, large = most_memory(5_000), most_memory(50_000)

    assert (small[0], large[0]) == (5_000, 50_000)
    assert large[1] <= small[1] * 1.1
