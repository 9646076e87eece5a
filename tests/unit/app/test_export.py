"""The export folder layout."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.app.loader import load_app
from runtime.app.source import MemorySource
from tests.unit.app.apps import BASE, CONNECTION, PARAMS, codes, component, load, module

GET: dict[str, Any] = {"url": "/x", "response": {"output": "{{body}}"}}


def export(**changes: Any) -> dict[str, bytes]:
    """A small export; `changes` replace files (None removes), `__` stands for `/` and `_` stays."""
    files: dict[str, Any] = {
        "metadata.json": {"name": "acme-app", "label": "Acme", "version": 2},
        "base.imljson": BASE,
        "connections/acme/metadata.json": {"name": "acme", "label": "acme", "type": "basic"},
        "connections/acme/api.imljson": CONNECTION,
        "connections/acme/parameters.imljson": PARAMS,
        "modules/listRows/metadata.json": {"name": "listRows", "type": "search", "connection": "acme"},
        "modules/listRows/api.imljson": GET,
        "modules/listRows/expect.imljson": [{"name": "limit", "type": "uinteger"}],
        "rpcs/rows/metadata.json": {"name": "rows", "label": "rows", "connection": "acme"},
        "rpcs/rows/api.imljson": GET,
        "functions/addAll/code.js": b"function addAll() {}",
    }  # fmt: skip
    files.update({path.replace("__", "/"): content for path, content in changes.items()})
    return {
        path: content if isinstance(content, bytes) else json.dumps(content).encode()
        for path, content in files.items()
        if content is not None
    }


def test_an_export_gives_the_same_components_as_a_manifest() -> None:
    """Labels, links and parsed code are equal in both layouts."""
    exported = load_app(MemorySource(export()))
    listed = load(
        module("listRows", GET, kind="search", mappableParams=[{"name": "limit", "type": "uinteger"}]),
        component("rpc", "rows", {"communication": GET}, connection="acme"),
        component("function", "addAll", {"code": b"function addAll() {}"}),
    )

    assert exported.findings == ()
    assert exported.app is not None
    assert listed.app is not None
    assert (exported.app.name, exported.app.version) == (listed.app.name, listed.app.version)
    for kind in ("connection", "webhook", "module", "rpc", "function"):
        ours, theirs = exported.app.components(kind), listed.app.components(kind)
        assert ours.keys() == theirs.keys()
        for name, spec in ours.items():
            assert _plain(spec) == _plain(theirs[name])


def _plain(spec: Any) -> dict[str, Any]:
    """A component without the paths of its files."""
    fields = {name: getattr(spec, name) for name in type(spec).model_fields if name not in ("file", "test_file")}
    return {name: getattr(value, "value", value) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("metadata", "kind", "code"),
    [
        pytest.param({"type": "action"}, "action", None, id="type"),
        pytest.param({"typeId": 4}, "action", None, id="typeId"),
        pytest.param({"type": "search", "typeId": 9}, "search", None, id="both agree"),
        pytest.param({"type": "search", "typeId": 4}, "unknown", "A404", id="contradiction"),
        pytest.param({}, "unknown", "A404", id="neither"),
        pytest.param({"type": "wizard"}, "unknown", "A404", id="unknown type"),
        pytest.param({"typeId": 99}, "unknown", "A404", id="unknown number"),
        pytest.param({"type": ["action"]}, "unknown", "A404", id="type is a list"),
    ],
)
def test_the_module_type_is_read_and_never_guessed(metadata: dict[str, Any], kind: str, code: str | None) -> None:
    """Text or number; a module without one is marked and the others load."""
    files = export(**{"modules__listRows__metadata.json": {"name": "listRows", **metadata}})
    loaded = load_app(MemorySource(files))

    assert loaded.app is not None
    assert kind == loaded.app.modules["listRows"].type
    assert codes(loaded.errors) == ([code] if code else [])
    assert bool(code) == bool(loaded.app.modules["listRows"].problems)


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        pytest.param(
            {
                "metadata.json": [],
            },
            "A401",
            "error",
            id="no object",
        ),
        pytest.param({"metadata.json": {"label": "x"}}, "A401", "error", id="no name"),
        pytest.param({"metadata.json": b"{"}, "A401", "error", id="broken"),
        pytest.param({"metadata.json": {"name": "acme-app"}}, "A213", "warning", id="no version"),
        pytest.param({"modules__listRows__metadata.json": None}, "A403", "error", id="no metadata"),
        pytest.param(
            {"modules__listRows__metadata.json": {"name": "other", "type": "search"}},
            "A402",
            "warning",
            id="name differs",
        ),
        pytest.param(
            {"modules__x__metadata.json": {"name": "listRows", "type": "search"}, "modules__x__api.imljson": GET},
            "A402",
            "error",
            id="two of one id",
        ),
        pytest.param(
            {
                "module__listRows__metadata.json": {"name": "listRows", "type": "search"},
                "module__listRows__api.imljson": GET,
            },
            "A407",
            "error",
            id="singular and plural",
        ),
        pytest.param({"modules__listRows__api.json": GET}, "A407", "error", id="section twice"),
        pytest.param({"modules__listRows__epoch.imljson": {}}, "A406", "info", id="unused section"),
        pytest.param(
            {"rpcs__rows__metadata.json": {"name": "rows", "altConnection": "acme"}}, "A409", "info", id="altConnection"
        ),
        pytest.param(
            {"connections__acme__metadata.json": {"name": "acme"}}, "A205", "warning", id="no connection type"
        ),
        pytest.param(
            {"rpcs__rows__metadata.json": {"name": "rows", "connection": "nope"}}, "A301", "error", id="broken link"
        ),
    ],
)
def test_exports_are_judged(changes: dict[str, Any], code: str, severity: str) -> None:
    """Each finding of the layout has its code and severity."""
    loaded = load_app(MemorySource(export(**changes)))

    assert (code, severity) in [(finding.code, finding.severity) for finding in loaded.findings]


def test_singular_folders_are_the_same() -> None:
    """Later releases write `module` and `connection`."""
    files = {path.replace("s/", "/", 1): data for path, data in export().items()}
    loaded = load_app(MemorySource(files))

    assert loaded.findings == ()
    assert loaded.app is not None
    assert list(loaded.app.modules) == ["listRows"]


def test_a_manifest_beside_an_export_wins() -> None:
    """Both layouts at one root: the manifest is used, and said so."""
    files = {
        **export(),
        "makecomapp.json": b'{"fileVersion": 1, "components": {}, "generalCodeFiles": {}, "origins": []}',
    }
    loaded = load_app(MemorySource(files))

    assert loaded.app is not None
    assert loaded.app.layout == "manifest"
    assert "A410" in codes(loaded.findings)


def test_an_export_is_stored_and_loaded_again() -> None:
    """The stored files give the same app and the same hash."""
    loaded = load_app(MemorySource(export()))
    again = load_app(MemorySource(loaded.files))

    assert loaded.app is not None
    assert again.app is not None
    assert loaded.app.hash == again.app.hash
