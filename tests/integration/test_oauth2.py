"""OAuth 2.0 connections at a provider of oauthlib's classes: grants, scopes, edits, revocation (connections.md 7)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connections.record import ConnectionState
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError, ModuleError, UsageError
from tests.integration.oauth2_kit import begin, connect, home, leave_nothing, mailer, provider, service
from tests.oauth_apps import (
    CLIENT_INPUTS,
    agree,
    callback,
    client_flow,
    code_flow,
    password_flow,
    write_app,
)
from tests.oauth_provider import CLIENT, PASSWORD, SECRET, USER, Provider
from workers.service import Service

__all__ = ["home", "leave_nothing", "mailer", "provider", "service"]


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


def test_client_that_nobody_has_given(service: Service, provider: Provider, tmp_path: Path) -> None:
    """Without common data no page is opened that could only fail; a service's refusal comes with what to do."""
    app = str(write_app(tmp_path / "app", provider.url, code_flow(provider.url), name="lonely"))
    advice = r"The app reads common\.clientId, common\.clientSecret, not given here yet: scenarist app common lonely"
    with pytest.raises(InvalidConfigurationError, match=f"names no client. {advice}"):
        begin(service, app, "lonely")
    assert provider.seen == []

    flow = {"token": code_flow(provider.url)["refresh"] | {"condition": True}}
    app = str(write_app(tmp_path / "app", provider.url, flow, name="lonely"))
    with pytest.raises(ModuleError, match=advice) as caught:
        service.connections.add(app, "acc", name="lonely", parameters={})
    assert caught.value.message.startswith("invalid_request: ")
    assert caught.value.status_code == 400


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
