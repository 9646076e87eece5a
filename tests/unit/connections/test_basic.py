"""The basic connection, driven by hand: connections.md sections 3 to 5."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connections.basic import metadata_of
from connections.job import ConnectionJob
from connections.record import ConnectionRecord, ConnectionState, Grant
from connections.types import CONNECTION_TYPES, authorize
from connections.values import expires_of, merge_data, scope_of, secret_texts
from runtime.app.loader import load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App
from runtime.effects import Conceal, Effect, HttpRequest, HttpResponse, Warn, drive
from runtime.errors import BundleValidationError, InvalidConfigurationError, ModuleError, error_from_json
from runtime.iml import Environment
from runtime.sanitize import MASK, Secrets, exchange_record
from runtime.values import UNDEFINED

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
URL = "https://api.example.com/whoami"
ANY_INPUTS = [{"name": name, "type": "any"} for name in ("apiKey", "domain", "a")]


def app_with(
    communication: Any, params: Any = None, *, common: Any = None, app_common: Any = None, kind: str = "basic"
) -> App:
    """A loaded app with one connection, `acc`."""
    files: dict[str, Any] = {
        "makecomapp.json": {
            "fileVersion": 1,
            "generalCodeFiles": {"base": "base.json", "common": "common.json"},
            "components": {
                "connection": {
                    "acc": {
                        "label": "Account",
                        "connectionType": kind,
                        "codeFiles": {"communication": "c.json", "params": "p.json", "common": "k.json"},
                    }
                }
            },
            "origins": [],
        },
        "base.json": {"headers": {"x-base": "1"}, "baseUrl": "https://base.example.com"},
        "common.json": app_common or {},
        "c.json": communication,
        "p.json": params
        if params is not None
        else [{"name": name, "type": "any"} for name in ("apiKey", "domain", "a")],
        "k.json": common or {},
    }
    loaded = load_app(MemorySource({name: json.dumps(value).encode() for name, value in files.items()}, label="acme"))
    assert loaded.app is not None, loaded.findings
    return loaded.app


class Service:
    """Answers requests from a list; keeps them and the warnings."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []
        self.warnings: list[str] = []
        self.concealed: set[str] = set()

    def __call__(self, effect: Effect) -> Any:
        if isinstance(effect, Warn):
            self.warnings.append(effect.message)
            return None
        if isinstance(effect, Conceal):
            self.concealed |= effect.values
            return None
        assert isinstance(effect, HttpRequest)
        self.requests.append(effect)
        status, body = self.answers.pop(0)
        return HttpResponse(status, (("content-type", "application/json"),), json.dumps(body).encode(), effect.url)


def run(app: App, service: Service, parameters: dict[str, Any] | None = None, **job: Any) -> Grant:
    environment = Environment(now=NOW)
    return drive(authorize(ConnectionJob(app, app.connections["acc"], environment, parameters or {}, **job)), service)


SEED = {
    "url": URL,
    "method": "GET",
    "headers": {"authorization": "Basic {{base64(parameters.apiKey + ':' + connection.domain)}}"},
    "response": {"error": {"type": "{{body.code}}", "message": "{{body.message}}"}, "valid": "{{!body.code}}"},
    "log": {"sanitize": ["request.headers.authorization"]},
}
INPUTS = {"apiKey": "KEY12345", "domain": "acme"}


def test_inputs_and_answer_make_one_collection() -> None:
    """Inputs first, `response.data` deeply over them: arrays replaced, undefined skipped, null stored (section 3)."""
    data = {
        "domain": "{{body.domain}}", "accessToken": "{{body.token}}", "none": None, "absent": "{{body.absent}}",
        "a": {"list": "{{body.list}}", "x": 1},
    }  # fmt: skip
    app = app_with({"url": URL, "response": {"data": data}})
    service = Service((200, {"token": "t1", "domain": "https://acme.example", "list": [3]}))
    grant = run(app, service, INPUTS | {"a": {"list": [1, 2], "y": 2}})

    assert grant.data == {
        "apiKey": "KEY12345", "domain": "https://acme.example", "accessToken": "t1", "none": None,
        "a": {"list": [3], "y": 2, "x": 1},
    }  # fmt: skip
    assert grant.parameters == INPUTS | {"a": {"list": [1, 2], "y": 2}}
    assert grant.state is ConnectionState.VALID


