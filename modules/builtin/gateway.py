"""
The app `gateway` (spec/scenarios.md 4.6). A webhook's event is the bundle that the run is given; without one there is
nothing to start with.
"""

from __future__ import annotations

from typing import Any, Final

from modules.builtin.job import Builtin, BuiltinJob, field, invalid
from runtime.effects import Emit, Steps
from runtime.errors import ModuleRuntimeError
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED

#: Most headers of an answer, and how long their names and values may be.
MAX_HEADERS: Final = 16
MAX_NAME: Final = 256
MAX_VALUE: Final = 4096


def receive(job: BuiltinJob) -> Steps[None]:  # noqa: ARG001  there is no event to give
    """Say what is missing: a run that is given its event never comes here."""
    raise ModuleRuntimeError("The webhook has no event. Run the scenario with --trigger-bundle FILE.")
    yield  # pyright: ignore[reportUnreachable]  makes it a generator like every other module


def respond(job: BuiltinJob) -> Steps[None]:
    """Answer the caller of the webhook; where nobody waits the module does nothing. Modules behind it run."""
    status = job.config["status"]
    if status < 100 or status > 999:
        raise invalid("Invalid status in parameter 'status'.")
    headers = job.config.get("headers", UNDEFINED) or []
    if len(headers) > MAX_HEADERS:
        raise invalid(f"A response may have {MAX_HEADERS} headers, not {len(headers)}.")
    for entry in headers:
        _check(entry)
    yield Emit([{}])


def _check(entry: Any) -> None:
    name = str(entry.get("key", entry.get("name", ""))) if isinstance(entry, dict) else ""
    value = str(entry.get("value", "")) if isinstance(entry, dict) else ""
    if not name or len(name) > MAX_NAME or len(value) > MAX_VALUE:
        raise invalid("Invalid header in parameter 'headers'.")


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
