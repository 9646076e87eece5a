"""Doubts of the checker about values, and what a blueprint needs module by module."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.scenario.support import support
from tests.unit.scenario.helpers import CATALOG, imported, module, scenario, start
from workers.cli.flow import flow_lines

INTERFACE = [{"name": "id", "type": "number"}, {"name": "data", "type": "collection"}, {"name": "all", "type": "array"}]


def known(number: int, mapper: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """A module whose outputs the file tells."""
    return module(number, "test:Do", mapper, metadata={"interface": INTERFACE}, **rest)


def codes(*flow: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Codes of a blueprint's findings with their modules."""
    return [(finding.code, finding.module) for finding in imported(scenario(*flow)).findings]


@pytest.mark.parametrize(
    ("text", "doubted"),
    [
        ("{{2.id}}", False),
        ("{{2.data.anything}}", False),
        ("{{2.`__IMTINDEX__`}}", False),
        ("{{2.idd}}", True),
        ("{{upper(2.nothing)}}", True),
    ],
)
def test_field_that_a_known_interface_lacks_is_doubted(text: str, doubted: bool) -> None:
    """A reference to a field that the module before never gives is empty at run time: W-REF."""
    found = codes(start({}), known(2), module(3, "test:Do", {"x": text}))

    assert (("W-REF", 3) in found) is doubted


def test_module_without_an_interface_is_not_doubted() -> None:
    """Files made by programs carry no snapshot: nothing is said about their fields."""
    assert codes(start({}), module(2, "test:Do"), module(3, "test:Do", {"x": "{{2.any}}"})) == []


@pytest.mark.parametrize(
    ("text", "kind", "doubted"),
    [
        ("{{2.data}}", "text", True),
        ("{{2.all}}", "number", True),
        ("{{2.all}}", "text", False),
        ("{{2.id}}", "date", False),
        ("id {{2.data}}", "text", False),
    ],
)
def test_one_value_of_a_type_that_cannot_fit_is_doubted(text: str, kind: str, doubted: bool) -> None:
    """A collection in a text field, an array in a number field fail when they run: W-TYPE."""
    target = module(3, "test:Do", {"x": text}, metadata={"expect": [{"name": "x", "type": kind}]})

    assert (("W-TYPE", 3) in codes(start({}), known(2), target)) is doubted


def test_substitute_of_resume_names_fields_of_the_failed_module() -> None:
    """A key that the failed module never gives is of no use to anybody: W-RESUME-FIELDS."""
    resume = module(3, "builtin:Resume", {"id": 1, "typo": 2})

    assert codes(start({}), known(2, onerror=[resume])) == [("W-RESUME-FIELDS", 3)]


@pytest.mark.parametrize(
    ("mapper", "doubted"),
    [
        ({"headers": [{"name": "Authorization", "value": "Bearer abcdefghijklmnop"}]}, True),
        ({"headers": [{"name": "X-Api-Key", "value": "abcdefgh12345"}]}, True),
        ({"body": {"client_secret": "abcdefgh12345"}}, True),
        ({"headers": [{"name": "Authorization", "value": "Bearer {{1.token}}"}]}, False),
        ({"headers": [{"name": "Accept", "value": "application/json"}]}, False),
        ({"text": "Please renew your token soon"}, False),
    ],
)
def test_literal_credentials_are_pointed_out_and_not_repeated(mapper: dict[str, Any], doubted: bool) -> None:
    """A literal credential in a blueprint is a warning; its text does not stand in the message."""
    findings = imported(scenario(start({}), module(2, "test:Do", mapper))).findings
    found = [finding for finding in findings if finding.code == "W-SECRET"]

    assert bool(found) is doubted
    assert "abcdefgh" not in "".join(finding.text() for finding in found)


def test_each_module_says_what_it_needs() -> None:
    """Supported, an app that is not here, a module that nobody knows: also for a file that is refused."""
    raw = json.dumps(
        scenario(start({}), module(2, "builtin:Nothing"), module(3, "crm:addRow"), module(4, "json:ParseJSON"))
    )

    rows = support(raw, CATALOG)

    assert [(row.module, str(row.support)) for row in rows] == [
        (1, "supported"),
        (2, "unknown"),
        (3, "needs an app"),
        (4, "supported"),
    ]
    assert rows[2].needs == ("crm",)
    assert support(b"no json", CATALOG) == []


def test_flow_is_drawn_with_filters_routes_and_error_routes() -> None:
    """The drawing names every module once, under the route or error route that it stands in."""
    condition = {"name": "big", "conditions": [[{"a": "{{1.n}}", "o": "number:greater", "b": "5"}]]}
    routes = [{"flow": [module(4, "test:Do", filter=condition)]}, {"flow": [module(5, "test:Do")], "disabled": True}]
    router = {"id": 3, "module": "builtin:BasicRouter", "version": 1, "mapper": None, "routes": routes}
    failing = module(2, "test:Do", onerror=[module(6, "builtin:Ignore")])
    blueprint = imported(scenario(start({}), failing, router)).blueprint
    assert blueprint is not None

    assert flow_lines(blueprint) == [
        "1  json:ParseJSON",
        "2  test:Do",
        "└─ on error",
        "   6  builtin:Ignore",
        "3  builtin:BasicRouter",
        "├─ route 1",
        "│  │ [big: {{1.n}} number:greater 5]",
        "│  4  test:Do",
        "└─ route 2 (disabled)",
        "   5  test:Do",
    ]
