"""Files to component objects: manifest, roles, links, paths, hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.app.loader import load_app
from runtime.app.source import FolderSource, MemorySource, SourceError, clean_path
from runtime.errors import InvalidConfigurationError
from tests.unit.app.apps import app_files, codes, component, load, module, only

GET = {"url": "/x", "response": {"output": "{{body}}"}}


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    """The manifest as data, to change it."""
    return json.loads(files["makecomapp.json"])


def with_manifest(files: dict[str, bytes], manifest: Any) -> MemorySource:
    """The files under another manifest."""
    return MemorySource({**files, "makecomapp.json": json.dumps(manifest).encode()}, label="folder")


def test_components_have_their_roles_labels_and_links() -> None:
    """A manifest gives typed components; absent roles hold their empty content."""
    loaded = load(
        module("listRows", GET, kind="search", mappableParams=[{"name": "limit", "type": "uinteger"}]),
        component("rpc", "rows", {"communication": GET}, connection="acme"),
        component("function", "addAll", {"code": b"function addAll(a) { return a; }"}),
        common={"region": "eu"},
    )
    app = loaded.app

    assert app is not None
    assert loaded.errors == ()
    assert (app.name, app.version, app.layout) == ("acme-app", 2, "manifest")
    assert app.common_values == {"region": "eu"}
    spec = app.modules["listRows"]
    assert (spec.type, spec.connection, spec.label) == ("search", "acme", "listRows")
    assert spec.communication.value == GET
    assert [] == spec.static_params.value == spec.interface.value == spec.scope.value
    assert {} == spec.samples.value == spec.epoch.value
    assert app.rpcs["rows"].connection == "acme"
    assert app.rpc("ROWS") is app.rpcs["rows"]
    assert app.functions["addAll"].code == "function addAll(a) { return a; }"


def test_component_objects_do_not_change() -> None:
    """A loaded app is immutable: workers share it."""
    app = load(module("listRows", GET)).app

    assert app is not None
    with pytest.raises(ValueError, match="frozen"):
        app.name = "other"  # type: ignore[misc]  that it cannot be set is the point


def test_values_of_common_do_not_show() -> None:
    """The representation of an app, which may land in an exception, holds no value of its files."""
    loaded = load(module("listRows", GET), common={"clientSecret": "s3cr3t-value"})

    assert "s3cr3t-value" not in repr(loaded)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"// nothing\n/* at all */", id="comments only"),
        pytest.param(b"", id="empty file"),
        pytest.param(b"null", id="null"),
        pytest.param(None, id="null role"),
    ],
)
def test_a_role_with_nothing_in_it_has_its_empty_content(content: Any) -> None:
    """Empty files and null roles are the same as no file."""
    app = load(module("listRows", GET, mappableParams=content, samples=content)).app

    assert app is not None
    assert app.modules["listRows"].mappable_params.value == []
    assert app.modules["listRows"].samples.value == {}
    assert not app.modules["listRows"].problems


def test_one_broken_file_breaks_its_component_only() -> None:
    """The component is loaded with its problem and refused when used; all findings come at once."""
    loaded = load(
        module("broken", b'{"url": }'), module("listRows", GET), module("alsoBroken", GET, mappableParams=b"[{,]")
    )
    app = loaded.app

    assert app is not None
    assert codes(loaded.errors) == ["J501", "J501"]
    assert not app.modules["listRows"].problems
    app.modules["listRows"].require_usable()
    for name in ("broken", "alsoBroken"):
        with pytest.raises(InvalidConfigurationError, match="cannot be parsed"):
            app.modules[name].require_usable()


def test_a_broken_base_refuses_everything_that_inherits_from_it() -> None:
    """Without Base a request would go out without its headers, or nowhere."""
    app = load(module("listRows", GET), base=b"{").app

    assert app is not None
    assert "file of the app itself" in app.modules["listRows"].problems[0]


def test_broken_links_are_listed_together() -> None:
    """Each unresolved reference is one error that names what is known."""
    loaded = load(
        component("module", "listRows", {"communication": GET}, moduleType="action", connection="nope"),
        component("module", "watchRows", {}, moduleType="instant_trigger", connection="acme", webhook="gone"),
        component("module", "watchMore", {}, moduleType="instant_trigger", connection="acme"),
        component("rpc", "rows", {"communication": GET}, altConnection="other"),
    )

    assert codes(loaded.errors) == ["A301"] * 4
    assert 'connection "nope" does not exist (known: acme)' in [f.message for f in loaded.errors]


def test_an_instant_trigger_has_the_connection_of_its_webhook() -> None:
    """It inherits where it names none; two different ones are a warning."""
    hook = component(
        "webhook", "newRow", {"communication": {"output": "{{body}}"}}, webhookType="web", connection="acme"
    )
    other = component("connection", "beta", {"communication": {}}, connectionType="basic")
    acme = component("connection", "acme", {"communication": {}}, connectionType="basic")
    inherits = component("module", "watchRows", {}, moduleType="instant_trigger", webhook="newRow")
    differs = component("module", "watchMore", {}, moduleType="instant_trigger", webhook="newRow", connection="beta")
    loaded = load(acme, other, hook, inherits, differs)

    assert loaded.app is not None
    assert loaded.app.modules["watchRows"].connection == "acme"
    assert loaded.app.modules["watchMore"].connection == "beta"
    assert only(list(loaded.findings), "A304").severity == "warning"


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        pytest.param({"fileVersion": 2}, "A212", "error", id="other version"),
        pytest.param({"fileVersion": None}, "A212", "warning", id="no version"),
        pytest.param({"//": "note"}, "A211", "warning", id="unknown key"),
        pytest.param({"generalCodeFiles": []}, "A202", "warning", id="general files as a list"),
        pytest.param({"generalCodeFiles": {"base": None}}, "A202", "info", id="general files left out"),
        pytest.param({"origins": {}}, "A213", "warning", id="origins as an object"),
        pytest.param({"origins": [{"appId": "No Good"}]}, "A213", "warning", id="bad app name"),
        pytest.param({"components": {}}, None, None, id="no kinds"),
        pytest.param({"components": None}, "A102", "error", id="no components"),
        pytest.param({"components": []}, "A203", "error", id="components as a list"),
        pytest.param({"components": {"module": [{"name": "x"}]}}, "A203", "error", id="component lists"),
        pytest.param({"components": {"module": {"abc": None}}}, "A215", "info", id="reserved id"),
        pytest.param({"components": {"module": {"abc": 7}}}, "A209", "error", id="component is a number"),
        pytest.param({"components": {"modules": {}}}, "A211", "warning", id="unknown kind"),
        pytest.param({"components": {"module": {"1a!": {"codeFiles": {}}}}}, "A210", "error", id="bad id"),
        pytest.param({"components": {"connection": {"acme-1": {"codeFiles": {}}}}}, "A205", "warning", id="no type"),
        pytest.param({"components": {"module": {"abc": {"codeFiles": {}}}}}, "A209", "error", id="no module type"),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"communication": 1}}}}}, "A209", "error", id="path is no text"
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"params": "no.json"}}}}}, "A206", "error", id="missing file"
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"params": "../x.json"}}}}}, "A207", "error", id="outside"
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"params": "/etc/passwd"}}}}}, "A207", "error", id="absolute"
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"meta": "general/base.iml.json"}}}}},
            "A204",
            "error",
            id="unknown role",
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"codeFiles": {"api": "general/base.iml.json"}}}}},
            "A204",
            "warning",
            id="online role",
        ),
        pytest.param(
            {"components": {"rpc": {"abc": {"extra": 1, "codeFiles": {}}}}}, "A211", "warning", id="unknown field"
        ),
        pytest.param(
            {"components": {"rpc": {"abcd": {"codeFiles": {}}, "ABCD": {"codeFiles": {}}}}},
            "A210",
            "warning",
            id="only case differs",
        ),
    ],
)
def test_manifests_are_judged(change: dict[str, Any], code: str | None, severity: str | None) -> None:
    """Each rule of the manifest has its code and severity."""
    files = app_files()
    manifest = {**manifest_of(files), **change}
    loaded = load_app(with_manifest(files, {key: value for key, value in manifest.items() if value is not None}))
    found = [finding for finding in loaded.findings if finding.severity != "info" or finding.code == code]

    if code is None:
        assert loaded.findings == ()
    else:
        assert (code, severity) in [(finding.code, finding.severity) for finding in found]


def test_online_role_names_are_taken_where_the_proper_role_is_absent() -> None:
    """`parameters` counts as the static list beside `mappableParams`; where both are there the proper one counts."""
    loaded = load(
        component(
            "module", "listRows", {"api": GET, "parameters": [{"name": "a"}], "expect": [{"name": "b"}]},
            moduleType="action",
        ),
        component("module", "getRow", {"api": {}, "communication": GET}, moduleType="action"),
    )  # fmt: skip
    app = loaded.app

    assert app is not None
    assert app.modules["listRows"].static_params.value == [{"name": "a"}]
    assert app.modules["listRows"].mappable_params.value == [{"name": "b"}]
    assert app.modules["getRow"].communication.value == GET
    assert codes(loaded.findings) == ["A204"] * 4


def test_old_module_subtype_is_read() -> None:
    """The official migration: `moduleSubtype` was renamed."""
    app = load(component("module", "listRows", {"communication": GET}, moduleSubtype="search")).app

    assert app is not None
    assert app.modules["listRows"].type == "search"


def test_an_origin_gives_name_version_and_aliases() -> None:
    """The first origin counts, or the one of a label; remote names lead to local ids."""
    files = app_files(module("listRows", GET))
    mapping = {"module": [{"local": "listRows", "remote": "ListAll"}, {"local": "gone", "remote": "x"}]}
    origins = [
        {"label": "One", "appId": "acme-one", "appVersion": 1},
        {"label": "Two", "appId": "acme-two", "appVersion": 3, "idMapping": mapping},
    ]
    source = with_manifest(files, {**manifest_of(files), "origins": origins})
    first, second = load_app(source), load_app(source, origin="Two")

    assert first.app is not None
    assert second.app is not None
    assert (first.app.name, first.app.version) == ("acme-one", 1)
    assert (second.app.name, second.app.version) == ("acme-two", 3)
    assert second.app.module("ListAll") is second.app.modules["listRows"]
    assert codes(second.findings) == ["A214"]
    assert codes(load_app(source, origin="Three").errors) == ["A213"]


def test_without_an_origin_the_folder_names_the_app() -> None:
    """An empty list of origins is normal."""
    files = app_files(module("listRows", GET), origins=[])
    app = load_app(MemorySource(files, label="my-folder")).app

    assert app is not None
    assert app.name == "my-folder"


def test_the_operator_wins_over_the_common_file() -> None:
    """Values from outside are laid over the file's and are not part of the hash."""
    source = MemorySource(app_files(common={"a": 1, "b": 2}))
    plain, given = load_app(source), load_app(source, common={"b": 3, "c": 4})

    assert plain.app is not None
    assert given.app is not None
    assert given.app.common_values == {"a": 1, "b": 3, "c": 4}
    assert plain.app.hash == given.app.hash


