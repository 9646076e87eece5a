"""
Connections of built-in apps, written like those of any app: the keychains of `http` (spec/scenarios.md 4.5).

`scenarist connection add http basicauth` and `... http apikeyauth` make them.
"""

from __future__ import annotations

import json
from typing import Any, Final

_BASIC: Final = [
    {"name": "username", "type": "text", "label": "User name", "required": True},
    {"name": "password", "type": "password", "label": "Password"},
]
_KEY: Final = [
    {"name": "key", "type": "password", "label": "Key", "required": True},
    {
        "name": "placement",
        "type": "select",
        "label": "Place",
        "required": True,
        "default": "header",
        "options": [{"label": "In a header", "value": "header"}, {"label": "In the query", "value": "qs"}],
    },
    {"name": "name", "type": "text", "label": "Name of the header or query field", "required": True},
]


def _app(name: str, label: str, connections: dict[str, tuple[str, Any]]) -> dict[str, bytes]:
    files: dict[str, Any] = {"base.json": {}}
    components: dict[str, Any] = {}
    for component, (title, params) in connections.items():
        files[f"{component}.json"] = {}
        files[f"{component}.params.json"] = params
        components[component] = {
            "label": title,
            "connectionType": "basic",
            "codeFiles": {"communication": f"{component}.json", "params": f"{component}.params.json"},
        }
    files["makecomapp.json"] = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json"},
        "components": {"connection": components},
        "origins": [{"label": label, "baseUrl": "https://example.com/api", "appId": name, "appVersion": 1}],
    }
    return {path: json.dumps(value).encode() for path, value in files.items()}


#: Built-in apps that have connections: name -> the app's files.
APPS: Final[dict[str, dict[str, bytes]]] = {
    "http": _app("http", "HTTP", {"basicauth": ("Basic auth", _BASIC), "apikeyauth": ("API key", _KEY)}),
}
