"""What the end-to-end tests share: the command line with a data folder of its own, real apps, blueprints, processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCENARIST = Path(sys.executable).with_name("scenarist")


@dataclass
class Scenarist:
    """The command line with a data folder of its own; `seen` collects everything that it ever printed."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        ours = {"HOME": str(self.home), "SCENARIST_HOME": str(self.home), "SCENARIST_ALLOW_NETS": "127.0.0.0/8"}
        # Any free port: several test processes run at once.
        return kept | ours | {"SCENARIST_GATEWAY_PORT": "0"} | self.environment

    def __call__(self, *arguments: str, stdin: str = "", exit_code: int = 0) -> str:
        """Run one command to its end and give its standard output; the exit code must be the expected one."""
        code, out, errors = self.raw(*arguments, stdin=stdin)
        assert code == exit_code, f"{arguments}: {code}\n{out}\n{errors}"
        assert "Traceback" not in errors, errors
        return out

    def raw(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run one command to its end: exit code, standard output and standard error."""
        done = subprocess.run(
            [str(SCENARIST), *arguments],
            input=stdin,
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.seen += [done.stdout, done.stderr]
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments: str, stdin: str = "", exit_code: int = 0) -> Any:
        """The same with `--json`, parsed."""
        return json.loads(self(*arguments, "--json", stdin=stdin, exit_code=exit_code))

    @contextlib.contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a command such as `worker` running; it gets SIGTERM at the end. Its output goes to `seen`."""
        log = self.home / f"{arguments[0]}-{len(self.seen)}-{os.urandom(4).hex()}.log"
        with log.open("wb") as stream:
            running = subprocess.Popen(
                [str(SCENARIST), *arguments],
                env=self.variables(),
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
            )
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
                raise
            finally:
                self.seen.append(log.read_text(errors="replace"))


def corpus_app(source: Path, target: Path, *, host: str, server: str) -> Path:
    """A copy of a real app in which `host` stands for the loopback server, since it may not call the real one."""
    shutil.copytree(source, target)
    for file in target.rglob("*.*json"):
        file.chmod(0o644)
        text = file.read_bytes()
        if host.encode() in text:
            file.write_bytes(text.replace(host.encode(), server.encode()))
    return target


def blueprint(name: str, *modules: dict[str, Any], **scenario: Any) -> dict[str, Any]:
    """A blueprint as the editor exports it, from its modules."""
    settings = {"roundtrips": 1, "maxErrors": 3, "autoCommit": True, "autoCommitTriggerLast": True, "sequential": False}
    return {
        "name": name,
        "flow": list(modules),
        "metadata": {"version": 1, "instant": False, "scenario": settings | scenario, "designer": {"orphans": []}},
    }


def step(number: int, module: str, mapper: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One module of a blueprint."""
    return {"id": number, "module": module, "version": 1, "parameters": {}, "mapper": mapper or {}} | more