def test_three_names_read_the_same_collection() -> None:
    """`parameters`, `connection` and `data` all give the inputs; Base is not inherited."""
    app = app_with({"url": URL, "headers": {"x": "{{parameters.apiKey}}{{connection.apiKey}}{{data.apiKey}}"}})
    service = Service((200, {}))
    run(app, service, {"apiKey": "k"})

    (sent,) = service.requests
    headers = {name.lower(): value for name, value in sent.headers}
    assert headers["x"] == "kkk"
    assert "x-base" not in headers
    assert sent.url == URL


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param((200, {}), None, id="valid"),
        pytest.param((200, {"code": "DataError", "message": "m"}), ("DataError", "m"), id="marked as invalid"),
        pytest.param((401, {"code": "x", "message": "m"}), ("RuntimeError", "m"), id="unknown type"),
    ],
)
def test_seed_example(answer: tuple[int, Any], error: tuple[str, str] | None) -> None:
    """The reference example: its header, its errors, and nothing of the key in the record."""
    app = app_with(SEED)
    service = Service(answer)
    failure = None
    try:
        run(app, service, INPUTS)
    except ModuleError as caught:
        failure = (caught.name, caught.message)

    (sent,) = service.requests
    expected = base64.b64encode(b"KEY12345:acme").decode()
    assert failure == error
    assert ("authorization", f"Basic {expected}") in [(name.lower(), value) for name, value in sent.headers]
    record = exchange_record(sent, HttpResponse(answer[0], (), b"{}", URL), None, Secrets())
    assert MASK in record["request"]["headers"].values()
    assert expected not in json.dumps(record)
    assert "KEY12345" not in json.dumps(record)


def test_identity_is_kept() -> None:
    """`uid` becomes text, `metadata` is cut; the numbers of the service are no numbers here."""
    response = {
        "uid": "{{body.id}}",
        "metadata": {"type": "email", "value": "{{body.mail}}"},
        "expires": "{{body.end}}",
    }
    service = Service((200, {"id": 7, "mail": "m" * 600, "end": 1_900_000_000}))
    grant = run(app_with({"url": URL, "response": response}), service)

    assert (grant.uid, grant.metadata) == ("7", {"type": "email", "value": "m" * 512})
    assert grant.expires == datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "text", "value": "v"}, {"type": "text", "value": "v"}),
        ({"type": "phone", "value": 5}, {"type": "text", "value": "5"}),
        ({"value": "v"}, {"type": "text", "value": "v"}),
        ({"type": "text", "value": ""}, None),
        ({"type": "text"}, None),
        ("text", None),
        (UNDEFINED, None),
    ],
)
def test_metadata_forms(value: Any, expected: Any) -> None:
    """An unknown type is text; without a value there is only the name."""
    assert metadata_of(value) == expected


@pytest.mark.parametrize(
    ("communication", "message"),
    [
        pytest.param(
            [{"url": URL}, {"url": URL}],
            "a basic connection can perform only a single request (found 2)",
            id="two requests",
        ),
        pytest.param({"url": URL, "aws": {"key": "k"}}, "aws is not available in a connection", id="aws"),
    ],
)
def test_forbidden_component_is_refused(communication: Any, message: str) -> None:
    """What cannot work as written refuses the component with the checker's text; nothing is sent."""
    service = Service()

    with pytest.raises(InvalidConfigurationError) as caught:
        run(app_with(communication), service)
    assert message in caught.value.message
    assert service.requests == []


