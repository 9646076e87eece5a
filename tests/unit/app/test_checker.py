"""One small app for each rule of the checker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runtime.app.codes import CODES
from runtime.app.findings import Finding
from tests.unit.app.apps import BASE, CONNECTION, PARAMS, check, codes, component, module, only

GET: dict[str, Any] = {"url": "/x", "response": {"output": "{{body}}"}}


def test_a_good_app_has_no_findings() -> None:
    """Nothing is said about an app that does everything right."""
    search = {
        "url": "/rows",
        "qs": {"limit": "{{parameters.limit}}"},
        "pagination": {"qs": {"page": "{{pagination.page}}"}},
        "response": {"iterate": "body.rows", "output": "{{item}}", "limit": "{{parameters.limit}}"},
    }
    trigger = {
        "url": "/rows",
        "response": {
            "iterate": "{{body.rows}}",
            "limit": 10,
            "trigger": {"id": "{{item.id}}", "date": "{{item.at}}", "type": "date", "order": "desc"},
        },
    }
    findings = check(
        module("listRows", search, kind="search", mappableParams=[{"name": "limit", "type": "uinteger", "label": "L"}]),
        module(
            "watchRows", trigger, kind="trigger", epoch={"response": {"output": {"label": "{{item.n}}", "date": 1}}}
        ),
        module(
            "addRow", {"url": "/rows", "method": "POST", "body": "{{parameters}}", "response": {"output": "{{body}}"}}
        ),
        component("rpc", "rows", {"communication": GET}, connection="acme"),
    )

    assert findings == []


def test_a_misspelt_parameter_is_found() -> None:
    """A parameter that no list has, with the nearest name there is; not where an RPC adds parameters."""
    params = [{"name": "limit", "type": "uinteger", "label": "L"}]
    request = {**GET, "qs": {"a": "{{parameters.limti}}"}}

    finding = only(check(module("doIt", request, mappableParams=params)), "I606")

    assert finding.hint == 'did you mean "limit"?'
    assert finding.excerpt == ("{{parameters.limti}}", 3)
    dynamic = check(
        module("doIt", request, mappableParams=[*params, "rpc://rows"]),
        component("rpc", "rows", {"communication": GET}, connection="acme"),
    )
    assert "I606" not in codes(dynamic)


def connection(communication: Any, *, kind: str = "basic", **files: Any) -> dict[str, Any]:
    """The connection `acme` with this communication."""
    return component(
        "connection", "acme", {"communication": communication, "params": PARAMS, **files}, connectionType=kind
    )


AUTHORIZED = {"url": "https://api.acme.test/me"}


@pytest.mark.parametrize(
    ("communication", "code", "severity", "words"),
    [
        ({**CONNECTION, "aws": {}}, "C101", "error", "aws is not available in a basic connection"),
        ({**CONNECTION, "pagination": {}}, "C101", "error", "pagination is not available"),
        ({**CONNECTION, "response": {"limit": 1}}, "C101", "error", "response.limit is not available"),
        ({**CONNECTION, "response": {"iterate": "{{body}}"}}, "C101", "error", "response.iterate is not available"),
        ({**CONNECTION, "response": {"output": "x"}}, "C101", "error", "response.output is not available"),
        ([CONNECTION, CONNECTION], "C102", "error", "only a single request (found 2)"),
        ([CONNECTION], "M407", "info", "in a list"),
        ({**CONNECTION, "url": "/me"}, "C103", "error", "relative url"),
        ({**CONNECTION, "log": {}}, "C104", "warning", "no log.sanitize"),
        ({**CONNECTION, "log": {"sanitize": ["request.headers.token"]}}, "C105", "warning", "nothing that is sent"),
        ({**CONNECTION, "log": {"sanitize": ["headers.authorization"]}}, "C105", "warning", "begins with request"),
        ({**CONNECTION, "response": {"metadata": {"value": "v", "type": "name"}}}, "C106", "error", "email or text"),
        ({}, "C115", "warning", "cannot be verified"),
        ({**CONNECTION, "paginations": {}}, "M420", "warning", 'unknown directive "paginations"'),
        ({**CONNECTION, "qs": {"k": "{{connection.nope}}"}}, "C111", "warning", "connection.nope"),
        ({**CONNECTION, "qs": {"k": "{{common.nope}}"}}, "C112", "info", "common.nope"),
    ],
)
def test_basic_connections_are_judged(communication: Any, code: str, severity: str, words: str) -> None:
    """Each rule for a basic connection has its code, severity and words."""
    finding = only(check(connection(communication)), code)

    assert severity == finding.severity
    assert words in finding.message


PHASE = {"url": "https://acme.test/t", "log": {"sanitize": ["request.body.code"]}}


@pytest.mark.parametrize(
    ("communication", "code", "severity"),
    [
        ({"authorize": PHASE, "token": {**PHASE, "aws": {}}}, "C101", "error"),
        ({"authorize": PHASE, "token": {**PHASE, "response": {"output": 1}}}, "C101", "error"),
        ({"authorize": PHASE, "token": {**PHASE, "response": {"uid": "1"}}}, "C101", "error"),
        ({"authorize": PHASE, "info": {**PHASE, "url": "/me"}}, "C103", "error"),
        ({"authorize": PHASE, "token": PHASE, "accessToken": PHASE}, "C107", "error"),
        ({"authorize": PHASE, "tokens": PHASE}, "C107", "warning"),
        ({"token": PHASE}, "C108", "warning"),
        ({"authorize": PHASE, "token": PHASE, "refresh": PHASE}, "C109", "warning"),
        ({"authorize": PHASE, "token": PHASE, "refresh": {**PHASE, "condition": "{{true}}"}}, None, None),
        ({"authorize": PHASE, "info": {**PHASE, "response": {"uid": "{{body.id}}"}}}, None, None),
        ({"oauth": {"consumer_key": "k"}, "requestToken": PHASE, "authorize": PHASE, "accessToken": PHASE}, None, None),
        ({"authorize": PHASE, "info": [PHASE]}, "M434", "warning"),
    ],
)
def test_oauth_connections_are_judged(communication: Any, code: str | None, severity: str | None) -> None:
    """Each rule for the phases of an OAuth connection has its code and severity."""
    found = [(f.code, f.severity) for f in check(connection(communication, kind="oauth")) if f.code != "C105"]

    assert ((code, severity) in found) if code else (found == [])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ([{"name": "accessToken", "type": "text"}], "C114"),
        ([{"name": "accountName", "type": "text"}], "C116"),
        ([{"name": "kind", "type": "select", "options": [{"nested": [{"name": "secret", "type": "text"}]}]}], "C114"),
    ],
)
def test_inputs_of_connections_are_judged(params: Any, code: str) -> None:
    """Secret-looking inputs need the type password; two names are reserved."""
    given = component("connection", "acme", {"communication": AUTHORIZED, "params": params}, connectionType="basic")

    assert only(check(given, base={}), code).severity == "warning"


@pytest.mark.parametrize(
    ("kind", "communication", "code", "severity", "words"),
    [
        ("action", {**GET, "pagination": {}}, "M421", "warning", "pagination is not available in an action"),
        ("action", {**GET, "response": {"limit": 1}}, "M421", "warning", "response.limit is not available"),
        ("action", {**GET, "response": {"trigger": {}}}, "M421", "warning", "response.trigger is not available"),
        ("action", {**GET, "baseUrl": "https://x.test"}, "M421", "warning", "baseUrl is not available"),
        ("instant_trigger", {**GET, "response": {"iterate": "{{body}}"}}, "M421", "warning", "response.iterate"),
        ("instant_trigger", [GET], "M434", "warning", "one request"),
        ("responder", {"url": "/x", "response": {"status": 200}}, "M421", "warning", "url is not available"),
        ("action", {**GET, "iterate": "{{body}}"}, "M420", "warning", '"iterate" belongs to response'),
        ("action", {**GET, "sanitize": []}, "M420", "warning", '"sanitize" belongs to log'),
        ("action", {**GET, "paginations": {}}, "M420", "warning", 'unknown directive "paginations"'),
        ("action", {**GET, "response": {"outputs": 1}}, "M420", "warning", 'unknown directive "response.outputs"'),
        ("action", {**GET, "repeat": {"condition": "{{true}}", "delays": 1}}, "M420", "warning", "unknown key"),
        ("action", {**GET, "log": {"level": "debug"}}, "M403", "warning", 'unknown key "level" in log'),
        ("action", {**GET, "headers": "{{h}}"}, "M401", "warning", "replaces the Base headers"),
        ("action", {**GET, "qs": {"a": "{{body.rows[0].id}}"}}, "M402", "warning", "index 0 never exists"),
        ("action", {**GET, "qs": {"a": "{{connection.nope}}"}}, "C111", "warning", "connection.nope"),
        ("action", {**GET, "qs": {"a": "{{common.nope}}"}}, "C112", "info", "common.nope"),
        ("action", {**GET, "qs": {"a": "{{frobnicate(1)}}"}}, "A303", "error", 'unknown function "frobnicate"'),
        ("action", {**GET, "qs": {"a": "{{ifempty(1)}}"}}, "I602", "warning", 'found 1: "instead" is missing'),
        ("action", {**GET, "qs": {"a": "{{abs(1, 2)}}"}}, "I602", "warning", "takes 1 arguments, found 2"),
        ("action", {**GET, "qs": {"a": "{{abs('x')}}"}}, "I602", "warning", 'argument "number" of abs: \'x\' is not'),
        ("action", {**GET, "qs": {"a": "{{addDays(now, 'x')}}"}}, "I602", "warning", 'argument "number" of addDays'),
        ("action", {**GET, "qs": {"a": "{{paramters.x}}"}}, "I605", "warning", 'there is no variable "paramters"'),
        ("action", {**GET, "qs": {"a": "{{if(1}}"}}, "I601", "error", "Failed to parse expression"),
        ("action", {**GET, "qs": {"{{if(1}}": 1}}, "I601", "error", "Failed to parse expression"),
        ("action", {**GET, "url": "/x?a=1", "qs": {"b": 1}}, "M413", "info", "query of its own"),
        ("action", {**GET, "url": "https://www.example.com/x"}, "M414", "warning", "placeholder host"),
        ("action", {**GET, "url": 7}, "M432", "warning", "url must be a text"),
        ("action", {**GET, "method": "FETCH"}, "M432", "warning", "unknown method"),
        ("action", {**GET, "type": "xml"}, "M432", "warning", "unknown request type"),
        ("action", {**GET, "response": {"type": "jsonp"}}, "M432", "warning", "unknown response type"),
        ("action", {**GET, "response": {"type": {"200": "json"}}}, "M430", "info", 'has no "*"'),
        ("action", {**GET, "response": {"type": {"4xx": "json", "*": "json"}}}, "M424", "warning", "no status code"),
        ("action", {**GET, "method": "POST"}, "M431", "warning", "has no body"),
        ("action", {**GET, "condition": "false"}, "M423", "warning", "always true"),
        ("action", {**GET, "gzip": "{{true}}"}, "M422", "warning", "an expression has no effect"),
        ("action", {**GET, "repeat": {"condition": "{{true}}", "delay": "{{1}}"}}, "M422", "warning", "repeat.delay"),
        ("action", {**GET, "followRedirect": True}, "M436", "info", "not in the published schema"),
        ("action", {**GET, "type": "multipart/form-data", "headers": {"Content-Type": "multipart/form-data"}},
         "M412", "info", "boundary"),
        ("action", {**GET, "response": {"error": {"4xx": {"message": "m"}, "message": "m"}}}, "M424", "warning", "4xx"),
        ("action", {**GET, "response": {"error": {"404": {"message": "m"}}}}, "M425", "warning", "no message"),
        ("action", {**GET, "response": {"error": {"message": "m", "type": "TypeError"}}}, "M426", "warning", "Type"),
        ("action", {**GET, "response": {"error": {"message": "m", "200": {"message": "m"}}}}, "M427", "warning", "200"),
        ("search", {**GET, "response": {"iterate": "{{body}}"}}, "M411", "info", "no response.limit"),
        ("search", {**GET, "pagination": {"qs": {}}}, "M435", "warning", "without response.iterate"),
        ("search", {**GET, "method": "POST", "body": {"f": 1, "p": 1}, "pagination": {"body": {"p": 2}},
                    "response": {"iterate": "{{body}}", "limit": 1}}, "M410", "warning", "replaces the request body"),
        ("trigger", GET, "M428", "error", "needs response.trigger"),
        ("trigger", {**GET, "response": {"limit": 1, "trigger": {"type": "date", "order": "asc", "id": "1"}}},
         "M428", "error", "has no date"),
        ("action", [7], "M433", "error", "must be an object"),
        ("action", "text", "A208", "error", "must be an object or an array, found a text"),
    ],
)  # fmt: skip
def test_communications_are_judged(kind: str, communication: Any, code: str, severity: str, words: str) -> None:
    """Each rule for a module's communication has its code, severity and words."""
    hook = component(
        "webhook", "newRow", {"communication": {"output": "{{body}}"}}, webhookType="web", connection="acme"
    )
    given = module("doIt", communication, kind=kind)
    if kind == "instant_trigger":
        given["fields"]["webhook"] = "newRow"
    finding = only(check(given, hook), code)

    assert severity == finding.severity
    assert words in finding.message
    assert finding.component == 'module "doIt"'
    assert finding.file == "modules/doIt/communication.iml.json"


