"""Names: what an app without origins is called, and how its connection is bound."""

from __future__ import annotations

import json
from pathlib import Path

from tests.servers import Answer, ScriptServer
from tests.spine import Scenarist, blueprint, step

FILES = {
    "makecomapp.json": {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json", "common": None, "readme": None, "groups": None},
        "components": {
            "connection": {
                "desk": {
                    "connectionType": "basic",
                    "codeFiles": {"communication": "connection.json", "params": "params.json"},
                }
            },
            "webhook": {},
            "rpc": {},
            "function": {},
            "endpoint": {},
            "module": {
                "read": {"moduleType": "action", "connection": "desk", "codeFiles": {"communication": "read.json"}}
            },
        },
        "origins": [],
    },
    "connection.json": {},
    "params.json": [{"name": "url", "type": "url"}],
    "base.json": {"baseUrl": "{{connection.url}}", "log": {"sanitize": ["request.headers.authorization"]}},
    "read.json": {"url": "/read"},
}


def test_an_app_without_origins_keeps_the_name_of_its_folder(tmp_path: Path, cli: Scenarist) -> None:
    """spec/app-format.md 2.1: without an origin the folder names the app, in the registry, the vault and in runs."""
    folder = tmp_path / "nodesk"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(json.dumps(content))
    flow = tmp_path / "flow.json"
    flow.write_text(json.dumps(blueprint("read", step(1, "nodesk:read"))))
    with ScriptServer([Answer(200, (("Content-Type", "application/json"),), b'{"id": 1}')]) as server:
        cli("app", "add", str(folder))
        cli("connection", "add", "nodesk", "desk", "--name", "main", "--param", f"url={server.url}")
        result = cli.json("run", str(flow), "--inline", "--connection", "nodesk=main")

    assert result["status"] == "success", result
    assert result["steps"][0]["output"] == [{"id": 1}]
