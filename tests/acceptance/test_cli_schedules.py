"""A team member switches scenarios on and off, and looks at when they run (spec/scenarios.md 5.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.spine import Scenarist


def file(folder: Path, *flow: dict[str, Any], **rest: Any) -> str:
    path = folder / "blueprint.json"
    path.write_text(json.dumps({"name": "Daily", "flow": list(flow), "metadata": {"version": 1}, **rest}))
    return str(path)


FEED = {"id": 1, "module": "builtin:BasicFeeder", "version": 1, "parameters": {}, "mapper": {"array": [{"a": 1}]}}
HOOK = {"id": 1, "module": "gateway:CustomWebHook", "version": 1, "parameters": {"hook": 5}, "mapper": {}}
SET = {"id": 2, "module": "util:SetVariable2", "version": 1, "parameters": {},
       "mapper": {"name": "x", "scope": "roundtrip", "value": "1"}}  # fmt: skip


def test_on_off_and_next_runs(cli: Scenarist, tmp_path: Path) -> None:
    cli("scenario", "import", file(tmp_path, FEED, SET, scheduling={"type": "daily", "time": "06:10 PM"}))
    tried = cli.json("scenario", "next", "Daily", "--count", "3", "--monthly", "31@08:00")
    assert len(tried["next"]) == 3
    assert tried["active"] is False
    on = cli.json("scenario", "activate", "Daily", "--timezone", "Europe/Prague")
    assert (on["active"], on["schedule"]["mode"], on["schedule"]["scheduling"]["type"]) == (True, "timed", "daily")
    assert all(at[11:16] in ("17:10", "16:10") for at in on["schedule"]["next"])
    other = cli.json("scenario", "activate", "Daily", "--every", "15m")
    assert other["schedule"]["scheduling"] == {"type": "indefinitely", "interval": 900}
    assert "every 15 minutes" in cli("scenario", "list")
    assert cli.json("scenario", "deactivate", "Daily")["active"] is False
    assert cli.json("scenario", "show", "Daily")["schedule"]["next"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--every", "5s"], "interval"),
        (["--every", "often"], "no interval"),
        (["--weekly", "mox@08:00"], "no day"),
        (["--daily", "25:00"], "time"),
        (["--daily", "08:00", "--every", "15m"], "exclude"),
        (["--schedule", "{"], "schedul"),
        (["--immediately"], "instant"),
        (["--timezone", "Mars/Olympus"], "time zone"),
        (["--between", "2026-01-01"], "comma"),
        (["--slots", "0"], "slots"),
    ],
)
def test_what_cannot_be_is_refused_in_words(cli: Scenarist, tmp_path: Path, options: list[str], words: str) -> None:
    cli("scenario", "import", file(tmp_path, FEED, SET))
    code, _, errors = cli.raw("scenario", "activate", "Daily", *options)
    assert code == 2
    assert words in errors
    assert "Traceback" not in errors
    assert cli.json("scenario", "show", "Daily")["active"] is False


def test_a_webhook_that_is_not_bound_keeps_a_scenario_off(cli: Scenarist, tmp_path: Path) -> None:
    cli("scenario", "import", file(tmp_path, HOOK, SET))
    code, _, errors = cli.raw("scenario", "activate", "Daily")
    assert code == 2
    assert "hook" in errors
    cli("scenario", "import", file(tmp_path, HOOK, SET), "--new-hook")
    assert cli.json("scenario", "activate", "Daily")["schedule"]["mode"] == "immediately"


def test_there_is_nothing_to_tell(cli: Scenarist) -> None:
    assert cli.json("notifications", "list") == []
