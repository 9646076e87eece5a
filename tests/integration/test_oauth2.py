"""OAuth 2.0 connections against a provider that is not ours: every grant, renewal, revocation (connections.md 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connections.record import ConnectionState, Grant
from connections.redirect import with_query
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError, ModuleError, UsageError
from tests.ledger_kit import settings_in
from tests.oauth_apps import (
    CLIENT_INPUTS,
    COMMON,
    agree,
    callback,
    client_flow,
    code_flow,
    password_flow,
    write_app,
)
from tests.oauth_provider import CLIENT, PASSWORD, SECRET, USER, Provider
from tests.servers import Answer, ScriptServer
from workers.authorizing import Waiting
from workers.service import Service, open_service
from workers.views import ConnectionView


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    """One installation for all tests; each uses names of its own."""
    with open_service(settings_in(home, SCENARIST_ALLOW_NETS="127.0.0.0/8")) as opened:
        yield opened


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().running() as running:
        yield running


@pytest.fixture
def mailer(service: Service, provider: Provider, tmp_path: Path) -> str:
    """The app with the code flow, its client in the operator's common data."""
    folder = write_app(tmp_path / "app", provider.url, code_flow(provider.url), default_scope=["mail"], scope=["me"])
    service.apps.set_common(str(folder), COMMON)
    added = service.apps.add(folder)
    assert added.row is not None, added.findings
    return str(folder)


def begin(service: Service, app: str, name: str, **more: Any) -> Waiting:
    begun = service.connections.begin(app, "acc", name=name, parameters={}, redirect_uri=callback(), **more)
    assert isinstance(begun, Waiting)
    return begun


def connect(service: Service, app: str, name: str, **more: Any) -> ConnectionView:
    return service.connections.finish(*agree(begin(service, app, name, **more)))


@contextmanager
def clean(service: Service) -> Iterator[None]:
    """Connections that a test makes are gone after it."""
    try:
        yield
    finally:
        for view in service.connections.list():
            service.runner.vault.remove(view.record.id)
        client = service.runner.runs.client
        for key in client.keys("scenarist:pending:*"):
            client.delete(key)


@pytest.fixture(autouse=True)
def leave_nothing(service: Service) -> Iterator[None]:
    with clean(service):
        yield


def aged(service: Service, name: str) -> None:
    """The stored access token ends in ten minutes."""
    vault = service.runner.vault
    record = vault.find(name)
    vault.update(replace(record, data={**record.data, "expires": datetime.now(UTC) + timedelta(minutes=10)}))


def test_code_flow_with_pkce(service: Service, provider: Provider, mailer: str) -> None:
    """State is checked, the verifier survives the redirect, both steps name one address, `info` sees the new token."""
    view = connect(service, mailer, "main")

    record = view.record
    assert record.label == "main (ann@example.com)"
    assert (record.uid, record.scope, record.state) == ("7", ("mail", "me"), ConnectionState.VALID)
    token = next(seen for seen in provider.seen if seen.path == "/token")
    page = next(seen for seen in provider.seen if seen.path == "/authorize")
    assert token.form["redirect_uri"] == page.query["redirect_uri"] == callback()
    assert len(token.form["code_verifier"]) == 72
    assert page.query["scope"] == "mail me"
    assert len(page.query["state"]) >= 22
    report = service.local.module(mailer, "whoami", parameters={}, connection="main")
    assert report.error is None
    assert report.bundles[0]["email"] == "ann@example.com"
    assert provider.count("/token") == 1


def test_state_is_used_up(service: Service, provider: Provider, mailer: str) -> None:
    """A callback is answered once; played again, it is refused and stores nothing more."""
    query, path = agree(begin(service, mailer, "main"))
    service.connections.finish(query, path)

    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish(query, path)
    assert len(service.connections.list()) == 1
    assert provider.count("/token") == 1


