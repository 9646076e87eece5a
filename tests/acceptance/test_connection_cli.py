"""Connections at a terminal and their changes: which one a blueprint's stands for, and new inputs for a stored one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.test_cli_terminal import at_a_terminal
from tests.oauth_apps import CLIENT_INPUTS, client_flow, write_app
from tests.oauth_provider import CLIENT, PASSWORD, SECRET, USER, Provider
from tests.spine import Scenarist, blueprint, step

INPUTS = {"clientId": CLIENT, "clientSecret": SECRET, "username": USER, "note": "first"}


def prepared(cli: Scenarist, folder: Path, provider: Provider, *names: str, flow: dict[str, Any] | None = None) -> None:
    app = write_app(folder, provider.url, flow or client_flow(provider.url), params=CLIENT_INPUTS, name="robot")
    cli("app", "add", str(app))
    for name in names:
        cli("connection", "add", "robot", "acc", "--name", name, "--params", "-", stdin=json.dumps(INPUTS))


def test_which_connection_is_asked_for_at_import(cli: Scenarist, tmp_path: Path) -> None:
    """Two fit: a person at a terminal chooses by number, or leaves it open and is told how to go on."""
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(blueprint("me", step(1, "robot:whoami", parameters={"__IMTCONN__": 77}))))
    with Provider().running() as provider:
        prepared(cli, tmp_path / "app", provider, "one", "two")
        code, screen = at_a_terminal(cli, "scenario", "import", str(file), answers={"leave it open: ": "2"})
        assert code == 0, screen
        assert "Connection 77 (without a name) of the app robot:" in screen
        assert "connection 77 is bound to two" in screen
        assert cli.json("connection", "show", "two")["scenarios"] == ["me"]

        code, screen = at_a_terminal(
            cli, "scenario", "import", str(file), "--name", "later", answers={"leave it open: ": ""}
        )
        assert "import again with --connection 77=NAME" in screen


def test_edit(cli: Scenarist, tmp_path: Path) -> None:
    """
    An input that the app lets change is stored after the service has accepted it; others are refused by name, a secret
    argument too, and a refusal of the service keeps the old inputs.
    """
    edit = ("connection", "edit", "one")
    flow = client_flow("")
    flow["token"]["condition"] = "{{!data.accessToken}}"
    with Provider().running() as provider:
        flow["token"]["url"] = f"{provider.url}/token"
        flow["info"] = {
            "url": provider.url + "/api{{if(connection.note = 'bad', '?no', '')}}",
            "headers": {"authorization": "Bearer {{if(connection.note = 'bad', 'x', connection.accessToken)}}"},
            "response": {"error": {"message": "refused: {{body.message}}"}},
            "log": {"sanitize": ["request.headers.authorization"]},
        }
        prepared(cli, tmp_path / "app", provider, "one", flow=flow)
        assert cli(*edit, "--param", "note=second") == "one changed\n"
        assert provider.count("/token") == 1

        code, _, errors = cli.raw(*edit, "--param", "note=bad")
        assert (code, "refused: token is not good" in errors) == (1, True)
        code, _, errors = cli.raw(*edit, "--param", "clientId=x")
        assert (code, 'input "clientId" of this connection cannot be changed' in errors) == (2, True)
        code, _, errors = cli.raw(*edit, "--param", f"password={PASSWORD}")
        assert (code, PASSWORD in errors) == (2, False)
        cli(*edit, "--params", "-", stdin=json.dumps({"password": PASSWORD}))
        assert cli.json("connection", "show", "one")["state"] == "valid"
    assert PASSWORD not in "".join(cli.seen)
