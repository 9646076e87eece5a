"""
Runs of due scenarios: what a due instant means, decided in one pure function, and what the scheduler then does.

Each due instant is settled by one script that compares it with what was seen, so any number of schedulers may look at
it: one of them makes the run (spec/scenarios.md 2.9, 3.6 and 5.1).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import ZoneInfo

from runtime.dates import zone_or_utc
from runtime.errors import DefinitionError, ModuleError, ScenaristError, UsageError
from runtime.logs import get_logger
from runtime.scenario.schedule_form import read_schedule, said
from runtime.scenario.scheduling import Kind, Schedule, next_run
from runtime.values import milliseconds
from workers import imports
from workers.dispatching import EVENTS_A_RUN
from workers.hooking import Hooking
from workers.ledger.records import RunHeader
from workers.ledger.scenarios import Live, ScenarioState
from workers.ledger.schedules import Due, Schedules
from workers.ledger.states import RunState

if TYPE_CHECKING:
    from workers.runner import SegmentRunner

#: A due instant that nobody looked at for longer counts as missed (the setting `schedule_grace_seconds`).
GRACE: Final = timedelta(minutes=5)
#: Due scenarios that are read at a time, and the longest time of one look: the lease of the leader is longer.
_BATCH: Final = 200
_LOOK_SECONDS: Final = 3.0
#: A scenario whose run cannot be made for a reason that may pass is tried again after this time.
_PAUSE_SECONDS: Final = 30.0
_ACTIVE: Final = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.PARKED})

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Make the run. The next regular one is at `next_ms`; `keep`: a repetition planned for later stays so."""

    next_ms: int | None
    keep: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """Make none, because of `reason`."""

    next_ms: int | None
    keep: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """Its schedule has come to its end."""

    reason: str


Decision: TypeAlias = Start | Skip | Close


def decide(
    live: Live, schedule: Schedule, zone: ZoneInfo, now_ms: int, *, sequential: bool, grace: timedelta
) -> Decision:
    """What a due scenario does now."""
    again = live.again_ms is not None and live.again_ms <= now_ms
    regular = live.next_ms is not None and live.next_ms <= now_ms
    keep = live.again_ms is not None and not again
    if not regular:
        if again or (live.opens_ms is not None and live.opens_ms <= now_ms):
            return Start(live.next_ms, keep)
        return Close(f"its schedule has come to its end ({said(schedule)})")
    due_ms = live.next_ms or now_ms
    held = live.not_before_ms is not None and live.not_before_ms > now_ms
    after = max(now_ms, (live.not_before_ms or 0) - 1)
    following = next_run(schedule, zone, _instant(after), _instant(live.activated_ms or due_ms))
    next_ms = None if following is None else milliseconds(following)
    if again:
        return Start(next_ms, keep)
    if held:
        return Skip(next_ms, keep, "the data are not ready yet")
    if keep and sequential:
        return Skip(next_ms, keep, "a repetition after a failure comes first")
    if not live.deferred and now_ms - due_ms > grace // timedelta(milliseconds=1):
        if schedule.kind is Kind.ONCE:
            return Close(f"its one run was missed: no scheduler was at work ({said(schedule)})")
        if schedule.kind is not Kind.INDEFINITELY:
            return Skip(next_ms, keep, "it was missed: no scheduler was at work")
    return Start(next_ms, keep)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


#: The schedule of a scenario's record; most records say the same.
schedule_of = lru_cache(maxsize=4096)(read_schedule)


