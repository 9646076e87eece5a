"""How a step, an exchange and the end of a run are told to a person, and which statuses end with which code."""

from __future__ import annotations

from typing import Any

import pytest

from workers.cli import steps
from workers.cli.demo import demo_environment, redacted_exchange, redacted_log_line
from workers.cli.exchanges import exchange_lines, request_line

STEP: dict[str, Any] = {
    "module": 3,
    "app": "json:ParseJSON",
    "status": "success",
    "cycle": 1,
    "input": {},
    "output": [{"a": 1, "__IMTINDEX__": 1}],
    "error": None,
    "ms": 1.6,
    "exchanges": [],
}


@pytest.mark.parametrize(
    ("status", "code"),
    [("success", 0), ("warning", 0), ("error", 1), ("incomplete", 1), ("cancelled", 1), ("queued", 0), ("parked", 0)],
)
def test_exit_codes_of_runs(status: str, code: int) -> None:
    """0 for what did its work or has not ended."""
    assert steps.exit_code(status) == code


def test_a_step_is_a_line_and_its_bundles() -> None:
    """Keys of the platform are left out."""
    assert steps.step_lines(STEP) == ["module 3  json:ParseJSON  success  1 bundle  2 ms", '    {"a":1}']


def test_a_failed_step_shows_its_error() -> None:
    """Class and message below the line."""
    failed = STEP | {"status": "error", "output": [], "error": {"type": "DataError", "message": "no"}}

    assert steps.step_lines(failed) == ["module 3  json:ParseJSON  error  2 ms", "    DataError: no"]


def test_for_programs_a_step_is_exactly_what_the_design_says() -> None:
    """Exchanges are there with --trace only."""
    assert "exchanges" not in steps.step_json(STEP, trace=False)
    assert steps.step_json(STEP, trace=True) == STEP


def test_a_long_value_is_cut() -> None:
    """The whole is in the JSON form."""
    shown = steps.shortened({"a": "x" * 1000})

    assert shown.endswith("…")
    assert len(shown) == steps.SHOWN_CHARACTERS + 1


@pytest.mark.parametrize(
    ("exchange", "line"),
    [
        pytest.param(
            {"request": {"method": "GET", "url": "https://a/b"}, "response": {"statusCode": 200}, "ms": 3.4},
            "GET https://a/b -> 200, 3 ms",
            id="answered",
        ),
        pytest.param(
            {"request": {"method": "GET", "host": "a", "path": "/b"}, "response": {"statusCode": 200}},
            "GET a/b -> 200",
            id="without a list of paths",
        ),
        pytest.param(
            {"request": {"method": "POST", "url": "u"}, "response": None, "error": {"type": "E", "message": "m"}},
            "POST u -> E: m",
            id="failed",
        ),
        pytest.param({"request": {"method": "POST"}, "withheld": "..."}, "POST ", id="withheld"),
    ],
)
def test_the_line_of_a_request(exchange: dict[str, Any], line: str) -> None:
    """Method, address, status or error, time; whatever the record may show."""
    assert request_line(exchange) == line


def test_headers_and_bodies_of_an_exchange() -> None:
    """Requests point right, answers left."""
    exchange = {
        "request": {"method": "GET", "url": "u", "headers": {"A": "b"}},
        "response": {"statusCode": 200, "headers": {"C": "d"}, "body": {"x": 1}},
    }

    assert exchange_lines(exchange)[1:] == ["    > A: b", "    < C: d", '    < {"x":1}']


def test_the_demo_leaves_a_persons_settings_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Its own data folder, loopback open, and no server, key or file of the person."""
    monkeypatch.setenv("SCENARIST_REDIS_URL", "redis://mine")
    monkeypatch.setenv("SCENARIST_KEYS", "k:x")
    environment = demo_environment(tmp_path)

    assert environment["SCENARIST_HOME"] == str(tmp_path)
    assert environment["SCENARIST_ALLOW_NETS"] == "127.0.0.0/8"
    assert not {"SCENARIST_REDIS_URL", "SCENARIST_KEYS"} & environment.keys()


def test_the_demo_finds_a_redacted_line(tmp_path: Any) -> None:
    """In the worker's log, else in the run's journal; without the long body of the answer."""
    log = tmp_path / "log"
    log.write_text('{"event":"x"}\n{"headers":{"authorization":"[sanitized]"}}\n')
    report = {
        "steps": [{"exchanges": [{"request": {"method": "GET"}, "response": {"statusCode": 200, "body": "long"}}]}]
    }

    assert redacted_log_line(log) == '{"headers":{"authorization":"[sanitized]"}}'
    assert redacted_exchange(report) == '{"request":{"method":"GET"},"response":{"statusCode":200}}'
    assert redacted_exchange({"steps": [{}]}) == ""
