"""Records as plain JSON data, for `--json` and for the HTTP API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.ledger.events import EventRow
    from workers.ledger.incompletes import IncompleteRow
    from workers.ledger.records import RunHeader
    from workers.ledger.stores import StoreRow
    from workers.views import ScenarioRow


def instant(milliseconds: int | None) -> str:
    """UTC milliseconds as `2026-11-25 01:28:16Z`; `-` for none."""
    if milliseconds is None:
        return "-"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _maybe(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else instant(milliseconds)


def run(header: RunHeader) -> dict[str, Any]:
    """A run without its steps."""
    return {
        "run": header.id,
        "scenario": header.scenario,
        "name": header.name,
        "kind": header.kind,
        "status": str(header.state),
        "created": instant(header.created_ms),
        "started": _maybe(header.started_ms),
        "ended": _maybe(header.ended_ms),
        "operations": header.operations,
        "cycles": header.cycles,
        "stopping": header.stopping,
        "error": header.error,
    }


def scenario(row: ScenarioRow) -> dict[str, Any]:
    """A scenario."""
    return {
        "id": row.id,
        "name": row.name,
        "active": row.active,
        "blueprint": row.blueprint,
        "created": instant(row.created_ms),
        "on_unknown": row.on_unknown,
        "timezone": row.timezone,
        "schedule": {
            "mode": row.schedule.mode or None,
            "scheduling": row.schedule.schedule,
            "text": row.schedule.text or None,
            "next": [instant(at) for at in row.schedule.next_ms],
            "again": _maybe(row.schedule.again_ms),
            "repetitions": row.schedule.backoffs,
            "finished": row.schedule.finished or None,
            "slots": row.schedule.slots,
        },
        "errors": row.errors,
        "stop_reason": row.stop_reason,
        "incomplete": row.incomplete,
        "versions": list(row.versions),
        "bindings": [
            {"kind": item.kind, "foreign": item.foreign, "label": item.label, "bound": item.bound}
            for item in row.bindings
        ],
    }


def incomplete(row: IncompleteRow) -> dict[str, Any]:
    """An incomplete execution without its data."""
    return {
        "id": row.id,
        "scenario": row.scenario,
        "name": row.name,
        "status": str(row.status),
        "module": row.module,
        "app": row.app,
        "cycle": row.cycle,
        "error": row.error,
        "created": instant(row.created_ms),
        "size": row.size,
        "attempts": row.attempts,
        "next": _maybe(row.next_ms),
        "run": row.run,
        "retries": list(row.retries),
    }


def store(row: StoreRow) -> dict[str, Any]:
    """A data store without its records."""
    return {"name": row.name, "records": row.count, "bytes": row.size, "fields": row.fields, "strict": row.strict}


def event(row: EventRow) -> dict[str, Any]:
    """An event of a webhook without its data."""
    return {"id": row.id, "received": row.received_ms, "size": row.size, "place": row.place, "run": row.run or None}