@dataclass(slots=True)
class DueRuns:
    """Starts what is due. `send` sends a run's message."""

    runner: SegmentRunner
    schedules: Schedules
    send: Callable[[str, int], bool]
    _prepared: imports.Prepared = field(init=False)
    _paused: dict[str, float] = field(default_factory=dict[str, float])
    #: Scenarios whose schedule has ended: their webhooks are to be detached, which waits for services.
    _finished: deque[str] = field(default_factory=deque[str])

    def __post_init__(self) -> None:
        self._prepared = imports.Prepared(self.runner)

    def start_due(self) -> list[RunHeader]:
        """Settle all that is due, longest first, for some seconds at most; gives the runs that were made."""
        made: list[RunHeader] = []
        deadline = time.monotonic() + _LOOK_SECONDS
        self._prepared.forget_apps()
        seen: set[Due] = set()
        while time.monotonic() < deadline:
            now, found = self.schedules.look(_BATCH + len(self._paused))
            fresh = [due for due in found if due not in seen and self._paused.get(due.scenario, 0) < time.monotonic()]
            if not fresh:
                break
            seen.update(fresh)
            for due in fresh:
                made += self._settle(due, now)
        self._paused = {scenario: until for scenario, until in self._paused.items() if until > time.monotonic()}
        return made

    def detach_finished(self) -> None:
        """Detach the webhooks that follow scenarios whose schedule has ended; from another thread than the looks."""
        while self._finished:
            scenario = self._finished.popleft()
            hooking = Hooking(self.runner, self.runner.secrets)
            hooking.follow(scenario, active=False)
            for warning in hooking.warnings:
                log.warning("webhook not detached", scenario=scenario, reason=warning)

    def _settle(self, due: Due, now_ms: int) -> list[RunHeader]:
        state = self.runner.library.scenarios.find(due.scenario)
        if state is None:
            self.schedules.forget(due.scenario)
            return []
        try:
            return self._act(due, state, now_ms)
        except (UsageError, DefinitionError, ModuleError) as error:
            # Nothing but a person can change that: said once, not at each instant.
            log.error("scenario cannot run", scenario=state.id, reason=error.message)
            self.schedules.switch_off(due, "off", f"It cannot run: {error.message}"[:500])
        except ScenaristError as error:
            log.error("due run not made", scenario=state.id, reason=error.message)
            self._paused[state.id] = time.monotonic() + _PAUSE_SECONDS
        return []

    def _act(self, due: Due, state: ScenarioState, now_ms: int) -> list[RunHeader]:
        settings, live = self.runner.settings, state.live
        zone = zone_or_utc(state.timezone or settings.timezone)
        grace = settings.duration("schedule_grace_seconds", GRACE)
        decision = decide(live, schedule_of(live.schedule), zone, now_ms, sequential=live.sequential, grace=grace)
        if isinstance(decision, Skip):
            log.info("due run left out", scenario=state.id, reason=decision.reason)
            self.schedules.move(due, decision.next_ms, keep=decision.keep)
            return []
        if isinstance(decision, Close):
            if self._running(state):
                self.schedules.defer(due)
            elif self.schedules.switch_off(due, "finish", decision.reason):
                log.info("schedule ended", scenario=state.id, reason=decision.reason)
                self._finished.append(state.id)
            return []
        if live.mode == "immediately":
            # It opens its range, or ends its pause after a failure: the dispatcher looks at its events again.
            self.schedules.move(due, decision.next_ms, keep=decision.keep)
            return []
        request = imports.scenario_request(self.runner, state, None, None, prepared=self._prepared, kind="auto")
        made = self.runner.runs.create_scheduled(
            request,
            due_ms=due.due_ms,
            next_ms=decision.next_ms,
            keep=decision.keep,
            hook=live.hook,
            most=self._most_events(live),
        )
        if isinstance(made, str):
            log.debug("due run not made", scenario=state.id, reason=made)
            return []
        log.info("scheduled run started", scenario=state.id, run=made.id)
        self.send(made.id, made.fence)
        return [made]

    def _most_events(self, live: Live) -> int:
        """Events that a run of a timed schedule takes: all that wait, or by the old rule its cycles (2.2)."""
        if self.runner.settings.option("webhook_batch", "queue") == "roundtrips":
            return min(max(live.roundtrips, 1), EVENTS_A_RUN)
        return EVENTS_A_RUN

    def _running(self, state: ScenarioState) -> bool:
        return bool(state.live.scheduled) and self.runner.runs.state(state.live.scheduled) in _ACTIVE
