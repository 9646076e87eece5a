"""OAuth 2.0 connections against an OpenID provider from a package, not built on anything of ours (connections.md 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connections.record import ConnectionState
from runtime.errors import InvalidAccessTokenError, ModuleError
from tests.ledger_kit import settings_in
from tests.oauth_apps import CLIENT_INPUTS, COMMON, callback, client_flow, write_app
from tests.oauth_provider import CLIENT, SECRET
from tests.openid import SCOPES, OpenId, consent, openid_flow, provider
from workers.authorizing import Waiting
from workers.service import Service, open_service
from workers.views import ConnectionView


@pytest.fixture(scope="module")
def running() -> Iterator[OpenId]:
    with provider() as found:
        yield found


@pytest.fixture
def op(running: OpenId) -> OpenId:
    """The provider, with its events counted from nothing."""
    running.forget()
    return running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("home"), SCENARIST_ALLOW_NETS="127.0.0.0/8")
    with open_service(settings) as opened:
        yield opened


@pytest.fixture
def mailer(service: Service, op: OpenId, tmp_path: Path) -> Iterator[str]:
    """The app with the code flow; its connections are gone after the test."""
    folder = write_app(tmp_path / "app", op.url, openid_flow(op.url), default_scope=SCOPES)
    service.apps.set_common(str(folder), COMMON)
    added = service.apps.add(folder)
    assert added.row is not None, added.findings
    yield str(folder)
    for view in service.connections.list():
        service.runner.vault.remove(view.record.id)


def begin(service: Service, app: str, name: str, **more: Any) -> Waiting:
    begun = service.connections.begin(app, "acc", name=name, parameters={}, redirect_uri=callback(), **more)
    assert isinstance(begun, Waiting)
    return begun


def connect(service: Service, app: str, name: str, **more: Any) -> ConnectionView:
    return service.connections.finish(*consent(begin(service, app, name, **more)))


def who(service: Service, app: str, connection: str) -> Any:
    """What a module gets from the provider: the account, or its error."""
    report = service.local.module(app, "whoami", parameters={}, connection=connection)
    return report.bundles[0]["email"] if report.error is None else report.error


def test_code_with_pkce(service: Service, op: OpenId, mailer: str) -> None:
    """Addresses by discovery, sign-in, consent, code, tokens, identity; a module uses the token."""
    record = connect(service, mailer, "main").record

    assert (record.label, record.uid, record.state) == ("main (ann@example.com)", "ann", ConnectionState.VALID)
    assert set(record.scope) == set(SCOPES)
    assert {"accessToken", "refreshToken", "expires"} <= record.data.keys()
    assert who(service, mailer, "main") == "ann@example.com"
    assert op.count("grant") == 1


def test_code_of_another_verifier(service: Service, op: OpenId, mailer: str) -> None:
    """A code that was made for another challenge is refused by the provider, and nothing is stored."""
    first, path = consent(begin(service, mailer, "one"))
    second, _ = consent(begin(service, mailer, "two"))

    with pytest.raises(ModuleError):
        service.connections.finish({**first, "code": second["code"]}, path)
    assert op.count("refused", type="authorization_code", error="invalid_grant") == 1
    assert service.connections.list() == []


def test_person_does_not_agree(service: Service, op: OpenId, mailer: str) -> None:
    """The provider's words, and nothing is stored."""
    refusal = consent(begin(service, mailer, "main"), agree=False)

    with pytest.raises(InvalidAccessTokenError, match="access_denied: End-User aborted interaction"):
        service.connections.finish(*refusal)
    assert op.count("grant") == 0
    assert service.connections.list() == []


def test_refresh_rotates(service: Service, op: OpenId, mailer: str) -> None:
    """Due by the app's condition: one refresh for two uses, the new refresh token is kept and is the one that works."""
    before = connect(service, mailer, "main").record
    vault = service.runner.vault
    soon = datetime.now(UTC) + timedelta(minutes=10)
    vault.update(replace(before, data={**before.data, "expires": soon}))

    assert [who(service, mailer, "main") for _ in range(2)] == ["ann@example.com"] * 2
    assert op.count("grant", type="refresh_token") == 1
    after = vault.find("main")
    assert after.data["refreshToken"] != before.data["refreshToken"]
    assert after.data["expires"] > soon
    service.connections.renew("main")
    assert op.count("grant", type="refresh_token") == 2


