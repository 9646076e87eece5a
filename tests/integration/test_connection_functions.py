"""Custom functions of an app in the phases of its OAuth connection: they run, fail and end as they do in modules."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connections.record import ConnectionState
from runtime.errors import ModuleError
from tests.integration.oauth2_kit import begin, connect, home, leave_nothing, mailer, provider, service
from tests.oauth_apps import COMMON, code_flow, write_app
from tests.oauth_provider import Provider
from workers.service import Service

__all__ = ["home", "leave_nothing", "mailer", "provider", "service"]

FUNCTIONS = {
    # The clock of a condition runs ahead by a few seconds, so the function is given the time instead of asking for it.
    "due": "(expires, now) => new Date(expires) - new Date(now) < 15 * 60 * 1000",
    "pair": "(id, secret) => 'Basic ' + iml.base64(id + ':' + secret)",
    "fails": "() => { throw new Error('no such thing') }",
    "endless": "() => { for (;;); }",
}


def app_with_functions(folder: Path, provider: Provider, **phases: dict[str, str]) -> str:
    """The mailer whose client is sent by a function and whose condition is one; `phases` change its phases."""
    flow = code_flow(provider.url)
    for name in ("token", "refresh"):
        flow[name]["headers"] = {"authorization": "{{pair(common.clientId, common.clientSecret)}}"}
        for member in ("client_id", "client_secret"):
            del flow[name]["body"][member]
    flow["refresh"]["condition"] = "{{due(data.expires, now)}}"
    for name, change in phases.items():
        flow[name] |= change
    app = write_app(folder, provider.url, flow)
    manifest = json.loads((app / "makecomapp.json").read_text())
    manifest["components"]["function"] = {}
    for name, source in FUNCTIONS.items():
        (app / f"{name}.js").write_text(source)
        manifest["components"]["function"][name] = {"codeFiles": {"code": f"{name}.js"}}
    (app / "makecomapp.json").write_text(json.dumps(manifest))
    return str(app)


def test_functions_run_in_every_phase(service: Service, provider: Provider, tmp_path: Path) -> None:
    """The client's header and the condition are functions; what they are given is masked as ever."""
    app = app_with_functions(tmp_path / "app", provider)
    service.apps.set_common(app, COMMON)
    record = connect(service, app, "main").record
    assert service.local.module(app, "whoami", parameters={}, connection="main").error is None
    assert provider.count("/token", grant_type="refresh_token") == 0

    soon = datetime.now(UTC) + timedelta(minutes=10)
    service.runner.vault.update(replace(record, data={**record.data, "expires": soon}))
    report = service.local.module(app, "whoami", parameters={}, connection="main")
    assert report.error is None
    assert provider.count("/token", grant_type="refresh_token") == 1
    assert COMMON["clientSecret"] not in json.dumps(report.to_json(trace=True), default=str)


@pytest.mark.parametrize(("function", "words"), [("fails", "no such thing"), ("endless", "timed out")])
def test_function_that_fails_in_a_condition(
    service: Service, provider: Provider, tmp_path: Path, function: str, words: str
) -> None:
    """It is an error of that use: nothing is sent, nothing is marked, and the next version of the app works at once."""
    app = app_with_functions(tmp_path / "app", provider)
    service.apps.set_common(app, COMMON)
    record = connect(service, app, "main").record
    seen = len(provider.seen)
    app_with_functions(tmp_path / "app", provider, refresh={"condition": f"{{{{{function}()}}}}"})

    error = service.local.module(app, "whoami", parameters={}, connection="main").error
    assert error is not None
    assert words in error["message"]
    assert function in error["message"]
    assert len(provider.seen) == seen
    assert service.runner.vault.find("main").state is ConnectionState.VALID
    assert service.runner.runs.client.exists(f"scenarist:connection:{record.id}:lease") == 0

    app_with_functions(tmp_path / "app", provider)
    assert service.local.module(app, "whoami", parameters={}, connection="main").error is None


def test_function_that_fails_before_the_redirect(service: Service, provider: Provider, tmp_path: Path) -> None:
    """The person is told before any page opens, with the place in the app."""
    app = app_with_functions(tmp_path / "app", provider, authorize={"temp": {"x": "{{fails()}}"}})  # type: ignore[dict-item]
    service.apps.set_common(app, COMMON)

    with pytest.raises(ModuleError, match="no such thing"):
        begin(service, app, "main")
    assert provider.seen == []
