"""Scenarios on the command line: new versions, export, options; runs as trees and repeated; incomplete executions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.spine import Scenarist


def blueprint(value: str, **settings: Any) -> dict[str, Any]:
    """Two built-in modules; the second one fails on a text that is no JSON."""
    flow = [
        {"id": 1, "module": "json:ParseJSON", "version": 1, "parameters": {}, "mapper": {"json": value}},
        {"id": 2, "module": "json:ParseJSON", "version": 1, "parameters": {}, "mapper": {"json": "{{1.text}}"},
         "metadata": {"designer": {"x": 300, "y": 0}}},
    ]  # fmt: skip
    return {"name": "orders", "flow": flow, "metadata": {"version": 1, "scenario": settings}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A blueprint file with odd spacing, which an export has to give back."""
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(blueprint('{"text": "{\\"n\\": 1} "}'), indent=3) + "\n\n", "utf-8")
    return path


def test_second_import_is_a_new_version(cli: Scenarist, file: Path) -> None:
    """The same name keeps its id; both versions can be exported, byte for byte; --new makes another scenario."""
    first = cli.json("scenario", "import", str(file))
    before = file.read_text("utf-8")
    file.write_text(json.dumps(blueprint('{"text": "2"}')), "utf-8")
    second = cli.json("scenario", "import", str(file), "--on-unknown", "repeat")

    assert (first["updated"], second["updated"]) == (False, True)
    assert first["id"] == second["id"]
    assert [row["support"] for row in first["modules"]] == ["supported", "supported"]
    assert second["on_unknown"] == "repeat"
    assert cli("scenario", "export", "orders", "--version", first["blueprint"][:12]) == before
    assert cli("scenario", "export", "orders") == file.read_text("utf-8")
    assert cli.json("scenario", "set", "orders", "--timezone", "Europe/Prague")["timezone"] == "Europe/Prague"
    assert cli.json("scenario", "import", str(file), "--new")["id"] != first["id"]
    assert "1  json:ParseJSON" in cli("scenario", "show", first["id"])


def test_refused_file_says_what_each_module_needs_and_stores_nothing(cli: Scenarist, file: Path) -> None:
    """A file with an unknown app is refused whole, with a line for every module."""
    broken = blueprint("{}")
    broken["flow"].append({"id": 3, "module": "crm:addRow", "version": 1, "parameters": {}, "mapper": {}})
    file.write_text(json.dumps(broken), "utf-8")

    said = cli("scenario", "import", str(file), exit_code=1)

    assert "needs an app" in said
    assert cli.json("scenario", "list") == []


def test_run_is_shown_as_a_tree_and_repeated(cli: Scenarist, file: Path, tmp_path: Path) -> None:
    """The tree numbers the operations; one of them can be looked at alone and be the first of a new run."""
    cli("scenario", "import", str(file))
    run = cli.json("run", "orders", "--inline")["run"]
    edited = tmp_path / "bundle.json"
    edited.write_text(json.dumps({"text": '{"n": 7}'}))

    tree = cli("runs", "show", run)
    again = cli.json("runs", "retry", run, "--from", "2", "--edit", str(edited))["run"]

    assert "└─ #1  module 1  json:ParseJSON  success  1 bundle" in tree
    assert "   └─ #2  module 2  json:ParseJSON  success  1 bundle" in tree
    assert json.loads(cli("runs", "show", run, "--operation", "2", "--bundle", "1")) == {"n": 1}
    cli("runs", "show", run, "--bundle", "1", exit_code=2)
    cli("runs", "retry", run, "--from", "9", exit_code=2)
    with cli.process("worker", "--processes", "1"):
        cli("runs", "watch", again, "--timeout", "60")
    shown = cli.json("runs", "show", again)
    assert [(step["module"], step["output"]) for step in shown["steps"]] == [(2, [{"n": 7}])]
    assert set(shown) == {"run", "scenario", "status", "operations", "cycles", "error", "steps", "outputs"}


def test_incomplete_executions_by_command(cli: Scenarist, file: Path) -> None:
    """List, show, retry, resolve and drop."""
    file.write_text(json.dumps(blueprint('[{"text": "x"}, {"text": "y"}, {"text": "1"}]', dlq=True)), "utf-8")
    cli("scenario", "import", str(file))
    assert cli.json("run", "orders", "--inline")["status"] == "warning"

    first, second = cli.json("incomplete", "list", "--scenario", "orders")

    assert (first["status"], first["module"], first["error"]["type"]) == ("unresolved", 2, "BundleValidationError")
    assert cli.json("incomplete", "show", first["id"])["bundles"]["1"]["text"] == "x"
    assert "module 2 json:ParseJSON" in cli("incomplete", "show", first["id"])
    assert [row["status"] for row in cli.json("incomplete", "resolve", first["id"])] == ["resolved"]
    assert [row["status"] for row in cli.json("incomplete", "retry", "--all")] == ["in progress"]
    cli("incomplete", "drop", second["id"], exit_code=2)
    with cli.process("worker", "--processes", "1"):
        run = cli.json("incomplete", "list")[0]["retries"][0]
        cli("runs", "watch", run, "--timeout", "60", exit_code=1)
    assert [row["attempts"] for row in cli.json("incomplete", "list")] == [1]
    cli("incomplete", "drop", "--all")
    assert [row["status"] for row in cli.json("incomplete", "list", "--all")] == ["resolved"]
    cli("incomplete", "retry", exit_code=2)


def test_incomplete_execution_is_edited_by_command(cli: Scenarist, file: Path, tmp_path: Path) -> None:
    """A field, the blueprint out and in again; nothing to change, and what does not fit, is exit code 2."""
    file.write_text(json.dumps(blueprint('[{"text": "x"}]', dlq=True)), "utf-8")
    cli("scenario", "import", str(file))
    assert cli.json("run", "orders", "--inline")["status"] == "warning"
    (record,) = cli.json("incomplete", "list")

    assert cli.json("incomplete", "edit", record["id"], "--set", 'json={"n": 5}')["module"] == 2
    kept = json.loads(cli("incomplete", "show", record["id"], "--blueprint"))
    assert kept["flow"][1]["mapper"]["json"] == {"n": 5}
    kept["flow"][1]["mapper"]["json"] = '{"n": 7}'
    fixed = tmp_path / "fixed.json"
    fixed.write_text(json.dumps(kept), "utf-8")
    assert "module 2 (json:ParseJSON)" in cli("incomplete", "edit", record["id"], "--blueprint", str(fixed))
    cli("incomplete", "edit", record["id"], exit_code=2)
    cli("incomplete", "edit", record["id"], "--module", "99", exit_code=2)

    run = cli.json("incomplete", "retry", record["id"])[0]["retries"][0]
    with cli.process("worker", "--processes", "1"):
        cli("runs", "watch", run, "--timeout", "60")
    assert cli.json("runs", "show", run)["steps"][0]["output"] == [{"n": 7}]
