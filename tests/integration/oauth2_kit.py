"""What the tests of OAuth 2.0 connections share: an installation, a provider, an app that authorizes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger_kit import settings_in
from tests.oauth_apps import (
    COMMON,
    agree,
    callback,
    code_flow,
    write_app,
)
from tests.oauth_provider import Provider
from workers.authorizing import Waiting
from workers.service import Service, open_service
from workers.views import ConnectionView


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    """One installation for all tests; each uses names of its own."""
    with open_service(
        settings_in(home, SCENARIST_ALLOW_NETS="127.0.0.0/8", SCENARIST_FUNCTION_TIMEOUT_SECONDS="1")
    ) as opened:
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
