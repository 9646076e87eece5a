"""
Responder: answers the caller of the webhook that has started the run (spec/modules.md 1.9).

The first answer of a run counts. Where nobody waits the module does nothing; modules behind it run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

from modules.plans import scope_of
from runtime.effects import Emit, Recall, Remember, Steps, Warn
from runtime.module_job import ModuleJob
from runtime.webhooks.answers import RespondPlan, compile_respond, remembered

#: Compiled answers kept per process, the longest unused one leaves first.
KEPT_PLANS: Final = 1024

#: What the log of a run says when its module has nobody to answer.
NOBODY: Final = "No webhook to respond to."
ANSWERED: Final = "The webhook has been answered already; this response is ignored."


def run_responder(job: ModuleJob) -> Steps[None]:
    """
    Answer, and hand out one empty bundle.

    Raises:
        ModuleError: An expression failed, or its value cannot be sent.
    """
    job.module.require_usable()
    caller = yield Recall("caller", "")
    if caller != "waiting":
        yield nobody_waits(caller)
    else:
        webhook = yield Recall("hook", "")
        scope = scope_of(job)
        context = {"environment": {"timezone": scope.environment.timezone}, **scope.variables, "temp": {}}
        if webhook is not None:
            context["webhook"] = webhook
        answer = _PLANS.plan(job).answer(context, scope.environment)
        yield Remember("answer", "", remembered(answer))
    yield Emit([{}])


def nobody_waits(caller: Any) -> Warn:
    """Why an answer goes nowhere."""
    return Warn(ANSWERED, "answered") if caller == "answered" else Warn(NOBODY, "no-caller")


class _Plans:
    """A bounded table of compiled answers. An app without a hash is never kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[str, str, str], RespondPlan] = OrderedDict()

    def plan(self, job: ModuleJob) -> RespondPlan:
        key = (job.app.name, job.app.hash, job.module.id)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        communication = job.module.communication.value
        response = communication.get("response") if isinstance(communication, dict) else None
        plan = compile_respond(response, component=job.component, path="response") or RespondPlan()
        if job.app.hash:
            with self._lock:
                self._plans[key] = plan
                while len(self._plans) > KEPT_PLANS:
                    self._plans.popitem(last=False)
        return plan


_PLANS: Final = _Plans()