@pytest.mark.parametrize(
    ("directive", "where"),
    [
        ("pagination", {"pagination": {"qs": {"page": 2}}}),
        ("limit", {"response": {"limit": 1}}),
        ("iterate", {"response": {"iterate": "{{body.items}}"}}),
        ("output", {"response": {"output": "{{body}}"}}),
    ],
)
def test_useless_directive_is_ignored_with_a_warning(directive: str, where: dict[str, Any]) -> None:
    """What has no effect is ignored and named in the log: one request, and the connection works."""
    service = Service((200, {"items": [1, 2]}))
    grant = run(app_with({"url": URL} | where), service, {"a": 1})

    assert (grant.data, len(service.requests)) == ({"a": 1}, 1)
    assert any(directive in warning for warning in service.warnings)


def test_one_element_array_is_accepted() -> None:
    """Many real files wrap the single request in an array."""
    assert run(app_with([{"url": URL, "response": {"uid": "{{body.id}}"}}]), Service((200, {"id": "u"}))).uid == "u"


@pytest.mark.parametrize(
    ("communication", "state"),
    [({}, ConnectionState.UNVERIFIED), ({"url": URL, "condition": False}, ConnectionState.VALID)],
)
def test_nothing_sent(communication: Any, state: ConnectionState) -> None:
    """An empty communication cannot verify; a request that its condition skips counts as validated."""
    service = Service()
    grant = run(app_with(communication), service, {"a": 1})

    assert (grant.state, grant.data, service.requests) == (state, {"a": 1}, [])


def test_relative_url_is_refused() -> None:
    """Base is not inherited, so a relative url leads nowhere."""
    with pytest.raises(InvalidConfigurationError, match="url is relative, no baseUrl"):
        run(app_with({"url": "/whoami"}), Service())


def test_inputs_are_checked_first() -> None:
    """Inputs are coerced and validated before anything is sent; the stored inputs are the given ones."""
    params = [{"name": "port", "type": "integer", "required": True}]
    app = app_with({"url": URL, "method": "POST", "body": {"p": "{{parameters.port}}"}}, params)
    service = Service((200, {}))

    with pytest.raises(BundleValidationError):
        run(app, service, {})
    assert service.requests == []
    grant = run(app, service, {"port": "8080"})
    assert service.requests[0].body == b'{"p":8080}'
    assert (grant.data, grant.parameters) == ({"port": 8080}, {"port": "8080"})


def test_verify_starts_from_the_inputs() -> None:
    """A later run starts from the stored inputs, not from what `response.data` made of them; new ones go over them."""
    app = app_with({"url": URL, "headers": {"x": "{{parameters.domain}}"}, "response": {"data": {"domain": "D"}}})
    stored = ConnectionRecord(
        "1", "acme", "acc", "basic", "n", parameters={"domain": "d", "a": 1}, data={"domain": "D", "old": 1}
    )
    service = Service((200, {}))
    grant = run(app, service, {"a": 2}, stored=stored)

    assert ("X", "d") in service.requests[0].headers
    assert (grant.parameters, grant.data) == ({"domain": "d", "a": 2}, {"domain": "D", "a": 2})


def test_common_is_the_connections_own() -> None:
    """The connection's own common data are read, the operator's values over them; the app's are not."""
    communication = {"url": URL, "headers": {"x": "{{common.salt}}-{{common.pepper}}-{{common.app}}"}}
    service = Service((200, {}))
    app = app_with(communication, common={"salt": "s", "pepper": "p"}, app_common={"app": "x"})
    run(app, service, common={"pepper": "q"})

    assert ("X", "s-q-") in service.requests[0].headers


def test_oauth_variables_of_a_basic_connection() -> None:
    """`oauth.scope` is an empty array, `oauth.redirectUri` the callback URL."""
    communication = {"url": URL, "method": "POST", "body": {"s": "{{oauth.scope}}", "r": "{{oauth.redirectUri}}"}}
    service = Service((200, {}))
    run(app_with(communication), service, redirect_uri="https://me/cb")

    assert json.loads(service.requests[0].body or b"") == {"s": [], "r": "https://me/cb"}


