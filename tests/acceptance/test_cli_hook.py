"""`scenarist hook` as a person uses it: a service on loopback, a custom webhook, a scenario that starts with one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hook_apps import TOKEN, Desk, write_hook_app
from tests.servers import Script, ScriptServer
from tests.spine import Scenarist


@pytest.fixture
def desk(cli: Scenarist, tmp_path: Path) -> Iterator[Desk]:
    """The service, with its app registered and a connection made."""
    made = Desk()
    with ScriptServer(Script(handler=made)) as server:
        cli("app", "add", str(write_hook_app(tmp_path / "desk", server.url)))
        parameters = json.dumps({"token": TOKEN})
        cli("connection", "add", "desk", "desk", "--name", "main", "--params", "-", stdin=parameters)
        yield made


def refusal(cli: Scenarist, *arguments: str, code: int = 2) -> str:
    """What a command that must fail with this code says on standard error."""
    cli(*arguments, exit_code=code)
    return cli.seen[-1]


def test_a_webhook_of_an_app_from_add_to_remove(cli: Scenarist, desk: Desk) -> None:
    """Its address is shown only when it is asked for, its secret parameters never."""
    made = cli.json(
        "hook", "add", "desk", "ticket", "--name", "tickets", "--connection", "main", "--params", "-",
        stdin=json.dumps({"event": "new", "key": "k-9Yv3-secret"}),
    )  # fmt: skip
    (registered,) = desk.hooks.values()

    assert (made["state"], made["url"], made["parameters"]["event"]) == ("attached", None, "new")
    said = cli("hook", "show", "tickets") + cli("hook", "list") + cli("hook", "list", "--json")
    assert registered["url"] not in said
    assert "secret" not in said
    assert cli.json("hook", "show", "tickets", "--url")["url"] == registered["url"]
    assert registered["url"] in cli("hook", "show", "tickets", "--url")

    assert cli.json("hook", "edit", "tickets", "--param", "event=closed")["parameters"]["event"] == "closed"
    assert [hook["event"] for hook in desk.hooks.values()] == ["closed"]
    assert cli.json("hook", "detach", "tickets")["state"] == "detached"
    assert cli.json("hook", "attach", "tickets")["state"] == "attached"
    desk.broken["DELETE /hooks"] = 500
    assert "[500]" in refusal(cli, "hook", "remove", "tickets", "--strict", code=1)
    removed = cli.json("hook", "remove", "tickets")
    assert removed["removed"] == "tickets"
    assert "[500]" in removed["warnings"][0]
    assert TOKEN not in json.dumps(removed)
    assert cli.json("hook", "list") == []


def test_a_refused_webhook_says_what_the_app_says(cli: Scenarist, desk: Desk) -> None:
    """And leaves nothing; wrong calls are told apart from refusals."""
    desk.broken["POST /hooks"] = 422
    arguments = ("hook", "add", "desk", "ticket", "--param", "event=new")

    refused = refusal(cli, *arguments, "--connection", "main", code=1)
    assert "[422] broken for" in refused
    assert TOKEN not in refused
    assert cli.json("hook", "list") == []
    assert "needs a connection" in refusal(cli, *arguments)
    assert "Known: ticket, changed, byhand, team" in refusal(cli, "hook", "add", "desk", "gone")
    assert "--custom NAME" in refusal(cli, "hook", "add")
    assert "no method" in refusal(cli, "hook", "add", "--custom", "a", "--method", "fetch")
    assert "secret" in refusal(cli, *arguments, "--connection", "main", "--param", "key=abc")


def test_an_instant_trigger_is_tried_with_an_item(cli: Scenarist, desk: Desk, tmp_path: Path) -> None:
    """Without a scenario: its request goes out, its output is shown."""
    given = ("module", "run", str(tmp_path / "desk"), "watchTickets", "--connection", "main")

    report = cli.json(*given, "--event", "-", stdin='{"id": "a1", "event": "new"}')
    assert report["bundles"] == [{"title": "Ticket a1", "event": "new"}]
    assert ("GET", "/tickets/a1", f"Bearer {TOKEN}") in desk.seen
    assert "--event FILE" in refusal(cli, *given)


def test_a_custom_webhook_and_its_scenario(cli: Scenarist, tmp_path: Path) -> None:
    """Made with the import, or before it and bound by name; its structure is learned from a sample."""
    flow = [
        {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 55}, "mapper": {}},
        {"id": 2, "module": "json:ParseJSON", "version": 1, "parameters": {}, "mapper": {"json": "{}"}},
    ]
    file = tmp_path / "orders.json"
    file.write_text(json.dumps({"name": "orders", "flow": flow, "metadata": {"version": 1}}), "utf-8")

    cli("scenario", "import", str(file))
    assert "--new-hook" in cli.seen[-1]
    shown = cli("hook", "add", "--custom", "in", "--headers", "--ip", "10.0.0.0/8", "--dedupe", "{{headers.x-id}}")
    assert "/hook/" in shown
    imported = cli.json("scenario", "import", str(file), "--hook", "55=in")
    assert [row["bound"] for row in imported["bindings"] if row["kind"] == "hook"] == ["in"]
    assert cli.json("hook", "show", "in")["scenario"] == "orders"
    assert "serves the scenario" in refusal(cli, "hook", "remove", "in")

    sample = tmp_path / "sample.json"
    sample.write_text('{"id": 1, "lines": [{"sku": "a"}]}', "utf-8")
    assert cli("hook", "learn", "in", "--sample", str(sample)).split() == [
        "id:", "number", "lines:", "array", "sku:", "text",
    ]  # fmt: skip
    assert cli.json("hook", "learn", "in", "--sample", str(sample), "--validate")["validates"] is True
    changed = cli.json(
        "hook", "edit", "in", "--structure", "none", "--ip", "any", "--no-headers", "--name", "orders in"
    )
    assert changed["options"].keys() == {"learned", "dedupe"}
    assert cli.json("hook", "queue", "orders in") == []
    assert cli.json("hook", "drop-events", "orders in", "--all") == {"dropped": 0}
    assert cli.json("hook", "revive-events", "orders in") == {"revived": 0}
    assert cli.json("hook", "edit", "orders in", "--scenario", "none")["scenario"] is None
    assert cli.json("scenario", "import", str(file), "--new-hook")["bindings"][0]["bound"] == "orders"
    assert cli.json("hook", "remove", "orders in")["warnings"] == []
