"""Every communication of the collected real apps becomes a plan that could run."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modules import MODULE_TYPES
from runtime.app.loader import load_app
from runtime.communication import Kind, compile_communication
from runtime.effects import Effect, HttpRequest, HttpResponse, drive
from runtime.errors import ModuleError
from runtime.iml import Environment
from runtime.module_job import ModuleJob
from tests.paths import SHARED

APPS = sorted(path for path in (SHARED / "corpus" / "apps").glob("*") if path.is_dir())
KINDS = {"action": Kind.ACTION, "search": Kind.SEARCH, "trigger": Kind.TRIGGER, "universal": Kind.UNIVERSAL}


def manifests(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("makecomapp.json"))


@pytest.mark.skipif(not APPS, reason="the folder `shared` does not lie beside this checkout")
@pytest.mark.parametrize("folder", [pytest.param(path, id=path.name) for path in APPS])
def test_real_apps_compile(folder: Path) -> None:
    """No module or RPC of a deployed app is refused."""
    refused: list[Any] = []
    for root in manifests(folder):
        app = load_app(root).app
        if app is None:
            continue
        for module in app.modules.values():
            if module.type in KINDS and not module.problems:
                plan = compile_communication(
                    module.communication.value, base=app.base.value, kind=KINDS[module.type], component=module.id
                )
                if plan.refusal or any(request.refusal for request in plan.requests):
                    refused.append((module.id, plan.refusal, [request.refusal for request in plan.requests]))
        for rpc in app.rpcs.values():
            compile_communication(rpc.communication.value, base=app.base.value, kind=Kind.RPC, component=rpc.id)

    assert refused == []


def _answers(request: HttpRequest) -> HttpResponse:
    body = b'{"id": 1, "data": [{"id": 1, "name": "a", "created_at": "2024-01-01T00:00:00Z"}], "status": "completed"}'
    return HttpResponse(200, (("Content-Type", "application/json"),), body, request.url)


@pytest.mark.skipif(not APPS, reason="the folder `shared` does not lie beside this checkout")
@pytest.mark.parametrize("folder", [pytest.param(path, id=path.name) for path in APPS])
def test_real_modules_end_well_or_in_a_module_error(folder: Path) -> None:
    """Whatever a service answers, a module gives bundles or an error for people, never a crash."""
    sent = tried = 0

    def perform(effect: Effect) -> Any:
        nonlocal sent
        if isinstance(effect, HttpRequest):
            sent += 1
            return _answers(effect)
        return None

    for root in manifests(folder):
        app = load_app(root).app
        if app is None:
            continue
        functions = {name: lambda *values: values[0] if values else None for name in app.functions}
        environment = Environment(now=datetime(2024, 5, 1, tzinfo=UTC), functions=functions)
        for module in app.modules.values():
            if module.type not in KINDS or module.problems:
                continue
            tried += 1
            job = ModuleJob(
                app,
                module,
                {"limit": 2, "url": "/x"},
                environment,
                connection={"apiKey": "k"},
                common=app.common_values,
            )
            with contextlib.suppress(ModuleError):
                drive(MODULE_TYPES[module.type](job), perform)

    assert sent or not tried