@pytest.mark.parametrize(
    ("field", "code", "severity"),
    [
        ({"name": "a", "type": "html", "label": "x"}, "P301", "info"),
        ({"name": "a", "type": "number", "maximum": 5}, "P302", "warning"),
        ({"name": "a", "type": "text", "label": "x" * 257}, "P303", "warning"),
        ({"name": "a", "type": "Text"}, "P304", "warning"),
        ({"name": "a", "type": "txet"}, "P304", "warning"),
        ({"name": "a"}, "P304", "info"),
        ({"name": "static", "type": "text"}, "P305", "warning"),
        ({"name": "a", "type": "password"}, "P306", "warning"),
        ({"name": "__IMTCONN__", "type": "text"}, "P307", "warning"),
        ({"type": "text"}, "P308", "warning"),
        ({"name": "a", "type": "text", "validate": {"pattern": "("}}, "P309", "warning"),
        ({"name": "a", "type": "select", "options": [{"label": "x", "value": None}]}, "P310", "warning"),
        ({"name": "a", "type": "text", "lable": "x"}, "P312", "info"),
        ({"name": "a", "type": "text", "advanced": True, "required": True}, "P314", "info"),
        ({"name": "a", "type": "select", "options": "rpc://nope"}, "A302", "error"),
        ({"name": "a", "type": "select", "options": "rpc://ROWS?x=1"}, "A302", "warning"),
        ({"name": "a", "type": "collection", "spec": [{"name": "b", "type": "html"}]}, "P301", "info"),
        (
            {"name": "a", "type": "select", "options": {"store": [{"value": 1, "nested": [{"name": "b"}]}]}},
            "P304",
            "info",
        ),
    ],
)
def test_parameters_are_judged(field: dict[str, Any], code: str, severity: str) -> None:
    """Each rule for a parameter has its code and severity, in nested lists too."""
    rows = component("rpc", "rows", {"communication": GET}, connection="acme")
    given = module("doIt", GET, staticParams=[{"name": "static", "type": "text"}], mappableParams=[field])

    assert severity == only(check(given, rows), code).severity


