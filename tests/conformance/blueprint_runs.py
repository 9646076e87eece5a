"""
What becomes of every blueprint of the corpus: the table of imports, and run trees of those made of built-ins only.

`blueprints.json` holds both, as names, hashes and counts; no content of the corpus. After a change that was looked at:
python -m tests.conformance.blueprint_runs
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from connections.record import Grant
from modules.builtin import builtin_catalog
from runtime.effects import HttpRequest, HttpResponse
from runtime.errors import ServiceConnectionError
from runtime.http import HttpPerformer
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.importer import Imported, import_blueprint
from tests.conformance.scenario_spec import service_in
from tests.paths import SHARED
from tests.unit.scenario.helpers import module, scenario
from workers.service import Service

CORPUS = SHARED / "corpus" / "blueprints"
FILES = sorted(CORPUS.rglob("*.json")) if CORPUS.is_dir() else []
GOLDEN = Path(__file__).parent / "blueprints.json"
#: What says that a module is not there.
UNKNOWN = ("E-UNKNOWN-APP", "E-UNKNOWN-MODULE")
#: How a blueprint is run: a start bundle with all that it reads, nothing in it, and services that answer a text.
FORMS = ("full", "empty", "text")
#: What every service answers.
ANSWER = {"ok": True, "id": 1, "data": [{"id": 1}], "result": {"id": 1}, "access_token": "sample"}


def name(path: Path) -> str:
    """A file's name in the table."""
    return str(path.relative_to(CORPUS))


def imported(path: Path) -> Imported:
    """The import with nothing but the built-ins."""
    return import_blueprint(path.read_bytes(), builtin_catalog())


def row(path: Path) -> dict[str, Any]:
    """A file's row: its hash, and either that it imports or exactly what it is refused for."""
    errors = [finding for finding in imported(path).findings if finding.severity == "error"]
    missing = sorted({finding.name for finding in errors if finding.code in UNKNOWN})
    codes = sorted({finding.code for finding in errors if finding.code not in UNKNOWN})
    found = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:16], "imports": not errors}
    return found | ({"missing": missing} if missing else {}) | ({"codes": codes} if codes else {})


