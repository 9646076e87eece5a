"""Renewing OAuth 2.0 connections: before use, after a 401, refused, unreachable, ended (connections.md 7.6 to 7.8)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connections.record import ConnectionState, Grant
from runtime.errors import InvalidAccessTokenError, ModuleError
from tests.integration.oauth2_kit import aged, begin, connect, home, leave_nothing, mailer, provider, service
from tests.oauth_apps import (
    agree,
    code_flow,
    write_app,
)
from tests.oauth_provider import Provider
from tests.servers import Answer, ScriptServer
from workers.service import Service

__all__ = ["home", "leave_nothing", "mailer", "provider", "service"]


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