def test_groups_webhooks_functions_and_common_are_judged() -> None:
    """Rules about components as a whole."""
    shared = component("webhook", "newRow", {"communication": {"output": "{{body}}"}}, webhookType="web-shared")
    function = component("function", "addAll", {"code": b"// sums\nfunction sum(a) {}"})
    findings = check(module("doIt", GET), shared, function, common={"clientSecret": "123456789"})

    assert [(item.severity, item.message) for item in findings if item.code == "C113"] == [
        ("error", "a shared webhook needs a connection"),
        ("error", "a shared webhook needs uid in its communication"),
    ]
    assert only(findings, "I603").severity == "info"
    assert only(findings, "C117").severity == "warning"


def test_custom_functions_of_the_app_are_known() -> None:
    """A call of a component is no unknown function."""
    function = component("function", "addAll", {"code": b"function addAll(a) {}"})

    assert check(module("doIt", {**GET, "qs": {"a": "{{addAll(1, 2, 3)}}"}}), function) == []


def test_findings_point_into_the_expression() -> None:
    """Line and column are those of the expression in the file, comments and escapes counted."""
    text = b'// head\n{\n  "url": "/x",\n  "qs": {"a": "\\u00e9 {{frob(1)}}"}\n}'
    finding = only(check(module("doIt", text)), "A303")

    assert (finding.line, finding.column) == (4, 25)


