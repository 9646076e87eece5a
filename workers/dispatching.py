"""
Turns waiting events of webhooks into runs (spec/scenarios.md 2.2, 5.3).

An event waits in its webhook's queue, not on Celery's: a scenario has at most its slots of runs on the way, so one with
a hundred thousand waiting events takes no more than its share. Asked by the gateway when an event has been stored, by a
worker when such a run has ended, and by the scheduler as a net.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

from runtime.errors import ScenaristError, UsageError
from runtime.logs import get_logger
from runtime.scenario.catalog import Role
from workers import imports
from workers.ledger.records import RunHeader, RunRequest
from workers.ledger.schedules import Schedules
from workers.library import Compiled
from workers.runner import SegmentRunner

#: Runs of one scenario at a time that events have started, unless the scenario has `slots` of its own.
SLOTS = 10
#: Events that one run of a sequential scenario, or of a timed one, takes at most (spec/scenarios.md 2.2).
EVENTS_A_RUN = 100
#: Runs that one call makes at most; whoever ends one of them calls again.
_RUNS_A_CALL = 32

#: What becomes of a request to a webhook (spec/scenarios.md 5.3): nobody listens; its event waits; it runs; it is taken
#: and forgotten.
Listening: TypeAlias = Literal["reject", "queue", "run", "forget"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A scenario's request for a run, and what it was made from."""

    state: tuple[Any, ...]
    request: RunRequest


