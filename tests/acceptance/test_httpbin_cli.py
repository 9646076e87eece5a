"""Basic and digest connections on the command line, at the httpbin application: `connection add`, then modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.httpbin_server import PASSWORD, USER, basic_app, digest_app, httpbin
from tests.spine import Scenarist


@pytest.mark.parametrize("write", [basic_app, digest_app])
def test_connection_and_module(cli: Scenarist, tmp_path: Path, write: object) -> None:
    """A wrong password is told and not kept; with the right one a module gets what the service gives to this user."""
    with httpbin() as url:
        app = str(write(tmp_path / "app", url))  # type: ignore[operator]
        add = ("connection", "add", app, "acc", "--name", "bin", "--params", "-")
        code, _, errors = cli.raw(*add, stdin=json.dumps({"user": USER, "password": "wrong-one"}))
        assert (code, "httpbin says 401" in errors) == (1, True)
        assert cli.json("connection", "list") == []

        assert cli(*add, stdin=json.dumps({"user": USER, "password": PASSWORD})) == f"bin authorized as {USER}\n"
        found = cli.json("module", "run", app, "whoami", "--connection", "bin", "--trace")
        assert found["bundles"][0]["user"] == USER
    assert PASSWORD not in "".join(cli.seen).replace(f"{USER}/{PASSWORD}", "")
