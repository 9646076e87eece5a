"""
Runs one case of `comm-cases.json` from outside, as comm-cases.md section 5 maps it: an app folder, and the commands
`connection add`, `connection show`, `module run` and `rpc run`. What only shows inside a process (clock, waits) is left
out.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.values import UNDEFINED, date_text
from tests.conformance.comm_runner import (
    Json,
    Servers,
    answer_of,
    error_differences,
    log_differences,
    request_differences,
    value_of,
)
from workers.cli import output
from workers.cli.root import run as run_command

#: Runs one command: its arguments and standard input; gives exit code, standard output and standard error.
Command = Callable[..., tuple[int, str, str]]
#: Longer waits of `repeat` are not waited for here.
LONGEST_WAIT_MS = 50


def in_process(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """A command in this process, as a process of its own would run it: nothing is known from the last one."""
    out, errors, before = io.StringIO(), io.StringIO(), sys.stdin
    output.forget_secrets()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8")), "utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            code = run_command(list(arguments))
    finally:
        sys.stdin = before
    return code, out.getvalue(), errors.getvalue()


@dataclass
class Told:
    """What the commands of a case told."""

    bundles: list[Any] = field(default_factory=list)
    error: Json | None = None
    exchanges: list[Json] = field(default_factory=list)
    connection: Json | None = None
    state: Json | None = None
    everything: str = ""


def needs_inside(case: Json) -> str:
    """Why a case cannot be tried from outside; empty when it can."""
    if "now" in case:
        return "the clock is injected"
    if any(delay > LONGEST_WAIT_MS for delay in case["expect"].get("delays", ())):
        return "the wait is injected"
    return ""


def make_app(case: Json, folder: Path) -> Path:
    """The app folder of a case."""
    kind = case["kind"]
    fields = case.get("params")
    if fields is None:
        fields = [{"name": name, "type": "any"} for name in case.get("parameters", {})]
    components: Json = {name: {} for name in ("connection", "webhook", "module", "rpc", "function", "endpoint")}
    files: Json = {"general/base.json": case.get("base", {})}
    if kind == "connection":
        files |= {"c.json": case["communication"], "p.json": fields, "k.json": case.get("common", {})}
        components["connection"]["case"] = {
            "label": "case",
            "connectionType": "basic",
            "codeFiles": {"communication": "c.json", "params": "p.json", "common": "k.json"},
        }
        files["data.json"] = {"response": {"output": {"data": "{{connection}}"}}}
        components["module"]["readData"] = {
            "label": "data",
            "moduleType": "action",
            "connection": "case",
            "codeFiles": {"communication": "data.json"},
        }
    else:
        files |= {"general/common.json": case.get("common", {}), "c.json": case["communication"], "p.json": fields}
        own: Json = {"label": "case", "connection": "account" if "connection" in case else None}
        if kind == "rpc":
            components["rpc"]["case"] = own | {"codeFiles": {"communication": "c.json", "params": "p.json"}}
        else:
            code = {"communication": "c.json", "staticParams" if kind == "trigger" else "mappableParams": "p.json"}
            if "epoch" in case:
                files["e.json"] = case["epoch"]
                code["epoch"] = "e.json"
            components["module"]["case"] = own | {"moduleType": kind, "codeFiles": code}
        if "connection" in case:
            files |= {"a.json": {}, "ap.json": [{"name": name, "type": "any"} for name in case["connection"]]}
            components["connection"]["account"] = {
                "label": "account",
                "connectionType": "basic",
                "codeFiles": {"communication": "a.json", "params": "ap.json"},
            }
    general = {"base": "general/base.json", "common": None, "readme": None, "groups": None}
    if "general/common.json" in files:
        general["common"] = "general/common.json"
    manifest = {"fileVersion": 1, "generalCodeFiles": general, "components": components, "origins": []}
    files["makecomapp.json"] = manifest
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return folder


def run_outside(case: Json, servers: Servers, folder: Path, command: Command = in_process) -> Told:
    """Run a case whose addresses are filled in."""
    app = str(make_app(case, folder / "app"))
    name, kind, told = f"of-{case['id']}", case["kind"], Told()
    answers = [answer_of(data) for data in case.get("responses", [])]
    given = json.dumps(case.get("parameters", {}), ensure_ascii=False)

    def call(*arguments: str, stdin: str = "") -> Json:
        code, out, errors = command(*arguments, "--json", stdin=stdin)
        told.everything += out + errors
        assert "Traceback" not in errors, errors
        text = out if out.strip() else errors
        assert text.strip(), f"{arguments}: exit code {code} without a word"
        return json.loads(text)

    servers.script.reset(answers)
    if kind == "connection":
        added = call("connection", "add", app, "case", "--name", name, "--params", "-", stdin=given)
        told.error = added.get("error")
        if told.error is None:
            told.connection = call("connection", "show", name)
            shown = call("module", "run", app, "readData", "--connection", name)
            assert shown["error"] is None, shown
            told.connection["data"] = shown["bundles"][0].get("data", {})
        return told
    more = ["--trace", "--params", "-"]
    if "connection" in case:
        account = call(
            "connection", "add", app, "account", "--name", name, "--params", "-", stdin=json.dumps(case["connection"])
        )
        assert "error" not in account, account
        more += ["--connection", name]
    if "state" in case or "state" in case["expect"]:
        state = folder / "state.json"
        if "state" in case:
            state.write_text(json.dumps(case["state"]), "utf-8")
        more += ["--state", str(state)]
    if "start" in case:
        more += ["--start", json.dumps(case["start"])]
    if case.get("run") == "epoch":
        more += ["--epoch"]
    report = call("rpc" if kind == "rpc" else "module", "run", app, "case", *more, stdin=given)
    told.error, told.bundles = report["error"], report.get("bundles", [])
    told.exchanges = report.get("exchanges", [])
    if "--state" in more and (folder / "state.json").exists():
        told.state = json.loads((folder / "state.json").read_text("utf-8"))
    return told


def same_shown(expected: Any, actual: Any) -> bool:
    """Equality of a value of a case and what a command printed."""
    if isinstance(expected, dict) and expected.keys() == {"$date"}:
        return actual in (expected, {"$date": date_text(value_of(expected))}, date_text(value_of(expected)))
    if isinstance(expected, dict) and expected.keys() == {"$buffer"}:
        wanted = value_of(expected).data
        return (
            isinstance(actual, dict)
            and actual.get("$buffer") == hashlib.sha256(wanted).hexdigest()
            and actual.get("size") == len(wanted)
        )
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return False
        wanted = {key: value for key, value in expected.items() if value != {"$undefined": True}}
        return wanted.keys() == actual.keys() and all(same_shown(value, actual[key]) for key, value in wanted.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(expected) == len(actual) and all(map(same_shown, expected, actual))
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, (int, float)) and isinstance(actual, (int, float)):
        return expected == actual
    return type(expected) is type(actual) and expected == actual


def outside_differences(case: Json, told: Told, servers: Servers) -> list[str]:
    """What the commands showed otherwise than the case expects; empty when all is well."""
    expect, found = case["expect"], list[str]()
    script = servers.script
    if script.beyond:
        found.append(f"{script.beyond} requests beyond the list")
    if script.answers and not case.get("spare_responses"):
        found.append(f"{len(script.answers)} answers unused")
    if "error" in expect:
        found += error_differences(expect["error"], told.error, told.bundles)
    elif told.error is not None:
        found.append(f"error {told.error}")
    if "requests" in expect:
        found += request_differences(expect["requests"], list(script.received))
    if "bundles" in expect and not same_shown(expect["bundles"], told.bundles):
        found.append(f"bundles {told.bundles!r}, expected {expect['bundles']!r}")
    for key, value in expect.get("state", {}).items():
        actual = (told.state or {}).get(key)
        if not same_shown(value, actual):
            found.append(f"state.{key} {actual!r}, expected {value!r}")
    if "connection" in expect:
        found += _connection_differences(expect["connection"], told.connection)
    found += log_differences(expect, told.exchanges)
    found += [f"printed {text}" for text in expect.get("log_never", []) if text in told.everything]
    return found


def _connection_differences(expect: Any, shown: Json | None) -> list[str]:
    if expect is None:
        return [] if shown is None else [f"stored {shown!r}"]
    if shown is None:
        return ["nothing stored"]
    return [
        f"connection.{key} {shown.get(key, UNDEFINED)!r}, expected {value!r}"
        for key, value in expect.items()
        if not same_shown(value, shown.get(key))
    ]


__all__ = ["Command", "Told", "in_process", "needs_inside", "outside_differences", "run_outside"]
