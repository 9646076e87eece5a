"""
A search in a real scenario, through the ledger, in a process of its own: its memory does not grow with the records.
`SCENARIST_LONG=1` (`make long`) goes from 100,000 to a million.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

SMALL, LARGE = (100_000, 1_000_000) if os.environ.get("SCENARIST_LONG") else (20_000, 200_000)
#: Runs the scenario once and prints the number of its bundles and the most memory that the process took, in KiB.
PROGRAM = """
import resource, sys
from pathlib import Path
from workers.service import open_service
from workers.settings import load_settings

with open_service(load_settings()) as service:
    service.apps.add(Path(sys.argv[1]))
    imported = service.scenarios.import_(Path(sys.argv[2]).read_bytes())
    runner = service.runner
    from workers import imports
    request = imports.scenario_request(runner, runner.library.scenarios.get(imported.row.id), None, None)
    header = runner.runs.create(request)
    state = runner.take(runner.runs.claim(header.id, header.fence), park=False)
    print(state, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def app_folder(folder: Path, url: str) -> Path:
    """An app with one search over pages of 500 records."""
    folder.mkdir()
    search = {
        "url": url + "/records", "qs": {"page": "{{pagination.page}}", "total": "{{parameters.total}}", "size": 500},
        "pagination": {"qs": {"page": "{{pagination.page}}"}, "condition": "{{body.more}}"},
        "response": {"iterate": "{{body.items}}", "output": {"id": "{{item.id}}", "mail": "{{lower(item.mail)}}"}},
    }  # fmt: skip
    code = {"communication": "c.json", "mappableParams": "p.json"}
    module = {"label": "Records", "moduleType": "search", "codeFiles": code}
    components: dict[str, object] = {kind: {} for kind in ("connection", "webhook", "rpc", "function", "endpoint")}
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": None, "common": None, "readme": None, "groups": None},
        "components": {**components, "module": {"records": module}},
        "origins": [{"label": "x", "baseUrl": "https://example.com/api", "appId": "many", "appVersion": 1}],
    }
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    (folder / "c.json").write_text(json.dumps(search))
    (folder / "p.json").write_text(json.dumps([{"name": "total", "type": "uinteger"}]))
    return folder


def most_memory(folder: Path, url: str, total: int) -> int:
    """The most memory of a process that searches so many records in a scenario, in KiB."""
    folder.mkdir()
    flow = [{"id": 1, "module": "many:records", "version": 1, "parameters": {}, "mapper": {"total": total}}]
    (folder / "flow.json").write_text(json.dumps({"name": "N", "flow": flow, "metadata": {"version": 1}}))
    home = folder / "home"
    home.mkdir(mode=0o700)
    caps = {
        f"SCENARIST_MAX_{name}": "10000000" for name in ("REQUEST_COUNT", "PAGINATION_REQUEST_COUNT", "PAST_RECORDS")
    }
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        "SCENARIST_HOME": str(home), "SCENARIST_ALLOW_NETS": "127.0.0.0/8", "SCENARIST_FSYNC": "everysec",
        "SCENARIST_RUN_BYTES": str(4 << 30), **caps,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(app_folder(folder / "app", url)), str(folder / "flow.json")],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    state, memory = done.stdout.split()
    assert state == "success", done.stdout + done.stderr
    return int(memory)


def test_memory_of_a_scenario_does_not_grow_with_the_records(tmp_path: Path) -> None:
    """Ten times the records: the process that runs the search takes at most a fifth more."""
    from bench.communication import service

    with service() as url:
        small = most_memory(tmp_path / "small", url, SMALL)
        large = most_memory(tmp_path / "large", url, LARGE)

    assert large <= small * 1.2, f"{small} KiB, then {large} KiB"
