"""
Real apps: each loads with the components that the corpus' list counts, and the checker raises no false alarm.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


# Mutations -----------------------------------------------------------------------------------------------------------

#: The seeds are fixed: a failure can be repeated.
SEEDS = range(12)
PER_SEED = 20
VALUES: list[Any] = [
    None, True, 0, -1, 1e308, "", "x", "{{", "}}", "{{if(", "{{a.b(1}}", "rpc://", "rpc://nope?", "\ud800", "../../x",
    "/", "\0", [], {}, [[]], [{}], {"": ""}, [None], {"a": {"b": []}}, "(" * 3000, "{{" + "(" * 500 + "}}", "x" * 70000,
    10**400,
]  # fmt: skip
BYTES = [
    b"", b"{", b"[", b"null", b"7", b'"x"', b"\xff\xfe{\x00}\x00", b"\x00" * 100, b"\xc3", b'{"a":', b"[" * 5000,
    b'{"a":1,"a":{"a":1,"a":2}}', b"// only", b"/* open", b'{"x": NaN}', b"{'a': 1}", b'"' * 999,
    b'[1e999, -0, "\\ud800"]',
]  # fmt: skip


def _mutate_value(value: Any, rng: random.Random) -> Any:
    """The value with one thing changed somewhere: a member gone, renamed, doubled, or of another type."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        choice = rng.randrange(5)
        rest = {name: member for name, member in value.items() if name != key}
        if choice == 0:
            return rest
        if choice == 1:
            return {
                **rest,
                rng.choice(["__proto__", "", "x/y~z", key + "s", "{{...}}", "{{if(", "k" * 5000]): value[key],
            }
        return {**value, key: _mutate_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        index = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value * rng.choice([0, 2, 50])
        return [_mutate_value(item, rng) if position == index else item for position, item in enumerate(value)]
    if rng.random() < 0.1:
        return _nested(value, rng.choice([50, 150, 260]))
    return rng.choice(VALUES)


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"spec": [value], "name": "n", "type": "collection", "nested": [], "response": {}}
        value = {"spec": value} if depth % 2 else [value]
    return value


def _mutated(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    changed = dict(files)
    for _ in range(rng.choice([1, 1, 2, 5])):
        path = rng.choice(list(changed))
        choice = rng.randrange(6)
        if choice == 0:
            changed[path] = rng.choice(BYTES)
        elif choice == 1:
            cut = rng.randrange(len(changed[path]) + 1)
            changed[path] = (
                changed[path][:cut] + rng.choice([b"", b"\xff", b"{{", b'"', b"/*", b","]) + changed[path][cut + 1 :]
            )
        elif choice == 2 and len(changed) > 1:
            del changed[path]
        else:
            try:
                value = json.loads(changed[path])
            except (ValueError, RecursionError):
                continue
            changed[path] = json.dumps(_mutate_value(value, rng)).encode("utf-8", "surrogatepass")
    return changed


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_apps_give_findings_and_no_exception(loaded: dict[str, LoadedApp], seed: int) -> None:
    """Dropped keys, wrong types, bad JSON, wrong encodings, huge and deep values: never an exception, never a hang."""
    rng = random.Random(seed)
    names = [name for name, item in loaded.items() if sum(map(len, item.files.values())) < 300_000]
    for _ in range(PER_SEED):
        files = _mutated(loaded[rng.choice(names)].files, rng)
        result = load_app(MemorySource(files))
        findings = check_app(result)
        for finding in findings:
            assert finding.text().encode()
            assert finding.line == 0 or finding.column > 0
        assert result.app is not None or any(finding.severity == "error" for finding in findings)


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
