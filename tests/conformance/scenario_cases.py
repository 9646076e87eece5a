"""The cases of `scenario-cases.json`: reading them, and comparing what a run printed (spec/scenario-cases.md)."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

from tests.paths import SHARED

FILE = SHARED / "spec" / "scenario-cases.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []


def blueprint_bytes(case: dict[str, Any]) -> bytes:
    """The file of a case."""
    return json.dumps(case["blueprint"], ensure_ascii=False).encode()


def inputs(case: dict[str, Any]) -> dict[str, str]:
    """The inputs of a case as the command line gives them: texts, anything else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in (case.get("inputs") or {}).items()
    }


def refused(case: dict[str, Any]) -> bool:
    """True when the case expects that nothing runs."""
    expect = case["expect"]
    return expect.get("operations") == 0 and expect.get("steps") == [] and "error" in expect


def differences(case: dict[str, Any], printed: dict[str, Any]) -> list[str]:
    """What of a printed run is not as the case says; empty when all is."""
    expect = case["expect"]
    found: list[str] = []
    if printed["status"] != expect["status"]:
        found.append(f"status {printed['status']}, not {expect['status']} ({printed['error']})")
    found += _error(expect.get("error"), printed["error"])
    if "operations" in expect and printed["operations"] != expect["operations"]:
        found.append(f"{printed['operations']} operations, not {expect['operations']}")
    if "steps" in expect:
        found += _steps(expect["steps"], [step for step in printed["steps"] if step["status"] != "filtered"])
    for key in ("outputs", "stores"):
        if key in expect:
            found += [f"{key}{where}" for where in unequal(expect[key], printed.get(key))]
    return found


def _error(expected: dict[str, Any] | None, error: dict[str, Any] | None) -> list[str]:
    if expected is None or error is None:
        return [] if expected is error else [f"error {error}, not {expected}"]
    found: list[str] = []
    for key in ("type", "module"):
        if key in expected and error.get(key) != expected[key]:
            found.append(f"error.{key} {error.get(key)!r}, not {expected[key]!r}")
    if expected.get("message", "") not in error["message"]:
        found.append(f"error.message {error['message']!r} does not hold {expected['message']!r}")
    return found


def _steps(expected: list[Any], steps: list[dict[str, Any]]) -> list[str]:
    shown = [[step["module"], _outcome(step)] for step in steps]
    if len(shown) != len(expected):
        return [f"steps {json.dumps(shown)}, not {json.dumps(expected)}"]
    found: list[str] = []
    for number, ((module, wanted), (ran, outcome)) in enumerate(zip(expected, shown, strict=True), 1):
        if module != ran:
            found.append(f"step {number} is of module {ran}, not {module}")
        found += [f"step {number} (module {ran}){where}" for where in unequal(wanted, outcome)]
    return found


def _outcome(step: dict[str, Any]) -> Any:
    return {"$error": step["error"]["type"]} if step["status"] == "error" else step["output"]


def unequal(expected: Any, value: Any, place: str = "") -> list[str]:
    """Places where a printed value is not the expected one."""
    if isinstance(expected, dict):
        if expected == {"$any": True}:
            return []
        if list(expected) == ["$date"]:
            return [] if _instant(expected) == _instant(value) else [f"{place}: {value!r}, not {expected!r}"]
        if not isinstance(value, dict) or expected.keys() != value.keys():
            return [f"{place}: {value!r}, not {expected!r}"]
        return [where for key in expected for where in unequal(expected[key], value[key], f"{place}.{key}")]
    if isinstance(expected, list):
        if not isinstance(value, list) or len(value) != len(expected):
            return [f"{place}: {value!r}, not {expected!r}"]
        pairs = enumerate(zip(expected, value, strict=True))
        return [where for index, (one, other) in pairs for where in unequal(one, other, f"{place}[{index}]")]
    if _number(expected) and _number(value):
        return [] if math.isclose(expected, value, rel_tol=1e-12) else [f"{place}: {value!r}, not {expected!r}"]
    return [] if type(expected) is type(value) and expected == value else [f"{place}: {value!r}, not {expected!r}"]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, dict) or list(value) != ["$date"]:
        return None
    return datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))
