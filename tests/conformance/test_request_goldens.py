"""
Every module of real apps, with sample parameters, over loopback and back: its requests are kept as files for people.

`SCENARIST_RENEW=1 pytest tests/conformance/test_request_goldens.py` writes the files anew. They were read once, and
what looked odd was compared with the app's own files; a difference is a change of what services receive.

The corpus has no JavaScript: a custom function gives its first argument back here, so that such bodies are not real.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modules import MODULE_TYPES
from runtime.app.loader import load_app
from tests.conformance.request_kit import loopback, run_module, shown
from tests.servers import ScriptServer

FOLDER = Path(__file__).resolve().parent / "requests"

#: Name of the golden file -> folder below the corpus.
APPS = {
    "action-network": "joe-irving+ActionNetworkMakeApp",
    "audius": "samgutentag+audius-makedotcom/src",
    "gitforapps": "terezaklobouckova+gitforapps-demo/src",
    "hedy": "HedyAI+make-app-hedy",
    "heygen": "Ichy77+Open-Source-Make-Apps/src/heygen",
    "letmepost": "letmepost+make-app-letmepost",
    "linkedapi": "Linked-API+linkedapi-make/src",
    "openrouter": "Ichy77+Open-Source-Make-Apps/src/openrouter",
    "opnform": "OpnForm+make-integration",
    "polydoc": "polydoc-tech+make-polydoc",
    "reepay": "reepay+integromat",
    "relevance-ai": "Ichy77+Open-Source-Make-Apps/src/relevance-ai",
    "sos-inventory": "julowsky1+Integromat-SOS-Inventory",
    "stability-ai": "Ichy77+Open-Source-Make-Apps/src/stability-ai",
    "sudomock": "sudomock+sudomock-make-app/src/sudomock",
    "supabase": "Ichy77+Open-Source-Make-Apps/src/supabase",
    "zep": "Ichy77+Open-Source-Make-Apps/src/zep",
}


@pytest.mark.parametrize("name", APPS)
def test_requests_of_a_real_app_are_those_of_its_golden_file(shared: Path, name: str) -> None:
    """Method, address, headers and body as the service gets them, and what becomes of an answer."""
    app = load_app(shared / "corpus" / "apps" / APPS[name]).app
    assert app is not None
    parts = [f"# Requests of {app.label or app.name}, with sample parameters\n\n"]
    with ScriptServer([]) as server, loopback() as http:
        for module in app.modules.values():
            # Instant triggers send nothing in these apps, and there is no webhook here to start them.
            if module.type in MODULE_TYPES and module.type != "instant_trigger" and not module.problems:
                parts.append(shown(f"{module.type} {module.id}", run_module(app, module, server, http)) + "\n")
    text = "".join(parts)
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SCENARIST_RENEW"):
        file.write_text(text, "utf-8")

    assert file.read_text("utf-8") == text