@pytest.mark.parametrize("forged", [{}, {"state": "x" * 32}, {"state": ""}])
def test_forged_state_is_refused(service: Service, provider: Provider, mailer: str, forged: dict[str, str]) -> None:
    """A callback that nobody began is refused before anything is sent, and the flow that waits goes on waiting."""
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish({"code": query["code"], **forged}, path)
    assert provider.count("/token") == 0
    assert service.connections.finish(query, path).name == "main"


def test_expired_state_is_refused(service: Service, provider: Provider, mailer: str) -> None:
    """After its time the flow is gone from the server."""
    query, path = agree(begin(service, mailer, "main"))
    (key,) = service.runner.runs.client.keys("scenarist:pending:*")
    assert 0 < service.runner.runs.client.pttl(key) <= 15 * 60 * 1000
    service.runner.runs.client.pexpire(key, 1)

    def gone() -> bool:
        return not service.runner.runs.client.exists(key)

    while not gone():
        pass
    with pytest.raises(UsageError, match="older than 15 minutes"):
        service.connections.finish(query, path)


def test_callback_of_another_connection_is_refused(service: Service, provider: Provider, mailer: str) -> None:
    """A code that comes in at another connection's address is not sent anywhere (mix-up), and the flow is over."""
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(InvalidAccessTokenError, match="another connection"):
        service.connections.finish(query, path.replace("mailer", "other"))
    assert provider.count("/token") == 0
    with pytest.raises(UsageError):
        service.connections.finish(query, path)


def test_swapped_codes_do_not_work(service: Service, provider: Provider, mailer: str) -> None:
    """With the code of another flow the verifier does not fit: the provider refuses, and nothing is stored."""
    first, path = agree(begin(service, mailer, "one"))
    second, _ = agree(begin(service, mailer, "two"))

    with pytest.raises(ModuleError):
        service.connections.finish({**first, "code": second["code"]}, path)
    assert service.connections.list() == []


def test_refusal_is_told_in_the_providers_words(service: Service, provider: Provider, mailer: str) -> None:
    """`error` of the callback ends the flow, with the app's own words behind it."""
    provider.refuse = {"error": "access_denied", "error_description": "Ann said no"}
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(InvalidAccessTokenError) as caught:
        service.connections.finish(query, path)
    assert caught.value.message == "access_denied: Ann said no (the app says: access_denied)"
    assert service.connections.list() == []


def test_pending_flow_is_encrypted(service: Service, provider: Provider, mailer: str) -> None:
    """What waits on the server shows neither state nor verifier."""
    waiting = begin(service, mailer, "main")
    client = service.runner.runs.client
    (key,) = client.keys("scenarist:pending:*")

    assert waiting.state.encode() not in key + client.get(key)
    assert b"codeVerifier" not in client.get(key)


def test_refresh_before_use(service: Service, provider: Provider, mailer: str) -> None:
    """A token that ends in ten minutes is renewed before its use, once; the rotated refresh token is kept."""
    before = connect(service, mailer, "main").record
    aged(service, "main")

    for _ in range(2):
        assert service.local.module(mailer, "whoami", parameters={}, connection="main").error is None
    after = service.runner.vault.find("main")
    assert provider.count("/token", grant_type="refresh_token") == 1
    assert after.data["refreshToken"] != before.data["refreshToken"]
    assert after.data["refreshToken"] in provider.grants.refresh
    assert (after.uid, after.metadata, after.scope) == (before.uid, before.metadata, before.scope)
    assert after.reusable is False


def test_refresh_token_that_stays(service: Service, mailer: str, tmp_path: Path) -> None:
    """An answer without a refresh token keeps the old one, which counts as reusable from then on."""
    with Provider(rotate=False).running() as provider:
        app = str(write_app(tmp_path / "stays", provider.url, code_flow(provider.url)))
        before = connect(service, app, "main").record
        aged(service, "main")
        assert service.local.module(app, "whoami", parameters={}, connection="main").error is None
        after = service.runner.vault.find("main")

    assert after.data["refreshToken"] == before.data["refreshToken"]
    assert after.data["accessToken"] != before.data["accessToken"]
    assert (before.reusable, after.reusable) == (False, True)


