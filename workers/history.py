"""A run as people see it: its steps from the journal, their outputs from the bundle store, redacted at the exit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from connections.values import secret_texts
from connections.vault import Vault
from runtime import codec
from runtime.errors import ScenaristError, UsageError
from runtime.sanitize import Secrets
from runtime.scenario.cursor import Cursor, visible_refs
from runtime.scenario.steps import stamped
from workers.ledger.bundles import ChunkReader
from workers.ledger.records import RunHeader, RunRequest, RunStart
from workers.ledger.runs import Runs
from workers.ledger.states import RESTING
from workers.library import Library, builtin_app
from workers.views import RunReport

#: Outputs of one step are shown up to this size (spec/scenarios.md 6.2).
MAX_OUTPUT_BYTES = 15 * 1000 * 1000
#: How long one look at the journal waits for news.
_LOOK = timedelta(milliseconds=500)


def run_secrets(secrets: Secrets, vault: Vault, library: Library, request: RunRequest) -> None:
    """Make the secrets of a run's connections known, as far as those still exist."""
    for connection in dict.fromkeys(request.connections.values()):
        try:
            record = vault.get(connection)
        except UsageError:
            continue  # It was removed, and its secrets with it.
        content = request.apps.get(record.app)
        app = library.app(record.app, content) if content else builtin_app(record.app)
        spec = app.connection(record.component) if app else None
        if app is not None and spec is not None:
            secrets.add_all(secret_texts(app, spec, record))


def report(runs: Runs, library: Library, vault: Vault, run: str, secrets: Secrets) -> RunReport:
    """
    A run with its steps so far.

    Raises:
        UsageError: There is no such run.
        ScenaristError: Its data cannot be decrypted, so nothing of it is shown.
    """
    header = runs.header(run)
    cipher = runs.cipher(run)
    with secrets.scope() as scope:
        run_secrets(scope, vault, library, runs.request(run, cipher))
        reader = runs.reader(run, cipher)
        records = (entry.record for entry in runs.all_journal(run, cipher) if entry.record is not None)
        outputs = runs.outputs(run, cipher)
        known = list(records)
        return RunReport(
            header,
            str(header.state),
            tuple(steps(known, reader, scope)),
            scope.redact(outputs) if isinstance(outputs, dict) else {},
            header.error,
            details=tuple(details(known)),
        )


def watch(
    runs: Runs, library: Library, vault: Vault, run: str, secrets: Secrets, timeout: timedelta | None
) -> Iterator[RunHeader | dict[str, Any]]:
    """
    Yield each step of a run as it happens and the header whenever its state changes; ends when the run rests.

    Raises:
        UsageError: There is no such run, or it has not ended within `timeout`.
    """
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
    header = runs.header(run)
    yield header
    cipher = runs.cipher(run)
    with secrets.scope() as scope:
        run_secrets(scope, vault, library, runs.request(run, cipher))
        reader, after = runs.reader(run, cipher), "0"
        while True:
            entries = runs.journal(run, cipher, after=after, block=_LOOK)
            for entry in entries:
                after = entry.id
                if entry.record is not None and entry.record["t"] in ("step", "filtered"):
                    yield step_json(entry.record, reader, scope)
            current = runs.header(run)
            if current.state is not header.state:
                header = current
                yield header
            if header.state in RESTING and not entries:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise UsageError(f"Run {run} is still {header.state}. It goes on; look again later.")


def steps(records: Iterable[dict[str, Any]], reader: ChunkReader, secrets: Secrets) -> list[dict[str, Any]]:
    """Step records of the journal as they are printed; a repeated step stands once, as it went the last time."""
    shown: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    before: dict[int, list[Any]] = {}
    for record in records:
        if record["t"] == "exchanges":
            before.setdefault(record["op"], []).extend(record["exchanges"])
            continue
        if record["t"] not in ("step", "filtered"):
            continue
        step = step_json(record, reader, secrets)
        number = record.get("op")
        if number in before:
            step["exchanges"] = before[number] + step.get("exchanges", [])
        if number is None:
            shown.append(step)
        elif number in places:
            shown[places[number]] = step
        else:
            places[number] = len(shown)
            shown.append(step)
    return shown


def operations(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The operations of a run in the order they began, each as it went the last time."""
    found: dict[int, dict[str, Any]] = {}
    for record in records:
        if record["t"] == "step":
            found[record["op"]] = record
    return list(found.values())


def details(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    What a tree of the run needs beside each step, in the order of `steps`: `op` and the bundle that came in (`from`:
    module, op, index), its number in the run (`number`, None for a filtered one), the filter as evaluated.
    """
    shown: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    for record in records:
        if record["t"] not in ("step", "filtered"):
            continue
        op = record.get("op")
        if op in places:
            continue
        number = None
        if op is not None:
            places[op] = number = len(places) + 1
        known = {key: record.get(key) for key in ("op", "from", "filter")}
        shown.append({**known, "number": number})
    return shown


def step_json(record: dict[str, Any], reader: ChunkReader, secrets: Secrets) -> dict[str, Any]:
    """One step as it is printed (design section 8)."""
    step: dict[str, Any] = {
        "module": record["module"],
        "app": record["app"],
        "status": record.get("status", "filtered"),
        "cycle": record["cycle"],
        "input": record.get("input", {}),
        "output": _output(record, reader, secrets),
        "error": record.get("error"),
        "ms": record.get("ms", 0.0),
    }
    for key in ("exchanges", "warnings", "debug"):
        if key in record:
            step[key] = record[key]
    return step


def _output(record: dict[str, Any], reader: ChunkReader, secrets: Secrets) -> list[Any]:
    bundles: list[Any] = []
    size = 0
    for index in range(record.get("count", 0)):
        try:
            bundle = reader.get(record["op"], index)
        except ScenaristError:
            # Not kept: a confidential run, or history that was cleared.
            return bundles
        if record.get("multi"):
            bundle = stamped(bundle, index, record["count"])
        bundle = codec.mark(bundle)
        size += len(codec.dumps(bundle))
        if size > MAX_OUTPUT_BYTES:
            return bundles
        bundles.append(secrets.redact(bundle))
    return bundles


def visible_bundles(start: RunStart, secrets: Secrets) -> dict[str, Any]:
    """What can be mapped at the module where a run begins in the middle: module id -> bundle, marked and redacted."""
    stack = Cursor.from_json(start.cursor).stack
    shown: dict[str, Any] = {}
    for module, (number, index) in visible_refs(stack).items():
        bundle = list(start.bundles[number])[index]
        shown[str(module)] = secrets.redact(codec.mark(bundle))
    return shown


def refused(error: str, message: str, module: int | None = None) -> RunReport:
    """What a run prints that was refused before it began: nothing was recorded (spec/scenarios.md 1.7)."""
    return RunReport(None, "error", error={"type": error, "message": message, "module": module})
