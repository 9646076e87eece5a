"""Small apps of our own, as files in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from runtime.app.checker import check_app
from runtime.app.findings import Finding
from runtime.app.loader import LoadedApp, load_app
from runtime.app.source import MemorySource

BASE: dict[str, Any] = {"baseUrl": "https://api.acme.test", "log": {"sanitize": ["request.headers.authorization"]},
                        "headers": {"authorization": "Bearer {{connection.apiKey}}"}}  # fmt: skip
CONNECTION: dict[str, Any] = {
    "url": "https://api.acme.test/me",
    "headers": {"authorization": "Bearer {{parameters.apiKey}}"},
    "log": {"sanitize": ["request.headers.authorization"]},
}
PARAMS: list[Any] = [{"name": "apiKey", "type": "password", "label": "Key", "required": True}]


def component(kind: str, local: str, files: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One component: its fields and the content of its roles."""
    return {"kind": kind, "id": local, "files": files, "fields": fields}


def module(local: str, communication: Any, *, kind: str = "action", **files: Any) -> dict[str, Any]:
    """A module with the connection `acme`."""
    return component("module", local, {"communication": communication, **files}, moduleType=kind, connection="acme")


def app_files(*components: dict[str, Any], base: Any = None, common: Any = None, **root: Any) -> dict[str, bytes]:
    """
    The files of an app in the manifest layout: a connection `acme`, and these components.

    Content that is bytes is written as it is, anything else as JSON.
    """
    files: dict[str, bytes] = {}

    def write(path: str, content: Any) -> str:
        files[path] = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
        return path

    every = list(components)
    if not any(item["kind"] == "connection" for item in every):
        acme = {"communication": CONNECTION, "params": PARAMS}
        every.insert(0, component("connection", "acme", acme, connectionType="basic"))
    kinds: dict[str, Any] = {kind: {} for kind in ("connection", "webhook", "module", "rpc", "function", "endpoint")}
    for item in every:
        links = {
            role: None if content is None else write(f"{item['kind']}s/{item['id']}/{role}.iml.json", content)
            for role, content in item["files"].items()
        }
        kinds[item["kind"]][item["id"]] = {"label": item["id"], **item["fields"], "codeFiles": links}
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {
            "base": write("general/base.iml.json", BASE if base is None else base),
            "common": None if common is None else write("general/common.json", common),
            "groups": None,
            "readme": None,
        },
        "components": kinds,
        "origins": [{"label": "One", "baseUrl": "https://eu1.make.test/api", "appId": "acme-app", "appVersion": 2}],
        **root,
    }
    write("makecomapp.json", manifest)
    return files


def load(*components: dict[str, Any], **settings: Any) -> LoadedApp:
    """The loaded app of these components."""
    return load_app(MemorySource(app_files(*components, **settings), label="folder"))


def check(
    *components: dict[str, Any], strict: bool = False, wanted: Sequence[str] = (), **settings: Any
) -> list[Finding]:
    """All findings about an app of these components."""
    return check_app(load(*components, **settings), strict=strict, wanted=wanted)


def codes(findings: Any, severity: str | None = None) -> list[str]:
    """The codes of findings, of one severity or all."""
    return [finding.code for finding in findings if severity is None or finding.severity == severity]


def only(findings: list[Finding], code: str) -> Finding:
    """The one finding of a code."""
    found = [finding for finding in findings if finding.code == code]

    assert len(found) == 1, [finding.text() for finding in findings]
    return found[0]
