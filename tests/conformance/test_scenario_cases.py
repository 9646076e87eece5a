"""
The cases of `scenario-cases.json` as `scenarist run FILE --inline --json` runs them, and as queued runs of a worker.

In process through the service over one embedded server; a sample goes through the command in a process of its own. In
the queued form a sample runs by default and all of them with SCENARIST_TEST_LONG=1 (`make conformance`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.codec import unmark
from tests.conformance.scenario_cases import CASES, blueprint_bytes, differences, inputs, refused
from tests.spine import Scenarist
from tests.worker_kit import Installation, installation
from workers.service import Service, open_service
from workers.settings import load_settings

#: Case id -> the differences that we make instead, as `differences` words them; the reasons stand in disputed.md.
DISPUTED: dict[str, list[str]] = {}
LONG = bool(os.environ.get("SCENARIST_TEST_LONG"))

pytestmark = pytest.mark.skipif(not CASES, reason="the folder `shared` does not lie beside this checkout")


def _param(case: dict[str, Any]) -> Any:
    return pytest.param(case, id=case["id"])


_ALL = [_param(case) for case in CASES]
#: What never reaches the queue is left out of the queued form: such a file is refused when it is imported.
_QUEUED = [_param(case) for case in CASES if not refused(case)]


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over a server of its own."""
    home = tmp_path_factory.mktemp("cases")
    with open_service(load_settings({"SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec"})) as service:
        yield service


@pytest.mark.parametrize("case", _ALL)
def test_inline(case: dict[str, Any], service: Service) -> None:
    """The printed object of an inline run is what the case says."""
    report = service.runs.inline(blueprint_bytes(case), inputs=inputs(case), stores=unmark(case.get("stores")))

    printed = json.loads(json.dumps(report.to_json(meta=case.get("meta", False))))

    assert DISPUTED.get(case["id"], []) == differences(case, printed), case["about"]


@pytest.mark.parametrize("case", _ALL[::60])
def test_by_command(case: dict[str, Any], cli: Scenarist, tmp_path: Path) -> None:
    """The command prints the same object, with the exit code of its status."""
    file = tmp_path / "blueprint.json"
    file.write_bytes(blueprint_bytes(case))
    arguments = ["run", str(file), "--inline", "--json"]
    for name, value in inputs(case).items():
        arguments += ["--input", f"{name}={value}"]
    if "stores" in case:
        stores = tmp_path / "stores.json"
        stores.write_text(json.dumps(case["stores"]))
        arguments += ["--stores", str(stores)]
    if case.get("meta"):
        arguments.append("--meta")

    code = 0 if case["expect"]["status"] in ("success", "warning") else 1
    printed = json.loads(cli(*arguments, exit_code=code))

    assert DISPUTED.get(case["id"], []) == differences(case, printed), case["about"]


@pytest.fixture(name="queued", scope="module")
def queued_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a worker that is up."""
    with installation(tmp_path_factory.mktemp("queued"), 9, SCENARIST_FSYNC="everysec") as made, made.running("up"):
        yield made


@pytest.mark.parametrize("case", _QUEUED if LONG else _QUEUED[::16])
def test_queued(case: dict[str, Any], queued: Installation) -> None:
    """The same scenario, imported and run from the queue, does the same."""
    service = queued.service
    bindings: dict[str, str] = {}
    for number, records in (case.get("stores") or {}).items():
        bindings[number] = f"{case['id']}/{number}"
        service.stores.replace(bindings[number], unmark(records))
    imported = service.scenarios.import_(blueprint_bytes(case), stores=bindings, new=True)
    assert imported.row is not None, imported.findings

    header = service.runs.enqueue(imported.row.id, inputs=inputs(case))
    printed = json.loads(json.dumps(service.runs.wait(header.id).to_json(meta=case.get("meta", False))))

    printed["stores"] = {number: service.stores.export(name) for number, name in bindings.items()}
    assert DISPUTED.get(case["id"], []) == differences(case, printed), case["about"]
