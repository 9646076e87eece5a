"""What each module type makes of the result of its communication (spec/modules.md 1.4 to 1.8)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modules import MODULE_TYPES
from modules.rpc import RpcJob, rows_of, run_rpc
from modules.trigger import list_start_points
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError
from runtime.values import Buffer
from tests.module_apps import app_of, rpc_spec
from tests.unit.communication.harness import reply
from tests.unit.modules.harness import ENVIRONMENT, job_of, perform_all, run_module


def output(value: Any) -> dict[str, Any]:
    """A request-less communication with this output."""
    return {"response": {"output": "{{parameters.v}}"}} if value is not ... else {"response": {}}


def test_the_table_names_the_types_of_the_manifest():
    """All six types of the manifest can run."""
    assert sorted(MODULE_TYPES) == ["action", "instant_trigger", "responder", "search", "trigger", "universal"]


@pytest.mark.parametrize("kind", ["action", "universal"])
@pytest.mark.parametrize("value", [None, "", False, Buffer(b""), ...])
def test_an_action_without_output_gives_one_empty_bundle(kind, value):
    """Delete calls answer 204 and are normal."""
    assert run_module(kind, output(value), parameters={"v": value}).bundles == [{}]


@pytest.mark.parametrize("kind", ["action", "universal"])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        ([], "Array"), ("text", "String"), (5, "Number"), (True, "Boolean"), (Buffer(b"x"), "Buffer"),
        (datetime(2024, 1, 1, tzinfo=UTC), "Date"),
    ],
)  # fmt: skip
def test_an_action_gives_a_collection_or_fails(kind, value, name):
    """The sentence names what was found."""
    with pytest.raises(ModuleRuntimeError) as caught:
        run_module(kind, output(value), parameters={"v": value})

    assert caught.value.message == f"Invalid module output. Expected Object, but found {name}."


@pytest.mark.parametrize(
    ("value", "bundles"),
    [([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]), ({"a": 1}, [{"a": 1}]), ([], []), (None, []), ("", []), (..., [])],
)
def test_a_search_gives_the_elements(value, bundles):
    """A list, one collection, or nothing."""
    assert run_module("search", output(value), parameters={"v": value}).bundles == bundles


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "Expected Array, but found String."),
        (5, "Expected Array, but found Number."),
        (["a"], "Expected Object, but found String."),
        ([{"a": 1}, [1]], "Expected Object, but found Array."),
    ],
)
def test_a_search_refuses_other_shapes(value, message):
    """The whole value, or an element of it."""
    with pytest.raises(ModuleRuntimeError) as caught:
        run_module("search", output(value), parameters={"v": value})

    assert caught.value.message == f"Invalid module output. {message}"


def test_a_search_hands_out_page_by_page():
    """Memory holds one page, not the whole result."""
    communication = {
        "url": "/p",
        "qs": {"p": "{{pagination.page}}"},
        "response": {"iterate": "{{body}}"},
        "pagination": {},
    }

    seen = run_module("search", communication, [reply([{"n": 1}, {"n": 2}]), reply([{"n": 3}]), reply([])])

    assert seen.pages == [[{"n": 1}, {"n": 2}], [{"n": 3}]]


TRIGGER = {
    "url": "/t",
    "response": {
        "iterate": "{{body}}",
        "limit": 2,
        "trigger": {"type": "id", "order": "desc", "id": "{{item.id}}"},
        "output": {"id": "{{item.id}}"},
    },
}


def test_a_trigger_remembers_how_far_it_went():
    """The oldest new items go out; the memory is asked for and written."""
    items = [{"id": 5}, {"id": 4}, {"id": 3}, {"id": 2}]

    seen = run_module("trigger", TRIGGER, [reply(items)], stored={"type": "id", "last_id": 2})

    assert (seen.recalled, seen.bundles) == (1, [{"id": 3}, {"id": 4}])
    assert seen.remembered == [{"type": "id", "last_date": None, "last_id": 4, "ids_at_last": []}]


def test_a_trigger_with_nothing_new_writes_nothing():
    """The memory stays as it is."""
    stored = {"type": "id", "last_date": None, "last_id": 9, "ids_at_last": []}

    seen = run_module("trigger", TRIGGER, [reply([{"id": 9}])], stored=stored)

    assert (seen.pages, seen.remembered) == ([], [])


@pytest.mark.parametrize(("epoch", "expected"), [({}, [1, 2]), ({"response": {"output": {"label": "l"}}}, [])])
def test_a_first_poll_without_a_choice(epoch, expected):
    """With an epoch file from now on, without one everything."""
    seen = run_module("trigger", TRIGGER, [reply([{"id": 2}, {"id": 1}])], epoch=epoch)

    assert [bundle["id"] for bundle in seen.bundles] == expected
    assert seen.remembered[0]["last_id"] == 2


@pytest.mark.parametrize("directive", [{"limit": 0}, {"condition": False}])
def test_a_trigger_that_asks_nothing_remembers_nothing(directive):
    """With limit 0 or a false condition there was no poll: the first one is still to come."""
    response = {**TRIGGER["response"], **{key: value for key, value in directive.items() if key == "limit"}}
    request = {key: value for key, value in directive.items() if key == "condition"}

    seen = run_module("trigger", {**TRIGGER, **request, "response": response})

    assert (seen.bundles, seen.requests, seen.remembered) == ([], [], [])


def test_a_trigger_evaluates_output_only_for_what_goes_out():
    """Items beyond the limit are not evaluated."""
    communication = {
        **TRIGGER,
        "response": {**TRIGGER["response"], "limit": 1, "output": {"v": "{{parseJSON(item.j)}}"}},
    }

    seen = run_module("trigger", communication, [reply([{"id": 2, "j": "{"}, {"id": 1, "j": "7"}])])

    assert seen.bundles == [{"v": 7}]


def test_a_trigger_reads_its_memory_in_expressions():
    """data.lastId in the request."""
    communication = {**TRIGGER, "qs": {"since": "{{data.lastId}}"}}

    seen = run_module("trigger", communication, [reply([])], stored={"type": "id", "last_id": 7})

    assert seen.requests[0].url == "http://s.test/t?since=7"


def test_a_wrapper_of_a_trigger_must_give_a_list():
    """Evaluated once; the memory comes from the items."""
    communication = {**TRIGGER, "response": {**TRIGGER["response"], "wrapper": "{{output}}"}}
    seen = run_module("trigger", communication, [reply([{"id": 1}])])
    wrong = {**TRIGGER, "response": {**TRIGGER["response"], "wrapper": {"all": "{{output}}"}}}

    assert seen.bundles == [{"id": 1}]
    with pytest.raises(ModuleRuntimeError, match="Expected Array, but found Object"):
        run_module("trigger", wrong, [reply([{"id": 1}])])


def test_start_points_are_listed_newest_first():
    """Epoch overrides merged over the trigger; rows of id, label and date; no memory is touched."""
    communication = {
        "url": "/t",
        "response": {
            "iterate": "{{body}}",
            "trigger": {"type": "date", "order": "desc", "id": "{{item.id}}", "date": "{{item.at}}"},
            "output": "{{item}}",
        },
    }
    epoch = {
        "qs": {"n": "300"},
        "response": {"output": {"label": "{{item.name}}", "date": "{{item.at}}"}, "limit": 500},
    }
    items = [{"id": 1, "name": "A", "at": "2024-01-01"}, {"id": 2, "name": "B", "at": "2024-01-02"}]

    seen = perform_all(list_start_points(job_of("trigger", communication, epoch=epoch)), [reply(items)])

    assert seen.requests[0].url == "http://s.test/t?n=300"
    assert seen.result == [{"id": 2, "label": "B", "date": "2024-01-02"}, {"id": 1, "label": "A", "date": "2024-01-01"}]
    assert (seen.recalled, seen.remembered) == (0, [])


def test_variables_of_a_module():
    """connection, common, scenario, metadata, data (spec/modules.md 9)."""
    communication = {
        "response": {
            "output": {
                "c": "{{connection.token}}", "m": "{{common.k}}", "s": "{{scenario}}",
                "e": "{{metadata.expect[1].name}}", "d": "{{data}}", "p": "{{parameters.p}}", "w": "{{webhook}}",
            }
        }
    }  # fmt: skip

    seen = run_module(
        "action",
        communication,
        connection={"token": "T"},
        common={"k": "K"},
        scenario={"id": 1, "name": "n", "other": 2},
        expect=[{"name": "f"}],
        parameters={"p": 1},
    )

    assert seen.bundles == [{"c": "T", "m": "K", "s": {"id": 1, "name": "n"}, "e": "f", "d": {}, "p": 1}]


def test_a_broken_module_is_refused_when_it_runs():
    """A module with problems raises the checker's text and sends nothing."""
    job = job_of("action", {"url": "/"})
    broken = job.module.model_copy(update={"problems": ("communication: no such file",)})

    with pytest.raises(InvalidConfigurationError, match="no such file"):
        perform_all(MODULE_TYPES["action"](job_of("action", {}, module=broken)))


@pytest.mark.parametrize(
    ("value", "rows"),
    [([{"label": "a"}], [{"label": "a"}]), ({"name": "f"}, [{"name": "f"}]), (None, [])],
)
def test_an_rpc_gives_rows(value, rows):
    """A list as it is, one field as a list of one, nothing as none."""
    spec = rpc_spec({"response": {"output": "{{parameters.v}}"}})

    seen = perform_all(run_rpc(RpcJob(app_of(), spec, {"v": value}, ENVIRONMENT)))

    assert rows_of(seen.result) == rows


def test_an_rpc_stops_after_ten_requests():
    """Somebody waits for the form."""
    spec = rpc_spec(
        {"url": "/o", "qs": {"p": "{{pagination.page}}"}, "response": {"iterate": "{{body}}"}, "pagination": {}}
    )
    app = app_of(base={"baseUrl": "http://s.test"})

    seen = perform_all(run_rpc(RpcJob(app, spec, {}, ENVIRONMENT)), [reply([n]) for n in range(20)])

    assert len(seen.requests) == 10
    assert seen.result == list(range(10))
