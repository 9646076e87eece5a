"""Wrappings, aliases, findings, bindings: spec/scenarios.md 1."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.scenario.bindings import BindingKind
from runtime.scenario.importer import import_blueprint
from runtime.scenario.unwrap import MAX_BYTES
from tests.unit.scenario.helpers import CATALOG, compose, fail, imported, module, router, scenario, start, when

GOOD = scenario(start({"n": 1}), compose(2, "{{1.n}}"))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(json.dumps(GOOD), id="bare"),
        pytest.param("\ufeff" + json.dumps(GOOD), id="bom text"),
        pytest.param(json.dumps(GOOD).encode("utf-8-sig"), id="bom bytes"),
        pytest.param(json.dumps({"code": "OK", "response": {"blueprint": GOOD, "scheduling": {}}}), id="api answer"),
        pytest.param(json.dumps({"blueprint": json.dumps(GOOD), "scheduling": "{}"}), id="json in json"),
        pytest.param(json.dumps({"controller": {}, "scheduling": {}, "blueprint": GOOD}), id="template"),
        pytest.param(json.dumps({"subflows": [{"flow": GOOD["flow"]}], "metadata": {"version": 1}}), id="clipboard"),
        pytest.param(json.dumps({"flow": GOOD["flow"]}), id="fragment"),
    ],
)
def test_every_wrapping_gives_the_same_flow(raw: bytes | str) -> None:
    """What people have on disk is unwrapped to one inner object."""
    result = import_blueprint(raw, CATALOG)

    assert result.blueprint is not None, [finding.text() for finding in result.findings]
    assert [item.name for item in result.blueprint.flow] == ["json:ParseJSON", "util:ComposeTransformer"]


def test_the_schedule_beside_the_blueprint_is_kept() -> None:
    """Also as JSON text, and inside the metadata."""
    schedule = {"type": "indefinitely", "interval": 900}
    beside = json.dumps({"blueprint": GOOD, "scheduling": json.dumps(schedule)})
    inside = json.dumps({**GOOD, "metadata": {"version": 1, "scheduling": schedule}})

    for raw in (beside, inside):
        result = import_blueprint(raw, CATALOG)
        assert result.blueprint is not None and result.blueprint.scheduling == schedule


def test_unknown_keys_are_kept_for_round_trips() -> None:
    """The unwrapped file comes back whole; the content hash is stable."""
    odd = {**GOOD, "_note": ["x", {"y": None}]}

    first, second = imported(odd).blueprint, imported(odd).blueprint

    assert first is not None and second is not None
    assert first.raw == odd
    assert first.hash == second.hash != imported(GOOD).blueprint.hash


def test_settings_left_out_take_their_defaults() -> None:
    """`roundtrips` 0 and null count as 1; auto commit is on."""
    result = imported(scenario(start({}), roundtrips=0, slots=None))

    assert result.blueprint is not None
    assert result.blueprint.settings.model_dump() == {
        "roundtrips": 1,
        "max_errors": 3,
        "auto_commit": True,
        "auto_commit_trigger_last": True,
        "sequential": False,
        "confidential": False,
        "dlq": False,
        "dataloss": False,
        "fresh_variables": False,
        "slots": None,
    }


def _if_else(*branches: dict[str, Any]) -> dict[str, Any]:
    return {"id": 2, "module": "builtin:BasicIfElse", "version": 1, "mapper": None, "branches": list(branches)}


def _else(merge: bool = False) -> dict[str, Any]:
    return {"type": "else", "flow": [], "merge": merge}


def _array(number: int, feeder: Any) -> dict[str, Any]:
    return module(number, "builtin:BasicAggregator", {}, parameters={} if feeder is None else {"feeder": feeder})


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("E-JSON", {"name": "x"}),
    ("E-VERSION", {**GOOD, "metadata": {"version": 2}}),
    ("E-EMPTY", scenario()),
    ("E-SHAPE", scenario(start({}), {"id": 2})),
    ("E-SHAPE", scenario(start({}), compose(2, "x", config={"a": 1}))),
    ("E-SHAPE", scenario("text")),
    ("E-SHAPE", scenario(start({}), compose(2, "x", filter=[1]))),
    ("E-DUP-ID", scenario(start({}), compose(1, "x"))),
    ("E-ID", scenario(start({}), {**compose(2, "x"), "id": -2})),
    ("E-ID", scenario(start({}), {**compose(2, "x"), "id": "two"})),
    ("E-UNKNOWN-APP", scenario(start({}), module(2, "nowhere:Do"))),
    ("E-UNKNOWN-MODULE", scenario(start({}), module(2, "util:Unheard"))),
    ("E-VERSION-APP", scenario(start({}), {**compose(2, "x"), "version": 99})),
    ("E-START", scenario(_array(1, 1))),
    ("E-TRIGGER-POS", scenario(start({}), module(2, "test:Poll"))),
    ("E-FILTER-START", scenario(start({}, filter=when("x", "exist")))),
    ("E-AFTER-ROUTER", scenario(start({}), router(2, [compose(3, "x")]), compose(4, "y"))),
    ("E-ROUTES", scenario(start({}), router(2))),
    ("E-ROUTES", scenario(start({}), router(2, [compose(3, "x")], parameters={"else": 1}))),
    ("E-MERGE", scenario(start({}), module(2, "builtin:BasicMerge"))),
    ("E-MERGE", scenario(start({}), _if_else(_else(True)))),
    ("E-MERGE", scenario(start({}), _if_else(_else(), _else()))),
    (
        "E-MERGE",
        scenario(
            start({}),
            _if_else(_else(True)),
            module(3, "builtin:BasicMerge", outputs=[{"name": "r", "mappings": [1, 2]}]),
        ),
    ),
    ("E-FEEDER", scenario(start({}), _array(2, 7))),
    ("E-FEEDER", scenario(start({}), router(2, [compose(3, "x")], [_array(4, 3)]))),
    (
        "E-CROSS",
        scenario(start({}), compose(2, "x"), compose(3, "y"), _array(4, 2), _array(5, 3)),
    ),
    ("E-DIRECTIVE", scenario(start({}), module(2, "builtin:Ignore"))),
    ("E-DIRECTIVE", scenario(start({}), fail(2, onerror=[module(3, "builtin:Ignore"), compose(4, "x")]))),
    ("E-ONERROR-PLACE", scenario(start({}), fail(2, onerror=[module(3, "builtin:Ignore", onerror=[compose(4, "x")])]))),
    ("E-IML", scenario(start({}), compose(2, "{{upper(}}"))),
    ("E-OP", scenario(start({}), compose(2, "x", filter=when("x", "text:like")))),
    ("E-REF", scenario(start({}), compose(2, "{{77.x}}"))),
    ("E-REQ", scenario(start({}), module(2, "util:GetVariable2"))),
    ("E-DATATYPE", scenario(start({}), module(2, "util:FunctionSleep", {"duration": "soon"}))),
    ("E-DATATYPE", scenario(start({}), module(2, "util:SetVariable2", {"name": "x", "scope": "forever"}))),
]


@pytest.mark.parametrize(
    ("code", "blueprint"), [pytest.param(*row, id=f"{row[0]}-{n}") for n, row in enumerate(REFUSED)]
)
def test_a_file_with_an_error_is_refused_with_its_code_and_only_that(code: str, blueprint: dict[str, Any]) -> None:
    """Nothing half is given back; the finding names the module by id and name where there is one."""
    result = imported(blueprint)

    errors = [finding for finding in result.findings if finding.severity == "error"]
    assert [finding.code for finding in errors] == [code], [finding.text() for finding in errors]
    assert (result.blueprint, result.bindings) == (None, [])


def test_a_module_that_is_not_here_is_named_with_its_id() -> None:
    """The id, the module's name, and what was probably meant."""
    unknown = imported(scenario(start({}), module(7, "util:SetVariablez"))).error
    invented = imported(scenario(start({}), module(7, "builtin:BasicIterator"))).error

    assert unknown is not None and invented is not None
    assert (unknown.module, unknown.name, unknown.pointer) == (7, "util:SetVariablez", "/flow/1/module")
    assert "util:SetVariables" in unknown.hint
    assert invented.hint == "did you mean builtin:BasicFeeder?"


