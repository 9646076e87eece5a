"""
Speed of `scenarist check`: the whole process on an app of 100 components, in seconds of CPU time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Longest time of the whole process.
TARGET_SECONDS = 1.0
MODULES = 80
RPCS = 18
ROUNDS = 3


def write_app(folder: Path) -> int:
    """An app of 100 components with forms, interfaces and expressions like those of real apps; its size in bytes."""
    size = 0

    def write(path: str, content: Any) -> str:
        nonlocal size
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=4)
        size += len(text)
        target.write_text(text, "utf-8")
        return path

    def component(kind: str, name: str, files: dict[str, Any], **fields: Any) -> dict[str, Any]:
        links = {role: write(f"{kind}s/{name}/{role}.iml.json", content) for role, content in files.items()}
        return {"label": f"The {name}", **fields, "codeFiles": links}

    inputs = [
        {"name": f"field{number}", "type": "text", "label": f"Field {number}", "help": "What stands in the field."}
        for number in range(20)
    ]
    options = [
        {"label": f"Kind {n}", "value": f"k{n}", "nested": [{"name": f"n{n}", "type": "date"}]} for n in range(10)
    ]
    choice = {"name": "kind", "type": "select", "label": "Kind", "options": options}
    body = {f"field{n}": f"{{{{ifempty(trim(parameters.field{n}), lower(parameters.kind))}}}}" for n in range(20)}
    output = {f"field{n}": f"{{{{parseDate(item.field{n}, 'YYYY-MM-DD')}}}}" for n in range(20)}
    limit = {"name": "limit", "type": "uinteger", "label": "Limit", "default": 10}
    request = {
        "url": "/rows/{{parameters.field0}}", "method": "POST", "body": body, "qs": {"limit": "{{parameters.limit}}"},
        "pagination": {"qs": {"page": "{{pagination.page}}"}},
        "response": {"iterate": "{{body.rows}}", "limit": "{{parameters.limit}}", "output": output},
    }  # fmt: skip
    modules = {
        f"listRows{number}": component(
            "module",
            f"listRows{number}",
            {
                "communication": request,
                "mappableParams": [*inputs, choice, limit],
                "interface": [{"name": f"field{n}", "type": "date", "label": f"Field {n}"} for n in range(20)],
                "samples": {f"field{n}": "2026-01-02T03:04:05.000Z" for n in range(20)},
            },
            moduleType="search",
            connection="acme",
        )
        for number in range(MODULES)
    }
    rpcs = {
        f"rows{number}": component(
            "rpc", f"rows{number}", {"communication": {"url": "/rows", "response": {"output": "{{body}}"}}}
        )
        for number in range(RPCS)
    }
    key = {"name": "apiKey", "type": "password", "label": "Key"}
    logged = {"log": {"sanitize": ["request.headers.authorization"]}}
    sent = {"headers": {"authorization": "Bearer {{connection.apiKey}}"}, **logged}
    acme = component(
        "connection", "acme", {"communication": {"url": "https://acme.test/me", **sent}, "params": [key]},
        connectionType="basic",
    )  # fmt: skip
    hook = component("webhook", "newRow", {"communication": {"output": "{{body}}"}}, webhookType="web")
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {
            "base": write("general/base.iml.json", {"baseUrl": "https://acme.test", **sent}),
            "common": None, "readme": None, "groups": None,
        },
        "components": {
            "connection": {"acme": acme}, "webhook": {"newRow": hook}, "module": modules, "rpc": rpcs, "function": {},
            "endpoint": {},
        },
        "origins": [],
    }  # fmt: skip
    write("makecomapp.json", manifest)
    return size


def seconds_of_check(folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of the best of some whole processes."""
    program = [sys.executable, "-c", "from workers.cli import main; raise SystemExit(main())", "check", str(folder)]
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(program, check=True, capture_output=True, env={**os.environ, "NO_COLOR": "1"})
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
        times.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall))
    return min(times)


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, figure, target)."""
    with tempfile.TemporaryDirectory() as name:
        size = write_app(Path(name))
        cpu, wall = seconds_of_check(Path(name))
    return [
        (f"checking 100 components ({size // 1000} kB), CPU of the process", f"{cpu:.2f} s", f"<= {TARGET_SECONDS} s"),
        ("checking 100 components, wall time", f"{wall:.2f} s", ""),
    ]


if __name__ == "__main__":
    for label, figure, target in run():
        print(f"{label:70} {figure:>10}  {target}")
