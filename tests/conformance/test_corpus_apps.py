"""
Real apps: each loads with the components that the corpus' list counts, and the checker raises no false alarm.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.app.checker import check_app
from runtime.app.functions import app_environment
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.errors import ImlError
from runtime.iml import Environment, compile_document
from tests.paths import SHARED

APPS = SHARED / "corpus" / "apps"

#: Folder of each app below the corpus -> connections, modules, RPCs, webhooks, functions of the corpus' list.
COUNTS: dict[str, tuple[int, int, int, int, int]] = {
    "HedyAI+make-app-hedy": (1, 9, 2, 1, 0),
    "Ichy77+Open-Source-Make-Apps/src/chat-pdf": (1, 4, 0, 0, 0),
    "Ichy77+Open-Source-Make-Apps/src/copy-ai": (1, 3, 0, 1, 0),
    "Ichy77+Open-Source-Make-Apps/src/deepseek-ai": (1, 4, 1, 0, 0),
    "Ichy77+Open-Source-Make-Apps/src/google-gemini-ai": (1, 3, 2, 0, 2),
    "Ichy77+Open-Source-Make-Apps/src/heygen": (1, 10, 5, 1, 1),
    "Ichy77+Open-Source-Make-Apps/src/mistral-ai": (1, 4, 2, 0, 0),
    "Ichy77+Open-Source-Make-Apps/src/openrouter": (2, 4, 1, 0, 0),
    "Ichy77+Open-Source-Make-Apps/src/relevance-ai": (2, 7, 4, 0, 1),
    "Ichy77+Open-Source-Make-Apps/src/stability-ai": (1, 8, 1, 0, 1),
    "Ichy77+Open-Source-Make-Apps/src/supabase": (1, 12, 6, 1, 4),
    "Ichy77+Open-Source-Make-Apps/src/zep": (1, 5, 2, 0, 0),
    "Linked-API+linkedapi-make/src": (1, 27, 0, 0, 0),
    "OpnForm+make-integration": (1, 2, 2, 1, 0),
    "letmepost+make-app-letmepost": (1, 5, 1, 0, 0),
    "polydoc-tech+make-polydoc": (1, 3, 0, 0, 3),
    "samgutentag+audius-makedotcom/src": (0, 31, 0, 0, 0),
    "sudomock+sudomock-make-app/src/sudomock": (1, 33, 2, 0, 0),
    "terezaklobouckova+gitforapps-demo/src": (1, 13, 3, 0, 1),
    # Exports; their functions are JavaScript alone, which is not in the corpus.
    "joe-irving+ActionNetworkMakeApp": (1, 54, 22, 1, 0),
    "julowsky1+Integromat-SOS-Inventory": (2, 9, 0, 0, 0),
    "reepay+integromat": (1, 5, 1, 1, 0),
}
EXPORTS = {"joe-irving+ActionNetworkMakeApp", "julowsky1+Integromat-SOS-Inventory", "reepay+integromat"}

#: Errors that are right, by app: code, component, how many and why.
JUDGED: dict[str, dict[tuple[str, str], tuple[int, str]]] = {
    "Ichy77+Open-Source-Make-Apps/src/chat-pdf": {
        ("I601", 'module "chatWithPdf"'): (1, "a text and a path stand side by side without an operator"),
    },
    "Ichy77+Open-Source-Make-Apps/src/relevance-ai": {
        ("I601", 'module "executeATool"'): (1, "a text and a path stand side by side without an operator"),
    },
    "Ichy77+Open-Source-Make-Apps/src/zep": {
        ("I601", 'rpc "listUsers"'): (1, "three values stand side by side without an operator"),
    },
    "terezaklobouckova+gitforapps-demo/src": {
        ("A206", 'module "test"'): (6, "none of the six files of this module was committed"),
        ("A302", 'module "executeScene"'): (1, "the RPC `scenes` was never written"),
    },
    "julowsky1+Integromat-SOS-Inventory": {
        ("I601", 'module "ListShipments"'): (2, "a date format with colons outside of quotes"),
        ("I601", 'module "listInvoices"'): (2, "a date format with colons outside of quotes"),
        ("I601", 'module "listSalesOrders"'): (2, "a date format with colons outside of quotes"),
    },
}
#: Custom functions of the exports that the corpus does not hold: each call of them is an unknown function.
ABSENT_FUNCTIONS = {
    "parseTimestamps",
    "parseLastSync",
    "parseExpiration",
    "parseShipment",
    "parseInvoice",
    "parseOrder",
}

#: Refused apps: folder -> code and the name of the layout.
REFUSED = {
    "Acetelecom+make-smsenmasse": ("A203", "component lists"),
    "TomPhillipsLabs+make-loopquest/app": ("A103", "flat files"),
    "api-freaks+make-integration-apifreaks/make-app": ("A101", "no manifest"),
    "futuresearch+everyrow-make/app": ("A104", "one file per component"),
}


@pytest.fixture(scope="module")
def loaded(shared: Path) -> dict[str, LoadedApp]:
    """Every loadable app of the corpus."""
    return {name: load_app(shared / "corpus" / "apps" / name) for name in COUNTS}


@pytest.mark.parametrize("name", COUNTS)
def test_an_app_of_the_corpus_loads_whole(loaded: dict[str, LoadedApp], name: str) -> None:
    """As many components of each kind as the corpus' list says, with nothing broken that is not judged below."""
    app = loaded[name].app

    assert app is not None
    counts = (app.connections, app.modules, app.rpcs, app.webhooks, app.functions)
    assert COUNTS[name] == tuple(len(kind) for kind in counts)
    assert app.layout == ("export" if name in EXPORTS else "manifest")
    judged = {component for _, component in JUDGED.get(name, {})}
    broken = {spec.title for kind in counts for spec in kind.values() if spec.problems}
    assert broken <= judged