def test_the_hash_is_that_of_the_linked_files() -> None:
    """Same files, same hash; one changed byte in any of them changes it; unlinked files do not count."""
    files = app_files(module("listRows", GET), component("function", "addAll", {"code": b"x", "test": b"y"}))
    loaded = load_app(MemorySource(files))
    again = load_app(MemorySource(loaded.files))

    assert loaded.app is not None
    assert again.app is not None
    assert loaded.app.hash == again.app.hash
    assert list(loaded.files) == sorted(loaded.files)
    unchanged = {**files, "notes.md": b"z", "functions/addAll/test.iml.json": b"changed"}
    assert getattr(load_app(MemorySource(unchanged)).app, "hash", "") == loaded.app.hash
    hashes = {
        getattr(load_app(MemorySource({**files, path: files[path] + b" "})).app, "hash", "") for path in loaded.files
    }
    assert len(hashes - {loaded.app.hash}) == len(loaded.files)


def test_a_missing_function_body_is_no_error() -> None:
    """The function is there, and a call of it fails; the rest of the app works."""
    files = app_files(component("function", "addAll", {"code": b"x"}))
    del files["functions/addAll/code.iml.json"]
    loaded = load_app(MemorySource(files))

    assert loaded.app is not None
    assert loaded.errors == ()
    assert loaded.app.functions["addAll"].code is None


