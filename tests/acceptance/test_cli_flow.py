"""
The way of the tutorial as processes: register, authorize, run a module, import, run inline and on a worker, look at it.

Everything is real: embedded server, worker processes, HTTP on loopback.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.helpdesk import APP, BLUEPRINT, KEY, connection_parameters
from tests.spine import Scenarist

NAME = "Answer urgent tickets"


def add_connection(cli: Scenarist, url: str, **options: Any) -> Any:
    """`connection add` with the parameters on standard input."""
    return cli.json(
        "connection", "add", "helpdesk", "helpdesk", "--name", "desk", "--params", "-",
        stdin=json.dumps(connection_parameters(url)), **options,
    )  # fmt: skip


@pytest.fixture
def ready(cli: Scenarist, api: Any) -> Scenarist:
    """App registered, connection authorized, scenario imported."""
    cli("app", "add", str(APP))
    add_connection(cli, api.url)
    cli("scenario", "import", str(BLUEPRINT), "--connection", "4711=desk")
    return cli


def assert_no_secret(cli: Scenarist) -> None:
    """Neither the key nor a form of it was ever printed."""
    shown = "".join(cli.seen)
    for secret in (KEY, quote(KEY, safe=""), base64.b64encode(f"acme:{KEY}".encode()).decode()):
        assert secret not in shown


def test_apps_are_registered_listed_shown_and_removed(cli: Scenarist) -> None:
    """Adding the same state again changes nothing; a removed app is unknown."""
    first = cli.json("app", "add", str(APP))
    again = cli.json("app", "add", str(APP / "modules"))

    assert (first["name"], first["changed"], again["changed"]) == ("helpdesk", True, False)
    assert [row["hash"] for row in cli.json("app", "list")] == [first["hash"]]
    assert "helpdesk" in cli("app", "list")
    shown = cli.json("app", "show", "helpdesk")
    assert {"createTicket", "searchTickets"} <= set(shown["modules"])
    assert list(shown["connections"]) == ["helpdesk"]
    assert "searchTickets" in cli("app", "show", "helpdesk")

    cli("app", "remove", "helpdesk")
    assert cli.json("app", "list") == []
    cli("app", "show", "helpdesk", exit_code=2)
    cli("app", "remove", "helpdesk", exit_code=2)
    cli("app", "add", str(APP / "none"), exit_code=2)


def test_an_app_with_errors_is_not_registered(cli: Scenarist, tmp_path: Path) -> None:
    """Exit code 1 and the findings."""
    (tmp_path / "empty").mkdir()
    cli("app", "add", str(tmp_path / "empty"), exit_code=1)

    assert "A100" in cli.seen[-1]


def test_a_connection_is_authorized_tested_and_removed(cli: Scenarist, api: Any) -> None:
    """The service is asked once; what is shown has the identity and no secret."""
    cli("app", "add", str(APP))
    added = add_connection(cli, api.url)

    assert added["metadata"] == {"type": "email", "value": "support@example.com"}
    assert [request.path for request in api.requests] == ["/whoami"]
    assert [row["name"] for row in cli.json("connection", "list")] == ["desk"]
    assert "support@example.com" in cli("connection", "list")
    assert "support@example.com" in cli("connection", "show", "desk")
    cli("connection", "test", "desk")
    assert len(api.requests) == 2
    cli("connection", "remove", "desk")
    cli("connection", "show", "desk", exit_code=2)
    cli("connection", "test", "desk", exit_code=2)
    cli("connection", "remove", "desk", exit_code=2)
    assert_no_secret(cli)


def test_a_refused_connection_is_not_kept(cli: Scenarist, api: Any) -> None:
    """Exit code 1 with the service's words; the list stays empty and the wrong key is not shown."""
    cli("app", "add", str(APP))
    wrong = json.dumps(connection_parameters(api.url, key="wrong-key-1234"))
    cli("connection", "add", "helpdesk", "helpdesk", "--name", "desk", "--params", "-", stdin=wrong, exit_code=1)

    assert "the account or the API key is wrong" in cli.seen[-1]
    assert cli.json("connection", "list") == []
    assert "wrong-key-1234" not in "".join(cli.seen)


def test_a_secret_argument_is_refused(cli: Scenarist, api: Any) -> None:
    """`--param apiKey=...` is wrong use; `apiKey=env:NAME` is the way."""
    cli("app", "add", str(APP))
    open_ones = ["--param", f"url={api.url}", "--param", "account=acme"]
    begin = ["connection", "add", "helpdesk", "helpdesk", "--name", "desk", *open_ones]
    cli(*begin, "--param", f"apiKey={KEY}", exit_code=2)
    cli(*begin, exit_code=2)
    assert api.requests == []

    cli.environment["DESK_KEY"] = KEY
    cli(*begin, "--param", "apiKey=env:DESK_KEY")
    assert len(api.requests) == 1
    assert_no_secret(cli)


