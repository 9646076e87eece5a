"""
OAuth on the command line: the browser comes back to this machine, to the gateway, or its address is pasted; and nothing
that authorization produced is in any output, log, file or value on the server (issue S4, "What must be shown" 4 and 5).
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.canaries import Canaries, processes, server_values
from tests.oauth_apps import COMMON, code_flow, write_app
from tests.oauth_provider import SECRET, Provider
from tests.spine import SCENARIST, Scenarist
from tests.worker_kit import until


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().running() as running:
        yield running


@dataclass
class Command:
    """A running command; `errors` is what it has written on standard error so far."""

    process: subprocess.Popen[str]
    errors: list[str] = field(default_factory=list)

    def page(self) -> str:
        """The provider's page that it has printed."""
        return until(lambda: next((line for line in self.errors if "/authorize?" in line), None), "the page is printed")

    def end(self, exit_code: int = 0) -> str:
        """Its output, after it has ended as expected."""
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        assert self.process.wait(60) == exit_code, (output, self.errors)
        return output


@contextlib.contextmanager
def running(cli: Scenarist, *arguments: str) -> Iterator[Command]:
    """A command with pipes on all sides."""
    process = subprocess.Popen(
        [str(SCENARIST), *arguments],
        env=cli.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command = Command(process)

    def read(stream: IO[str]) -> None:
        command.errors.extend(line.strip() for line in stream)

    assert process.stderr is not None
    reader = threading.Thread(target=read, args=(process.stderr,))
    reader.start()
    try:
        yield command
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def prepared(cli: Scenarist, tmp_path: Path, provider: Provider) -> None:
    """The app is registered, its client is in the operator's common data."""
    folder = write_app(tmp_path / "app", provider.url, code_flow(provider.url))
    cli("app", "add", str(folder))
    said = cli("app", "common", "mailer", "--params", "-", stdin=json.dumps(COMMON))
    assert "clientSecret" in said
    assert SECRET not in said


ADD = ("connection", "add", "mailer", "acc", "--name", "main", "--no-browser")


def browse(url: str) -> httpx.Response:
    """A browser: goes where it is sent."""
    return httpx.get(url, follow_redirects=True, trust_env=False, verify=False)


def test_browser_comes_back_to_this_machine(cli: Scenarist, tmp_path: Path, provider: Provider) -> None:
    """The command waits on a loopback address; forged callbacks and other paths change nothing."""
    prepared(cli, tmp_path, provider)
    with running(cli, *ADD) as command:
        page = command.page()
        home = re.findall(r"redirect_uri=([^&]*)", page)[0]
        callback = httpx.URL("http://x/?u=" + home).params["u"]
        forged = browse(f"{callback}?code=x&state={'y' * 32}&next=https%3A%2F%2Fevil.example")
        assert (forged.status_code, "location" in forged.headers) == (400, False)
        assert browse(callback.replace("/oauth/cb", "/other")).status_code == 404
        answer = browse(page)
        assert (answer.status_code, answer.headers["referrer-policy"]) == (200, "no-referrer")
        assert "You can close this window" in answer.text
        assert command.end() == "main authorized as ann@example.com\n"
    assert callback.endswith("/oauth/cb/mailer/acc")
    assert cli.json("connection", "list")[0]["state"] == "valid"


def test_fixed_port_and_refusal(cli: Scenarist, tmp_path: Path, provider: Provider) -> None:
    """The port is the setting's; the provider's refusal is the command's error, and nothing is stored."""
    prepared(cli, tmp_path, provider)
    cli.environment["SCENARIST_OAUTH_LOOPBACK_PORT"] = str(free_port())
    provider.refuse = {"error": "access_denied", "error_description": "Ann said no"}
    with running(cli, *ADD) as command:
        page = command.page()
        assert f"127.0.0.1%3A{cli.environment['SCENARIST_OAUTH_LOOPBACK_PORT']}" in page
        answer = browse(page)
        assert answer.status_code == 400
        assert "Ann" not in answer.text
        command.end(1)
        assert any("access_denied: Ann said no" in line for line in command.errors)
    assert cli.json("connection", "list") == []


def test_pasted_address(cli: Scenarist, tmp_path: Path, provider: Provider) -> None:
    """On a machine without a browser the address that another one ended at is pasted; as an argument it is refused."""
    prepared(cli, tmp_path, provider)
    cli(*ADD, "--redirect-url", "http://127.0.0.1/?code=1", exit_code=2)
    with running(cli, *ADD, "--redirect-url", "-") as command:
        location = httpx.get(command.page(), trust_env=False, verify=False).headers["location"]
        assert command.process.stdin is not None
        command.process.stdin.write(location + "\n")
        command.process.stdin.flush()
        assert command.end() == "main authorized as ann@example.com\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]


@pytest.fixture
def gateway(cli: Scenarist) -> str:
    """The address of a gateway that is to be started."""
    port = str(free_port())
    cli.environment |= {
        "SCENARIST_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SCENARIST_GATEWAY_PORT": port,
        "SCENARIST_LOG_LEVEL": "debug",
        "SCENARIST_LOG_FORMAT": "json",
    }
    return cli.environment["SCENARIST_PUBLIC_URL"]


def reached(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def test_no_canary_of_oauth_leaves_the_runtime(
    cli: Scenarist, tmp_path: Path, provider: Provider, gateway: str
) -> None:
    """
    Authorize at the gateway, refuse, forge, renew before use and after a 401, remove: the client's secret, codes,
    states, verifiers and tokens are in no log, output, file, argument or value on the server.
    """
    prepared(cli, tmp_path, provider)
    step = {"id": 1, "module": "mailer:whoami", "version": 1, "parameters": {"__IMTCONN__": 1}, "mapper": {}}
    (tmp_path / "flow.json").write_text(json.dumps({"name": "me", "flow": [step], "metadata": {"version": 1}}))
    stop, looked, arguments = threading.Event(), [], []
    watcher = threading.Thread(target=lambda: looked.append(server_values(cli, stop)))
    watcher.start()
    pages: list[str] = []
    try:
        with cli.process("gateway"), cli.process("worker", "--processes", "1"), cli.process("scheduler"):
            until(lambda: reached(f"{gateway}/ready"), "the gateway is ready")
            assert httpx.get(f"{gateway}/health", trust_env=False, verify=False).json() == {"status": "ok"}
            with running(cli, *ADD) as command:
                pages.append(command.page())
                forged = browse(f"{gateway}/oauth/cb/mailer/acc?code=x&state=forged-state-0123456789")
                assert forged.status_code == 400
                answer = browse(pages[-1])
                assert answer.status_code == 200, answer.text
                assert str(answer.url).startswith(f"{gateway}/oauth/cb/mailer/acc?")
                assert browse(str(answer.url)).status_code == 400
                arguments.append(processes())
                assert command.end() == "main authorized as ann@example.com\n"
            provider.refuse = {"error": "access_denied"}
            with running(cli, *ADD[:-2], "other", "--no-browser") as command:
                pages.append(command.page())
                assert browse(pages[-1]).status_code == 400
                command.end(1)
            provider.refuse = None
            cli("scenario", "import", str(tmp_path / "flow.json"), "--connection", "1=main")
            assert cli.json("run", "me", "--wait", "--timeout", "60")["status"] == "success"
            provider.end_access_tokens()
            assert cli.json("run", "me", "--wait", "--timeout", "60")["status"] == "success"
            cli("connection", "renew", "main")
            cli("module", "run", "mailer", "whoami", "--connection", "main", "--trace")
            provider.grants.revoked |= set(provider.grants.refresh.values())
            provider.end_access_tokens()
            assert cli.json("run", "me", "--wait", "--timeout", "60", exit_code=1)["status"] == "error"
            cli("connection", "show", "main")
            cli("connection", "remove", "main", "--force")
    finally:
        stop.set()
        watcher.join()

    canaries = Canaries()
    canaries.values = produced(provider)
    assert {name.partition(" ")[0] for name in canaries.values} >= {"secret", "code", "state", "verifier", "token"}
    canaries.assert_absent("output of commands and processes", "\n".join(cli.seen).encode())
    canaries.assert_absent("values on the server", looked[0])
    canaries.assert_absent("arguments of processes", b"\n".join(arguments))
    for file in cli.home.rglob("*"):
        if file.is_file():
            canaries.assert_absent(str(file), file.read_bytes())
    log = "\n".join(cli.seen)
    assert '"path":"/oauth/cb/mailer/acc"' in log
    assert "forged-state" not in log


def produced(provider: Provider) -> dict[str, str]:
    """Everything secret that went between us and the provider."""
    found: dict[str, str] = {"secret": SECRET}
    for seen in provider.seen:
        values: dict[str, Any] = seen.query | seen.form
        for name, kind in (
            ("code", "code"), ("state", "state"), ("code_verifier", "verifier"), ("refresh_token", "token refresh"),
        ):  # fmt: skip
            if name in values:
                found[f"{kind} {len(found)}"] = values[name]
        bearer = seen.headers.get("Authorization", "")
        if bearer.startswith("Bearer "):
            found[f"token access {len(found)}"] = bearer.removeprefix("Bearer ")
    return found


def test_up_starts_the_gateway(cli: Scenarist, gateway: str) -> None:
    """With a public address the gateway is one of the processes of `up`, and stops with them."""
    with cli.process("up", "--processes", "1"):
        until(lambda: reached(f"{gateway}/ready"), "the gateway is ready")
        assert httpx.get(f"{gateway}/oauth/cb/mailer/acc", trust_env=False, verify=False).status_code == 400
        large = httpx.post(f"{gateway}/oauth/cb/a/b", content=b"x" * 100_000, trust_env=False, verify=False)
        assert large.status_code == 413
    assert not reached(f"{gateway}/ready")
