"""The example app against its sample API: what every module sends and gives back."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpdesk import APP, KEY, connection_parameters
from tests.paths import EXAMPLES
from tests.spine import Scenarist


def run(cli: Scenarist, api: Any, module: str, parameters: dict[str, Any], *, exit_code: int = 0) -> Any:
    """`module run --connect` with these parameters."""
    given = json.dumps(connection_parameters(api.url) | parameters)
    return cli.json("module", "run", str(APP), module, "--connect", "--params", "-", stdin=given, exit_code=exit_code)


@pytest.mark.parametrize(
    ("module", "parameters", "sent", "bundle"),
    [
        pytest.param(
            "createTicket",
            {
                "subject": "Lamp",
                "priority": "high",
                "customerId": 12,
                "notify": True,
                "contact": {"name": "Bo", "email": "BO@example.com"},
            },
            (
                "POST",
                "/tickets",
                {
                    "subject": "Lamp",
                    "priority": "high",
                    "customerId": 12,
                    "notify": True,
                    "contact": {"name": "Bo", "email": "BO@example.com"},
                },
            ),
            {"id": 106, "status": "open", "priority": "high"},
            id="nested fields of a true boolean",
        ),
        pytest.param("getTicket", {"ticketId": "103"}, ("GET", "/tickets/103", None), {"id": 103}, id="number as text"),
        pytest.param(
            "updateTicket",
            {"ticketId": 102, "priority": "low", "subject": ""},
            ("PATCH", "/tickets/102", {"priority": "low"}),
            {"id": 102, "priority": "low", "subject": "How do I invite a colleague?"},
            id="an empty field is not sent",
        ),
        pytest.param(
            "deleteTicket",
            {"ticketId": 105},
            ("DELETE", "/tickets/105", None),
            {"id": 105, "deleted": True},
            id="204 without a body",
        ),
        pytest.param(
            "addComment",
            {"ticketId": 101, "text": "Hi"},
            ("POST", "/tickets/101/comments", {"text": "Hi", "public": False, "authorId": 7}),
            {"id": 10101, "authorId": 7},
            id="data of the connection, default of a boolean",
        ),
        pytest.param(
            "getCustomer", {"customerId": 11}, ("GET", "/customers/11", None), {"name": "Ada Novak"}, id="read"
        ),
    ],
)
def test_a_module_of_the_example(
    cli: Scenarist,
    api: Any,
    module: str,
    parameters: dict[str, Any],
    sent: tuple[str, str, Any],
    bundle: dict[str, Any],
) -> None:
    """The request has the method, path, header and body that the app's files say; the bundle is the answer."""
    result = run(cli, api, module, parameters)

    assert result["error"] is None, result
    request = api.requests[-1]
    assert (request.method, request.path, request.body) == sent
    assert request.headers["authorization"] == f"Basic {base64.b64encode(f'acme:{KEY}'.encode()).decode()}"
    (given,) = result["bundles"]
    assert {key: given.get(key) for key in bundle} == bundle


@pytest.mark.parametrize(
    ("module", "parameters", "error"),
    [
        ("getCustomer", {"customerId": 99}, "DataError"),
        ("createTicket", {"subject": "Lamp", "customerId": 99}, "DataError"),
        ("createTicket", {"subject": "x" * 201}, "BundleValidationError"),
        ("createTicket", {"subject": "Lamp", "priority": "huge"}, "BundleValidationError"),
        ("getTicket", {"ticketId": -1}, "BundleValidationError"),
    ],
)
def test_an_error_of_the_example_has_its_class(
    cli: Scenarist, api: Any, module: str, parameters: dict[str, Any], error: str
) -> None:
    """Base maps statuses to classes; parameters are checked before anything is sent."""
    result = run(cli, api, module, parameters, exit_code=1)

    assert result["error"]["type"] == error
    assert result["bundles"] == []
    if error == "BundleValidationError":
        assert [request.path for request in api.requests] == ["/whoami"]


def test_a_duplicate_has_a_class_of_its_own(cli: Scenarist, api: Any) -> None:
    """The same reference twice is refused with 409."""
    run(cli, api, "createTicket", {"subject": "Lamp", "reference": "R-1"})
    result = run(cli, api, "createTicket", {"subject": "Lamp", "reference": "R-1"}, exit_code=1)

    assert result["error"]["type"] == "DuplicateDataError"
    assert "R-1" in result["error"]["message"]


def test_the_sample_api_ends_with_its_input(tmp_path: Path) -> None:
    """As a process it announces its URL in a file, prints nothing, and ends when standard input closes."""
    announced = tmp_path / "url"
    running = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "sample_api.py"), "--announce", str(announced)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown, _ = running.communicate(f"{KEY}\n", timeout=60)

    assert (running.returncode, shown) == (0, "")
    assert announced.read_text().startswith("http://127.0.0.1:")
