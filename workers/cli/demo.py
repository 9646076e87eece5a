"""`scenarist demo`: the whole thing once on sample data, with real processes and a temporary data folder."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from runtime.errors import DefinitionError, ScenaristError, UsageError
from runtime.values import compact_json
from workers.cli import output, steps
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app

if TYPE_CHECKING:
    from workers.service import Service

app = new_app()

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
APP, COMPONENT, CONNECTION = "helpdesk", "helpdesk", "desk"
BLUEPRINT = EXAMPLES / "blueprints/answer-urgent-tickets.json"
#: The foreign connection id that the example blueprint names.
FOREIGN_CONNECTION = "4711"
#: Longest wait for a process of the demo to be ready, for the run, and for a process to end. Far above what is needed.
PATIENCE = timedelta(seconds=60)
#: Settings of the person that would lead the demo to something of theirs.
LEFT_OUT = (
    "SCENARIST_REDIS_URL",
    "SCENARIST_REDIS_PASSWORD_FILE",
    "SCENARIST_KEYS",
    "SCENARIST_KEYS_FILE",
    "SCENARIST_CONFIG",
)


@app.command(epilog=example("scenarist demo"))
def demo(as_json: JsonOption = False) -> int:
    """
    Run everything once on sample data, then clean up.

    Starts a server, a sample API and a worker of its own, registers the example app, authorizes a connection, runs the
    example scenario on the queue, and stops what it started. Nothing of yours is touched.
    """
    if not BLUEPRINT.is_file():
        raise UsageError(
            "the demo needs the folder `examples` of the source checkout; get the sources and run make demo"
        )
    say = (lambda _text: None) if as_json else output.say
    with ExitStack() as stack:
        stack.enter_context(_stop_signals())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scenarist-demo-")))
        environment = demo_environment(home)
        api_key = f"demo_{secrets.token_hex(16)}"
        output.keep_secret(api_key)
        url = stack.enter_context(sample_api(home, api_key, environment))
        say(f"sample API   {url}")
        opened = stack.enter_context(_demo_service(environment))
        say(f"data folder  {home} (gone at the end)")
        result = _prepare(opened, url, api_key, say)
        worker_log = home / "worker.log"
        stack.enter_context(worker(worker_log, environment))
        report = _run(opened, result["scenario"], as_json=as_json)
        line = redacted_log_line(worker_log) or redacted_exchange(report)
    result |= {"run": report, "log": line}
    if as_json:
        output.print_json(result)
    else:
        output.say()
        output.say("one exchange as logs keep it, the header redacted:")
        output.say(f"    {line}")
        output.say()
        steps.say_end(report)
        output.say("stopped: worker, server, sample API; data folder removed")
    return steps.exit_code(report["status"])


def demo_environment(home: Path) -> dict[str, str]:
    """The environment of the demo's processes: a data folder of its own, loopback allowed, nothing of the person's."""
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    return kept | {
        "SCENARIST_HOME": str(home),
        "SCENARIST_ALLOW_NETS": "127.0.0.0/8",
        "SCENARIST_LOG_FORMAT": "json",
        "SCENARIST_LOG_LEVEL": "info",
    }


@contextmanager
def _stop_signals() -> Generator[None]:
    """Until the end, a request to stop counts as Ctrl-C, so that everything is cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def sample_api(home: Path, api_key: str, environment: dict[str, str]) -> Generator[str]:
    """Run the sample API as a process and give its URL; its key goes through standard input, never an argument."""
    announced = home / "sample-api.url"
    command = [sys.executable, str(EXAMPLES / "sample_api.py"), "--announce", str(announced)]
    process = subprocess.Popen(  # noqa: S603  our own file with this interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, text=True, start_new_session=True
    )
    try:
        if process.stdin is None:
            raise ScenaristError("the sample API has no standard input")
        process.stdin.write(f"{api_key}\n")
        process.stdin.flush()
        _wait_for(announced, process, "the sample API")
        yield announced.read_text()
    finally:
        _stop(process)


@contextmanager
def worker(log: Path, environment: dict[str, str]) -> Generator[None]:
    """Run `scenarist worker` as a process that logs to this file."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment,
            # Ctrl-C reaches the demo alone, which then stops its processes in order.
            start_new_session=True,
        )
    try:
        yield
    finally:
        _stop(process)


def _wait_for(file: Path, process: subprocess.Popen[str], name: str) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ScenaristError(f"{name} did not start")
        time.sleep(0.01)


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(PATIENCE.total_seconds())
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _demo_service(environment: dict[str, str]) -> Generator[Service]:
    from workers.cli.services import quiet_logs
    from workers.service import open_service
    from workers.settings import load_settings

    settings = load_settings(environment)
    quiet_logs(settings)
    with open_service(settings, secrets=output.secrets()) as opened:
        yield opened


def _prepare(opened: Service, url: str, api_key: str, say: Any) -> dict[str, Any]:
    added = opened.apps.add(EXAMPLES / "apps/helpdesk")
    if added.row is None:
        raise DefinitionError("the example app was not registered", added.findings)
    say(f"app          {added.row.name}, state {added.row.hash[:12]}")
    parameters = {"url": url, "account": "acme", "apiKey": api_key}
    connection = opened.connections.add(APP, COMPONENT, name=CONNECTION, parameters=parameters).to_json()
    metadata = (connection.get("metadata") or {}).get("value")
    say(f"connection   {connection['name']}, authorized as {metadata}")
    imported = opened.scenarios.import_(BLUEPRINT.read_bytes(), bindings={FOREIGN_CONNECTION: CONNECTION})
    if imported.row is None:
        raise DefinitionError("the example blueprint was not imported", imported.findings)
    say(f"scenario     {imported.row.name}")
    return {"app": added.row.name, "connection": connection, "scenario": imported.row.id}


def _run(opened: Service, scenario: str, *, as_json: bool) -> dict[str, Any]:
    header = opened.runs.enqueue(scenario)
    if not as_json:
        output.say(f"run          {header.id} is {header.state}")
        output.say()
    for seen in opened.runs.watch(header.id, timeout=PATIENCE):
        if isinstance(seen, dict) and not as_json:
            steps.say_step(seen, lines=True)
    report = opened.runs.show(header.id).to_json()
    return report | {"steps": [steps.step_json(step, trace=True) for step in report["steps"]]}


def redacted_exchange(report: dict[str, Any]) -> str:
    """The first exchange of the run's journal, as one line of JSON; without the body of its answer, which is long."""
    exchanges = [exchange for step in report["steps"] for exchange in step.get("exchanges", ())]
    if not exchanges:
        return ""
    first: dict[str, Any] = exchanges[0]
    answer: dict[str, Any] = first.get("response") or {}
    return compact_json(first | {"response": {name: part for name, part in answer.items() if name != "body"}})


def redacted_log_line(log: Path) -> str:
    """The first line of a log that shows a redacted header; empty when there is none."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return next((line for line in lines if "authorization" in line and "[sanitized]" in line), "")