def test_a_comment_silences_a_warning_but_no_error() -> None:
    """`// check-ignore M401` stands beside what is done on purpose."""
    silenced = b'{\n  "url": "/x",\n  "headers": "{{parameters}}" // check-ignore M401\n}'
    kept = b'{\n  "url": "{{frob(1)}}" // check-ignore A303\n}'

    assert check(module("doIt", silenced)) == []
    assert codes(check(module("doIt", kept))) == ["A303"]


def test_strict_reports_what_works_too() -> None:
    """The formula dialect and `body` in repeat.condition are said with --strict alone."""
    given = module("doIt", {**GET, "repeat": {"condition": "{{body.state = 'run'}}", "delay": 1, "limit": 2}})
    said = [code for code in codes(check(given, strict=True), "info") if code[0] != "B"]

    assert check(given) == []
    assert said == ["M406", "M409"]


def test_the_dialect_and_bare_paths_are_accepted() -> None:
    """`=`, `;` and `iterate` without braces work in production apps."""
    response = {"iterate": "body.rows", "output": "{{item}}", "valid": "{{statusCode = 200}}", "limit": 1}
    given = module(
        "doIt",
        {"url": "/{{ifempty(parameters.a; 1)}}", "response": response, "pagination": {}},
        kind="search",
        mappableParams=[{"name": "a", "type": "text"}],
    )

    assert check(given) == []


