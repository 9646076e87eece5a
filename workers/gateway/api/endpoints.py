"""The endpoints of the API: each calls one command of the service and gives its JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from runtime.errors import UsageError
from runtime.values import jsonable
from workers import shown
from workers.cli.steps import step_json
from workers.gateway.api import models
from workers.gateway.api.endpoint import Call, Endpoint, Nothing, Refused, Reply
from workers.ledger.states import FINAL, RunState
from workers.posting import checked_address

#: Records of one request to a data store.
_MOST_RECORDS: Final = 10_000


def _list(rows: Any, show: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    return [show(row) for row in rows]


# -- scenarios ---------------------------------------------------------------------------------------------------------


def _scenarios(call: Call) -> Any:
    return _list(call.service.scenarios.list(), shown.scenario)


def _scenario(call: Call) -> Any:
    return shown.scenario(call.service.scenarios.show(call.path["scenario"]))


def _blueprint(call: Call) -> Any:
    return Reply(200, raw=call.service.scenarios.export(call.path["scenario"]))


def _activate(call: Call) -> Any:
    body: models.ActivateBody = call.body
    name = call.path["scenario"]
    call.service.schedules.activate(name, schedule=body.schedule, timezone=body.timezone, slots=body.slots)
    return shown.scenario(call.service.scenarios.show(name))


def _deactivate(call: Call) -> Any:
    call.service.schedules.deactivate(call.path["scenario"])
    return shown.scenario(call.service.scenarios.show(call.path["scenario"]))


def _run(call: Call) -> Any:
    body: models.RunBody = call.body
    if body.callbackUrl:
        try:
            checked_address(body.callbackUrl, "callbackUrl")
        except UsageError as error:
            raise Refused(400, "InvalidCallback", error.message) from None
    run = None
    if call.key:
        # The same key means the same run: asked twice, it is accepted once.
        run = hashlib.sha256(f"{call.token.id} {call.key}".encode()).hexdigest()[:24]
    header = call.service.runs.enqueue(
        call.path["scenario"],
        inputs=body.data,
        queued=body.queued,
        kind="api",
        run=run,
        callback=body.callbackUrl or "",
    )
    known = call.service.runner.runs.header(header.id)
    if known.scenario != header.scenario:
        raise Refused(409, "IdempotencyKeyUsed", "This Idempotency-Key belongs to a run of another scenario.")
    if body.responsive:
        return Reply(200, run=known.id)
    return Reply(202, {"executionId": known.id, "status": str(known.state)})


# -- runs --------------------------------------------------------------------------------------------------------------


def _runs(call: Call) -> Any:
    query: models.RunsQuery = call.query
    found = call.service.runs.list(
        scenario=query.scenario,
        limit=query.limit,
        states=query.status,
        since_ms=query.since,
        before_ms=query.before,
    )
    following = found[-1].created_ms if len(found) == query.limit else None
    return {"runs": _list(found, shown.run), "next": following}


def _shown_run(call: Call) -> Any:
    query: models.ShownRunQuery = call.query
    report = call.service.runs.show(call.path["run"]).to_json()
    return report | {"steps": [step_json(step, trace=query.trace) for step in report["steps"]]}


def _cancel(call: Call) -> Any:
    return shown.run(call.service.runs.cancel(call.path["run"]))


def _retry(call: Call) -> Any:
    run = call.path["run"]
    state = call.service.runner.runs.header(run).state
    if state is not RunState.INCOMPLETE:
        raise Refused(409, "WrongState", f"Run {run} is {state}; only a run of status incomplete can be retried.")
    return shown.run(call.service.runs.retry(run))


def _replay(call: Call) -> Any:
    body: models.ReplayBody = call.body
    state = call.service.runner.runs.header(call.path["run"]).state
    if state not in FINAL:
        raise Refused(409, "WrongState", f"Run {call.path['run']} is {state}; only an ended run can be replayed.")
    header = call.service.runs.repeat(call.path["run"], body.operation, current=body.current)
    return Reply(202, {"executionId": header.id, "status": str(header.state)})


# -- webhooks ----------------------------------------------------------------------------------------------------------


def _hooks(call: Call) -> Any:
    return [row.to_json(url=False) for row in call.service.hooks.list()]


def _hook(call: Call) -> Any:
    return call.service.hooks.show(call.path["hook"]).to_json(url=False)


def _events(call: Call) -> Any:
    query: models.EventsQuery = call.query
    return _list(call.service.hooks.events(call.path["hook"], limit=query.limit), shown.event)


def _event(call: Call) -> Any:
    return jsonable(call.service.hooks.event(call.path["hook"], call.path["event"]))


def _drop(call: Call) -> Any:
    body: models.EventsBody = call.body
    return {"count": call.service.hooks.drop(call.path["hook"], body.events or None)}


def _revive(call: Call) -> Any:
    return {"count": call.service.hooks.revive(call.path["hook"])}


# -- connections, data stores, incomplete executions -------------------------------------------------------------------


def _connections(call: Call) -> Any:
    return [row.to_json() for row in call.service.connections.list()]


def _connection(call: Call) -> Any:
    return call.service.connections.show(call.path["connection"]).to_json()


def _stores(call: Call) -> Any:
    return _list(call.service.stores.list(), shown.store)


def _records(call: Call) -> Any:
    return {"records": call.service.stores.export(call.path["store"])}


def _put_records(call: Call) -> Any:
    from runtime.codec import CodecError, unmark

    body: models.RecordsBody = call.body
    if len(body.records) > _MOST_RECORDS:
        raise Refused(413, "TooLarge", f"One request may bring {_MOST_RECORDS} records.")
    try:
        records = {key: unmark(record) for key, record in body.records.items()}
    except CodecError as error:
        raise Refused(400, "InvalidRecord", error.message) from None
    return shown.store(call.service.stores.replace(call.path["store"], records))


def _incompletes(call: Call) -> Any:
    query: models.IncompleteQuery = call.query
    return _list(call.service.incompletes.list(scenario=query.scenario, resolved=query.resolved), shown.incomplete)


def _incomplete(call: Call) -> Any:
    row, bundles = call.service.incompletes.show(call.path["record"])
    return shown.incomplete(row) | {"bundles": bundles}


def _retry_incomplete(call: Call) -> Any:
    row, header = call.service.incompletes.retry(call.path["record"])
    return shown.incomplete(row) | {"executionId": None if header is None else header.id}


def _resolve(call: Call) -> Any:
    return shown.incomplete(call.service.incompletes.resolve(call.path["record"]))


def _drop_incomplete(call: Call) -> Any:
    call.service.incompletes.drop(call.path["record"])
    return {"count": 1}


_S, _R, _H, _I = "/scenarios/{scenario}", "/runs/{run}", "/hooks/{hook}", "/incomplete/{record}"
_QUEUED = {202: "The run is on disk; its end is not waited for."}

#: The whole API.
ENDPOINTS: Final = (
    Endpoint("GET", "/scenarios", "scenarios:read", "All scenarios.", _scenarios, gives=list[models.Scenario]),
    Endpoint("GET", _S, "scenarios:read", "A scenario by id or name.", _scenario, gives=models.Scenario),
    Endpoint("GET", f"{_S}/blueprint", "scenarios:read", "The file that it was imported from.", _blueprint, gives=dict),
    Endpoint("POST", f"{_S}/activate", "scenarios:write", "Let it run by itself.", _activate,
             body=models.ActivateBody, gives=models.Scenario),
    Endpoint("POST", f"{_S}/deactivate", "scenarios:write", "Switch it off.", _deactivate, gives=models.Scenario),
    Endpoint("POST", f"{_S}/run", "scenarios:run", "Run it; with an Idempotency-Key once, however often asked.",
             _run, body=models.RunBody, gives=models.Ended, other=_QUEUED),
    Endpoint("GET", "/runs", "runs:read", "Runs, newest first.", _runs, models.RunsQuery, gives=models.Runs),
    Endpoint("GET", _R, "runs:read", "A run with its steps.", _shown_run, models.ShownRunQuery, gives=models.Report),
    Endpoint("POST", f"{_R}/cancel", "runs:write", "Stop it after its current operation.", _cancel, gives=models.Run),
    Endpoint("POST", f"{_R}/retry", "runs:write", "Do the step of unknown outcome again.", _retry, gives=models.Run),
    Endpoint("POST", f"{_R}/replay", "runs:write", "Run it again.", _replay, body=models.ReplayBody, gives=None,
             other=_QUEUED),
    Endpoint("GET", "/hooks", "hooks:read", "All webhooks, without their addresses.", _hooks, gives=list[models.Hook]),
    Endpoint("GET", _H, "hooks:read", "A webhook by id or name.", _hook, gives=models.Hook),
    Endpoint("GET", f"{_H}/events", "hooks:read", "Its events that are not done with.", _events, models.EventsQuery,
             gives=list[models.Event]),
    Endpoint("GET", f"{_H}/events/{{event}}", "hooks:read", "What an event holds.", _event, gives=dict),
    Endpoint("POST", f"{_H}/drop", "hooks:write", "Delete events that no run has taken.", _drop, body=models.EventsBody,
             gives=models.Counted),
    Endpoint("POST", f"{_H}/revive", "hooks:write", "Let dead events wait again.", _revive, gives=models.Counted),
    Endpoint("GET", "/connections", "connections:read", "All connections, without secrets.", _connections,
             gives=list[models.Connection]),
    Endpoint("GET", "/connections/{connection}", "connections:read", "A connection, without secrets.", _connection,
             gives=models.Connection),
    Endpoint("GET", "/stores", "stores:read", "All data stores.", _stores, gives=list[models.Store]),
    Endpoint("GET", "/stores/{store}", "stores:read", "The records of a data store.", _records,
             gives=models.RecordsBody),
    Endpoint("PUT", "/stores/{store}", "stores:write", "Put these records in place of the old ones.", _put_records,
             body=models.RecordsBody, gives=models.Store),
    Endpoint("GET", "/incomplete", "incomplete:read", "Incomplete executions, oldest first.", _incompletes,
             models.IncompleteQuery, gives=list[models.Incomplete]),
    Endpoint("GET", _I, "incomplete:read", "One with what can be mapped at its failed module.", _incomplete,
             gives=models.Incomplete),
    Endpoint("POST", f"{_I}/retry", "incomplete:write", "Retry it now.", _retry_incomplete, gives=models.Incomplete),
    Endpoint("POST", f"{_I}/resolve", "incomplete:write", "Call it done; its data go.", _resolve,
             gives=models.Incomplete),
    Endpoint("DELETE", _I, "incomplete:write", "Delete it with its data.", _drop_incomplete, gives=models.Counted),
)  # fmt: skip

__all__ = ["ENDPOINTS", "Nothing"]