@pytest.mark.parametrize("name", COUNTS)
def test_the_checker_raises_no_false_alarm(loaded: dict[str, LoadedApp], name: str) -> None:
    """A working app gets no error; the errors that stay were looked at, one by one, and are right."""
    errors = [finding for finding in check_app(loaded[name]) if finding.severity == "error"]
    absent = [f for f in errors if f.code == "A303" and re.findall(r'"(\w+)"', f.message)[0] in ABSENT_FUNCTIONS]
    found = Counter((finding.code, finding.component) for finding in errors if finding not in absent)

    assert {key: count for key, (count, _) in JUDGED.get(name, {}).items()} == found
    assert not absent or name in EXPORTS
    for finding in errors:
        assert finding.file
        assert finding.line > 0
        assert finding.column > 0


@pytest.mark.parametrize("name", REFUSED)
def test_other_layouts_of_the_corpus_are_refused_by_name(shared: Path, name: str) -> None:
    """What cannot be loaded is named, and nothing of it is guessed."""
    refused = load_app(APPS / name)
    code, layout = REFUSED[name]

    assert refused.app is None
    assert {code} == {finding.code for finding in refused.findings}
    assert layout in refused.findings[0].message


def test_the_same_app_has_the_same_hash(loaded: dict[str, LoadedApp]) -> None:
    """Loading from disk and from the stored files gives one hash and equal findings."""
    for name, first in loaded.items():
        assert first.app is not None
        again = load_app(MemorySource(first.files, label=first.app.name))
        assert again.app is not None
        assert first.app.hash == again.app.hash
        assert first.app.modules.keys() == again.app.modules.keys(), name


@pytest.mark.usefixtures("shared")
def test_every_custom_function_of_the_corpus_loads() -> None:
    """
    The corpus holds no JavaScript: each function that a manifest names is there, and a call says what is absent.
    """
    calls = 0
    for folder in COUNTS:
        app = load_app(APPS / folder).app
        assert app is not None
        environment = app_environment(Environment(now=datetime(2026, 1, 1, tzinfo=UTC)), app)
        assert environment.functions.keys() == app.functions.keys()
        for name in app.functions:
            with pytest.raises(ImlError, match=f"Function '{name}' finished with error! The app's files hold no code"):
                compile_document(f"{{{{{name}(1)}}}}").render({}, environment)
            calls += 1

    assert calls == sum(counts[4] for counts in COUNTS.values()) > 10
