"""
From files to component objects (spec/app-format.md 5).

The layout stands in front: its reader makes an `AppDraft`, everything behind is the same for every layout. All
findings are collected; a broken file or reference breaks its component only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.app.assemble import Assembler
from runtime.app.draft import AppDraft
from runtime.app.export import read_export
from runtime.app.findings import Finding, sorted_findings
from runtime.app.layout import Refusal, find_root, recognise
from runtime.app.manifest import read_manifest
from runtime.app.report import Report
from runtime.app.source import AppSource, FolderSource
from runtime.app.specs import App


@dataclass(frozen=True)
class LoadedApp:
    """
    What came of loading. `app` is None when the folder is no app or is refused; `files` (path -> bytes, in path
    order) is what the hash covers and what a registry stores.
    """

    app: App | None
    findings: tuple[Finding, ...]
    files: dict[str, bytes] = field(repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings of severity `error`."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def load_app(
    source: AppSource | Path, *, origin: str | None = None, common: Mapping[str, Any] | None = None
) -> LoadedApp:
    """
    Load an app.

    Args:
        source: A folder or file on disk (the nearest app root at or above it is meant), or any `AppSource`.
        origin: Label of the origin whose name, version and id mapping count; the first one without it.
        common: Values of the operator, over those of the app's common file (5.7). Not part of the hash.

    Returns:
        The app and all findings. Nothing is raised for a bad app: `app` is None when nothing can be loaded, and
        components that are broken have `problems`.
    """
    report = Report()
    if isinstance(source, Path):
        root = find_root(source)
        if isinstance(root, Refusal):
            return _refused(root)
        source = FolderSource(root)
    layout = recognise(source)
    if isinstance(layout, Refusal):
        return _refused(layout)
    if layout == "manifest":
        draft = read_manifest(source, report, origin=origin)
    else:
        draft = read_export(source, report)
    if draft is None:
        return LoadedApp(None, tuple(sorted_findings(report.findings)), {})
    assembler = Assembler(source, draft, report)
    components = assembler.components()
    files = dict(sorted({**draft.declared, **assembler.files}.items()))
    app = _app(draft, assembler, components, content_hash(files), common or {})
    return LoadedApp(app, tuple(sorted_findings(report.findings)), files)


def content_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the files in path order, each with its path; sizes are in it, so no two sets share a text (5.8)."""
    digest = hashlib.sha256()
    for path in sorted(files):
        name = path.encode("utf-8", "surrogatepass")
        digest.update(b"%d %d\n" % (len(name), len(files[path])))
        digest.update(name)
        digest.update(files[path])
    return digest.hexdigest()


def _refused(refusal: Refusal) -> LoadedApp:
    finding = Finding("error", refusal.code, refusal.message, refusal.file, hint=refusal.hint)
    return LoadedApp(None, (finding,), {})


def _app(
    draft: AppDraft, assembler: Assembler, components: dict[str, dict[str, Any]], digest: str, common: Mapping[str, Any]
) -> App:
    file = assembler.general["common"]
    return App(
        name=draft.name,
        version=draft.version,
        label=draft.label,
        hash=digest,
        layout=draft.layout,
        base=assembler.general["base"],
        common=file,
        common_values={**(file.value if isinstance(file.value, dict) else {}), **common},
        groups=assembler.general["groups"],
        connections=components["connection"],
        webhooks=components["webhook"],
        modules=components["module"],
        rpcs=components["rpc"],
        functions=components["function"],
        endpoints=components["endpoint"],
        aliases=draft.aliases,
    )
