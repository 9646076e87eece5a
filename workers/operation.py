"""
One operation of a run: the module runs, its effects are performed, its bundles are stored, its step is recorded.

Used by the segment loop alone; everything that has to be written reaches the ledger with the next checkpoint.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from connections.record import ConnectionRecord
from modules import MODULE_TYPES
from modules.builtin import BUILTIN_MODULES, run_builtin
from modules.prepare import find_module, prepare_job
from modules.rpc_lists import Caller, Lists, expand_lists, needs_expansion
from runtime import codec, counters
from runtime.app.specs import App
from runtime.communication import Limits
from runtime.effects import HttpRequest, Parked, Recall, Remember, RenewConnection, SendMail, Sleep, Steps, drive
from runtime.errors import ModuleError, ModuleRuntimeError, RateLimitError, ScenaristError, UnexpectedError
from runtime.iml import Environment
from runtime.logs import get_logger, log_context
from runtime.sanitize import MASK, Secrets
from runtime.scenario.catalog import Role
from runtime.scenario.cursor import Cursor, Frame, visible
from runtime.scenario.engine import Engine
from runtime.scenario.keeping import keep_config, kept_config
from runtime.scenario.runstate import RunEffects
from runtime.scenario.steps import Failed, Filtered, Operation, Outcome, Sides, Slept, Unknown, error_bundle
from runtime.tracing import span
from runtime.values import Bundle
from runtime.webhooks.plans import webhook_root
from workers.children import Children
from workers.connecting import Connections
from workers.ledger.bundles import BundleStore
from workers.ledger.events import Events
from workers.ledger.hooks import Hooks
from workers.ledger.pauses import Pauses
from workers.ledger.records import Claim, FenceLost, UnsafeNote
from workers.ledger.runs import Runs
from workers.library import Compiled, builtin_app
from workers.performer import PARK_LIMIT, Deliver, Performer, Send, no_renewal
from workers.renewing import Busy, Renewals
from workers.stores import RunStores

#: A step's input is kept up to this size; a larger one is noted only (spec/scenarios.md 6.2).
MAX_INPUT_BYTES = 15 * 1000 * 1000

#: How long a run waits while another worker renews its connection; it then looks again.
RENEWAL_PAUSE = timedelta(seconds=1)
#: How long a run that waits for an event sleeps at a time; an event wakes it, and this is the net.
EVENT_PAUSE = timedelta(seconds=15)
#: Conditions of a filter are kept with their values up to this size.
MAX_CONDITIONS_BYTES = 64 * 1024

log = get_logger(__name__)


@dataclass(slots=True)
class Operations:
    """Performs the operations of one segment."""

    runs: Runs
    claim: Claim
    compiled: Compiled
    engine: Engine
    store: BundleStore
    connections: Connections
    secrets: Secrets
    stores: RunStores
    children: Children
    send: Send
    deliver: Deliver
    limits: Limits
    lost: Any
    renewals: Renewals
    hooks: Hooks
    events: Events
    pauses: Pauses
    hook_url: Callable[[str], str]
    park: bool = True
    #: Chunks on the server that a failed operation left behind.
    dropped: list[str] = field(default_factory=list[str])
    #: Step records that wait for the next checkpoint, redacted.
    journal: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def perform(self, cursor: Cursor, step: Operation) -> Outcome:
        """
        Do one operation.

        Raises:
            FenceLost: Another worker has the run.
        """
        with (
            log_context(module=step.module_id),
            span("operation", module=step.module_id, number=step.number, cycle=step.cycle, kind=step.name) as traced,
        ):
            outcome = _Run(self, cursor, step, self.engine.environment()).perform()
            if isinstance(outcome, Failed):
                traced.fail(outcome.error.name)
            return outcome

    def filtered(self, step: Filtered) -> dict[str, Any]:
        """The record of a bundle that a filter has stopped, redacted."""
        record: dict[str, Any] = {"t": "filtered", "cycle": step.cycle, "module": step.module_id, "app": step.name}
        if step.after is not None:
            record["from"] = parent(step.after.stack)
        if not self.claim.request.confidential:
            record["filter"] = self.conditions(step.filter_name, step.conditions)
        return record

    def conditions(self, name: str, sides: Sides) -> dict[str, Any]:
        """A filter as it was evaluated: outer OR, inner AND of `{"a", "o", "b", "r"}`."""
        try:
            shown = [[{"a": a, "o": o, "b": b, "r": r} for a, o, b, r in group] for group in sides]
            marked = codec.mark(shown)
            if len(codec.dumps(marked)) > MAX_CONDITIONS_BYTES:
                return {"name": name, "tooLarge": True}
            return {"name": name, "conditions": self.secrets.redact(marked)}
        except (ScenaristError, ValueError, RecursionError):
            return {"name": name, "conditions": MASK}


@dataclass(slots=True)
class _Run:
    """One operation while it runs; also what the performer asks of the run (`RunPart`)."""

    all: Operations
    cursor: Cursor
    step: Operation
    environment: Environment
    record: ConnectionRecord | None = None
    effects: RunEffects = field(init=False)
    performer: Performer = field(init=False)

    def __post_init__(self) -> None:
        if self.step.kept:
            static, mapped = kept_config(self.all.store.get(self.step.kept, 0))
            self.step = self.step._replace(static=static, mapped=mapped)
        # After, because a cycle's first operation must not see the variables of the cycle before.
        self.effects = RunEffects(self.all.engine, self.step.after or self.cursor)
        self.performer = Performer(
            self, self.all.send, self.all.secrets, self.all.lost, PARK_LIMIT if self.all.park else None,
            deliver=self.all.deliver,
        )  # fmt: skip

    def perform(self) -> Outcome:
        note = self.all.claim.unsafe
        if note is not None and note.operation == self.step.number and self.all.claim.request.on_unknown != "repeat":
            message = f"It is not known whether the {note.method} request of this step was carried out."
            log.warning("outcome unknown", operation=self.step.number)
            self._note("unknown", 0, time.monotonic(), {"type": "UnknownOutcome", "message": message})
            return Unknown()
        started = time.monotonic()
        try:
            drive(self._steps(), self.performer)
        except Parked as parked:
            return self._parked(parked.sleep)
        except ModuleError as error:
            self._learn(error)
            return self._failed(error, started)
        except (FenceLost, RedisError):
            # No fault of the module: the run is somebody else's, or the ledger cannot be reached.
            raise
        except ScenaristError as error:
            return self._failed(ModuleRuntimeError(error.message), started)
        except Exception as error:  # a fault of ours ends this step, not the worker
            log.error("operation crashed", exc_info=error)
            return self._failed(UnexpectedError(f"The runtime failed ({type(error).__name__}). See its log."), started)
        count = self.all.store.count(self.step.number)
        outcome, values = self.effects.finish(count, warned=bool(self.performer.warnings))
        if values:
            self.all.store.append(self.step.number, values)
        self._note("success", count, started)
        return outcome

    def _steps(self) -> Steps[None]:
        step, given = self.step, self.all.claim.request.trigger_bundles
        if step.error is not None:
            raise step.error
        if step.outputs is not None:
            self.emit(step.outputs)
        elif step.start and given is not None:
            self.emit(list(given))
        elif step.info.app_hash:
            yield from self._custom()
        else:
            entry, read = BUILTIN_MODULES[step.name], self.all.store.get
            yield from run_builtin(entry, step, self.environment, read, self._credentials())

    def _custom(self) -> Steps[None]:
        step = self.step
        app = self.all.connections.app(self.all.compiled.app(step.name))
        self.record = self._connection(app)
        expressions = self.all.compiled.plan.nodes[step.module_id].expressions
        spec = find_module(app, step.name.partition(":")[2])
        expect, interface = (value if isinstance(value, list) else None for value in (step.expect, step.interface))
        lists: Lists | None = None
        if needs_expansion(spec, expect=expect, interface=interface):
            lists = yield from expand_lists(spec, self._caller(app), expect=expect, interface=interface)
        prepared = prepare_job(
            app,
            step.name.partition(":")[2],
            environment=self.environment,
            static=step.static,
            mapped=step.mapped,
            expressions=expressions.whole,
            evaluated=expressions.some,
            connection=None if self.record is None else self.record.data,
            connection_version=0 if self.record is None else self.record.version,
            renewable=self.record is not None and self.all.renewals.renewable(app, self.record),
            signing=self.all.renewals.signing(app, self.record),
            scenario={"id": self.all.claim.request.scenario, "name": self.all.compiled.plan.name},
            expect=expect,
            interface=interface,
            resume=step.resume,
            limits=self.all.limits,
            debug=self.performer.log_debug,
            lists=lists,
        )
        self.all.secrets.add_all(prepared.secrets)
        for warning in prepared.warnings:
            self.performer.warnings.append({"code": "parameters", "message": self.all.secrets.redact_text(warning)})
        run = MODULE_TYPES.get(spec.type)
        if run is None:
            known = ", ".join(MODULE_TYPES)
            raise ModuleRuntimeError(f"Modules of the type {spec.type} cannot be run. Known types: {known}.")
        yield from run(prepared.job)

    def _connection(self, app: App) -> ConnectionRecord | None:
        """The module's connection, renewed if that is due; while another worker does it, the run parks."""
        record = self.all.connections.record(app, self.step.info, self.step.static)
        return None if record is None else self._fresh(app, record)

    def _credentials(self) -> dict[str, dict[str, Any]]:
        """Data of a built-in's connections by component; the one that a 401 renews becomes the operation's own."""
        found: dict[str, dict[str, Any]] = {}
        for component, record in self.all.connections.credentials(
            self.step.info, self.step.static, self.step.mapped
        ).items():
            app = self._app(record.app)
            fresh = self._fresh(app, record)
            found[component] = fresh.data
            if self.all.renewals.renewable(app, fresh):
                self.record = fresh
        return found

    def _app(self, name: str) -> App:
        builtin = None if self.step.info.app_hash else builtin_app(name)
        return self.all.connections.app(self.all.compiled.app(self.step.name)) if builtin is None else builtin

    def _fresh(self, app: App, record: ConnectionRecord) -> ConnectionRecord:
        rest = self.all.pauses.left(record.id) if self.all.park else timedelta(0)
        if rest:
            # Nothing has been done yet. Those who wait for the same connection do not all come at once.
            raise Parked(Sleep(rest * (1 + random.random() / 4), self.step.resume))  # noqa: S311  spreads load
        try:
            fresh = self.all.renewals.before_use(
                app, record, self.all.secrets, park=self.all.park, exchanges=self.performer.exchanges
            )
        except Busy:
            # Nothing has been done yet: the operation starts again.
            raise Parked(Sleep(RENEWAL_PAUSE, self.step.resume)) from None
        self.all.connections.replace(fresh)
        return fresh

    def _caller(self, app: App) -> Caller:
        """Who calls the RPCs of this module's lists: its values and its connection."""
        record = self.record
        hook = self._hook_root() if self.step.info.role is Role.INSTANT else None
        known = f"{record.id}:{record.version}" if record else ""
        return Caller(
            app,
            {**self.step.static, **self.step.mapped},
            self.environment,
            record.data if record else None,
            record.component if record else None,
            f"{known} {hook['id']}" if hook else known,
            self.all.limits,
            hook,
            signing=self.all.renewals.signing(app, record),
        )

    # -- what the performer asks ---------------------------------------------------------------------------------------

    def note_unsafe(self, request: HttpRequest | SendMail) -> None:
        self.all.runs.note_unsafe(self.all.claim, UnsafeNote(self.step.number, request.number, request.method))

    def emit(self, bundles: list[Bundle]) -> None:
        self.all.store.append(self.step.number, bundles)

    def recall(self, effect: Recall) -> Any:
        if self.effects.handles(effect):
            return self.effects.perform(effect)
        if effect.kind == "trigger":
            return self._trigger()[0]
        if effect.kind == "store":
            return self.all.stores.recall(effect.key, effect.arguments, self._staged(effect.key))
        if effect.kind == "structure":
            return self.all.claim.request.structures.get(effect.key)
        if effect.kind == "increment":
            return self._increment(effect.key)
        if effect.kind == "run":
            return self._run_value(effect.key)
        if effect.kind == "event":
            return self._event()
        if effect.kind == "hook":
            return self._hook_root()
        if effect.kind == "caller":
            return self._caller_waits()
        if effect.kind == "start":
            return self.all.children.start(self.step.number, effect.key, **effect.arguments)
        if effect.kind == "ended":
            return self.all.children.ended(effect.key)
        raise UnexpectedError(f"There is no state of the kind {effect.kind}.")

    def remember(self, effect: Remember) -> None:
        if self.effects.handles(effect):
            self.effects.perform(effect)
        elif effect.kind == "trigger":
            value = {"state": effect.value, "version": self._trigger()[1]}
            self.effects.intend("trigger", str(self.step.module_id), value)
        elif effect.kind == "store":
            self.all.stores.check(effect.key, effect.value, self._staged(effect.key))
            self.effects.intend("store", effect.key, effect.value)
        elif effect.kind == "increment":
            self._set_increment(effect.key, effect.value)
        elif effect.kind == "answer":
            claim = self.all.claim
            if claim.hook and self.step.cycle <= len(claim.events):
                self.effects.intend("answer", claim.events[self.step.cycle - 1], effect.value)
        else:
            raise UnexpectedError(f"There is no state of the kind {effect.kind}.")

    def renew(self, effect: RenewConnection) -> dict[str, Any]:  # noqa: ARG002  the record is known here
        if self.record is None:
            raise no_renewal("")
        app = self._app(self.record.app)
        fresh = self.all.renewals.after_refusal(app, self.record, self.all.secrets, exchanges=self.performer.exchanges)
        self.record = fresh
        self.all.connections.replace(fresh)
        return fresh.data

    def lost(self) -> Exception:
        return FenceLost(f"run {self.all.claim.run}: another worker has it")

    def _trigger(self) -> tuple[Any, int]:
        """A polling trigger's memory and its version; a write of this run that waits for its commit comes first."""
        for intent in reversed((*self.cursor.state.intents, *self.cursor.state.due)):
            if intent.kind == "trigger" and intent.module == self.step.module_id:
                value = self.all.store.get(*intent.ref)["value"]
                return value["state"], value["version"]
        return self.all.runs.trigger(self.all.claim.request.scenario, str(self.step.module_id))

    def _staged(self, store: str) -> Iterator[dict[str, Any]]:
        """Writes of this run to a store that wait for their commit, oldest first."""
        for intent in (*self.cursor.state.intents, *self.cursor.state.due):
            if intent.kind == "store" and intent.key == store:
                yield self.all.store.get(*intent.ref)["value"]

    def _run_value(self, name: str) -> Any:
        """What a module may know of its run: its inputs, the declared outputs, the keys of its own mapper in order."""
        if name == "inputs":
            return dict(self.all.claim.request.inputs)
        return list(self.all.compiled.blueprint.outputs)

    def _event(self) -> dict[str, Any] | None:
        """The event of this cycle with its webhook; a run without events waits for one, any other has none."""
        claim = self.all.claim
        if not claim.hook:
            return None
        if not claim.events:
            raise Parked(Sleep(EVENT_PAUSE, self.step.resume or {}))
        if self.step.cycle > len(claim.events):
            return None
        event = claim.events[self.step.cycle - 1]
        hook = self.all.hooks.get(claim.hook)
        payload = self.all.events.event(hook, event)
        self.effects.intend("event", event, None)
        return {
            "payload": payload,
            "webhook": self._hook_root(),
            "parameters": dict(hook.parameters),
            "connection": hook.connection,
        }

    def _hook_root(self) -> dict[str, Any] | None:
        """The variable `webhook`: what attach has stored with the webhook of this run; None where it has none."""
        if not self.all.claim.hook:
            return None
        hook = self.all.hooks.get(self.all.claim.hook)
        self.all.secrets.add_all([hook.token])
        return webhook_root(hook.id, self.all.hook_url(hook.token), hook.data)

    def _caller_waits(self) -> str:
        """Whether the caller of this cycle's event still waits for its answer."""
        claim = self.all.claim
        if not claim.hook or self.step.cycle > len(claim.events):
            return "none"
        if any(intent.kind == "answer" for intent in (*self.cursor.state.intents, *self.cursor.state.due)):
            return "answered"
        return self.all.events.caller(claim.hook, claim.events[self.step.cycle - 1])

    def _increment(self, reset: str) -> int:
        """An increment's counter: in a variable of the run, or beside the scenario when it is never reset."""
        if self._kept(reset):
            state = self._trigger()[0]
            return state.get("i", 0) if isinstance(state, dict) else 0
        return self.effects.perform(Recall("variable", self._counter())) or 0

    def _set_increment(self, reset: str, value: int) -> None:
        if self._kept(reset):
            kept = {"state": {"i": value}, "version": self._trigger()[1]}
            self.effects.intend("trigger", str(self.step.module_id), kept)
        else:
            scope = "roundtrip" if reset == "run" else "execution"
            self.effects.perform(Remember("variable", self._counter(), {"scope": scope, "value": value}))

    def _kept(self, reset: str) -> bool:
        # The run of a file is nobody's scenario: nothing of it lasts.
        return reset == "scenario" and not self.all.claim.request.scenario.startswith("file-")

    def _counter(self) -> str:
        """Name of an increment's variable; no blueprint can name it, since no expression gives this character."""
        return f"\0increment {self.step.module_id}"

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _parked(self, sleep: Sleep) -> Slept:
        wake_at = datetime.now(UTC) + sleep.duration
        if self.performer.exchanges:
            self.all.journal.append({"t": "exchanges", "op": self.step.number, "exchanges": self.performer.exchanges})
        kept = self.step.kept
        if not kept:
            kept = self.step.spare
            self.all.store.append(kept, [keep_config(self.step.static, self.step.mapped)])
        return Slept(sleep.resume or {}, wake_at, self.all.store.count(self.step.number), kept)

    def _learn(self, error: ModuleError) -> None:
        """A service that refuses too many requests lets every step with this connection rest."""
        if isinstance(error, RateLimitError) and self.record is not None:
            delay = None if error.delay_ms is None else timedelta(milliseconds=error.delay_ms)
            self.all.pauses.learn(self.record.id, delay)
            log.warning("connection rests", connection=self.record.id)

    def _failed(self, error: ModuleError, started: float) -> Failed:
        self.all.dropped += self.all.store.discard(self.step.number)
        self.all.store.append(self.step.number, [error_bundle(error)])
        self._note("error", 0, started, error.to_json())
        return Failed(error)

    def _note(self, status: str, count: int, started: float, error: dict[str, Any] | None = None) -> None:
        step, secrets = self.step, self.all.secrets
        counters.count("operations", status)
        record: dict[str, Any] = {
            "t": "step",
            "op": step.number,
            "cycle": step.cycle,
            "module": step.module_id,
            "app": step.name,
            "status": status,
            "count": count,
            # The numbers of its bundles are added when they are shown, as the engine adds them when it reads them.
            "multi": step.info.multi_bundle,
            "ms": round((time.monotonic() - started) * 1000, 1),
            "now": self.environment.now.timestamp(),
            "error": None if error is None else secrets.redact(error),
        }
        if step.after is not None:
            record["from"] = parent(step.after.stack[:-1])
        if not self.all.claim.request.confidential:
            record["input"] = self._input(secrets)
            record["at"] = position(step.after)
            if step.passed is not None:
                record["filter"] = self.all.conditions(*step.passed)
        if self.performer.exchanges:
            record["exchanges"] = self.performer.exchanges
        if self.performer.warnings:
            record["warnings"] = self.performer.warnings
        if self.performer.debug and not self.all.claim.request.confidential:
            record["debug"] = self.performer.debug
        self.all.journal.append(record)

    def _input(self, secrets: Secrets) -> Any:
        try:
            marked = codec.mark(self.step.config)
            return secrets.redact(marked) if len(codec.dumps(marked)) <= MAX_INPUT_BYTES else {"tooLarge": True}
        except (ScenaristError, ValueError, RecursionError):
            return MASK


def parent(stack: tuple[Frame, ...]) -> list[int] | None:
    """Whose bundle reached this place: [module id, operation number, index]; None in front of the start module."""
    for frame in visible(stack):
        current = getattr(frame, "current", 0)
        return [frame.module, frame.number, current]
    return None


def position(after: Cursor | None) -> dict[str, Any] | None:
    """Where the run stood at a step, as far as a repetition from it needs it."""
    if after is None:
        return None
    data = after.to_json()
    return {key: data[key] for key in ("v", "stack", "number", "roundtrip", "execution")}
