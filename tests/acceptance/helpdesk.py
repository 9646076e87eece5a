"""The example app, its blueprint and its API, for the tests of the command line."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.paths import EXAMPLES

APP = EXAMPLES / "apps/helpdesk"
BLUEPRINT = EXAMPLES / "blueprints/answer-urgent-tickets.json"
#: Long and odd enough that finding it anywhere is no accident.
KEY = "hd_live_7Qx/9+tests~key"


def _load() -> ModuleType:
    name = "helpdesk_sample_api"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / "sample_api.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their own module up while they are made.
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def sample_api() -> Any:
    """A `SampleApi` that takes `KEY`; use it with `with`."""
    return _load().SampleApi(api_key=KEY)


def connection_parameters(url: str, key: str = KEY) -> dict[str, Any]:
    """What the example's connection asks for."""
    return {"url": url, "account": "acme", "apiKey": key}
