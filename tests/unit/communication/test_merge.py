"""Base inheritance on raw JSON (spec/communication.md 7)."""

from __future__ import annotations

import pytest

from runtime.communication.merge import merge_base, merge_epoch
from runtime.communication.temp import merge_temp
from runtime.errors import ModuleRuntimeError
from runtime.values import UNDEFINED


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        pytest.param({"qs": {"key": "k"}}, {"qs": {}}, {"qs": {"key": "k"}}, id="an empty object does not clear"),
        pytest.param(
            {"headers": {"Authorization": "a", "x": "1"}},
            {"headers": {"authorization": "b", "y": "2"}},
            {"headers": {"Authorization": "b", "x": "1", "y": "2"}},
            id="header names ignore case",
        ),
        pytest.param({"headers": {"a": "1"}}, {"headers": "{{h}}"}, {"headers": "{{h}}"}, id="one text replaces"),
        pytest.param({"qs": "{{q}}"}, {"qs": {"a": 1}}, {"qs": {"{{...}}": "{{q}}", "a": 1}}, id="over a text"),
        pytest.param({"qs": {"{{...}}": "{{b}}"}}, {"qs": {"{{...}}": "{{m}}"}}, {"qs": {"{{...}}": "{{m}}"}}),
        pytest.param({"body": {"a": {"x": 1}, "b": 1}}, {"body": {"a": 2}}, {"body": {"a": 2, "b": 1}}, id="body"),
        pytest.param({"body": {"a": 1}}, {"body": "t"}, {"body": "t"}, id="another body replaces"),
        pytest.param({"body": {"a": 1}}, {}, {"body": {"a": 1}}, id="body inherited"),
        pytest.param(
            {"response": {"error": {"message": "B", "404": {"message": "n"}}, "type": "text", "temp": {"a": 1}}},
            {"response": {"error": {"message": "M", "type": "DataError"}, "type": {"*": "json"}}},
            {
                "response": {
                    "error": {"message": "M", "404": {"message": "n"}, "type": "DataError"},
                    "type": {"*": "json"},
                }
            },
            id="errors merge deeply",
        ),
        pytest.param({"response": {"error": {"message": "B"}}}, {"response": {"error": "M"}},
                     {"response": {"error": "M"}}, id="an error text replaces"),
        pytest.param({"condition": {"condition": 1, "default": 2}}, {"condition": True}, {"condition": True}),
        pytest.param({"pagination": {"qs": {"p": 1}}}, {"pagination": {"condition": 1}},
                     {"pagination": {"qs": {"p": 1}, "condition": 1}}, id="pagination key by key"),
        pytest.param({"log": {"sanitize": ["a", "b"]}}, {"log": {"sanitize": ["b", "c"]}},
                     {"log": {"sanitize": ["a", "b", "c"]}}, id="sanitize is a union"),
        pytest.param({"log": {"sanitize": ["a"]}}, {}, {"log": {"sanitize": ["a"]}}, id="sanitize inherited"),
        pytest.param({"timeout": 1, "type": "json"}, {"type": "text"}, {"timeout": 1, "type": "text"}, id="scalars"),
        pytest.param({"url": "/b", "repeat": {}, "baseUrl": "http://S"}, {}, {}, id="not inherited"),
    ],
)  # fmt: skip
def test_a_request_inherits_from_base(base, own, expected):
    """Each part with its rule."""
    assert merge_base(base, own) == expected


def test_merging_changes_neither_side():
    """Base is shared by all components."""
    base, own = {"headers": {"a": "1"}, "log": {"sanitize": ["x"]}}, {"headers": {"a": "2"}, "log": {"sanitize": ["y"]}}

    merge_base(base, own)

    assert base == {"headers": {"a": "1"}, "log": {"sanitize": ["x"]}}
    assert own == {"headers": {"a": "2"}, "log": {"sanitize": ["y"]}}


def test_epoch_overrides_the_request_with_the_trigger():
    """Deep merge into the element that holds response.trigger; the trigger's own limit is not taken over."""
    communication = [{"url": "/a"}, {"url": "/b", "response": {"trigger": {"id": 1}, "limit": 5, "output": 1}}]

    merged = merge_epoch(communication, {"qs": {"n": 1}, "response": {"output": {"label": "l"}}})

    assert merged == [
        {"url": "/a"},
        {"url": "/b", "response": {"trigger": {"id": 1}, "output": {"label": "l"}}, "qs": {"n": 1}},
    ]


def test_temp_merges_deeply_and_replaces_lists():
    """Objects key by key, arrays as a whole, undefined skipped, null stored; the old temp is left alone."""
    old = {"a": {"x": 1, "y": [1, 2]}, "b": 1}

    new = merge_temp(old, {"a": {"y": [3], "z": UNDEFINED}, "b": None, "c": 2}, "temp")

    assert new == {"a": {"x": 1, "y": [3]}, "b": None, "c": 2}
    assert old == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_temp_must_be_a_collection():
    """Anything else names the directive."""
    with pytest.raises(ModuleRuntimeError, match=r"response\.temp: must be a collection"):
        merge_temp({}, "x", "response.temp")