def test_a_module_runs_with_a_stored_connection(cli: Scenarist, api: Any) -> None:
    """Bundles, the request that was sent, and the redacted exchange with --trace."""
    cli("app", "add", str(APP))
    add_connection(cli, api.url)
    result = cli.json(
        "module", "run", "helpdesk", "getTicket", "--connection", "desk", "--param", "ticketId=101", "--trace"
    )

    assert result["error"] is None
    assert result["bundles"][0]["subject"] == "Invoice shows the wrong address"
    (exchange,) = result["exchanges"]
    assert exchange["request"]["method"] == "GET"
    assert "[sanitized]" in json.dumps(exchange["request"]["headers"])
    shown = cli("module", "run", "helpdesk", "getTicket", "--connection", "desk", "--param", "ticketId=101", "--trace")
    assert "/tickets/101 -> 200" in shown
    assert_no_secret(cli)


def test_a_module_runs_without_any_server(cli: Scenarist, api: Any) -> None:
    """`--connect` on a folder authorizes in memory; the data folder gets no server and keeps nothing."""
    parameters = connection_parameters(api.url) | {"subject": "From CI", "tags": ["ci"], "dueDate": "2026-12-24"}
    result = cli.json(
        "module", "run", str(APP), "createTicket", "--connect", "--params", "-", stdin=json.dumps(parameters)
    )

    assert result["error"] is None, result
    assert result["bundles"][0]["subject"] == "From CI"
    sent = api.requests[-1].body
    assert sent == {"subject": "From CI", "priority": "normal", "tags": ["ci"], "dueAt": "2026-12-24"}
    assert not list(cli.home.rglob("*.aof"))
    assert not list(cli.home.rglob("*.sock"))
    assert_no_secret(cli)


def test_a_search_pages_and_stops_at_the_limit(cli: Scenarist, api: Any) -> None:
    """Five tickets on pages of three: two requests; with --limit 2 one."""
    begin = ["module", "run", str(APP), "searchTickets", "--connect", "--params", "-"]
    parameters = json.dumps(connection_parameters(api.url))
    assert len(cli.json(*begin, stdin=parameters)["bundles"]) == 5
    assert [request.query.get("page") for request in api.requests] == [None, None, "2"]

    assert len(cli.json(*begin, "--limit", "2", stdin=parameters)["bundles"]) == 2
    assert len(api.requests) == 5


def test_a_failing_module_is_exit_code_1(cli: Scenarist, api: Any) -> None:
    """The error has Make's class name and the app's message; nothing else is lost."""
    begin = ["module", "run", str(APP), "--connect", "--params", "-"]
    parameters = connection_parameters(api.url)
    missing = cli.json(*begin, "getTicket", stdin=json.dumps(parameters | {"ticketId": 999}), exit_code=1)
    invalid = cli.json(*begin, "getTicket", stdin=json.dumps(parameters), exit_code=1)

    assert missing["error"]["type"] == "DataError"
    assert missing["error"]["message"] == "[404] there is no ticket 999"
    assert invalid["error"]["type"] == "BundleValidationError"
    refused = cli.json("module", "run", str(APP), "getTicket", "--param", "ticketId=101", exit_code=1)
    assert refused["error"]["type"] == "InvalidConfigurationError"
    assert "--connect" in refused["error"]["message"]
    cli(*begin, "noSuchModule", stdin=json.dumps(parameters), exit_code=2)
    assert "getTicket" in cli.seen[-1]


def test_a_scenario_is_imported_listed_and_shown(ready: Scenarist) -> None:
    """Its foreign connection id is bound to ours."""
    (row,) = ready.json("scenario", "list")
    shown = ready.json("scenario", "show", NAME)

    assert row["name"] == NAME
    assert {(item["foreign"], item["bound"] is not None) for item in shown["bindings"]} == {("4711", True)}
    assert NAME in ready("scenario", "list")
    assert "4711" in ready("scenario", "show", NAME)
    ready("scenario", "show", "none", exit_code=2)
    ready("scenario", "import", str(BLUEPRINT) + ".none", exit_code=2)
    ready("scenario", "import", "-", stdin="{}", exit_code=1)
    assert "E-JSON" in ready.seen[-1]
    ready("app", "remove", "helpdesk", exit_code=2)
    ready("connection", "remove", "desk", exit_code=2)


def assert_answered(result: Any, api: Any) -> None:
    """The run of the example did what its blueprint says."""
    assert result["status"] == "success", result
    assert result["operations"] == 1 + 2 * 3
    modules = [step["module"] for step in result["steps"] if step["status"] == "success"]
    assert modules == [1, 2, 3, 4, 2, 3, 4]
    assert sum(step["status"] == "filtered" for step in result["steps"]) == 3
    comments = [request for request in api.requests if request.path.endswith("/comments")]
    assert [request.path for request in comments] == ["/tickets/101/comments", "/tickets/104/comments"]
    assert comments[0].body == {
        "text": 'Hello Ada,\n\nwe have your message "Invoice shows the wrong address" of 1 March 2026 and passed it to '
        "billing. You hear from us today.",
        "public": True,
        "authorId": 7,
    }
    changes = [request.body for request in api.requests if request.method == "PATCH"]
    assert changes == [
        {"status": "waiting", "tags": ["billing", "answered"]},
        {"status": "waiting", "tags": ["login", "answered"]},
    ]


