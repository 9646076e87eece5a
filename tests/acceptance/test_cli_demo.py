"""`scenarist demo`: everything once, and nothing left afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.spine import SCENARIST


def environment(tmp_path: Path) -> dict[str, str]:
    """A person's environment that holds a server of their own: the demo must not go there."""
    folder = tmp_path / "t"
    folder.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(folder),
        "SCENARIST_REDIS_URL": "redis://127.0.0.1:1/0",
        "SCENARIST_HOME": str(tmp_path / "mine"),
    }


def processes_with(text: str) -> list[str]:
    """Command lines of the living processes whose environment or arguments hold this text."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            facts = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in facts and state != "Z":
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_the_demo_shows_the_whole_way_and_cleans_up(tmp_path: Path) -> None:
    """Connection without secret, each operation with its request line and output, a redacted log line, the end."""
    variables = environment(tmp_path)
    done = subprocess.run(
        [str(SCENARIST), "demo"], env=variables, capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "authorized as support@example.com" in shown
    for line in ("GET http", "/tickets?", "POST http", "/comments", "PATCH http", "-> 200", "-> 201"):
        assert line in shown, line
    assert "helpdesk:addComment" in shown
    assert '"authorization"' in shown.lower()
    assert "[sanitized]" in shown
    assert "success" in shown
    assert not re.search("demo_[0-9a-f]{32}", shown)
    assert list((tmp_path / "t").iterdir()) == []
    assert not (tmp_path / "mine").exists()
    assert processes_with(str(tmp_path)) == []


def test_the_demo_for_programs_is_one_object(tmp_path: Path) -> None:
    """--json prints connection, run and log line as data."""
    done = subprocess.run(
        [str(SCENARIST), "demo", "--json"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    result = json.loads(done.stdout)

    assert result["run"]["status"] == "success"
    assert result["connection"]["metadata"]["value"] == "support@example.com"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_nothing_behind(tmp_path: Path, stop: signal.Signals) -> None:
    """Ctrl-C or a termination in the middle: exit code 130, no process, no folder."""
    running = subprocess.Popen(
        [str(SCENARIST), "demo"], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("app "):
            break
    running.send_signal(stop)
    _, errors = running.communicate(timeout=100)

    assert running.returncode == 130
    assert "Traceback" not in errors
    assert list((tmp_path / "t").iterdir()) == []
    assert processes_with(str(tmp_path)) == []
