"""The connections of the real apps: every one compiles, and the OAuth ones run their flow on a loopback provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connections.job import ConnectionJob
from connections.phases import kind_of, phase_plan, phases_of
from connections.types import connection_type
from runtime.app.loader import load_app
from runtime.communication import Kind, compile_communication
from runtime.iml import Environment
from tests.ledger_kit import settings_in
from tests.oauth_apps import agree, callback
from tests.oauth_provider import CLIENT, SECRET, Provider
from tests.spine import corpus_app
from workers.authorizing import Waiting
from workers.service import Service, open_service

OAUTH_APP = "julowsky1+Integromat-SOS-Inventory"


def test_every_connection_compiles(shared: Path) -> None:
    """All connections of all apps that load have a type, and no phase is refused."""
    kinds: dict[str, int] = {}
    apps = shared / "corpus/apps"
    for folder in sorted({file.parent for file in apps.rglob("makecomapp.json")} | {apps / OAUTH_APP}):
        app = load_app(folder).app
        for spec in app.connections.values() if app is not None else ():
            assert app is not None
            kind = kind_of(spec)
            kinds[kind] = kinds.get(kind, 0) + 1
            connection_type(spec)
            job = ConnectionJob(app, spec, Environment(now=datetime.now(UTC)))
            if kind == "basic":
                plans = [compile_communication(spec.communication.value, kind=Kind.CONNECTION, component="c")]
            else:
                plans = [plan for name in phases_of(spec) if (plan := phase_plan(job, name)) is not None]
                assert plans, (folder.name, spec.id)
            assert [plan.refusal for plan in plans] == [None] * len(plans), (folder.name, spec.id)
    assert kinds["basic"] >= 20
    assert kinds["oauth2"] == 2


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(pkce=False).running() as running:
        yield running


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with open_service(settings_in(tmp_path / "home", SCENARIST_ALLOW_NETS="127.0.0.0/8")) as opened:
        yield opened


@pytest.mark.parametrize("component", ["sos-inventory", "sos-inventory-940033"])
def test_flow_of_a_real_app(shared: Path, tmp_path: Path, service: Service, provider: Provider, component: str) -> None:
    """Authorize, token, refresh as its author wrote them; an end of the grant that nobody names is not kept."""
    source = shared / "corpus/apps" / OAUTH_APP
    folder = corpus_app(source, tmp_path / "app", host="https://api.sosinventory.com/oauth2", server=provider.url)
    inputs = {"clientId": CLIENT, "clientSecret": SECRET}
    name = load_app(folder).app
    assert name is not None
    waiting = service.connections.begin(
        str(folder), component, name="sos", parameters=inputs,
        redirect_uri=callback(name.name).replace("/acc", f"/{component}"),
    )  # fmt: skip
    assert isinstance(waiting, Waiting)
    record = service.connections.finish(*agree(waiting)).record
    assert record.expires is None
    assert record.data["accessToken"] in provider.grants.access

    vault, app = service.runner.vault, load_app(folder).app
    assert app is not None
    ends = vault.update(replace(record, data={**record.data, "expires": datetime.now(UTC)}))
    renewed = service.runner.renewals.before_use(app, ends, service.secrets)
    assert provider.count("/token", grant_type="refresh_token") == 1
    # The author keeps the new tokens under other names than the old ones.
    assert renewed.data["access_token"] in provider.grants.access
