"""`module run` and `rpc run` as an app's author uses them, on the example app and its API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpdesk import APP, KEY
from tests.spine import Scenarist


@pytest.fixture(name="connect")
def connect_fixture(api: Any, tmp_path: Path) -> tuple[str, ...]:
    """Options that authorize for one call, from a file."""
    file = tmp_path / "connection.json"
    file.write_text(json.dumps({"apiKey": KEY, "account": "acme", "url": api.url}))
    return ("--connect", "--connect-params", str(file))


def test_trace_names_the_place_of_each_request(cli: Scenarist, connect: tuple[str, ...]) -> None:
    """Each exchange of a search has its source line and its page; no secret is shown, and no server is started."""
    report = cli.json("module", "run", str(APP), "searchTickets", *connect, "--trace", "--limit", "3")

    assert report["error"] is None
    assert len(report["bundles"]) == 3
    sources = [exchange["source"] for exchange in report["exchanges"]]
    assert "connections/helpdesk/helpdesk.communication.iml.json:" in sources[0]
    assert all("search-tickets.communication.iml.json:" in source for source in sources[1:])
    text = cli("module", "run", str(APP), "searchTickets", *connect, "--trace", "--limit", "3")
    assert "at modules/search-tickets/search-tickets.communication.iml.json:" in text
    assert KEY not in "".join(cli.seen)
    assert not (cli.home / "server").exists()


def test_dry_run_and_curl_send_nothing(cli: Scenarist, connect: tuple[str, ...], api: Any) -> None:
    """The request is shown against its source lines, or as a command in which the secret is a variable."""
    given = (str(APP), "getTicket", *connect, "--param", "ticketId=101")
    report = cli.json("module", "run", *given, "--dry-run")
    (request,) = report["requests"]

    assert report["bundles"] == []
    assert request["method"] == "GET"
    assert request["url"].endswith("/tickets/101")
    (url,) = [item for item in request["directives"] if item["directive"] == "url"]
    assert "{{" in url["template"]
    assert url["at"].startswith("modules/get-ticket/get-ticket.communication.iml.json:")
    command = cli("module", "run", *given, "--curl")
    assert command.startswith("curl ")
    assert '"${' in command
    shown = cli("module", "run", *given, "--dry-run")
    assert "get-ticket.communication.iml.json:" in shown
    assert KEY not in "".join(cli.seen)


def test_interface_names_what_is_not_declared(cli: Scenarist, connect: tuple[str, ...]) -> None:
    """With --interface the output is compared with the declared one; the example's is complete."""
    report = cli.json("module", "run", str(APP), "getTicket", *connect, "--param", "ticketId=101", "--interface")

    assert report["interface"]["undeclared"] == []


def test_meta_shows_the_numbers_of_bundles(cli: Scenarist, connect: tuple[str, ...]) -> None:
    """Index and length of a search's bundles are shown with --meta only."""
    given = ("module", "run", str(APP), "searchTickets", *connect, "--limit", "2")

    assert [bundle["__IMTINDEX__"] for bundle in cli.json(*given, "--meta")["bundles"]] == [1, 2]
    assert "__IMT" not in cli(*given)


def test_rpc_run_prints_its_rows(cli: Scenarist, connect: tuple[str, ...]) -> None:
    """An RPC gives its rows as bundles, and a table for people."""
    rows = cli.json("rpc", "run", str(APP), "listCustomers", *connect)["bundles"]

    assert rows
    assert all(row.keys() >= {"label", "value"} for row in rows)
    assert cli("rpc", "run", str(APP), "listCustomers", *connect).split()[:2] == ["label", "value"]
    assert "known: listCustomers" in cli.raw("rpc", "run", str(APP), "nothing", *connect)[2]
