"""
The app `gateway` (spec/scenarios.md 4.6): the event of a custom webhook as a bundle, and the answer to its caller.
"""

from __future__ import annotations

from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field, invalid
from modules.instant import NO_EVENT
from modules.responder import nobody_waits
from runtime.effects import Emit, Recall, Remember, Steps
from runtime.errors import DataError, ModuleRuntimeError
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED
from runtime.webhooks.answers import remembered, render

#: Most headers of an answer, and how long their names and values may be.
MAX_HEADERS: Final = 16
MAX_NAME: Final = 256
MAX_VALUE: Final = 4096


def receive(job: BuiltinJob) -> Steps[None]:  # noqa: ARG001  what it gives is the run's event
    """
    The event that has started the run.

    Raises:
        ModuleRuntimeError: There is none; a run that is given its trigger bundle never comes here.
    """
    event = yield Recall("event", "")
    if event is None:
        raise ModuleRuntimeError(NO_EVENT)
    yield Emit([event["payload"]])


def respond(job: BuiltinJob) -> Steps[None]:
    """
    Answer the caller of the webhook; where nobody waits the module does nothing. Modules behind it run.

    Raises:
        BundleValidationError: The status or a header is none, or the body cannot be sent.
    """
    status = job.config["status"]
    if status < 100 or status > 999:
        raise invalid("Invalid status in parameter 'status'.")
    entries = job.config.get("headers", UNDEFINED) or []
    if len(entries) > MAX_HEADERS:
        raise invalid(f"A response may have {MAX_HEADERS} headers, not {len(entries)}.")
    headers: dict[str, list[str]] = {}
    for entry in entries:
        name, value = _header(entry)
        headers.setdefault(name, []).append(value)
    try:
        answer = render(status, headers, job.config.get("body", UNDEFINED))
    except DataError as error:
        raise invalid(f"The response cannot be sent: {error.message}") from error
    caller = yield Recall("caller", "")
    if caller == "waiting":
        yield Remember("answer", "", remembered(answer))
    elif caller == "answered":
        yield nobody_waits(caller)
    yield Emit([{}])


def _header(entry: Any) -> tuple[str, str]:
    """The name and value of one configured header; `name` is another word for `key`."""
    name, value = "", ""
    if isinstance(entry, dict):
        name, value = str(entry.get("key") or entry.get("name") or ""), str(entry.get("value", "") or "")
    if not name or len(name) > MAX_NAME or len(value) > MAX_VALUE:
        raise invalid("Invalid header in parameter 'headers'.")
    return name, value


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
