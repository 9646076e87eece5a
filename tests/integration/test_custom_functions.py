"""Custom JavaScript functions in real use: a connection, a module run, queued runs on a worker (spec/iml.md 10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.function_app import write_function_app
from tests.worker_kit import Installation, Peer, blueprint, installation, peer
from workers.ledger.records import RunHeader
from workers.views import ModuleReport, RunReport

KEY = "topsecret-key"


@pytest.fixture(scope="module")
def api() -> Iterator[Peer]:
    """The service that the app talks to."""
    with peer() as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, api: Peer) -> Iterator[Installation]:
    """An installation with the app and its connection; a call of a function may take a second."""
    with installation(
        tmp_path_factory.mktemp("functions"),
        api.port,
        SCENARIST_FUNCTION_TIMEOUT_SECONDS="1",
        SCENARIST_TIMEZONE="Europe/Prague",
    ) as made:
        register(made, api)
        made.service.connections.add("custom", "key", name="mine", parameters={"apiKey": KEY})
        yield made


def register(place: Installation, api: Peer, **functions: str) -> None:
    added = place.service.apps.add(write_function_app(place.home.parent / "custom", api.port, **functions))
    assert added.row is not None, [finding.text() for finding in added.findings]


def run_here(place: Installation, module: str, **parameters: Any) -> ModuleReport:
    return place.service.local.module("custom", module, parameters=parameters, connection="mine")


def scenario(place: Installation, *modules: str) -> str:
    flow = [
        {
            "id": number, "module": f"custom:{name}", "version": 1,
            "parameters": {"__IMTCONN__": 7}, "mapper": {"name": "{{upper('ada')}}"},
            "metadata": {"restore": {"parameters": {"__IMTCONN__": {"label": "mine"}}}},
        }
        for number, name in enumerate(modules, 1)
    ]  # fmt: skip
    imported = place.service.scenarios.import_(blueprint(*flow), bindings={"7": "mine"})
    assert imported.row is not None, imported.findings
    return imported.row.id


def queued(place: Installation, *modules: str) -> RunHeader:
    return place.service.runs.enqueue(scenario(place, *modules))


def outputs(report: RunReport) -> list[Any]:
    return [step["output"] for step in report.steps]


EXPECTED = {
    "greeting": "ADA from Prague",
    "day": "2024-02-28T23:00:00.000Z",
    "bytes": "cba",
    "zoned": "2024-07-01 12:00 Europe/Prague",
    "count": 1,
    "version": 1,
}


def plain(bundle: dict[str, Any]) -> dict[str, Any]:
    """Without the service's own part; a date as its text."""
    shown = {key: bundle[key] for key in EXPECTED}
    return shown | {"day": shown["day"].get("$date", shown["day"]) if isinstance(shown["day"], dict) else shown["day"]}


def test_module_run_uses_the_functions(place: Installation) -> None:
    """Built-in helpers, other functions, dates, buffers and the scenario's zone work in a module run."""
    report = run_here(place, "all", name="ada")

    assert report.error is None
    assert plain(report.bundles[0]) == EXPECTED
    assert report.bundles[0]["json"].startswith('{"path":')


def test_connection_uses_the_functions(place: Installation) -> None:
    """What a connection stores may come from a custom function; the functions see its parameters."""
    report = run_here(place, "stored")

    assert report.bundles[0] == {"stamp": len(f"{KEY} from Prague")}


def test_queued_run_on_a_worker_uses_the_functions(place: Installation) -> None:
    """A worker process runs them like a module run, twice in one run without anything left over from the first."""
    header = queued(place, "all", "all")
    with place.running("worker"):
        report = place.service.runs.wait(header.id)

    assert report.status == "success", report.error
    first, second = (bundles[0] for bundles in outputs(report))
    assert plain(first) == EXPECTED
    assert plain(second) == EXPECTED


def test_endless_function_ends_and_the_worker_goes_on(place: Installation) -> None:
    """The run with the endless function fails with the documented error; the same worker does the next runs."""
    hanging, failing, good = queued(place, "hang"), queued(place, "fail"), queued(place, "all")
    with place.running("worker"):
        reports = [place.service.runs.wait(header.id) for header in (hanging, failing, good)]
        pids = place.worker_pids()

    assert [report.status for report in reports] == ["error", "error", "success"]
    errors = [report.error["message"] for report in reports if report.error]
    assert errors == [
        "response.output: Function 'endless' finished with error! Script execution timed out.",
        "response.output: Function 'fails' finished with error! no such thing",
    ]
    assert len(pids) == 1


def test_new_code_is_used_after_the_app_has_changed(place: Installation, api: Peer) -> None:
    """A run uses the code of the app state that it was accepted with; the next run uses the new one."""
    flow = scenario(place, "all")
    old = place.service.runs.enqueue(flow)
    register(place, api, version="() => 2")
    new = place.service.runs.enqueue(flow)
    with place.running("worker"):
        found = [outputs(place.service.runs.wait(header.id))[0][0]["version"] for header in (old, new)]

    assert found == [1, 2]
    assert run_here(place, "all", name="x").bundles[0]["version"] == 2
    register(place, api)


def test_missing_body_is_an_error_of_the_call_only(place: Installation) -> None:
    """An app whose files lack one body works; calling that function says so."""
    report = run_here(place, "absent")

    assert report.error is not None
    assert "Function 'absent' finished with error! The app's files hold no code" in report.error["message"]
    assert run_here(place, "all", name="x").error is None


def test_debug_output_is_in_the_journal_without_secrets(place: Installation) -> None:
    """What a function logs stands beside the step; a known secret in it is masked, also in the worker's log."""
    assert run_here(place, "say").debug == ("key is [sanitized]",)

    header = queued(place, "say")
    with place.running("worker", SCENARIST_LOG_LEVEL="debug"):
        report = place.service.runs.wait(header.id)

    assert report.steps[0]["debug"] == ["key is [sanitized]"]
    assert report.steps[0]["output"][0]["length"] == len(KEY)
    log = place.logs[-1].read_text()
    assert "key is [sanitized]" in log
    assert KEY not in log