def test_jwt_connection() -> None:
    """A token is built in `temp` and sent in a header; there is no separate type for it."""
    communication = {
        "url": URL,
        "temp": {"payload": {"iss": "{{parameters.apiKey}}", "iat": 1714564800}},
        "headers": {"authorization": "Bearer {{jwt(temp.payload, 'secret', 'HS256')}}"},
    }
    service = Service((200, {}))
    run(app_with(communication), service, {"apiKey": "k"})

    token = {name.lower(): value for name, value in service.requests[0].headers}["authorization"]
    payload = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == {"iss": "k", "iat": 1714564800}


def test_mixed_type_is_refused() -> None:
    """A connection with the phases of both OAuth versions says so before anything is sent."""
    phase = {"url": URL}
    with pytest.raises(InvalidConfigurationError, match="mixes the phases of OAuth 1 and OAuth 2"):
        run(app_with({"token": phase, "accessToken": phase}, kind="oauth"), Service())
    assert list(CONNECTION_TYPES) == ["basic", "oauth1", "oauth2"]


def test_data_must_be_an_object() -> None:
    """`response.data` that is no object is an error, not a silent loss."""
    with pytest.raises(ModuleError, match=r"response\.data: an object is needed, not Array"):
        run(app_with({"url": URL, "response": {"data": "{{body}}"}}), Service((200, [1])))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2030-01-02T00:00:00Z", datetime(2030, 1, 2, tzinfo=UTC)),
        (datetime(2030, 1, 2, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)),
        (1_900_000_000, datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
        ("1900000000", datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
        (1_900_000_000_000, datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
        (3600, None),
        (float("nan"), None),
        (10**30, None),
        (True, None),
        ("soon", None),
        (None, None),
        (UNDEFINED, None),
    ],
)
def test_expires_forms(value: Any, expected: datetime | None) -> None:
    """A date, its text, or unix time; everything else is no end (section 7.6)."""
    assert expires_of(value, timezone="UTC") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a b,c  a", ("a", "b", "c")), (["a", "b", "a", 1, ""], ("a", "b")), (None, ()), (UNDEFINED, ()), (5, ())],
)
def test_scope_forms(value: Any, expected: tuple[str, ...]) -> None:
    """A list or a text; order kept, duplicates removed."""
    assert scope_of(value) == expected


def test_merge_changes_neither_side() -> None:
    """The stored collection of another run may be the argument."""
    stored, new = {"a": {"b": [1]}}, {"a": {"c": UNDEFINED, "d": None}}

    assert merge_data(stored, new) == {"a": {"b": [1], "d": None}}
    assert stored == {"a": {"b": [1]}}


def test_secret_texts_of_a_connection() -> None:
    """Typed inputs, common data and telling members of the data are secrets; other inputs are not."""
    params = [{"name": "user", "type": "text"}, {"name": "pin", "type": "password"}, {"name": "pem", "type": "pkey"}]
    app = app_with({}, params, common={"salt": "salt-value", "timeout": 40000, "n": 7}, app_common={"id": 1234567})
    data = {
        "user": "somebody", "pin": "123", "pem": "-----BEGIN x", "accessToken": "token-value",
        "nested": {"api_key": {"v": "key-value"}, "code": "short"}, "list": [{"session_cookie": "cookie-value"}],
    }  # fmt: skip
    record = ConnectionRecord("1", "acme", "acc", "basic", "n", parameters={"pin": "123"}, data=data)
    found = secret_texts(app, app.connections["acc"], record)

    pair = base64.b64encode(b"somebody:123").decode()
    assert {
        "salt-value", "1234567", "123", "-----BEGIN x", "token-value", "key-value", "cookie-value", pair
    } <= found  # fmt: skip
    assert not {"somebody", "short", "40000", "7", ""} & found
    assert secret_texts(app, app.connections["acc"], None) == {"salt-value", "1234567"}
    assert "123" in secret_texts(app, app.connections["acc"], {"pin": "123"})


def test_error_of_a_connection_survives_the_journal() -> None:
    """The error that a refused connection raises can be stored and read back."""
    with pytest.raises(ModuleError) as caught:
        run(app_with(SEED), Service((401, {"code": "x", "message": "m"})), INPUTS)

    assert error_from_json(caught.value.to_json()) == caught.value
