"""
The export folder layout (spec/app-format.md 10): real manifest apps written again as exports give equal components and
equal findings; every type, folder name and extension.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runtime.app.checker import check_app
from runtime.app.loader import LoadedApp, load_app
from runtime.app.roles import MODULE_TYPES
from runtime.app.source import MemorySource
from runtime.app.specs import App, CodeFile, FunctionSpec
from tests.conformance.test_corpus_apps import COUNTS, EXPORTS

#: Our field -> section of the export, for each kind (10.3).
SECTIONS = {
    "module": {
        "communication": "api", "static_params": "parameters", "mappable_params": "expect", "interface": "interface",
        "samples": "samples", "scope": "scope", "epoch": "epoch",
    },
    "connection": {
        "communication": "api", "params": "parameters", "default_scope": "scope", "scope_list": "scopes",
        "common": "common", "install_spec": "installSpec", "install_directives": "installDirectives",
    },
    "webhook": {
        "communication": "api", "params": "parameters", "attach": "attach", "detach": "detach", "update": "update",
        "required_scope": "scope",
    },
    "rpc": {"communication": "api", "params": "parameters"},
}  # fmt: skip
#: Findings about the files themselves, which a rewritten app does not share.
OF_LAYOUT = {
    "A202",
    "A204",
    "A205",
    "A206",
    "A209",
    "A214",
    "A215",
    "A216",
    "A303",
    "A304",
    "A405",
    "A406",
    "A409",
    "C112",
    "J506",
}


def as_export(app: App, *, plural: bool = True, extension: str = "imljson") -> dict[str, bytes]:
    """The files of an app in the export folder layout, section texts as they are in the manifest's files."""
    files: dict[str, bytes] = {
        "metadata.json": json.dumps({"name": app.name, "label": app.label, "version": app.version}).encode()
    }

    def write(path: str, file: CodeFile) -> None:
        if file.document is not None:
            files[path] = file.document.text.encode("utf-8")

    write(f"base.{extension}", app.base)
    write(f"groups.{extension}", app.groups)
    for kind, sections in SECTIONS.items():
        for spec in app.components(kind).values():
            folder = f"{kind}{'s' if plural else ''}/{spec.id}"
            metadata: dict[str, Any] = {"name": spec.id, "label": spec.label}
            for name in ("type", "description", "connection", "webhook"):
                if getattr(spec, name, None) is not None:
                    metadata[name] = getattr(spec, name)
            if getattr(spec, "alt_connection", None):
                metadata["altConnection"] = spec.alt_connection  # type: ignore[attr-defined]  asked above
            files[f"{folder}/metadata.json"] = json.dumps(metadata).encode()
            for name, section in sections.items():
                write(f"{folder}/{section}.{extension}", getattr(spec, name))
    for function in app.functions.values():
        folder = f"function{'s' if plural else ''}/{function.id}"
        files[f"{folder}/code.js"] = (function.code or "").encode()
    return files


def plain(spec: Any) -> dict[str, Any]:
    """A component without the paths and texts of its files."""
    skipped = {"file", "test_file", "crud", "problems", "code"}
    fields = {name: getattr(spec, name) for name in type(spec).model_fields if name not in skipped}
    return {name: getattr(value, "value", value) for name, value in fields.items()}


@pytest.fixture(scope="module")
def apps(shared: Path) -> dict[str, LoadedApp]:
    """The manifest apps of the corpus."""
    return {name: load_app(shared / "corpus" / "apps" / name) for name in COUNTS if name not in EXPORTS}


@pytest.mark.parametrize("name", [name for name in COUNTS if name not in EXPORTS])
@pytest.mark.parametrize(("plural", "extension"), [(True, "imljson"), (False, "iml.json"), (True, "json")])
def test_a_real_app_written_as_an_export_is_the_same(
    apps: dict[str, LoadedApp], name: str, plural: bool, extension: str
) -> None:
    """Labels, links and parsed code are equal, and `check` says the same about both."""
    listed = apps[name]
    assert listed.app is not None
    exported = load_app(MemorySource(as_export(listed.app, plural=plural, extension=extension)))

    assert exported.app is not None
    assert exported.app.layout == "export"
    assert (exported.app.name, exported.app.label) == (listed.app.name, listed.app.label)
    assert exported.app.base.value == listed.app.base.value
    for kind in (*SECTIONS, "function"):
        ours, theirs = exported.app.components(kind), listed.app.components(kind)
        assert set(ours) == set(theirs)
        for spec in theirs.values():
            if not spec.problems:
                assert plain(ours[spec.id]) == plain(spec)
    assert _findings(exported) == _findings(listed)


def _findings(loaded: LoadedApp) -> Counter[tuple[str, str, str]]:
    found = [item for item in check_app(loaded) if item.code not in OF_LAYOUT]
    return Counter((item.code, item.component, item.message) for item in found)