def test_refused_refresh_asks_for_a_person(service: Service, provider: Provider, mailer: str) -> None:
    """`invalid_grant` makes the connection need authorization; it is not asked for again, and can be made good."""
    record = connect(service, mailer, "main").record
    provider.grants.revoked |= set(provider.grants.refresh.values())
    aged(service, "main")

    error = service.local.module(mailer, "whoami", parameters={}, connection="main").error
    assert error is not None
    assert error["type"] == "InvalidAccessTokenError"
    assert "invalid_grant" in error["message"]
    assert service.runner.vault.find("main").state is ConnectionState.NEEDS_REAUTHORIZATION
    assert "invalid_grant" in service.connections.show("main").to_json()["lastError"]
    with pytest.raises(InvalidAccessTokenError, match="needs_reauthorization"):
        service.connections.renew("main")
    assert provider.count("/token", grant_type="refresh_token") == 1

    service.connections.finish(*agree(begin(service, mailer, "main", stored=record.id)))
    view = service.connections.show("main")
    assert (view.record.id, view.record.state) == (record.id, ConnectionState.VALID)
    assert view.to_json()["lastError"] is None
    assert service.local.module(mailer, "whoami", parameters={}, connection="main").error is None


def test_revoked_token_is_renewed_after_401(service: Service, provider: Provider, mailer: str) -> None:
    """A 401 renews once and repeats that request; a second 401 is the module's error."""
    connect(service, mailer, "main")
    provider.end_access_tokens()

    report = service.local.module(mailer, "whoami", parameters={}, connection="main")
    assert report.error is None
    assert provider.count("/token", grant_type="refresh_token") == 1

    answered = provider.count("/api")
    validator = provider._bearer.request_validator
    validator.validate_bearer_token = lambda *_: False  # type: ignore[method-assign]
    report = service.local.module(mailer, "whoami", parameters={}, connection="main")
    assert report.error == {"type": "RuntimeError", "message": "refused: token is not good", "statusCode": 401}
    assert provider.count("/api") == answered + 2
    assert provider.count("/token", grant_type="refresh_token") == 2


def test_reused_refresh_token_ends_the_grant(service: Service, provider: Provider, mailer: str) -> None:
    """A copy of an old refresh token is noticed by the provider; what we then hold is refused and said to be."""
    old = connect(service, mailer, "main").record
    service.connections.renew("main")
    thief = service.runner.vault.create(
        app="mailer",
        component="acc",
        type="oauth",
        name="copy",
        grant=Grant(old.parameters, old.data, old.uid, old.metadata, scope=old.scope),
    )

    with pytest.raises(InvalidAccessTokenError):
        service.connections.renew(thief.name)
    assert provider.reused == 1
    with pytest.raises(InvalidAccessTokenError):
        service.connections.renew("main")


def test_unreachable_provider_changes_nothing(service: Service, provider: Provider, mailer: str) -> None:
    """A 5xx leaves the record as it is: the token that still is good is used, a forced renewal says what failed."""
    record = connect(service, mailer, "main").record
    aged(service, "main")
    with ScriptServer([Answer(503), Answer(503)]) as down:
        folder = write_app(Path(mailer), provider.url, code_flow(provider.url))
        flow = code_flow(provider.url)
        flow["refresh"]["url"] = f"{down.url}/token"
        (folder / "acc.json").write_text(json.dumps(flow))
        assert service.local.module(mailer, "whoami", parameters={}, connection="main").error is None
        service.apps.add(folder)
        with pytest.raises(ModuleError) as caught:
            service.connections.renew("main")
    assert caught.value.name == "ConnectionError"
    after = service.runner.vault.find("main")
    assert (after.state, after.data["refreshToken"]) == (record.state, record.data["refreshToken"])


