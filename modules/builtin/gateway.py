"""
The app `gateway` (spec/scenarios.md 4.6). A webhook's event is the bundle that the run is given; without one there is
nothing to start with.
"""

from __future__ import annotations

from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field, invalid
from runtime.effects import Emit, Recall, Remember, Steps, Warn
from runtime.errors import ModuleRuntimeError
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED, Buffer, compact_json, to_text

#: Most headers of an answer, and how long their names and values may be.
MAX_HEADERS: Final = 16
MAX_NAME: Final = 256
MAX_VALUE: Final = 4096


def receive(job: BuiltinJob) -> Steps[None]:  # noqa: ARG001  the event is all there is
    """Give the event that this cycle of the run was started for."""
    event = yield Recall("event", "")
    if event is None:
        raise ModuleRuntimeError("The webhook has no event. Run the scenario with --trigger-bundle FILE.")
    yield Emit([event["payload"]])


def respond(job: BuiltinJob) -> Steps[None]:
    """Answer the caller of the webhook; where nobody waits the module does nothing. Modules behind it run."""
    status = job.config["status"]
    if status < 100 or status > 999:
        raise invalid("Invalid status in parameter 'status'.")
    headers = job.config.get("headers", UNDEFINED) or []
    if len(headers) > MAX_HEADERS:
        raise invalid(f"A response may have {MAX_HEADERS} headers, not {len(headers)}.")
    named = [_header(entry) for entry in headers]
    waits = yield Recall("caller", "")
    if waits == "waiting":
        answer = render(status, named, job.config.get("body", UNDEFINED))
        yield Remember("answer", "", answer)
    elif waits == "answered":
        yield Warn("The caller of the webhook has its answer already; this one is ignored.")
    yield Emit([{}])


def render(status: int, headers: list[list[str]], body: Any) -> dict[str, Any]:
    """The answer as it is stored: status, headers, and a body that is text or a buffer (spec/scenarios.md 4.6)."""
    if isinstance(body, (dict, list)):
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = [*headers, ["Content-Type", "application/json"]]
        body = compact_json(body)
    elif not isinstance(body, Buffer):
        body = "" if body is UNDEFINED or body is None else to_text(body)
    return {"status": status, "headers": headers, "body": body}


def _header(entry: Any) -> list[str]:
    name = str(entry.get("key", entry.get("name", ""))) if isinstance(entry, dict) else ""
    value = str(entry.get("value", "")) if isinstance(entry, dict) else ""
    if not name or len(name) > MAX_NAME or len(value) > MAX_VALUE:
        raise invalid("Invalid header in parameter 'headers'.")
    return [name, value]


ENTRIES: Final = (
    Builtin(
        "gateway:CustomWebHook",
        role=Role.INSTANT,
        run=receive,
        static=[field("hook", "any"), field("maxResults", "number")],
    ),
    Builtin(
        "gateway:WebhookRespond",
        role=Role.RESPONDER,
        run=respond,
        mappable=[
            field("status", "uinteger", required=True),
            field("body", "any"),
            field("headers", "array", spec=[field("key"), field("name"), field("value")]),
        ],
    ),
)