def test_an_app_that_cannot_be_loaded_has_its_own_findings_only() -> None:
    """The checker adds nothing to a refusal."""
    assert codes(check(components=[])) == ["A203"]


def test_the_text_form_reads_as_documented() -> None:
    """`<severity> <code> <file>:<line>:<col> <component>: <what> — <what to do>`."""
    finding = Finding("warning", "M401", "what", "a.json", 3, 7, 'module "x"', "do this")

    assert finding.text() == 'warning M401 a.json:3:7 module "x": what — do this'
    assert list(finding.to_json()) == ["severity", "code", "file", "line", "column", "component", "message", "hint"]


def test_every_code_is_in_the_table() -> None:
    """What the code can report is explained, and nothing else is."""
    folder = Path(__file__).resolve().parents[3] / "runtime" / "app"
    used: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.name != "codes.py":
            used |= set(re.findall(r'"([ABCIJMP]\d{3})"', path.read_text("utf-8")))

    assert used == set(CODES)


def test_base_is_judged() -> None:
    """Base has a column of its own."""
    findings = check(module("doIt", GET), base={**BASE, "repeat": {}, "log": {}})

    assert only(findings, "M421").component == ""
    assert "Base has no log.sanitize" in only(findings, "C104").message


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"mappableParams": b"[" + b"{}," * 300_000 + b"{}]"}, id="empty parameters"),
        pytest.param({"mappableParams": b'[{"name":"a",' + b'"lable":1,' * 90_000 + b'"b":1}]'}, id="repeated keys"),
        pytest.param({"interface": b'{"' + b"k" * 900_000 + b'":[' + b"1," * 90_000 + b"1]}"}, id="long key"),
        pytest.param({"samples": b"[" + b'"{{a.b}}",' * 90_000 + b"1]"}, id="many expressions"),
        pytest.param({"samples": b'"' + b"{{a.b}}" * 90_000 + b'"'}, id="long text"),
        pytest.param({"communication": b"[" + b"{}," * 90_000 + b"{}]"}, id="many requests"),
        pytest.param({"communication": b'{"headers":"{{x}}",' + b'"headrs":1,' * 90_000 + b'"a":1}'}, id="directives"),
    ],
)
def test_hostile_files_end_soon(files: dict[str, bytes]) -> None:
    """Files with far more of anything than a real app has are cut short, with a bounded number of findings."""
    given = component("module", "doIt", {"communication": GET, **files}, moduleType="action", connection="acme")

    assert len(check(given)) <= 5001
