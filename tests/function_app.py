"""An app whose modules and connection use custom JavaScript functions, for tests with real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Every way in which a function can be used: built-in helpers, other functions, dates and buffers in and out.
FUNCTIONS = {
    "greet": "function greet(name) { return iml.upper(name) + ' from ' + iml.city(); }",
    "city": "() => 'Prague'",
    "nextDay": "(date) => { const d = new Date(date); d.setUTCDate(d.getUTCDate() + 1); return d }",
    "reverseBytes": "(buffer) => Buffer.from([...buffer].reverse())",
    "zoned": "function (date) { return iml.formatDate(date, 'YYYY-MM-DD HH:mm') + ' ' + this.timezone }",
    "remember": "() => { globalThis.count = (globalThis.count || 0) + 1; leak = 1; return count }",
    "fails": "() => { throw new Error('no such thing') }",
    "endless": "() => { for (;;); }",
    "says": "(text) => { debug('key is', text); return iml.length(text) }",
    "version": "() => 1",
}
OUTPUT = {
    "greeting": "{{greet(parameters.name)}}",
    "day": "{{nextDay(parseDate('2024-02-28', 'YYYY-MM-DD'))}}",
    "bytes": "{{toString(reverseBytes(toBinary('abc')))}}",
    "zoned": "{{zoned(parseDate('2024-07-01T10:00:00Z'))}}",
    "count": "{{remember()}}",
    "version": "{{version()}}",
    "json": "{{createJSON(omit(body, 'count', 'items'))}}",
}


def write_function_app(folder: Path, port: int, **functions: str) -> Path:
    """The app `custom`; `functions` replace sources of `FUNCTIONS`."""
    sources = FUNCTIONS | functions
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, value: Any) -> str:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return name

    def module(name: str, output: Any) -> dict[str, Any]:
        communication = {"url": f"/{name}", "response": {"output": output}}
        return {
            "label": name, "description": "", "moduleType": "action", "moduleSubtype": "action", "connection": "key",
            "codeFiles": {
                "communication": write(f"code/{name}.imljson", communication),
                "mappableParams": write("code/fields.imljson", [{"name": "name", "type": "text", "label": "Name"}]),
                "staticParams": write("code/empty.imljson", []),
                "interface": "code/empty.imljson",
                "samples": write("code/samples.imljson", {}),
            },
        }  # fmt: skip

    connection = {
        "url": f"http://127.0.0.1:{port}/check",
        "headers": {"x-key": "{{greet(parameters.apiKey)}}"},
        "response": {"data": {"stamp": "{{greet(parameters.apiKey)}}"}},
    }
    outputs = {
        "all": OUTPUT,
        "fail": {"x": "{{fails()}}"},
        "hang": {"x": "{{endless()}}"},
        "say": {"length": "{{says(connection.apiKey)}}"},
        "stored": {"stamp": "{{length(connection.stamp)}}"},
        "absent": {"x": "{{absent()}}"},
    }
    key = {"name": "apiKey", "type": "password", "label": "Key", "required": True}
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {
            "base": write("base.imljson", {"baseUrl": f"http://127.0.0.1:{port}", "log": {"sanitize": []}})
        },
        "components": {
            "connection": {
                "key": {
                    "label": "Key",
                    "connectionType": "basic",
                    "codeFiles": {
                        "communication": write("code/key.imljson", connection),
                        "params": write("code/key.params.imljson", [key]),
                    },
                }
            },
            "module": {name: module(name, output) for name, output in outputs.items()},
            "function": {
                **{
                    name: {"codeFiles": {"code": write(f"functions/{name}.js", source)}}
                    for name, source in sources.items()
                },
                "absent": {"codeFiles": {"code": "functions/absent.js"}},
            },
        },
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": "custom", "appVersion": 1}],
    }
    write("makecomapp.json", manifest)
    return folder