def test_the_first_error_is_the_first_in_the_file() -> None:
    """Whatever pass of the checker finds it."""
    blueprint = scenario(start({}), compose(2, "{{77.x}}"), module(3, "nowhere:Do"), compose(3, "x"))

    assert [finding.code for finding in imported(blueprint).findings] == ["E-REF", "E-UNKNOWN-APP", "E-DUP-ID"]


@pytest.mark.parametrize(
    ("code", "blueprint"),
    [
        pytest.param("W-IML", scenario(start({}), compose(2, "{{uper(1.a)}}")), id="unknown function"),
        pytest.param("W-IML", scenario(start({}), compose(2, "{{createJSON(1.a)}}")), id="function of apps"),
        pytest.param("W-REF", scenario(start({}), compose(2, "{{3.value}}"), compose(3, "x")), id="later module"),
        pytest.param(
            "W-REF",
            scenario(start({}), router(2, [compose(3, "x")], [compose(4, "{{3.value}}", filter=when("x", "exist"))])),
            id="sibling",
        ),
        pytest.param(
            "W-REF", scenario(start({}), compose(2, "x"), _array(3, 2), compose(4, "{{2.value}}")), id="closed span"
        ),
        pytest.param("W-CLOSED", scenario(start({}), _array(2, 1), _array(3, 1)), id="closed feeder"),
        pytest.param("W-UNUSED-DLQ", scenario(start({}), fail(2, onerror=[module(3, "builtin:Break")])), id="break"),
        pytest.param("W-OFF-OPERATOR", scenario(start({}), compose(2, "x", filter=when("x", "exists"))), id="operator"),
        pytest.param("W-ALIAS", scenario(start({}), {**compose(2, "x"), "id": "2"}), id="text id"),
        pytest.param(
            "W-NOFILTER-ROUTES", scenario(start({}), router(2, [compose(3, "x")], [compose(4, "y")])), id="routes"
        ),
        pytest.param("W-DEFAULT", scenario(start({}), module(2, "util:SetVariable2", {"name": "x"})), id="default"),
        pytest.param(
            "W-ORPHANS",
            {**GOOD, "metadata": {"version": 1, "designer": {"orphans": [[compose(9, "x")]]}}},
            id="orphans",
        ),
        pytest.param("W-INSTANT", {**GOOD, "metadata": {"version": 1, "instant": True}}, id="instant"),
        pytest.param(
            "W-ALIAS",
            scenario(start({}), module(2, "builtin:BasicAggregator", parameters={"feeder": 1, "groupBy": "{{1.n}}"})),
            id="group by in parameters",
        ),
    ],
)
def test_doubtful_files_are_taken_with_a_warning(code: str, blueprint: dict[str, Any]) -> None:
    """The run gives empty values, defaults or rewritten names."""
    result = imported(blueprint)

    assert result.blueprint is not None, [finding.text() for finding in result.findings]
    assert [finding.code for finding in result.findings] == [code]


