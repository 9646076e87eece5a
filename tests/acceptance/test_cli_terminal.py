"""The command line at a terminal, in a closing pipe and under Ctrl-C; and the tutorial, whose commands really run."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpdesk import APP, BLUEPRINT, KEY
from tests.paths import ROOT
from tests.spine import SCENARIST, Scenarist


def at_a_terminal(cli: Scenarist, *arguments: str, answers: dict[str, str]) -> tuple[int, str]:
    """Run a command whose standard streams are a terminal; each prompt gets its answer. Gives exit code and screen."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(SCENARIST, [str(SCENARIST), *arguments], cli.variables() | {"TERM": "xterm"})
    screen = ""
    left = dict(answers)
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        screen += piece.decode(errors="replace")
        for prompt in [prompt for prompt in left if prompt in screen]:
            os.write(terminal, f"{left.pop(prompt)}\n".encode())
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    cli.seen.append(screen)
    assert left == {}, screen
    return os.waitstatus_to_exitcode(status), screen


def test_secrets_are_asked_for_and_not_echoed(cli: Scenarist, api: Any) -> None:
    """Each missing required parameter has a prompt; what is typed at the hidden one never shows."""
    cli("app", "add", str(APP))
    code, screen = at_a_terminal(
        cli,
        *("connection", "add", "helpdesk", "helpdesk", "--name", "desk"),
        answers={"Address of the help desk: ": api.url, "Account: ": "acme", "API key (hidden): ": KEY},
    )

    assert code == 0, screen
    assert "authorized as support@example.com" in screen
    assert KEY not in "".join(cli.seen)
    code, screen = at_a_terminal(cli, "connection", "list", answers={})
    assert code == 0
    assert "support@example.com" in screen


def test_ctrl_c_at_a_prompt_is_exit_code_130(cli: Scenarist) -> None:
    """Without a traceback, and nothing is kept."""
    cli("app", "add", str(APP))
    code, screen = at_a_terminal(
        cli,
        "connection",
        "add",
        "helpdesk",
        "helpdesk",
        "--name",
        "desk",
        answers={"Address of the help desk: ": "\x03"},
    )

    assert code == 130, screen
    assert "Traceback" not in screen
    assert cli.json("connection", "list") == []


def test_a_closed_pipe_is_silent(cli: Scenarist) -> None:
    """`scenarist ... | head -1` ends without a word."""
    command = f"'{SCENARIST}' iml --functions --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=cli.variables(), capture_output=True, text=True, check=False)

    assert done.stdout == "["
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_ctrl_c_while_waiting_is_exit_code_130(cli: Scenarist, api: Any) -> None:
    """`run --wait` with no worker: Ctrl-C ends the wait, the run stays accepted."""
    cli("app", "add", str(APP))
    parameters = json.dumps({"url": api.url, "account": "acme", "apiKey": KEY})
    cli("connection", "add", "helpdesk", "helpdesk", "--name", "desk", "--params", "-", stdin=parameters)
    cli("scenario", "import", str(BLUEPRINT), "--connection", "4711=desk", "--name", "urgent")
    waiting = subprocess.Popen(
        [str(SCENARIST), "run", "urgent", "--wait"],
        env=cli.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (runs := cli.json("runs", "list")) and time.monotonic() < deadline:
        time.sleep(0.1)
    waiting.send_signal(signal.SIGINT)
    shown = waiting.communicate(timeout=60)

    assert waiting.returncode == 130, shown
    assert "Traceback" not in shown[1]
    assert runs[0]["status"] == "queued"


def tutorial_blocks() -> list[str]:
    """The shell blocks of the tutorial that a test can run: not those that install, serve or name a run to fill in."""
    text = (ROOT / "docs/tutorial.md").read_text("utf-8")
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    skipped = ("make demo", "sample_api.py", "scenarist up", "export ", "runs show RUN")
    return [block for block in blocks if not any(word in block for word in skipped)]


def test_the_commands_of_the_tutorial_run(cli: Scenarist, api: Any) -> None:
    """Every block in its order, with the processes of the tutorial in the background."""
    blocks = tutorial_blocks()
    assert len(blocks) >= 8
    cli.environment |= {
        "PATH": f"{SCENARIST.parent}{os.pathsep}{os.environ['PATH']}",
        "DESK_URL": api.url,
        "DESK_KEY": KEY,
    }
    with cli.process("worker", "--processes", "1"):
        for block in blocks:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=ROOT,
                env=cli.variables(),
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            cli.seen += [done.stdout, done.stderr]
            assert done.returncode == 0, block + done.stdout + done.stderr

    assert KEY not in "".join(cli.seen)


def command_lines() -> str:
    """The arguments of every process of this machine."""
    lines: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads the arguments of processes from /proc")
def test_no_secret_is_an_argument_of_any_process(cli: Scenarist, api: Any) -> None:
    """Neither the connection's key, nor the server's password, nor the key ring: not while worker and server run."""
    cli("app", "add", str(APP))
    parameters = json.dumps({"url": api.url, "account": "acme", "apiKey": KEY})
    cli("connection", "add", "helpdesk", "helpdesk", "--name", "desk", "--params", "-", stdin=parameters)
    cli("scenario", "import", str(BLUEPRINT), "--connection", "4711=desk", "--name", "urgent")
    with cli.process("up", "--processes", "1"):
        assert cli.json("run", "urgent", "--wait", "--timeout", "60")["status"] == "success"
        shown = command_lines()
        configuration = "".join(
            [file.read_text(errors="replace") for file in cli.home.rglob("*.conf") if file.is_file()]
        )
    passwords = re.findall(r"^requirepass \"?([^\"\s]+)", configuration, flags=re.MULTILINE)
    keys = [line.partition(":")[2] for line in (cli.home / "keys").read_text().splitlines()]

    assert str(SCENARIST.parent) in shown
    assert passwords
    for secret in (KEY, *passwords, *keys):
        assert secret not in shown
        assert secret not in "".join(cli.seen)