WHOLE: dict[str, Any] = {
    "metadata.json": {"name": "acme-app", "label": "Acme", "version": 2},
    "base.imljson": {"baseUrl": "https://api.acme.test", "log": {"sanitize": ["request.headers.authorization"]}},
    "groups.imljson": [{"label": "Rows", "modules": ["watchRows"]}],
    "README.md": b"# Acme",
    "assets/icon.png": b"\x89PNG",
    "connections/acme-464012/metadata.json": {"name": "acme-464012", "label": "Acme", "type": "oauth"},
    "connections/acme-464012/api.imljson": {"authorize": {"url": "https://acme.test/a"}},
    "connections/acme-464012/scope.imljson": ["read"],
    "connections/acme-464012/scopes.imljson": {"read": "Read rows"},
    "connections/acme-464012/parameters.imljson": b"// nothing here",
    "webhooks/acme-new/metadata.json": {"name": "acme-new", "label": "New", "type": "web", "connection": None},
    "webhooks/acme-new/api.imljson": {"output": "{{body}}"},
    "webhooks/acme-new/attach.imljson": {"url": "/hooks", "method": "POST", "body": {}},
    "webhooks/acme-new/scope.imljson": ["hooks"],
    "modules/newRow/metadata.json": {"name": "newRow", "label": "N", "type": "instant_trigger", "webhook": "acme-new"},
    "modules/answer/metadata.json": {"name": "answer", "label": "A", "typeId": 11, "connection": ""},
    "modules/answer/api.imljson": {"response": {"status": 200}},
    "modules/watchRows/metadata.json": {"name": "watchRows", "label": "W", "typeId": 1, "connection": "acme-464012"},
    "modules/watchRows/api.imljson": {
        "url": "/rows",
        "response": {
            "iterate": "{{body}}",
            "limit": 1,
            "trigger": {"id": "{{item.id}}", "type": "id", "order": "desc"},
        },
    },
    "modules/watchRows/epoch.imljson": {"response": {"output": {"label": "{{item.n}}", "date": "{{item.d}}"}}},
    "modules/watchRows/scope.imljson": [],
    "rpcs/rows/metadata.json": {"name": "rows", "label": "rows", "connection": "acme-464012"},
    "rpcs/rows/api.imljson": {"response": {"output": []}},
    "functions/addAll/code.js": b"function addAll() {}",
    "functions/addAll/test.js": b"it('adds', () => {})",
    "notes/anything.txt": b"ignored",
}


def whole(**changes: Any) -> LoadedApp:
    """The app above, with files replaced or (None) left out."""
    files = {**WHOLE, **changes}
    return load_app(
        MemorySource(
            {
                path: content if isinstance(content, bytes) else json.dumps(content).encode()
                for path, content in files.items()
                if content is not None
            }
        )
    )


def test_every_section_has_its_role() -> None:
    """Sections of all kinds, folders of generated ids, links that are null, empty or absent."""
    loaded = whole()
    app = loaded.app
    assert app is not None

    connection, hook = app.connections["acme-464012"], app.webhooks["acme-new"]
    assert (connection.type, connection.default_scope.value, connection.params.value) == ("oauth", ["read"], [])
    assert connection.scope_list.value == {"read": "Read rows"}
    assert (hook.connection, hook.attach.value["url"], hook.required_scope.value) == (None, "/hooks", ["hooks"])
    assert app.modules["newRow"].webhook == "acme-new"
    assert app.modules["newRow"].connection is None
    assert app.modules["answer"].connection is None
    assert app.modules["watchRows"].epoch.value["response"]["output"]["label"] == "{{item.n}}"
    function = app.functions["addAll"]
    assert isinstance(function, FunctionSpec)
    assert (function.code, function.test_file) == ("function addAll() {}", "functions/addAll/test.js")
    assert [item for item in loaded.findings if item.severity != "info"] == []


@pytest.mark.parametrize(("text", "number"), MODULE_TYPES.items())
@pytest.mark.parametrize("form", ["type", "typeId", "both"])
def test_every_module_type_as_text_and_as_number(text: str, number: int, form: str) -> None:
    """Alone or together, when they agree."""
    given = {"type": {"type": text}, "typeId": {"typeId": number}, "both": {"type": text, "typeId": number}}[form]
    metadata = {"name": "answer", "label": "A", **given, "webhook": "acme-new"}

    app = whole(**{"modules/answer/metadata.json": metadata}).app

    assert app is not None
    assert app.modules["answer"].type == text


@pytest.mark.parametrize("content", [None, b"", b"// later\n/* or never */", b"\xef\xbb\xbf"])
def test_a_section_that_says_nothing_is_empty(content: bytes | None) -> None:
    """Missing, empty, or comments alone: the empty content of the role."""
    app = whole(**{"modules/watchRows/scope.imljson": content, "webhooks/acme-new/attach.imljson": content}).app

    assert app is not None
    assert app.modules["watchRows"].scope.value == []
    assert app.webhooks["acme-new"].attach.value == {}


def test_a_module_without_its_request_is_an_error_and_the_others_load() -> None:
    """An instant trigger needs none."""
    loaded = whole(**{"modules/watchRows/api.imljson": None})

    assert loaded.app is not None
    assert {item.component for item in loaded.findings if item.severity == "error"} == {'module "watchRows"'}
    assert not loaded.app.modules["newRow"].problems


def test_a_folder_inside_of_an_export_leads_to_its_root(tmp_path: Path) -> None:
    """As with a manifest; a single folder in an unpacked archive is the root too."""
    for path, content in WHOLE.items():
        target = tmp_path / "unpacked" / "acme" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    for path in ("unpacked/acme", "unpacked/acme/modules/answer", "unpacked"):
        app = load_app(tmp_path / path).app
        assert app is not None, path
        assert app.name == "acme-app"
