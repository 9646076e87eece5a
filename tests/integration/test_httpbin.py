"""Basic and digest connections against the httpbin application (spec/connections.md 4, communication.md 17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connections.record import ConnectionState
from runtime.errors import ModuleError
from tests.httpbin_server import PASSWORD, USER, basic_app, digest_app, httpbin
from tests.ledger_kit import settings_in
from workers.service import Service, open_service

GOOD = {"user": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with httpbin() as address:
        yield address


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("home"), SCENARIST_ALLOW_NETS="127.0.0.0/8")
    with open_service(settings) as opened:
        yield opened


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(basic_app, id="basic"),
        pytest.param(digest_app, id="digest MD5"),
        pytest.param(lambda folder, url: digest_app(folder, url, "SHA-256"), id="digest SHA-256"),
    ],
)
def test_authorize_once_then_use(
    service: Service, url: str, tmp_path: Path, write: Callable[[Path, str], Path], request: pytest.FixtureRequest
) -> None:
    """The connection is accepted, three modules use it; a wrong password is refused and stores nothing."""
    app, name = str(write(tmp_path / "app", url)), request.node.callspec.id
    with pytest.raises(ModuleError, match="httpbin says 401"):
        service.connections.add(app, "acc", name=name, parameters={**GOOD, "password": "wrong-one"})
    assert name not in [view.name for view in service.connections.list()]

    view = service.connections.add(app, "acc", name=name, parameters=GOOD)
    assert (view.record.label, view.record.state) == (f"{name} ({USER})", ConnectionState.VALID)
    for _ in range(3):
        report = service.local.module(app, "whoami", parameters={}, connection=name)
        assert report.error is None
        assert report.bundles[0]["user"] == USER
