"""The rules about published limits, variables, secrets, interfaces and good practice."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runtime.app.codes import CODES, reference
from tests.paths import ROOT
from tests.unit.app.apps import BASE, CONNECTION, PARAMS, check, codes, component, module, only

GET: dict[str, Any] = {"url": "/x", "response": {"output": "{{body}}"}}
TRIGGER = {"id": "{{item.id}}", "date": "{{item.at}}", "type": "date", "order": "desc"}


@pytest.mark.parametrize(
    ("communication", "code", "severity", "words"),
    [
        ({**GET, "url": "/" + "x" * 512}, "M438", "warning", "url has 513 characters"),
        ({**GET, "response": {"error": "e" * 1025}}, "M438", "warning", "error has 1025"),
        ({**GET, "response": {"error": {"message": "m", "404": {"message": "e" * 1025}}}}, "M438", "warning", "404"),
        ({**GET, "response": {"iterate": {"container": "{{body." + "x" * 512 + "}}"}}}, "M438", "warning", "container"),
        ({**GET, "oauth": {"token": "t" * 513}}, "M438", "warning", "oauth.token"),
        ({**GET, "qs": {"filter": {"a": 1}}}, "M439", "warning", "name[key]=value"),
        ({**GET, "headers": {"x": {"a": 1}}}, "M439", "warning", "cannot be sent"),
        ({**GET, "pagination": {"qs": {"f": {"a": 1}}}}, "M439", "warning", "in qs"),
        ({**GET, "timeout": 300_001}, "M432", "warning", "from 1 to 300000"),
        ({**GET, "timeout": 1000}, "M436", "info", "outside of Base"),
        ({**GET, "repeat": {"condition": "{{true}}", "delay": "1", "limit": 2}}, "M432", "warning", "repeat.delay"),
        ({**GET, "repeat": {"delay": 1, "limit": 2}}, "M432", "warning", "never repeats"),
        ({**GET, "aws": {"key": "k", "sign_version": "3"}}, "M432", "warning", "sign_version"),
        ({**GET, "aws": {"key": "k", "region": "eu"}}, "M436", "info", "aws.region"),
        ({**GET, "qs": "{{parameters}}"}, "M436", "info", "qs as one expression"),
        ({**GET, "followRedirect": False}, "M436", "info", "followRedirect"),
        ({**GET, "method": "POST", "body": "{{temp.text}}"}, "M442", "info", "in quotes"),
        ({"endpoint": "listRows", "url": "/x"}, "M441", "warning", ""),
        ({**GET, "input": {}}, "M441", "warning", "without endpoint"),
    ],
)
def test_published_limits_are_said(communication: Any, code: str, severity: str, words: str) -> None:
    """What the official tool refuses or does not know has a code; it runs here all the same."""
    found = [finding for finding in check(module("doIt", communication)) if finding.code == code]

    assert found
    assert severity == found[0].severity
    assert words in found[0].message


def test_enumerations_of_triggers_and_webhooks() -> None:
    """The type and order of a trigger, the type and status of an answer."""
    response = {"iterate": "{{body}}", "limit": 1, "trigger": {**TRIGGER, "type": "text", "order": "up"}}
    hook = {"respond": {"type": "xml", "status": 99}, "verification": {"condition": True}, "output": "{{body}}"}
    findings = check(
        module("watchRows", {"url": "/x", "response": response}, kind="trigger"),
        component("webhook", "newRow", {"communication": hook}, webhookType="web"),
    )

    messages = [finding.message for finding in findings if finding.code == "M432"]
    assert [m for m in messages if "trigger.type" in m]
    assert [m for m in messages if "trigger.order" in m]
    assert [m for m in messages if "respond.type" in m]
    assert [m for m in messages if "100 to 999" in m]
    assert only(findings, "M440").severity == "warning"


@pytest.mark.parametrize(
    ("kind", "communication", "words"),
    [
        ("action", {**GET, "qs": {"a": "{{body.id}}"}}, "exists when the answer has come"),
        ("action", {**GET, "url": "/{{item.id}}"}, "exists when the answer has come"),
        ("action", {**GET, "qs": {"a": "{{payload.id}}"}}, "does not exist here"),
        ("action", {**GET, "qs": {"a": "{{oauth.scope}}"}}, "does not exist here"),
        ("action", {**GET, "qs": {"a": "{{query.code}}"}}, "does not exist here"),
        ("action", {**GET, "qs": {"a": "{{conection.x}}"}}, 'no variable "conection"'),
        ("action", {"url": "/x", "pagination": {}, "response": {"output": "{{body}}"}}, None),
        ("action", [GET, {"url": "/{{temp.id}}", "response": {"output": "{{body.a}}{{statusCode}}"}}], None),
        ("action", {**GET, "repeat": {"condition": "{{body.x}}", "delay": 1, "limit": 2}}, None),
        ("search", {**GET, "pagination": {"url": "{{body.next}}"}, "response": {"output": "{{item}}"}}, None),
        ("action", {**GET, "qs": {"a": "{{environment.timezone}}{{now}}{{data.lastDate}}{{scenario.id}}"}}, None),
    ],
)
def test_variables_that_do_not_exist_in_a_place(kind: str, communication: Any, words: str | None) -> None:
    """A variable is there where the lists say; anywhere else it is always empty, which is said."""
    found = [finding for finding in check(module("doIt", communication, kind=kind)) if finding.code == "I605"]

    assert (words is None) == (found == [])
    assert not found or str(words) in found[0].message


def test_parameters_that_no_list_declares() -> None:
    """Nested fields count; with a list from an RPC nothing is known."""
    nested = [{"name": "a", "type": "select", "options": [{"value": "x", "nested": [{"name": "b", "type": "text"}]}]}]
    sent = {**GET, "qs": {"x": "{{parameters.a}}", "y": "{{parameters.b}}", "z": "{{parameters.B}}"}}
    dynamic = [*nested, "rpc://fields"]

    known = check(module("doIt", sent, mappableParams=nested))
    unknown = check(module("doIt", sent, mappableParams=dynamic), component("rpc", "fields", {"communication": GET}))

    assert only(known, "I606").hint == 'did you mean "b"?'
    assert "I606" not in codes(unknown)


@pytest.mark.parametrize(
    ("request_parts", "path"),
    [
        ({"headers": {"X-Api-Key": "{{connection.apiKey}}"}}, "request.headers.x-api-key"),
        ({"qs": {"api_key": "{{connection.apiKey}}"}}, "request.qs.api_key"),
        ({"body": {"auth": {"password": "{{parameters.p}}"}}, "method": "POST"}, "request.body.auth.password"),
    ],
)
def test_secrets_that_no_list_covers(request_parts: dict[str, Any], path: str) -> None:
    """Each secret member that is sent stands in the list of the request or of Base, itself or by what holds it."""
    given = {**GET, **request_parts}
    params = [{"name": "p", "type": "text"}]
    whole = ".".join(path.split(".")[:2])

    found = check(module("doIt", given, mappableParams=params))
    listed = check(module("doIt", {**given, "log": {"sanitize": [path.upper()]}}, mappableParams=params))
    above = check(module("doIt", given, mappableParams=params), base={**BASE, "log": {"sanitize": [whole]}})

    assert path in only(found, "C118").message
    assert "C118" not in codes(listed)
    assert [f for f in above if f.code == "C118" and path in f.message] == []


def test_tokens_that_a_connection_saves() -> None:
    """A token in the answer of a connection has to be covered too."""
    communication = {**CONNECTION, "response": {"data": {"accessToken": "{{body.access_token}}"}}}
    files = {"communication": communication, "params": PARAMS}

    finding = only(check(component("connection", "acme", files, connectionType="basic")), "C118")

    assert "response.body.access_token" in finding.message


def test_outputs_and_samples_against_the_interface() -> None:
    """Undeclared members are hints, in collections too; a sample has the types that the interface says."""
    interface = [
        {"name": "id", "type": "number"},
        {"name": "owner", "type": "collection", "spec": [{"name": "name", "type": "text"}]},
        {"name": "rows", "type": "array", "spec": [{"name": "x", "type": "text"}]},
        {"name": "free", "type": "collection"},
    ]
    output = {"id": 1, "extra": "{{body.x}}", "owner": {"name": "a", "mail": "b"}, "free": {"any": 1}}
    samples = {"id": "7", "owner": {"name": "a", "age": 3}, "rows": [{"x": "a", "y": 1}], "free": {"any": 1}, "more": 1}
    given = {"url": "/x", "response": {"output": output}}
    findings = check(module("doIt", given, interface=interface, samples=samples))
    wrapped = {"url": "/x", "response": {"output": output, "wrapper": {"data": "{{output}}"}}}

    assert [f.message.rpartition(" ")[2] for f in findings if f.code == "P317"] == ["extra", "mail"]
    assert sorted(f.message.rpartition(" ")[2] for f in findings if f.code == "P318") == ["age", "more", "y"]
    assert 'sample of "id" is a text, the interface says number' in only(findings, "P319").message
    assert {f.severity for f in findings if f.code.startswith("P31")} == {"info"}
    assert "P317" not in codes(check(module("doIt", wrapped, interface=interface)))
    assert "P317" not in codes(check(module("doIt", given, interface=["rpc://f"]), component("rpc", "fff", {})))


@pytest.mark.parametrize(
    ("field", "code", "words"),
    [
        ({"mode": "map"}, "P315", "mode must not be"),
        ({"tags": "none"}, "P315", "tags must not be"),
        ({"help": ""}, "P315", "help is empty"),
        ({"name": ""}, "P315", "name is empty"),
        ({"label": 5}, "P315", "label must be a text"),
        ({"required": 1}, "P315", "required must be true or false"),
        ({"nested": 5}, "P315", "nested must be an array or an object"),
        ({"nested": {"fields": []}}, "P315", "needs store"),
        ({"rpc": {"label": "Find"}}, "P315", "rpc needs url"),
        ({"validate": {"min": "few"}}, "P315", "validate.min must be a number"),
        ({"validate": {"minimum": 1}}, "P316", "in validate"),
        ({"type": "select", "options": {"stores": []}}, "P316", "in options"),
        ({"type": "select", "options": [{"label": "One"}]}, "P310", "must have a value"),
        ({"somekey": 1}, "P312", "unknown key"),
        ({"type": "number", "default": 0, "validate": {"min": 1}}, "P320", "Minimum value is 1"),
        ({"type": "select", "options": [{"value": "x"}], "default": "y"}, "P320", "'y' not found in options"),
    ],
)
def test_shapes_of_parameters(field: dict[str, Any], code: str, words: str) -> None:
    """The keys of a parameter have the values of the published schema."""
    given = {"name": "a", "type": "text", **field}

    assert words in only(check(module("doIt", GET, mappableParams=[given])), code).message


def test_groups_and_scopes_have_their_shape() -> None:
    """A group is a label and modules; a scope is a short text."""
    findings = check(
        module("doIt", GET, scope=["ok", "", 5]),
        component(
            "connection", "acme", {"communication": {}, "params": [], "defaultScope": [""], "scopeList": {"a": 1}},
            connectionType="oauth",
        ),
    )  # fmt: skip

    assert codes(findings).count("A217") == 2
    assert codes(findings).count("C110") == 2


def test_good_practice_is_said_when_it_is_wanted() -> None:
    """In a strict check, or code by code."""
    given = module("doIt", GET)

    assert not [code for code in codes(check(given)) if code[0] == "B"]
    assert {"B701", "B703", "B705"} <= set(codes(check(given, strict=True)))
    assert {code for code in codes(check(given, wanted=["B705"])) if code[0] == "B"} == {"B705"}


def test_one_broken_file_does_not_hide_the_others() -> None:
    """Every file is judged, whatever is wrong with its neighbours."""
    findings = check(
        module("aaa", b'{"url": '), module("bbb", {**GET, "url": "{{frob(1)}}"}), module("ccc", b"\xff\xfe"),
        module("ddd", {**GET, "paginations": {}}),
    )  # fmt: skip

    assert {"J501", "A303", "J502", "M420"} <= set(codes(findings))


def test_the_reference_is_made_from_the_table() -> None:
    """`docs/check-codes.md` lists every code; `python -m runtime.app.codes > docs/check-codes.md` writes it anew."""
    assert reference() == (ROOT / "docs" / "check-codes.md").read_text("utf-8")


def test_every_code_is_explained_in_words() -> None:
    """A meaning, an example and a remedy, the remedy as a sentence."""
    for name, code in CODES.items():
        assert re.fullmatch(r"[ABCIJMP]\d{3}", name)
        assert code.meaning
        assert code.example
        assert code.remedy.endswith("."), name
