"""What becomes of the event of a webhook when its run has failed (spec/scenarios.md 3.7, 3.8)."""

from __future__ import annotations

from typing import Literal

from runtime.errors import ModuleError
from runtime.scenario.ending import COUNTED, OFF
from runtime.scenario.incomplete import BACK_OFF


def event_after(status: str, error: ModuleError | None, *, directed: bool = False) -> Literal["back", "dead"]:
    """
    `back`: it waits at its old place, and something stops it from being tried at once: a back-off, the count of errors,
    a scenario that is switched off. `dead`: nothing would, since only this event is bad; it is kept apart for a person.
    """
    if status == "cancelled" or error is None or directed:
        return "back"
    return "back" if error.name in COUNTED | OFF | BACK_OFF else "dead"
