"""
Webhooks without their server: from one incoming request to items for the queue and an answer. Pure, no I/O.

    verdict = custom.receive(incoming, options, structure)                  # a custom webhook (gateway:CustomWebHook)
    verdict = receiving.receive(plan, incoming, hook, environment)          # the webhook of an app

Whatever comes in, the result is a `Verdict`, never an exception. Sources: spec/modules.md 5, spec/scenarios.md 4.6.
"""

from runtime.webhooks.answers import RespondPlan, compile_respond, render
from runtime.webhooks.delivery import delivery_key
from runtime.webhooks.incoming import ACCEPTED, Answer, Incoming, Verdict
from runtime.webhooks.plans import RECEIVING, HookScope, ReceivingPlan, compile_receiving

__all__ = [
    "ACCEPTED",
    "RECEIVING",
    "Answer",
    "HookScope",
    "Incoming",
    "ReceivingPlan",
    "RespondPlan",
    "Verdict",
    "compile_receiving",
    "compile_respond",
    "delivery_key",
    "render",
]