@pytest.mark.parametrize(
    ("kind", "communication", "problem"),
    [
        ("basic", [{"url": "https://a.test"}, {"url": "https://b.test"}], "only a single request (found 2)"),
        ("basic", {"url": "https://a.test", "aws": {}}, "aws is not available in a connection"),
        ("oauth", {"token": {"aws": {}}}, "aws is not available in a connection"),
        ("basic", [{"url": "https://a.test", "response": {"output": "left over"}}], None),
    ],
)
def test_connections_that_cannot_work_are_refused_when_used(kind: str, communication: Any, problem: str | None) -> None:
    """Only `aws` and a second request refuse a connection; other leftovers are ignored."""
    app = load(component("connection", "acme", {"communication": communication}, connectionType=kind)).app

    assert app is not None
    assert bool(problem) == bool(app.connections["acme"].problems)
    if problem:
        with pytest.raises(InvalidConfigurationError) as raised:
            app.connections["acme"].require_usable()
        assert problem in raised.value.message


@pytest.mark.parametrize("path", ["", "..", "a/../../b", "/a", "C:/a", "a\\b", "a\0b", "../app/x"])
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    """A path of an app is relative and stays inside."""
    with pytest.raises(SourceError):
        clean_path(path)


def test_clean_paths_are_short() -> None:
    """Detours inside of the root are taken out."""
    assert clean_path("./a//b/../c.json") == "a/c.json"


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    """A symbolic link may point inside of the app, never out; a folder is no file."""
    (tmp_path / "secret").write_text("s")
    root = tmp_path / "app"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "file").write_text("f")
    (root / "good").symlink_to(root / "inner" / "file")
    (root / "bad").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    source = FolderSource(root)

    assert source.read("good") == b"f"
    for path, trouble in (("bad", "outside"), ("up/secret", "outside"), ("inner", "missing"), ("none", "missing")):
        with pytest.raises(SourceError) as raised:
            source.read(path)
        assert trouble == raised.value.trouble


