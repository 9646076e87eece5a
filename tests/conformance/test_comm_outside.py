"""
The cases of `comm-cases.json` from outside: through `connection add`, `connection show`, `module run --json --trace`
and `rpc run`, as comm-cases.md section 5 maps them. All in this process, a handful also as real processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.comm_outside import Command, in_process, needs_inside, outside_differences, run_outside
from tests.conformance.comm_runner import Servers
from tests.paths import SHARED
from tests.spine import Scenarist
from workers.server import connect
from workers.settings import load_settings

FILE = SHARED / "spec" / "comm-cases.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
SEEN = [case for case in CASES if not needs_inside(case)]
#: One of each kind, tried as processes of their own too.
AS_PROCESS = ("rpc-002", "connection-026", "universal-001", "trigger-003", "params-089", "log-014")

pytestmark = pytest.mark.skipif(not CASES, reason="the folder `shared` does not lie beside this checkout")


@pytest.fixture(name="servers", scope="module")
def servers_fixture() -> Iterator[Servers]:
    """The two servers of all cases."""
    with Servers() as servers:
        yield servers


@pytest.fixture(name="home", scope="module")
def home_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose server runs from case to case, so that no command has to start one."""
    home = tmp_path_factory.mktemp("outside")
    home.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENARIST_HOME", str(home))
        patch.setenv("SCENARIST_ALLOW_NETS", "127.0.0.0/8")
        patch.delenv("SCENARIST_REDIS_URL", raising=False)
        with connect(load_settings()):
            yield home


def _tried(case: dict[str, Any], servers: Servers, folder: Path, command: Command) -> list[str]:
    filled = json.loads(servers.fill(json.dumps(case)))
    told = run_outside(filled, servers, folder, command)
    return outside_differences(filled, told, servers)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in SEEN])
def test_case_from_outside(
    case: dict[str, Any], servers: Servers, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands show the case's bundles, error, requests, connection, state and redacted log."""
    assert home.exists()
    monkeypatch.setenv("SCENARIST_TIMEZONE", case.get("timezone", "UTC"))

    assert _tried(case, servers, tmp_path, in_process) == [], case["about"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in SEEN if case["id"] in AS_PROCESS])
def test_case_as_process(case: dict[str, Any], servers: Servers, home: Path, tmp_path: Path) -> None:
    """The same through processes of their own, as a script would call them."""
    program = Scenarist(home)

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        return program.raw(*arguments, stdin=stdin)

    renamed = case | {"id": f"{case['id']}-process"}
    assert _tried(renamed, servers, tmp_path, command) == [], case["about"]


def test_only_cases_with_an_injected_clock_or_wait_are_left_out() -> None:
    """Nearly every case is seen from outside, too."""
    assert len(CASES) - len(SEEN) <= 5