def test_reuse_ends_the_grant(service: Service, op: OpenId, mailer: str) -> None:
    """
    Somebody sends a refresh token that was used: the provider revokes everything. What we hold is refused, the
    connection says what to do, asks no more, and is made good by a person.
    """
    old = connect(service, mailer, "main").record
    service.connections.renew("main")
    stolen = op.token("/token", grant_type="refresh_token", refresh_token=old.data["refreshToken"])
    assert stolen["error"] == "invalid_grant"
    assert op.count("revoked") == 1

    error = who(service, mailer, "main")
    assert error["type"] == "InvalidAccessTokenError"
    assert "scenarist connection reauthorize main" in error["message"]
    assert service.runner.vault.find("main").state is ConnectionState.NEEDS_REAUTHORIZATION
    refused = op.count("refused", type="refresh_token")
    assert who(service, mailer, "main")["type"] == "InvalidAccessTokenError"
    assert op.count("refused", type="refresh_token") == refused == 2

    connect(service, mailer, "main", stored=old.id)
    assert who(service, mailer, "main") == "ann@example.com"


def test_other_account_signs_in(service: Service, op: OpenId, mailer: str) -> None:
    """Authorizing again with another account is refused, and the old grant stays."""
    record = connect(service, mailer, "main").record
    answer = consent(begin(service, mailer, "main", stored=record.id), account="bob")

    with pytest.raises(InvalidAccessTokenError, match="another account"):
        service.connections.finish(*answer)
    assert who(service, mailer, "main") == "ann@example.com"


def test_refused_access_token(service: Service, op: OpenId, mailer: str) -> None:
    """An access token that the provider does not know any more: a 401, one refresh, the request again."""
    record = connect(service, mailer, "main").record
    service.runner.vault.update(replace(record, data={**record.data, "accessToken": "forgotten"}))

    assert who(service, mailer, "main") == "ann@example.com"
    assert op.count("grant", type="refresh_token") == 1


def test_removal_revokes(service: Service, op: OpenId, mailer: str) -> None:
    """After `connection remove` the provider knows neither token any more."""
    data = connect(service, mailer, "main").record.data
    assert op.token("/token/introspection", token=data["accessToken"])["active"] is True

    assert service.connections.remove("main") is None
    assert op.token("/token/introspection", token=data["accessToken"]) == {"active": False}
    gone = op.token("/token", grant_type="refresh_token", refresh_token=data["refreshToken"])
    assert gone["error"] == "invalid_grant"


def test_client_credentials(service: Service, op: OpenId, tmp_path: Path) -> None:
    """A token of the client's own: fetched once, again after its end; a wrong secret stores nothing."""
    flow = client_flow(op.url)
    flow["token"]["body"]["scope"] = "reports"
    flow["token"]["response"]["error"] = {"message": "{{body.error}}: {{body.error_description}}"}
    folder = write_app(tmp_path / "robot", op.url, flow, params=CLIENT_INPUTS, name="robot")
    inputs = {"clientId": f"{CLIENT}-robot", "clientSecret": SECRET}
    with pytest.raises(ModuleError, match="invalid_client"):
        service.connections.add(str(folder), "acc", name="robot", parameters={**inputs, "clientSecret": "wrong-one"})
    made = service.connections.add(str(folder), "acc", name="robot", parameters=inputs).record
    assert op.token("/token/introspection", token=made.data["accessToken"])["scope"] == "reports"

    vault = service.runner.vault
    vault.update(replace(made, data={**made.data, "expires": datetime.now(UTC)}))
    service.local.module(str(folder), "whoami", parameters={}, connection="robot")
    fresh = vault.find("robot").data["accessToken"]
    assert fresh != made.data["accessToken"]
    assert op.token("/token/introspection", token=fresh)["active"] is True
