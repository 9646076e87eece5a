"""The state machine of polling triggers (spec/modules.md 1.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modules.trigger_state import Poll, TriggerState, compare_ids
from runtime.communication import TriggerItem
from runtime.communication.listing import Page
from runtime.errors import ModuleRuntimeError

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
PAGE = Page({})


def day(number: int) -> str:
    return f"2024-01-{number:02d}T00:00:00.000Z"


def item(identity: Any, date: Any = None) -> TriggerItem:
    return TriggerItem(identity, date, {"id": identity}, 1, PAGE)


def poll(
    pages: list[list[TriggerItem]],
    *,
    kind: str = "date",
    order: str = "desc",
    state: dict[str, Any] | None = None,
    start: dict[str, Any] | None = None,
    limit: int | None = 10,
) -> tuple[list[Any], dict[str, Any], int]:
    """Ids handed out, state afterwards, pages read."""
    machine = Poll(TriggerState.from_json(state, "UTC"), NOW, "UTC", start=start)
    machine.begin(kind, order)
    read = 0
    for page in pages:
        read += 1
        if not machine.page(page):
            break
    kept = [found.id for found in machine.keep(limit)]
    return kept, machine.new_state().to_json(), read


def test_the_first_poll_takes_the_oldest():
    """Sorted by date, then id; the limit keeps the oldest, the rest is found by the next poll."""
    page = [item(4, day(4)), item(2, day(2)), item(1, day(2)), item(3, day(3))]

    kept, state, _ = poll([page], limit=2)
    rest, _, _ = poll([page], state=state)

    assert kept == [1, 2]
    assert state == {"type": "date", "last_date": day(2), "last_id": 2, "ids_at_last": [1, 2]}
    assert rest == [3, 4]


def test_another_id_at_the_remembered_date_is_new():
    """Ids of the last date are remembered, and the list grows while the date stays."""
    state = {"type": "date", "last_date": day(2), "last_id": 2, "ids_at_last": [2]}

    kept, after, _ = poll([[item(5, day(2)), item("2", day(2))]], state=state)

    assert kept == [5]
    assert after["ids_at_last"] == [2, 5]


@pytest.mark.parametrize(("order", "pages"), [("desc", 1), ("asc", 3), ("unordered", 3)])
def test_descending_triggers_stop_at_the_first_known_item(order, pages):
    """Other orders read every page."""
    state = {"type": "id", "last_id": 5}

    _, _, read = poll([[item(7), item(5)], [item(6)], [item(8)]], kind="id", order=order, state=state)

    assert read == pages


def test_items_that_shift_between_pages_come_once():
    """The first of equal ids wins."""
    kept, _, _ = poll([[item(3), item(2)], [item("2"), item(1)]], kind="id")

    assert kept == [1, 2, 3]


def test_nothing_new_leaves_the_state():
    """No bundles, the same memory."""
    state = {"type": "id", "last_date": None, "last_id": "9", "ids_at_last": []}

    kept, after, _ = poll([[item("9"), item("8")]], kind="id", state=state)

    assert (kept, after) == ([], state)


def test_a_change_of_the_type_forgets_the_state():
    """A date means nothing to ids."""
    kept, after, _ = poll([[item(1)]], kind="id", state={"type": "date", "last_date": day(9), "last_id": 9})

    assert kept == [1]
    assert after == {"type": "id", "last_date": None, "last_id": 1, "ids_at_last": []}


@pytest.mark.parametrize(
    ("kind", "start", "expected", "last"),
    [
        pytest.param("date", {"mode": "now"}, [], None, id="dates from now on"),
        pytest.param("date", {"mode": "since", "date": day(2)}, [2, 3, 4], 4, id="since is inclusive"),
        pytest.param("date", {"mode": "all"}, [1, 2, 3, 4], 4, id="all"),
        pytest.param("date", {"mode": "item", "id": 3, "date": day(2)}, [3, 4], 4, id="an item and everything after"),
        pytest.param("id", {"mode": "now"}, [], 4, id="ids from now on"),
        pytest.param("id", {"mode": "item", "id": 3}, [3, 4], 4, id="an id and everything after"),
        pytest.param("id", {"mode": "id", "id": "2"}, [2, 3, 4], 4, id="ids from a number"),
    ],
)
def test_where_to_start(kind, start, expected, last):
    """The choices of the panel."""
    page = [item(4, day(4)), item(3, day(2)), item(2, day(2)), item(1, day(1))]

    kept, state, _ = poll([page], kind=kind, start=start)

    assert kept == expected
    assert state["last_id"] == last
    assert "start" not in state


def test_from_now_on_remembers_now():
    """The moment of the choice is where the next poll begins."""
    _, state, _ = poll([[]], start={"mode": "now"})

    assert state["last_date"] == "2024-05-01T12:00:00.000Z"


def test_a_start_that_found_nothing_is_kept():
    """The chosen item may come later; until then the choice stays."""
    _, state, _ = poll([[item(1)]], kind="id", start={"mode": "id", "id": 5})

    assert state["start"] == {"mode": "id", "id": 5}


@pytest.mark.parametrize(
    ("kind", "found", "field"),
    [
        pytest.param("id", item(None), "id"),
        pytest.param("id", item(""), "id"),
        pytest.param("date", item(1, None), "date"),
        pytest.param("date", item(1, "soon"), "date"),
    ],
)
def test_items_without_id_or_date_are_errors(kind, found, field):
    """Skipping them would lose records for ever."""
    with pytest.raises(ModuleRuntimeError, match=f"Invalid value of trigger.{field}"):
        poll([[found]], kind=kind)


@pytest.mark.parametrize("kind", ["name", "", "Date"])
def test_the_type_is_checked(kind):
    """An expression may give anything."""
    with pytest.raises(ModuleRuntimeError, match="Invalid value of trigger"):
        poll([[]], kind=kind)


def test_an_order_that_is_none_reads_every_page():
    """It promises nothing about what comes on the next page."""
    _, _, read = poll([[item(5)], [item(6)]], kind="id", order="", state={"type": "id", "last_id": 5})

    assert read == 2


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(9, "10", -1), ("9", "10", -1), ("b", "a", 1), ("9", "a", -1), (1.0, "1", 0), ("x", "x", 0)],
)
def test_ids_compare_as_numbers_when_both_are(left, right, expected):
    """Else as text by code point."""
    assert compare_ids(left, right) == expected


def test_limit_zero_keeps_nothing():
    """0 or less keeps nothing and the state does not move."""
    kept, state, _ = poll([[item(1)]], kind="id", limit=0)

    assert (kept, state["last_id"]) == ([], None)


def test_dates_compare_by_the_millisecond():
    """A date one millisecond later is new."""
    later = (datetime(2024, 1, 2, tzinfo=UTC) + timedelta(milliseconds=1)).isoformat()

    kept, _, _ = poll([[item(1, later)]], state={"type": "date", "last_date": day(2), "ids_at_last": [1]})

    assert kept == [1]