@dataclass
class Answering:
    """In place of the network: every request is answered the same, none leaves the process."""

    text: bool = False

    def send(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """One answer for all: an object, or a text."""
        if self.text:
            return HttpResponse(200, (("Content-Type", "text/plain"),), b"fine", request.url)
        body = json.dumps(ANSWER).encode()
        return HttpResponse(200, (("Content-Type", "application/json"),), body, request.url)

    def deliver(self, *_: Any, **__: Any) -> Any:
        """No mail leaves either."""
        raise ServiceConnectionError("There is no mail server.")


#: Components of the connections that there are; each is named after its component.
MADE = ("basicauth", "apikeyauth", "oauth2client")


@contextmanager
def place(home: Path) -> Iterator[Service]:
    """A ledger whose runs reach no service, with the connections and a sub-scenario that blueprints ask for."""
    with service_in(home) as service:
        service.connections.add("http", "basicauth", name="basicauth", parameters={"username": "u", "password": "p"})
        key = {"key": "k", "placement": "header", "name": "X-Key"}
        service.connections.add("http", "apikeyauth", name="apikeyauth", parameters=key)
        token = Grant({}, {"accessToken": "t", "placement": "header", "headerName": "Bearer"})
        service.runner.vault.create(
            app="http", component="oauth2client", type="oauth", name="oauth2client", grant=token
        )
        child = scenario(module(1, "scenario-service:StartSubscenario", version=2))
        assert service.scenarios.import_(json.dumps(child).encode(), name="child").row is not None
        yield service


def sample(blueprint: Blueprint, number: int) -> dict[str, Any]:
    """A bundle with a text for everything that the blueprint reads of this module."""
    made: dict[str, Any] = {}
    for path in re.findall(
        rf"(?<![\w.`]){number}\.((?:`[^`]+`|[\w$]+)(?:\.(?:`[^`]+`|[\w$]+))*)", json.dumps(blueprint.raw)
    ):
        parts = [part.strip("`") for part in re.findall(r"`[^`]+`|[\w$]+", path)]
        at = made
        for part in parts[:-1]:
            inner = at.setdefault(part, {})
            if not isinstance(inner, dict):
                at[part] = inner = {}
            at = inner
        at.setdefault(parts[-1], "1")
    return made


def tree(service: Service, path: Path, form: str) -> dict[str, Any]:
    """
    The run tree of a blueprint: how it ended, and each step with its module, status and number of bundles.

    Args:
        service: Of `place`.
        path: The file.
        form: One of `FORMS`.
    """
    full = form != "empty"
    service.runner.http = cast("HttpPerformer", Answering(form == "text"))
    found = imported(path)
    blueprint = found.blueprint
    assert blueprint is not None
    first = blueprint.flow[0]
    options: dict[str, Any] = {}
    if builtin_catalog().lookup(first.name, None).role.name in ("INSTANT", "POLLING"):
        options["trigger_bundles"] = [sample(blueprint, first.id) if full else {}]
    fields = [field for field in blueprint.inputs if full or field.get("required")]
    options["inputs"] = {field["name"]: _value(field) for field in fields}
    bound: dict[str, str] = {}
    for item in blueprint.modules():
        info = builtin_catalog().lookup(item.name, None)
        for key, component in info.keychains:
            if item.parameters.get(key) not in (None, "") and component in MADE:
                bound.setdefault(str(item.parameters[key]), component)
    scenarios = {
        str(item.parameters["scenario"]): "child" for item in blueprint.modules() if "scenario" in item.parameters
    }
    stores = {str(item.parameters["datastore"]) for item in blueprint.modules() if "datastore" in item.parameters}
    report = service.runs.inline(
        path.read_bytes(), bindings=bound, scenarios=scenarios, stores={number: {} for number in stores}, **options
    )
    error = report.error and [report.error["type"], report.error.get("module")]
    steps = [
        [step["cycle"], step["module"], step["app"], step["status"], len(step["output"])]
        + ([step["error"]["type"]] if step["error"] else [])
        for step in report.steps
    ]
    operations = report.header.operations if report.header else 0
    return {"status": report.status, "error": error, "operations": operations, "steps": steps}


def _value(field: dict[str, Any]) -> Any:
    kind = field.get("type", "text")
    if kind in ("number", "uinteger", "integer"):
        return "1"
    if kind == "array":
        return "[]"
    if kind == "collection":
        return "{}"
    return {"boolean": "true", "date": "2026-01-02"}.get(kind, _option(field))


def _option(field: dict[str, Any]) -> str:
    options = field.get("options") or (field.get("validate") or {}).get("enum") or ["1"]
    first = options[0]
    return str(first.get("value", "1") if isinstance(first, dict) else first)


def runs(home: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(file, form, tree) of every blueprint that imports."""
    with place(home) as service:
        for path in FILES:
            if row(path)["imports"]:
                for form in FORMS:
                    yield name(path), form, tree(service, path, form)


def main() -> None:
    """Write the golden file anew."""
    table = {name(path): row(path) for path in FILES}
    trees: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as home:
        for file, form, made in runs(Path(home)):
            trees.setdefault(file, {})[form] = made
    lines = [f"  {json.dumps(file)}: {json.dumps(table[file])}" for file in table]
    run_lines = [f"  {json.dumps(file)}: {json.dumps(trees[file])}" for file in trees]
    GOLDEN.write_text('{"table": {\n' + ",\n".join(lines) + '\n},\n"runs": {\n' + ",\n".join(run_lines) + "\n}}\n")


if __name__ == "__main__":
    main()

__all__ = ["FILES", "FORMS", "GOLDEN", "imported", "name", "place", "row", "runs", "tree"]