def test_expired_grant_is_refused_without_a_call(service: Service, provider: Provider, mailer: str) -> None:
    """`response.expires` in the past: nothing is sent."""
    connect(service, mailer, "main")
    vault = service.runner.vault
    vault.update(replace(vault.find("main"), expires=datetime(2020, 1, 1, tzinfo=UTC)))
    aged(service, "main")
    seen = len(provider.seen)

    error = service.local.module(mailer, "whoami", parameters={}, connection="main").error
    assert error is not None
    assert error["type"] == "InvalidAccessTokenError"
    assert "has expired and must be reauthorised" in error["message"]
    assert len(provider.seen) == seen


@pytest.mark.parametrize("flow", [client_flow, password_flow])
def test_grants_without_a_person(service: Service, provider: Provider, tmp_path: Path, flow: Any) -> None:
    """A token is fetched when the connection is made, not again while it is good, and again after its end or a 401."""
    app = str(write_app(tmp_path / "robot", provider.url, flow(provider.url), params=CLIENT_INPUTS, name="robot"))
    inputs = {"clientId": CLIENT, "clientSecret": SECRET, "username": USER, "password": PASSWORD}
    made = service.connections.add(app, "acc", name="robot", parameters=inputs).record
    assert (made.state, made.reusable) == (ConnectionState.VALID, True)
    assert service.local.module(app, "whoami", parameters={}, connection="robot").error is None
    assert provider.count("/token") == 1

    vault = service.runner.vault
    vault.update(replace(made, data={**made.data, "expires": datetime.now(UTC)}))
    assert service.local.module(app, "whoami", parameters={}, connection="robot").error is None
    assert provider.count("/token") == 2
    provider.end_access_tokens()
    assert service.local.module(app, "whoami", parameters={}, connection="robot").error is None
    assert provider.count("/token") == 3


def test_wrong_client_stores_nothing(service: Service, provider: Provider, tmp_path: Path) -> None:
    """A refused client is said so in the provider's words; there is no connection then."""
    flow = client_flow(provider.url)
    flow["token"]["response"]["error"] = {"message": "{{body.error}}"}
    app = str(write_app(tmp_path / "robot", provider.url, flow, params=CLIENT_INPUTS, name="robot"))

    with pytest.raises(ModuleError, match="invalid_client"):
        service.connections.add(app, "acc", name="robot", parameters={"clientId": CLIENT, "clientSecret": "wrong-one"})
    assert service.connections.list() == []


def test_removal_revokes_the_grant(service: Service, provider: Provider, mailer: str) -> None:
    """`invalidate` is called; when it fails, the connection goes all the same and the reason is told."""
    record = connect(service, mailer, "main").record
    assert service.connections.remove("main") is None
    assert set(provider.grants.revoked) == {provider.grants.refresh[record.data["refreshToken"]]}

    connect(service, mailer, "other")
    flow = code_flow(provider.url)
    flow["invalidate"]["url"] = f"{provider.url}/token"
    service.apps.add(write_app(Path(mailer), provider.url, flow))
    assert "[4" in str(service.connections.remove("other"))
    assert service.connections.list() == []


def test_other_account_is_refused(service: Service, provider: Provider, mailer: str) -> None:
    """Authorizing again must end at the same account of the service."""
    connect(service, mailer, "main")
    vault = service.runner.vault
    record = vault.update(replace(vault.find("main"), uid="8"))
    query, path = agree(begin(service, mailer, "main", stored=record.id))

    with pytest.raises(InvalidAccessTokenError, match="another account"):
        service.connections.finish(query, path)
    assert vault.find("main").data == record.data


def test_missing_scope_is_named(service: Service, provider: Provider, mailer: str) -> None:
    """A module that has come to need more is refused with the scopes by name; authorizing again asks for them all."""
    record = connect(service, mailer, "main").record
    service.apps.add(
        write_app(Path(mailer), provider.url, code_flow(provider.url), default_scope=["mail"], scope=["me", "send"])
    )
    step = {"id": 1, "module": "mailer:whoami", "version": 1, "parameters": {"__IMTCONN__": 1}, "mapper": {}}
    imported = service.scenarios.import_(
        json.dumps({"name": "S", "flow": [step], "metadata": {"version": 1}}).encode(), bindings={"1": "main"}
    )
    assert imported.row is not None
    report = service.runs.inline(imported.row.id)
    assert report.error is not None
    assert "lacks permissions" in report.error["message"]
    assert "send" in report.error["message"]

    waiting = begin(service, mailer, "main", stored=record.id)
    service.connections.finish(*agree(waiting))
    assert service.runner.vault.find("main").scope == ("mail", "me", "send")
    assert service.runs.inline(imported.row.id).status == "success"
    assert service.connections.show("main").to_json()["scenarios"] == ["S"]
    with pytest.raises(UsageError, match="is used by: S"):
        service.connections.remove("main")
    assert service.connections.remove("main", force=True) is None


