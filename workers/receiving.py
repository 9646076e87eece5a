"""
What the gateway asks about an incoming request: which events it brings, for which webhooks, and the answer at once.

    receiver.receive(record, incoming)      # a custom webhook or a dedicated one of an app
    receiver.shared(address, incoming)      # the one address of a shared webhook: all hooks of its uid

Everything that decides is pure (`runtime.webhooks`); here is what it needs from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.app.functions import app_environment
from runtime.app.specs import App
from runtime.errors import ScenaristError, UsageError
from runtime.iml import Environment
from runtime.logs import get_logger
from runtime.sanitize import Secrets
from runtime.webhooks import (
    ACCEPTED,
    RECEIVING,
    HookScope,
    Incoming,
    ReceivingPlan,
    Verdict,
    custom,
    delivery_key,
    receiving,
)
from runtime.webhooks.incoming import plain
from runtime.webhooks.structure import learn
from workers.connecting import with_common
from workers.ledger.hooks import HookRecord, SharedAddress
from workers.local import environment
from workers.policy import limits_of
from workers.runner import SegmentRunner

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Events for one webhook; `key` tells this delivery from others, "" when the hook does not ask for that."""

    record: HookRecord
    items: tuple[Any, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """
    The verdict over a request and whom its events are for. A `verification` is answered also while no scenario listens.
    """

    verdict: Verdict
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class Receiver:
    """Reads requests. `secrets` redacts what is logged about refused ones."""

    runner: SegmentRunner
    secrets: Secrets

    def receive(self, record: HookRecord, incoming: Incoming) -> Received:
        """The verdict over a request to a webhook's own address. Never raises for what came in."""
        plain_environment = environment(self.runner.settings.timezone)
        if record.kind == "custom":
            structure = record.options.get("structure")
            verdict = custom.receive(
                incoming,
                record.options,
                structure if isinstance(structure, list) else None,
                timezone=plain_environment.timezone,
            )
            if record.options.get("learn") and verdict.items:
                self._learn(record, verdict.items[0])
        else:
            found = self._plan(record.app, record.component)
            if isinstance(found, str):
                return Received(self._refused(record.id, Verdict((), _UNUSABLE, found)))
            app, plan = found
            verdict = receiving.receive(plan, incoming, self._scope(app, plan, record), self._environment(app))
        return self._received(record, verdict, incoming, plain_environment)

    def shared(self, address: SharedAddress, incoming: Incoming) -> Received:
        """
        The verdict over a request to a shared address; the answer is that of its first recipient, and `Accepted` when
        it is for nobody here.
        """
        place = f"{address.app} {address.component}"
        found = self._plan(address.app, address.component)
        if isinstance(found, str):
            return Received(self._refused(place, Verdict((), _UNUSABLE, found)))
        app, plan = found
        ready = self._environment(app)
        call = receiving.open_shared(plan, incoming, app.common_values, ready)
        if call.verdict is not None:
            return Received(self._refused(place, call.verdict))
        recipients = self.runner.hooks.recipients(address.app, address.component, call.uid) if call.uid else []
        if not recipients:
            log.info("event for nobody", app=address.app, webhook=address.component)
            return Received(Verdict((), ACCEPTED))
        deliveries: list[Delivery] = []
        verdicts: list[Verdict] = []
        for record in recipients:
            verdict = receiving.deliver(plan, call, self._scope(app, plan, record), ready)
            one = self._received(record, verdict, incoming, ready)
            deliveries += one.deliveries
            verdicts.append(one.verdict)
        # One that fails for one recipient must not make the service repeat it for the others.
        good = next((verdict for verdict in verdicts if not verdict.refused), verdicts[0])
        answer = good.answer or (ACCEPTED if not deliveries else None)
        return Received(replace(good, items=(), answer=answer), tuple(deliveries))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _received(self, record: HookRecord, verdict: Verdict, incoming: Incoming, ready: Environment) -> Received:
        verdict = self._refused(record.id, verdict)
        if not verdict.items:
            return Received(verdict)
        key = delivery_key(record.options.get("dedupe"), incoming, ready)
        return Received(verdict, (Delivery(record, verdict.items, key),))

    def _refused(self, hook: str, verdict: Verdict) -> Verdict:
        if not verdict.refused:
            return verdict
        reason = self.secrets.redact_text(verdict.refused)
        log.warning("webhook request refused", hook=hook, reason=reason)
        return replace(verdict, refused=reason)

    def _plan(self, app: str, component: str) -> tuple[App, ReceivingPlan] | str:
        """The app with its plan, or why there is none."""
        library = self.runner.library
        try:
            found = library.app(app, library.registry.get(app).content)
        except ScenaristError as error:
            return error.message
        webhook = found.webhook(component)
        if webhook is None:
            return f'The app "{app}" has no webhook "{component}" any more.'
        plan = RECEIVING.plan(found, webhook)
        if "common" in plan.reads:
            found = with_common(found, self.runner.common.get(app))
        return found, plan

    def _environment(self, app: App) -> Environment:
        settings = self.runner.settings
        return app_environment(environment(settings.timezone), app, limits=limits_of(settings).functions)

    def _scope(self, app: App, plan: ReceivingPlan, record: HookRecord) -> HookScope:
        connection: Mapping[str, Any] | None = None
        if record.connection and "connection" in plan.reads:
            try:
                connection = self.runner.vault.get(record.connection).data
            except UsageError:
                connection = None
        url = self.runner.settings.hook_url(record.token)
        return HookScope(record.id, url, record.parameters, record.data, connection, app.common_values)

    def _learn(self, record: HookRecord, item: dict[str, Any]) -> None:
        """Keep the structure of the first event of a webhook that waits for it."""
        options = {key: value for key, value in record.options.items() if key != "learn"}
        options["structure" if record.options["learn"] == "validate" else "learned"] = learn(item)
        try:
            self.runner.hooks.change(replace(record, options=options))
        except UsageError:
            # Somebody else has learned from another event, or changed the hook: that is as good.
            log.info("structure not learned", hook=record.id)


_UNUSABLE = plain(500, "The webhook could not be processed.")