def test_a_readme_may_lie_outside(tmp_path: Path) -> None:
    """It is never read, so its path does not matter."""
    files = app_files(module("listRows", GET))
    manifest = manifest_of(files)
    manifest["generalCodeFiles"]["readme"] = "../README.md"

    assert load_app(with_manifest(files, manifest)).findings == ()


def write(root: Path, files: dict[str, bytes]) -> None:
    """Put the files on disk."""
    for path, data in files.items():
        target = root.joinpath(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def test_a_path_inside_of_an_app_leads_to_its_root(tmp_path: Path) -> None:
    """A component file or folder means the nearest manifest above it."""
    write(tmp_path / "repo" / "app", app_files(module("listRows", GET)))
    inside = tmp_path / "repo" / "app" / "modules" / "listRows"

    for path in (tmp_path / "repo" / "app", inside, inside / "communication.iml.json"):
        app = load_app(path).app
        assert app is not None
        assert list(app.modules) == ["listRows"]


SECTION = b'{"url": "/x"}'


@pytest.mark.parametrize(
    ("files", "code", "name"),
    [
        pytest.param({"readme.txt": b""}, "A100", "no Make app here", id="nothing"),
        pytest.param(
            {"modules/a/api.imljson": SECTION, "general.json": b"{}"}, "A101", "no manifest", id="no manifest"
        ),
        pytest.param({"makecomapp.json": b'{"origins": []}'}, "A102", "no manifest", id="origins only"),
        pytest.param({"module.a.api.imljson": SECTION, "base.imljson": b"{}"}, "A103", "flat files", id="flat"),
        pytest.param({"modules/a.imljson": b'{"communication": {}}'}, "A104", "one file per component", id="one file"),
        pytest.param({"makecomapp.json": b'{"components": {"module": [{}]}}'}, "A203", "component lists", id="lists"),
    ],
)
def test_other_layouts_are_named_and_refused(tmp_path: Path, files: dict[str, bytes], code: str, name: str) -> None:
    """Each refused layout has its code, its name in the message and a way out; nothing of it is loaded."""
    write(tmp_path, files)
    loaded = load_app(tmp_path)
    finding = next(finding for finding in loaded.findings if finding.severity == "error")

    assert loaded.app is None
    assert loaded.files == {}
    assert code == finding.code
    assert name in finding.message
    assert code == "A100" or finding.hint


def test_an_archive_is_refused(tmp_path: Path) -> None:
    """A zip must be unpacked first."""
    (tmp_path / "app.zip").write_bytes(b"PK")

    assert load_app(tmp_path / "app.zip").findings[0].hint == "unpack the archive first"


def test_comments_in_the_manifest_are_taken_with_a_warning() -> None:
    """The official tool reads it as strict JSON."""
    files = app_files()
    files["makecomapp.json"] = b"// note\n" + files["makecomapp.json"]
    loaded = load_app(MemorySource(files))

    assert loaded.app is not None
    assert codes(loaded.findings) == ["J506"]
