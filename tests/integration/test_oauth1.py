"""OAuth 1.0 connections against a provider built on oauthlib's server classes: three legs, and signed modules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InvalidAccessTokenError, ModuleError, UsageError
from tests.ledger_kit import settings_in
from tests.oauth_apps import COMMON, agree, callback, oauth1_flow, write_app
from tests.oauth_provider import Provider1
from workers.authorizing import Waiting
from workers.service import Service, open_service

BASE = {"oauth": {"token": "{{connection.token}}", "token_secret": "{{connection.tokenSecret}}"}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("home"), SCENARIST_ALLOW_NETS="127.0.0.0/8")
    with open_service(settings) as opened:
        yield opened


@pytest.fixture
def provider() -> Iterator[Provider1]:
    with Provider1().running() as running:
        yield running


def begin(service: Service, folder: Path, provider: Provider1, name: str, **root: Any) -> tuple[str, Waiting]:
    app = str(write_app(folder, provider.url, oauth1_flow(provider.url, **root), base=BASE, name="photos"))
    service.apps.set_common(app, COMMON)
    begun = service.connections.begin(app, "acc", name=name, parameters={}, redirect_uri=callback("photos"))
    assert isinstance(begun, Waiting)
    return app, begun


@pytest.mark.parametrize(
    "root",
    [
        {},
        {"signature_method": "HMAC-SHA256"},
        {"signature_method": "PLAINTEXT"},
        {"transport_method": "query"},
    ],
    ids=lambda root: next(iter(root.values()), "default"),
)
def test_three_legs(service: Service, provider: Provider1, tmp_path: Path, root: dict[str, str]) -> None:
    """Request token, page, access token, `info`; then a module signs with the consumer's keys of the connection."""
    name = f"photos {next(iter(root.values()), '')}"
    app, waiting = begin(service, tmp_path / "app", provider, name, **root)
    view = service.connections.finish(*agree(waiting))

    assert (view.record.label, view.record.uid) == (f"{name} (Ann)", "9")
    assert view.record.data["token"] in provider.validator.access
    service.apps.add(Path(app))
    report = service.local.module(app, "whoami", parameters={}, connection=name)
    assert report.error is None
    assert report.bundles[0]["name"] == "Ann"
    assert service.connections.test(name).record.uid == "9"


def test_callback_of_another_token_is_refused(service: Service, provider: Provider1, tmp_path: Path) -> None:
    """The request token tells flows apart: one that is not known, or is played again, ends nowhere."""
    _, waiting = begin(service, tmp_path / "app", provider, "main")
    query, path = agree(waiting)

    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish({**query, "oauth_token": "x" * 20}, path)
    service.connections.finish(query, path)
    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish(query, path)


def test_denial_is_an_error(service: Service, provider: Provider1, tmp_path: Path) -> None:
    """`denied` is how providers of the time say that the person does not agree."""
    _, waiting = begin(service, tmp_path / "app", provider, "denied")

    with pytest.raises(InvalidAccessTokenError, match="access_denied"):
        service.connections.finish({"denied": waiting.state}, callback("photos").partition("9")[2])


def test_consumer_that_nobody_has_given(service: Service, provider: Provider1, tmp_path: Path) -> None:
    """The provider refuses the first request; the command says what is missing."""
    app = str(write_app(tmp_path / "app", provider.url, oauth1_flow(provider.url), base=BASE, name="unknown"))

    with pytest.raises(ModuleError, match=r"The app reads common\.clientId, common\.clientSecret"):
        service.connections.begin(app, "acc", name="x", parameters={}, redirect_uri=callback("unknown"))
