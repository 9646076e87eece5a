"""Promises of the whole command tree: help with an example, --json everywhere, nothing imported too early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import ROOT
from workers.cli import main
from workers.cli.commands import COMMANDS
from workers.cli.lazy import is_group
from workers.cli.reference import commands

TREE = dict(commands())


def test_the_tree_is_what_the_design_names() -> None:
    """Names are stable: scripts call exactly these."""
    assert {" ".join(path) for path, command in TREE.items() if not is_group(command)} == {
        "demo", "check", "app add", "app list", "app show", "app remove", "app test", "app common", "connection add",
        "connection list", "connection show", "connection test", "connection renew", "connection reauthorize",
        "connection edit", "connection rename", "connection remove",
        "gateway", "module run", "rpc run", "scenario import", "scenario list",
        "scenario show", "scenario epoch", "scenario export", "scenario set",
        "scenario activate", "scenario deactivate", "scenario next", "notifications list",
        "incomplete list", "incomplete show",
        "incomplete edit", "incomplete retry", "incomplete resolve", "incomplete drop",
        "token add", "token list", "token remove", "store list", "store show", "store structure",
        "store import", "store export",
        "hook add", "hook list", "hook show", "hook edit", "hook attach", "hook detach", "hook remove", "hook queue",
        "hook drop-events", "hook revive-events", "hook learn",
        "run", "runs list", "runs show", "runs watch", "runs cancel", "runs retry", "worker",
        "scheduler", "up", "iml", "keys new", "keys rotate", "doctor",
    }  # fmt: skip


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_help_shows_an_example_of_the_command(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command and group ends with an example that calls it."""
    assert main([*path, "--help"]) == 0
    shown = capsys.readouterr().out

    assert "Example:" in shown
    assert f"scenarist {' '.join(path)}" in shown.partition("Example:")[2]


@pytest.mark.parametrize("path", [path for path, command in TREE.items() if not is_group(command)], ids=" ".join)
def test_every_command_takes_json(path: tuple[str, ...]) -> None:
    """Programs can read what any command says."""
    options = {option for parameter in TREE[path].params for option in parameter.opts}

    assert "--json" in options


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    """No option or argument without a line of help."""
    assert [parameter.name for parameter in TREE[path].params if not getattr(parameter, "help", None)] == []


def test_top_level_help_imports_no_command_and_no_heavy_library() -> None:
    """What makes `scenarist --help` quick: commands, server, queue and terminal libraries stay unloaded."""
    script = "import sys, workers.cli; workers.cli.main(['--help']); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())

    assert not loaded & {entry.file for entry in COMMANDS.values()}
    assert not loaded & {"celery", "redis", "rich", "httpx", "pydantic", "structlog", "cryptography", "orjson"}


def test_version_is_the_one_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints name and number."""
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"scenarist {version('scenarist')}\n"