def test_a_scenario_runs_inline(ready: Scenarist, api: Any) -> None:
    """In this process, and still looked at afterwards."""
    result = ready.json("run", NAME, "--inline")

    assert_answered(result, api)
    shown = ready.json("runs", "show", result["run"])
    assert shown["steps"] == result["steps"]
    assert_no_secret(ready)


def test_a_blueprint_file_runs_inline(ready: Scenarist, api: Any) -> None:
    """Without being imported."""
    result = ready.json("run", str(BLUEPRINT), "--inline", "--connection", "4711=desk")

    assert_answered(result, api)
    assert len(ready.json("scenario", "list")) == 1


def test_a_scenario_runs_on_a_worker(ready: Scenarist, api: Any) -> None:
    """Enqueued first, run when a worker comes, watched to its end."""
    queued = ready.json("run", NAME)
    assert queued["status"] == "queued"
    assert ready.json("runs", "show", queued["run"])["status"] == "queued"
    with ready.process("worker"):
        watched = [
            json.loads(line) for line in ready("runs", "watch", queued["run"], "--timeout", "60", "--json").splitlines()
        ]
        again = ready.json("run", NAME, "--wait", "--timeout", "60")

    result = ready.json("runs", "show", queued["run"])
    assert_answered(result, api)
    assert watched[-1]["status"] == "success"
    assert sum("module" in item for item in watched) == len(result["steps"])
    assert again["status"] == "success"
    assert [row["run"] for row in ready.json("runs", "list")] == [again["run"], queued["run"]]
    assert NAME in ready("runs", "list")
    assert_no_secret(ready)


def test_a_queued_run_is_cancelled(ready: Scenarist) -> None:
    """No worker holds it, so it stops at once; it cannot be cancelled or retried again."""
    queued = ready.json("run", NAME)
    cancelled = ready.json("runs", "cancel", queued["run"])

    assert cancelled["status"] == "cancelled"
    assert ready.json("runs", "show", queued["run"])["status"] == "cancelled"
    ready("runs", "watch", queued["run"], exit_code=1)


def test_wrong_use_of_runs(ready: Scenarist) -> None:
    """Unknown names, options that exclude each other, a file without --inline: exit code 2, no traceback."""
    ready("run", "no such scenario", exit_code=2)
    ready("run", NAME, "--wait", "--inline", exit_code=2)
    ready("run", NAME, "--timeout", "5", exit_code=2)
    ready("run", NAME, "--input", "x", exit_code=2)
    ready("run", str(BLUEPRINT), exit_code=2)
    ready("run", NAME, "--wait", "--timeout", "0.2", exit_code=2)
    for command in ("show", "watch", "cancel", "retry"):
        ready("runs", command, "no-such-run", exit_code=2)
    ready("runs", "list", "--limit", "0", exit_code=2)


def test_keys_are_rotated(ready: Scenarist, tmp_path: Path) -> None:
    """The data folder's key file gets a new key in front; after the rotation the old one is not needed any more."""
    keys = ready.home / "keys"
    (old,) = keys.read_text().splitlines()
    assert ready.json("keys", "rotate")["rotated"] >= 1

    newest, *older = keys.read_text().splitlines()
    assert older == [old]
    keys.write_text(newest + "\n")
    ready("connection", "test", "desk")
    assert old.partition(":")[2] not in "".join(ready.seen)


def test_keys_of_ones_own_are_put_in_front_by_hand(ready: Scenarist, tmp_path: Path) -> None:
    """With SCENARIST_KEYS_FILE: `keys new` prints a key, `keys rotate` uses the first and leaves the file."""
    new = ready("keys", "new").strip()
    mine = tmp_path / "mine"
    mine.write_text(f"{new}\n{(ready.home / 'keys').read_text()}")
    mine.chmod(0o600)
    ready.environment["SCENARIST_KEYS_FILE"] = str(mine)
    assert ready.json("keys", "rotate")["rotated"] >= 1

    mine.write_text(new)
    ready("connection", "test", "desk")


def test_the_processes_of_a_small_installation(ready: Scenarist, api: Any) -> None:
    """`up` starts workers and scheduler; both say that they run, and neither does once it has ended."""
    assert ready.json("worker", "--check", exit_code=1) == {"running": False}
    assert ready.json("scheduler", "--check", exit_code=1) == {"running": False}
    with ready.process("up", "--processes", "1", "--threads", "2", "--json"):
        assert_answered(ready.json("run", NAME, "--wait", "--timeout", "60"), api)
        assert ready.json("worker", "--check") == {"running": True}
        assert ready.json("scheduler", "--check") == {"running": True}

    assert ready.json("worker", "--check", exit_code=1) == {"running": False}
    logs = [json.loads(line) for line in "".join(ready.seen).splitlines() if line.startswith('{"timestamp"')]
    assert {"worker started", "scheduler started"} <= {line["event"] for line in logs}
    ready("worker", "--processes", "0", exit_code=2)
    ready("up", "--threads", "many", exit_code=2)
    ready("scheduler", "--no-such", exit_code=2)