@dataclass(slots=True)
class Dispatcher:
    """Makes runs of events. `send` sends a run's message."""

    runner: SegmentRunner
    send: Callable[[str, int], bool]
    slots: int = SLOTS
    _prepared: dict[str, _Prepared] = field(default_factory=dict[str, _Prepared])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def dispatch(self, hook: str) -> list[RunHeader]:
        """Start runs for the events of a webhook, as many as its scenario's slots allow; gives them."""
        scenario = self._scenario_of(hook)
        made: list[RunHeader] = []
        while scenario and len(made) < _RUNS_A_CALL:
            found = self._take(hook, scenario)
            if isinstance(found, str):
                break
            made.append(found)
        for run in made:
            self.send(run.id, run.fence)
        return made

    def dispatch_all(self) -> list[RunHeader]:
        """The net: every webhook whose events may wait, each with its share."""
        made: list[RunHeader] = []
        for hook in cast("set[bytes]", self.runner.runs.client.smembers(self.runner.runs.keys.busy_hooks)):
            made += self.dispatch(hook.decode())
        return made

    def start(self, request: RunRequest, *, queued: bool) -> RunHeader:
        """
        A run that a person starts by hand: with the oldest event that is queued, or one that waits for the next event.

        Raises:
            UsageError: The scenario has no webhook, no event waits, or another run waits for one already.
        """
        hook = self._hook_of(request.scenario)
        if not hook:
            raise UsageError(
                f'The scenario "{request.name}" has no webhook: bind one to it, or give the event with '
                "--trigger-bundle FILE."
            )
        made = self.runner.runs.create_for_events(request, hook, "one" if queued else "await", most=1)
        if isinstance(made, str):
            words = {
                "empty": f"No event waits at the webhook {hook}.",
                "awaited": f"Another run waits for the next event of the webhook {hook} already.",
            }
            raise UsageError(words.get(made, f"The webhook {hook} does not serve this scenario any more."))
        self.send(made.id, made.fence)
        return made

    def listening(self, hook: str, inactive: str = "auto") -> Listening:
        """
        What becomes of a request to this webhook now. `inactive` is the setting `hook_inactive`: what a scenario that
        is switched off does (`reject`, `queue`, or `auto`: queue when it was errors that switched it off).
        """
        keys, client = self.runner.runs.keys, self.runner.runs.client
        scenario, awaiting = cast("list[bytes | None]", client.hmget(keys.hook(hook), "scenario", "awaiting"))
        if awaiting:
            # A run by hand takes it at once, and may answer.
            return "run"
        if not scenario:
            return "reject"
        row = client.hmget(keys.scenario(scenario.decode()), "active", "mode", "stop_reason", "name")
        active, mode, reason, name = cast("list[bytes | None]", row)
        if name is None:
            return "reject"
        if active != b"1":
            return "queue" if inactive == "queue" or (inactive == "auto" and reason) else "reject"
        if mode == b"immediately":
            return "run"
        return "queue" if mode == b"timed" else "forget"

    def answers(self, hook: str) -> bool:
        """Whether the scenario of this webhook has a module that answers callers, on any path."""
        scenario = self._scenario_of(hook)
        if not scenario:
            return False
        try:
            return responds(self.compiled(scenario))
        except ScenaristError:
            return False

    def compiled(self, scenario: str) -> Compiled:
        """A scenario's plan as it is today. Raises ScenaristError when it cannot be used."""
        request = self._request(scenario)
        return self.runner.library.compiled(request.blueprint, request.apps)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take(self, hook: str, scenario: str) -> RunHeader | str:
        try:
            request = replace(self._request(scenario), kind="auto", instant=True)
        except ScenaristError as error:
            # It could be used when it was activated: a connection or an app has gone since. Its events stay.
            schedules = Schedules(self.runner.runs.client, self.runner.runs.keys)
            schedules.stop(scenario, self.runner.secrets.redact_text(f"{error.name}: {error.message}")[:500])
            log.error("scenario switched off", scenario=scenario, reason=error.message)
            return "inactive"
        slots, running, waiting = self._room(hook, scenario)
        if request.sequential:
            slots = 1
        # The script decides; a look before it saves what a run costs to prepare.
        if not waiting or running >= slots:
            return "empty" if not waiting else "busy"
        how, most = ("sequential", EVENTS_A_RUN) if request.sequential else ("instant", 1)
        return self.runner.runs.create_for_events(request, hook, how, most=most, slots=slots)

    def _request(self, scenario: str) -> RunRequest:
        """The request for a run, made again only when the scenario or one of its apps has changed."""
        with self._lock:
            kept = self._prepared.get(scenario)
        if kept is not None and kept.state == self._state(scenario, kept.request):
            return kept.request
        library = self.runner.library
        # An event takes the place of inputs: those that are optional get their defaults (spec/scenarios.md 5.6).
        request = imports.scenario_request(self.runner, library.scenarios.get(scenario), None, None)
        with self._lock:
            if len(self._prepared) > 1000:
                self._prepared.clear()
            self._prepared[scenario] = _Prepared(self._state(scenario, request), request)
        return request

    def _state(self, scenario: str, request: RunRequest) -> tuple[Any, ...]:
        runs = self.runner.runs
        names = sorted(request.apps)
        with runs.client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(
                runs.keys.scenario(scenario),
                "blueprint", "name", "connections", "stores", "scenarios", "timezone", "on_unknown",
            )  # fmt: skip
            for name in names:
                pipeline.hget(runs.keys.app(name), "content")
            found = pipeline.execute()
        return tuple(found[0]), tuple(found[1:]), tuple(names)

    def _room(self, hook: str, scenario: str) -> tuple[int, int, int]:
        """Slots of a scenario, its runs that events have started, and the events that wait."""
        runs = self.runner.runs
        with runs.client.pipeline(transaction=False) as pipeline:
            pipeline.hget(runs.keys.scenario(scenario), "slots")
            pipeline.scard(runs.keys.instant_runs(scenario))
            pipeline.zcard(runs.keys.hook_waiting(hook))
            slots, running, waiting = pipeline.execute()
        return int(slots) if slots else self.slots, running, waiting

    def _scenario_of(self, hook: str) -> str:
        runs = self.runner.runs
        return (cast("bytes | None", runs.client.hget(runs.keys.hook(hook), "scenario")) or b"").decode()

    def _hook_of(self, scenario: str) -> str:
        runs = self.runner.runs
        return (cast("bytes | None", runs.client.hget(runs.keys.scenario(scenario), "hook")) or b"").decode()


def dispatcher_of(runner: SegmentRunner, send: Callable[[str, int], bool]) -> Dispatcher:
    """A dispatcher over this runner's ledger, with the slots of the settings."""
    return Dispatcher(runner, send, runner.settings.option("scenario_slots", SLOTS))


def responds(compiled: Compiled) -> bool:
    """Whether a module on any path of this plan answers the caller of a webhook."""
    return any(node.info.role is Role.RESPONDER for node in compiled.plan.nodes.values())