def test_the_error_of_the_failed_module_is_on_the_path_of_its_error_route() -> None:
    """`{{2.error.message}}` in the route of module 2 is no off-path reference."""
    assert imported(scenario(start({}), fail(2, onerror=[compose(3, "{{2.error.message}}{{1.n}}")]))).findings == []


def test_references_to_the_exporting_account_become_a_binding_table() -> None:
    """Kind, foreign id, label, expected types, module and field, in order of the file."""
    hook = module(
        1,
        "test:Hook",
        parameters={"__IMTCONN__": 123, "hook": 45, "key": "not a keychain here", "maxResults": 2},
        metadata={
            "restore": {"parameters": {"__IMTCONN__": {"label": "My account"}}},
            "parameters": [{"name": "__IMTCONN__", "type": "account:google,smtp"}, {"name": "hook", "type": "hook:x"}],
        },
    )
    parse = start({}, number=2, parameters={"type": 6})

    table = imported(scenario(hook, parse)).bindings

    assert [(row.kind, row.foreign_id, row.label, row.expected_types, row.module, row.field) for row in table] == [
        (BindingKind.CONNECTION, 123, "My account", ("google", "smtp"), 1, "__IMTCONN__"),
        (BindingKind.HOOK, 45, "", ("x",), 1, "hook"),
        (BindingKind.DATA_STRUCTURE, 6, "", (), 2, "type"),
    ]


def test_sizes_are_limited_before_anything_is_parsed() -> None:
    """5 MB hard; nesting by our own limit, not by the interpreter's."""
    huge = b'{"flow": "' + b"x" * MAX_BYTES + b'"}'
    deep = '{"flow": ' + "[" * 5000 + "]" * 5000 + "}"

    for raw in (huge, deep, "[" * 100_000):
        assert [finding.code for finding in import_blueprint(raw, CATALOG).findings] == ["E-JSON"]


def test_flows_nested_too_deeply_are_refused() -> None:
    """Routers in routers in routers."""
    flow: list[Any] = [compose(500, "x")]
    for number in range(100, 135):
        flow = [router(number, flow)]

    error = imported(scenario(start({}), *flow)).error

    assert error is not None and error.code in ("E-SHAPE", "E-JSON")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_KEYS = [
    *("id", "module", "version", "parameters", "mapper", "filter", "metadata", "routes", "onerror", "branches"),
    *("outputs", "filters", "flags", "flow", "conditions", "disabled", "else", "feeder", "type", "name", "mappings"),
    *("designer", "orphans", "scenario", "instant", "io", "interface", "blueprint", "scheduling"),
]
_NAMES = st.sampled_from(
    ["builtin:BasicRouter", "builtin:BasicIfElse", "builtin:BasicMerge", "builtin:BasicAggregator", "builtin:Resume"]
)
_ODD = st.recursive(
    _JSON | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(value=st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=6), module_like=st.lists(_ODD, max_size=3))
def test_garbage_never_raises(value: dict[str, Any], module_like: list[Any]) -> None:
    """Any JSON gives findings, never an exception; so does anything that is no JSON."""
    for raw in (json.dumps({**value, "flow": module_like}), json.dumps(value), repr(value)):
        result = import_blueprint(raw, CATALOG)
        assert (result.blueprint is None) is any(finding.severity == "error" for finding in result.findings)


@given(raw=st.binary(max_size=60))
def test_bytes_never_raise(raw: bytes) -> None:
    """Bytes that are no UTF-8, no JSON, no object."""
    assert import_blueprint(raw, CATALOG).blueprint is None
