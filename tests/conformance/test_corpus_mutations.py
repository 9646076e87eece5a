"""
Real apps with something wrong in them: loaded, checked, compiled, their requests built. Clear findings or errors for
people, never a traceback, never a hang.

504 cases by default; `SCENARIST_LONG=1 pytest tests/conformance/test_corpus_mutations.py` (make long) runs 3,000.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modules import MODULE_TYPES
from modules.prepare import prepare_job
from runtime.app.checker import check_app
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource
from runtime.app.specs import App
from runtime.communication import Kind, compile_communication
from runtime.effects import Effect, HttpRequest, HttpResponse, drive
from runtime.errors import ModuleError
from runtime.iml import Environment
from runtime.parameters import parse_fields
from tests.conformance.request_kit import sample_values
from tests.conformance.test_corpus_apps import COUNTS
from tests.unit.app.apps import app_files, module

#: The seeds are fixed: a failure can be repeated.
SEEDS = range(12)
PER_SEED = 250 if os.environ.get("SCENARIST_LONG") else 42
#: Modules of one mutated app that are run, and requests that each may send.
MODULES = 4
REQUESTS = 5


@pytest.fixture(scope="module")
def loaded(shared: Path) -> dict[str, LoadedApp]:
    """Every loadable app of the corpus that is small enough to be changed hundreds of times."""
    apps = {name: load_app(shared / "corpus" / "apps" / name) for name in COUNTS}
    return {name: item for name, item in apps.items() if sum(map(len, item.files.values())) < 300_000}


VALUES: list[Any] = [
    None, True, 0, -1, 1e308, "", "x", "{{", "}}", "{{if(", "{{a.b(1}}", "rpc://", "rpc://nope?", "\ud800", "../../x",
    "/", "\0", [], {}, [[]], [{}], {"": ""}, [None], {"a": {"b": []}}, "(" * 3000, "{{" + "(" * 500 + "}}", "x" * 70000,
    10**400,
]  # fmt: skip
#: A file in one of these is no UTF-8, or has marks that UTF-8 files do not need.
ENCODINGS = ("utf-16", "utf-32", "latin-1", "cp037", "utf-8-sig", "utf-7")
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
        choice = rng.randrange(8)
        if choice == 0:
            changed[path] = rng.choice(BYTES)
        elif choice == 1:
            cut = rng.randrange(len(changed[path]) + 1)
            changed[path] = (
                changed[path][:cut] + rng.choice([b"", b"\xff", b"{{", b'"', b"/*", b","]) + changed[path][cut + 1 :]
            )
        elif choice == 2 and len(changed) > 1:
            del changed[path]
        elif choice == 3:
            changed[path] = changed[path].decode("utf-8", "replace").encode(rng.choice(ENCODINGS), "replace")
        else:
            try:
                value = json.loads(changed[path])
            except (ValueError, RecursionError):
                continue
            changed[path] = json.dumps(_mutate_value(value, rng)).encode("utf-8", "surrogatepass")
    return changed


class Enough(Exception):  # noqa: N818  ends a run that was answered often enough
    """The module has sent as many requests as this test answers."""


def _run_some(app: App, rng: random.Random) -> None:
    """Compile everything, and run some modules with sample values against answers that fit or do not."""
    functions = {name: (lambda *values: values[0] if values else None) for name in app.functions}
    environment = Environment(now=datetime(2026, 3, 1, tzinfo=UTC), functions=functions)
    for rpc in app.rpcs.values():
        compile_communication(rpc.communication.value, base=app.base.value, kind=Kind.RPC, component=rpc.id)
    names = [module.id for module in app.modules.values() if module.type in MODULE_TYPES]
    for name in rng.sample(names, min(MODULES, len(names))):
        module = app.modules[name]
        sent = 0

        def perform(effect: Effect) -> Any:
            nonlocal sent
            if not isinstance(effect, HttpRequest):
                return None
            sent += 1
            if sent > REQUESTS:
                raise Enough
            status, body = rng.choice(
                [(200, b'{"data": [{"id": 1}], "status": "completed"}'), (200, b"[]"), (500, b"")]
            )
            return HttpResponse(status, (("Content-Type", "application/json"),), body, effect.url)

        with contextlib.suppress(ModuleError, Enough):
            prepared = prepare_job(
                app,
                name,
                environment=environment,
                static=sample_values(parse_fields(module.static_params.value)),
                mapped=sample_values(parse_fields(module.mappable_params.value)),
                connection={"apiKey": "k"},
            )
            drive(MODULE_TYPES[module.type](prepared.job), perform)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_apps_give_findings_and_no_exception(loaded: dict[str, LoadedApp], seed: int) -> None:
    """Dropped keys, wrong types, bad JSON, wrong encodings, huge and deep values, through to the request."""
    rng = random.Random(seed)
    for _ in range(PER_SEED):
        files = _mutated(loaded[rng.choice(list(loaded))].files, rng)
        result = load_app(MemorySource(files))
        findings = check_app(result, strict=rng.random() < 0.5)
        for finding in findings:
            assert finding.text().encode()
            assert finding.line == 0 or finding.column > 0
        assert result.app is not None or any(finding.severity == "error" for finding in findings)
        if result.app is not None:
            _run_some(result.app, rng)


def test_parts_that_name_each_other_end() -> None:
    """RPCs whose lists name one another, functions that call themselves: nothing follows a circle."""
    rpc = {"kind": "rpc", "fields": {}}
    files = app_files(
        module("doIt", {"url": "/x", "response": {"output": "{{aaa(1)}}"}}, mappableParams="rpc://aaa"),
        {**rpc, "id": "aaa", "files": {"communication": {"response": {"output": ["rpc://bbb"]}}, "params": "rpc://bbb"}},
        {**rpc, "id": "bbb", "files": {"communication": {"response": {"output": ["rpc://aaa"]}}, "params": "rpc://aaa"}},
    )  # fmt: skip
    result = load_app(MemorySource(files))

    assert result.app is not None
    assert {finding.code for finding in check_app(result)} == {"A303"}
    _run_some(result.app, random.Random(0))


def test_a_folder_that_holds_itself_is_no_endless_app(tmp_path: Path) -> None:
    """A symbolic link to the folder above is not followed for ever."""
    for path, content in app_files(module("doIt", {"url": "/x"})).items():
        target = tmp_path / "app" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (tmp_path / "app" / "modules" / "again").symlink_to(tmp_path / "app", target_is_directory=True)

    result = load_app(tmp_path / "app")

    assert result.app is not None
    assert [finding for finding in check_app(result) if finding.severity == "error"] == []
