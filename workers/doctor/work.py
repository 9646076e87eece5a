"""The work: processes, queues, runs that do not get on, stored failures, formats."""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import version
from typing import cast

from runtime.scenario.cursor import VERSION as CURSOR_VERSION
from workers.doctor.finding import Finding, Place, age, error, many, ok, size, warning
from workers.ledger.counters import Installation, Measures
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION
from workers.ledger.schedule import Presence
from workers.server import FORMAT, Server

#: Ages in seconds from which something is called late.
LATE_SWEEP, LATE_RUN, OLD_DECISION = 15.0, 300.0, 24 * 3600.0
#: Runs that are looked at one by one.
SAMPLE = 1000
#: Ended runs among which poisoned ones are looked for.
RECENT = 500


def check_formats(at: Place) -> list[Finding]:
    """Whether everything that waits can be read by this release."""
    waiting: list[bytes] = []
    for index in (at.keys.queued, at.keys.due, at.keys.runs_undecided):
        waiting += cast("list[bytes]", at.server.client.zrange(index, 0, SAMPLE - 1))
    with at.server.client.pipeline(transaction=False) as pipeline:
        for run in waiting:
            pipeline.hmget(at.keys.run(run.decode()), "v", "cursor_v")
        rows = pipeline.execute()
    newer = sum(1 for v, cursor in rows if int(v or 0) > RECORD_VERSION or int(cursor or 0) > CURSOR_VERSION)
    if newer:
        advice = "Start workers of the newer release; those of this one leave such runs alone."
        return [error("formats", f"{many(newer, 'run')} were written by a newer release.", advice)]
    return [ok("formats", f"Ledger format {FORMAT}, records {RECORD_VERSION}, cursors {CURSOR_VERSION}: all readable.")]


def check_processes(at: Place) -> list[Finding]:
    """Which processes are alive, whether their versions agree, whether a scheduler leads."""
    seen, found = Presence(at.server.client, at.keys).seen(), list[Finding]()
    roles = Counter(process.role for process in seen)
    machines = len({process.machine for process in seen})
    here, leading = _measures(at.server, at.keys), bool(at.server.client.exists(at.keys.leader))
    if not roles["worker"]:
        level = error if here.waiting or here.runs["queued"] else warning
        advice = "Start scenarist worker, or scenarist up for everything on one machine."
        found.append(level("processes", "No worker is alive: nothing runs.", advice))
    if not leading:
        advice = "Start scenarist scheduler: nothing wakes parked runs, nobody finds what dead workers held."
        level = error if any(here.runs.values()) else warning
        found.append(level("processes", "No scheduler leads.", advice))
    versions = Counter(process.version or "?" for process in seen)
    own = version("scenarist")
    if set(versions) - {own}:
        shown = ", ".join(f"{name}: {number}" for name, number in sorted(versions.items()))
        advice = "Bring all processes to one release; during an upgrade that is as it should be."
        text = f"Processes of other releases are alive ({shown}; this is {own})."
        found.append(warning("processes", text, advice))
    told = ", ".join(many(roles[role], role) for role in ("worker", "scheduler", "gateway") if roles[role])
    return found or [ok("processes", f"{told} on {many(machines, 'machine')}, version {own}; a scheduler leads.")]


def check_queue(at: Place) -> list[Finding]:
    """How long accepted runs wait, and whether the scheduler keeps up."""
    seen, found = _measures(at.server, at.keys), list[Finding]()
    if seen.oldest_waiting > LATE_RUN:
        advice = (
            "Start more workers (scenarist worker; --scale worker=N). Runs of a sequential scenario wait for the one "
        )
        advice += "before them, and for its incomplete executions: scenarist incomplete list."
        text = f"The oldest of {many(seen.waiting, 'run')} has been waiting for {age(seen.oldest_waiting)}."
        found.append(warning("queue", text, advice))
    if seen.oldest_event > LATE_RUN:
        advice = (
            "Start more workers, or give its scenario more slots; a scenario that is switched off by errors or waits "
        )
        advice += "for a schedule keeps its events until it runs."
        text = f"The oldest of {many(seen.events, 'event')} of webhooks has been waiting for {age(seen.oldest_event)}."
        found.append(warning("queue", text, advice))
    if seen.lateness > LATE_SWEEP:
        advice = "See whether a scheduler leads and what its log says."
        text = f"The oldest wake-up is {age(seen.lateness)} overdue."
        found.append(error("queue", text, advice))
    return found or [ok("queue", f"{many(seen.waiting, 'run')} wait; nothing is overdue.")]


def check_runs(at: Place) -> list[Finding]:
    """Runs that do not get on: leases that nobody took back, poisoned runs, decisions that nobody takes."""
    seen, found = _measures(at.server, at.keys), list[Finding]()
    if seen.oldest_lease > LATE_SWEEP:
        advice = "The scheduler takes such runs back: see whether one leads and what its log says."
        text = f"A run's worker has been gone for {age(seen.oldest_lease)}, and nobody took the run over."
        found.append(error("runs", text, advice))
    poisoned = _poisoned(at.server, at.keys)
    if poisoned:
        advice = "Look at them with scenarist runs show: their step kills its worker (memory, a crash)."
        found.append(warning("runs", f"Given up as poisoned lately: {', '.join(poisoned)}.", advice))
    undecided = cast(
        "list[tuple[bytes, float]]", at.server.client.zrange(at.keys.runs_undecided, 0, 0, withscores=True)
    )
    if undecided:
        seconds, _ = at.server.client.time()
        since = max(0.0, seconds - undecided[0][1] / 1000)
        advice = f"Decide: scenarist runs show {undecided[0][0].decode()}, then scenarist runs retry or runs cancel."
        text = f"{many(seen.runs['incomplete'], 'run')} stopped at a request of unknown outcome, "
        text += f"the oldest {age(since)} ago."
        found.append(warning("runs", text, advice))
    return found or [ok("runs", f"{many(seen.runs['running'], 'run')} at work; none is stuck.")]


def check_stored(at: Place) -> list[Finding]:
    """Stored failures that wait for a person, and the history's size."""
    seen, found = _measures(at.server, at.keys), list[Finding]()
    unresolved = seen.incompletes["unresolved"]
    if unresolved:
        advice = "scenarist incomplete list shows them; retry, resolve or drop each."
        found.append(warning("failures", f"{many(unresolved, 'incomplete execution')} wait for a person.", advice))
    if seen.history_bytes > 1.5 * at.settings.keep_bytes:
        advice = "The scheduler clears it in small steps: see whether one leads."
        text = f"Ended runs hold {size(seen.history_bytes)}; SCENARIST_KEEP_BYTES is {size(at.settings.keep_bytes)}."
        found.append(warning("history", text, advice))
    text = f"No stored failure waits for a person; the history holds {size(seen.history_bytes)}."
    return found or [ok("failures", text)]


def _measures(server: Server, keys: Keys) -> Measures:
    return Installation(server.client, keys).measures()


def _poisoned(server: Server, keys: Keys) -> list[str]:
    ids = [run.decode() for run in cast("list[bytes]", server.client.zrevrange(keys.ended, 0, RECENT - 1))]
    with server.client.pipeline(transaction=False) as pipeline:
        for run in ids:
            pipeline.hget(keys.run(run), "error")
        errors = cast("list[bytes | None]", pipeline.execute())
    found: list[str] = []
    for run, stored in zip(ids, errors, strict=True):
        message = (json.loads(stored) or {}).get("message") if stored else ""
        if isinstance(message, str) and message.startswith("poisoned:"):
            found.append(run)
    return found[:5]
