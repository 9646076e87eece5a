"""A scenario that starts itself by calling its own webhook is switched off before it runs for ever (spec 3.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.effects import HttpRequest, HttpResponse
from runtime.logs import get_logger
from workers.ledger import lua
from workers.ledger.hooks import HookRecord

if TYPE_CHECKING:
    from workers.runner import SegmentRunner

#: So many calls of its own webhook in so long a time are let through.
SELF_CALLS, WINDOW_SECONDS = 10, 120
_REASON = f"It called its own webhook more than {SELF_CALLS} times within {WINDOW_SECONDS // 60} minutes: a loop."

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecursionGuard:
    """Sends the requests of a run that an event has started, and counts those to the scenario's own webhook."""

    runner: SegmentRunner
    scenario: str

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send a request. Raises ModuleError as the performer of requests does."""
        own = self.runner.settings.hook_url("")
        if request.url.startswith(own) and self._is_own(re.split(r"[/?#]", request.url[len(own) :], maxsplit=1)[0]):
            runs = self.runner.runs
            keys, arguments = [runs.keys.scenario(self.scenario)], [SELF_CALLS, WINDOW_SECONDS, _REASON]
            if lua.call(runs.client, "self_call", keys, [runs.keys.prefix, self.scenario, *arguments]) == 1:
                log.error("scenario switched off", scenario=self.scenario, reason=_REASON)
        return self.runner.http.send(request)

    def _is_own(self, token: str) -> bool:
        hook = self.runner.hooks.by_token(token) if token else None
        return isinstance(hook, HookRecord) and hook.scenario == self.scenario