def test_scopes_can_be_narrowed(service: Service, provider: Provider, mailer: str) -> None:
    """Only what is asked for by name, beside the default ones."""
    waiting = begin(service, mailer, "main", modules=(), scopes=("extra",))
    agree(waiting)

    assert provider.seen[-1].query["scope"] == "mail extra"


def test_edit_follows_the_rules(service: Service, provider: Provider, tmp_path: Path) -> None:
    """Only editable inputs change, an empty secret keeps the old one, and a refusal keeps the old inputs."""
    app = str(
        write_app(tmp_path / "robot", provider.url, client_flow(provider.url), params=CLIENT_INPUTS, name="robot")
    )
    service.apps.add(Path(app))
    inputs = {"clientId": CLIENT, "clientSecret": SECRET, "note": "a"}
    service.connections.add(app, "acc", name="robot", parameters=inputs)
    commands = service.connections

    with pytest.raises(UsageError, match='"clientId" of this connection cannot be changed'):
        commands.inputs_for_edit("robot", {"clientId": "x"})
    record, parameters, again = commands.inputs_for_edit("robot", {"note": "b", "password": ""})
    assert (parameters, again) == ({**inputs, "note": "b"}, False)
    assert commands.apply_inputs(record, parameters).record.parameters["note"] == "b"
    assert service.runner.vault.find("robot").data["note"] == "b"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(Answer(200, (("Content-Type", "application/json"),), b"<html>"), "JSON", id="no JSON"),
        pytest.param(Answer(200, (("Content-Type", "text/html"),), b"<html>"), "holds nothing", id="a page"),
        pytest.param(Answer(200, (), b"x" * (10 << 20)), "holds nothing", id="10 MB"),
        pytest.param(Answer(500, (), b"x" * (10 << 20)), "500", id="10 MB of error"),
        pytest.param(Answer(close=True), "Connection failed", id="broken"),
        pytest.param(Answer(200, pieces=(b"{",) * 50, gap=0.1), "Timed out", id="slow"),
    ],
)
def test_bad_answers_store_nothing(
    service: Service, provider: Provider, tmp_path: Path, answer: Answer, words: str
) -> None:
    """A provider that answers garbage, slowly or without end: a clear error, and nothing is stored."""
    with ScriptServer([answer] * 3) as bad:
        flow = code_flow(provider.url)
        flow["token"] |= {"url": f"{bad.url}/token", "timeout": 400}
        app = str(write_app(tmp_path / "bad", provider.url, flow))
        service.apps.set_common(app, COMMON)
        with pytest.raises(ModuleError, match=words):
            connect(service, app, "main")
    assert service.connections.list() == []


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "//evil.example", "http://"])
def test_redirect_leads_to_web_pages_only(service: Service, provider: Provider, tmp_path: Path, url: str) -> None:
    """An app cannot make the command open anything but an http(s) page."""
    flow = code_flow(provider.url)
    flow["authorize"]["url"] = url
    app = str(write_app(tmp_path / "bad", provider.url, flow))

    with pytest.raises(InvalidConfigurationError):
        begin(service, app, "main")


def test_own_state_of_an_author() -> None:
    """A parameter is set once, whatever stood there."""
    assert with_query("http://x/a?state=1&b=2", "state", "n&w") == "http://x/a?b=2&state=n%26w"
    assert with_query("http://x/a", "state", "n") == "http://x/a?state=n"
