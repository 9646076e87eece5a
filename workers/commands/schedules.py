"""What is done with schedules: switch scenarios on and off, say when they run next (spec/scenarios.md 5.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.dates import zone, zone_or_utc
from runtime.errors import ScenaristError, UsageError
from runtime.scenario.blueprint import Blueprint
from runtime.scenario.catalog import Catalog, Role
from runtime.scenario.schedule_form import DEFAULT, read_schedule, said, schedule_json
from runtime.scenario.scheduling import Kind, Schedule, next_run, upcoming
from runtime.values import milliseconds
from workers import imports
from workers.commands.context import Context
from workers.hooking import Hooking
from workers.ledger.scenarios import ScenarioState
from workers.ledger.schedules import Schedules
from workers.views import ScheduleView

#: Runs that are said ahead of time where nobody asks for more, and at most.
SHOWN_RUNS, MAX_RUNS = 3, 1000
#: Most parallel runs for events that a scenario may ask for.
MAX_SLOTS = 1000
#: What a switch clears: the traces of the schedule before.
_CLEARED = (
    "next", "again", "backoffs", "opens", "closes", "late", "deferred", "paused", "not_before", "stop_reason",
    "finished",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScheduleCommands:
    """The commands over schedules."""

    context: Context

    @property
    def _ledger(self) -> Schedules:
        return Schedules(self.context.runner.runs.client, self.context.runner.runs.keys)

    def activate(
        self,
        scenario: str,
        *,
        schedule: object = None,
        between: tuple[str | None, str | None] | None = None,
        timezone: str | None = None,
        slots: int | None = None,
    ) -> ScenarioState:
        """
        Let a scenario run by itself; an active one gets another schedule.

        Args:
            scenario: Its id or name.
            schedule: A scheduling object or its JSON text. None keeps the one that was given before; without one, the
                blueprint's; else every 15 minutes, or immediately where it starts with an instant trigger.
            between: First and last instant of the range in which it runs, over the schedule's own.
            timezone: The zone of the schedule and of the scenario's dates.
            slots: Most runs for events at a time.

        Raises:
            Refusal: Something is not bound, the blueprint is refused, or it does not go with this schedule.
            UsageError: The schedule, the zone or the slots are none.
            ModuleError: The service refused the webhook that is attached with the scenario; it stays switched off.
        """
        state, fields = self.check(scenario, schedule=schedule, between=between, timezone=timezone, slots=slots)
        if not self._ledger.set(state.id, state.blueprint, fields):
            raise UsageError(f'The scenario "{state.name}" was imported anew at this moment; activate it again.')
        if state.live.hook:
            # Events that have waited are run at once (spec/scenarios.md 3.7); the scheduler looks at busy webhooks.
            runs = self.context.runner.runs
            runs.client.sadd(runs.keys.busy_hooks, state.live.hook)
        if not state.active:
            try:
                Hooking(self.context.runner, self.context.secrets).follow(state.id, active=True)
            except ScenaristError:
                # Nobody would send it events: it is as it was.
                self.deactivate(state.id)
                raise
        return self.context.runner.library.scenarios.get(state.id)

    def check(
        self,
        scenario: str,
        *,
        schedule: object = None,
        between: tuple[str | None, str | None] | None = None,
        timezone: str | None = None,
        slots: int | None = None,
    ) -> tuple[ScenarioState, dict[str, str | int | None]]:
        """All checks of `activate`; gives the scenario and what an activation writes. Raises as that does."""
        state = self.context.runner.library.scenarios.get(scenario)
        if timezone is not None and zone(timezone) is None:
            raise UsageError(f'"{timezone}" is no time zone; give one such as UTC or Europe/Prague.')
        if slots is not None and not 1 <= slots <= MAX_SLOTS:
            raise UsageError(f"slots: {slots} is not between 1 and {MAX_SLOTS}.")
        chosen = schedule is not None or between is not None or state.live.chosen
        blueprint, start = self._blueprint(state)
        wanted = schedule if schedule is not None else state.live.schedule if state.live.chosen else None
        made = _schedule(wanted, blueprint, start)
        if between is not None:
            form = schedule_json(made) | {"between": list(between)}
            made = read_schedule(form)
        zone_name = timezone or state.timezone
        fields = self._planned(replace(state, timezone=zone_name), blueprint, start, made)
        fields |= {"chosen": 1 if chosen else None, "timezone": zone_name or ""}
        if slots is not None:
            fields["slots"] = slots
        if not state.active:
            fields = dict.fromkeys(_CLEARED) | {"active": 1, "errors": 0} | fields
        return state, fields

    def deactivate(self, scenario: str) -> ScenarioState:
        """Switch a scenario off by hand; what runs goes on to its end."""
        state = self.context.runner.library.scenarios.get(scenario)
        fields: dict[str, str | int | None] = dict.fromkeys(_CLEARED)
        while not self._ledger.set(state.id, state.blueprint, fields | {"active": 0}):
            state = self.context.runner.library.scenarios.get(state.id)
        Hooking(self.context.runner, self.context.secrets).follow(state.id, active=False)
        return self.context.runner.library.scenarios.get(state.id)

    def refresh(self, state: ScenarioState) -> ScenarioState:
        """
        Plan an active scenario anew after a change of its blueprint or zone. One that cannot run any more is switched
        off with the reason.
        """
        if not state.active:
            return state
        try:
            return self.activate(state.id)
        except UsageError as error:
            fields: dict[str, str | int | None] = dict.fromkeys(_CLEARED)
            reason = f"It cannot run: {error.message}"[:500]
            self._ledger.set(state.id, state.blueprint, fields | {"active": 0, "stop_reason": reason})
            return self.context.runner.library.scenarios.get(state.id)

    def next_runs(self, scenario: str, count: int, *, schedule: object = None) -> list[datetime]:
        """
        When a scenario runs next; for one that is not active, when it would if it were switched on now. `schedule`
        tries another one.

        Raises:
            UsageError: `count` is out of range, or the schedule is none.
        """
        if not 1 <= count <= MAX_RUNS:
            raise UsageError(f"--count: {count} is not between 1 and {MAX_RUNS}.")
        state = self.context.runner.library.scenarios.get(scenario)
        if schedule is None and state.active:
            return self._upcoming(state, count)
        blueprint, start = self._blueprint(state)
        wanted = schedule if schedule is not None else state.live.schedule if state.live.chosen else None
        now = self._now()
        return upcoming(_schedule(wanted, blueprint, start), self._zone(state), now - _TICK, now, count)

    def view(self, state: ScenarioState) -> ScheduleView:
        """What is shown of a scenario's schedule."""
        live = state.live
        schedule = read_schedule(live.schedule) if live.schedule else None
        return ScheduleView(
            live.mode,
            schedule_json(schedule) if schedule is not None else None,
            said(schedule) if schedule is not None else "",
            tuple(milliseconds(run) for run in self._upcoming(state, SHOWN_RUNS)) if state.active else (),
            live.again_ms if state.active else None,
            live.backoffs,
            live.finished,
            live.slots,
        )

    def _upcoming(self, state: ScenarioState, count: int) -> list[datetime]:
        live = state.live
        if not live.schedule or live.next_ms is None:
            return []
        first = datetime.fromtimestamp(live.next_ms / 1000, UTC)
        activated = datetime.fromtimestamp((live.activated_ms or live.next_ms) / 1000, UTC)
        return [first, *upcoming(read_schedule(live.schedule), self._zone(state), first, activated, count - 1)]

    def _planned(
        self, state: ScenarioState, blueprint: Blueprint, start: Role, schedule: Schedule
    ) -> dict[str, str | int | None]:
        """The live fields of an active scenario with this schedule."""
        if schedule.kind is Kind.IMMEDIATELY and start is not Role.INSTANT:
            raise imports.Refusal(
                "E-SCHEDULE",
                f'The schedule immediately is for scenarios that start with an instant trigger; "{state.name}" starts '
                f"with {blueprint.flow[0].name}. Give it another one, such as --every 15m.",
            )
        if start is Role.INSTANT and schedule.kind is not Kind.ON_DEMAND and not state.live.hook:
            message = (
                f"Module {blueprint.flow[0].id} ({blueprint.flow[0].name}) needs a webhook; bind one to the scenario."
            )
            raise imports.Refusal("E-BIND", message, blueprint.flow[0].id)
        required = [item.get("name") for item in blueprint.inputs if isinstance(item, dict) and item.get("required")]
        if required and schedule.kind is not Kind.ON_DEMAND:
            raise imports.Refusal("E-IO", f"The required input {required[0]!r} needs the schedule on-demand.")
        form = json.dumps(schedule_json(schedule), separators=(",", ":"))
        mode = "timed" if schedule.timed else str(schedule.kind)
        now, place = self._now(), self._zone(state)
        # An active scenario keeps its rhythm, and one whose schedule changes does not run at once.
        activated = now
        if state.active and state.live.activated_ms is not None and state.live.schedule == form:
            activated = datetime.fromtimestamp(state.live.activated_ms / 1000, UTC)
        found = next_run(schedule, place, now if state.active else now - _TICK, activated)
        first, last = schedule.first(place), schedule.last(place)
        if (schedule.timed and found is None) or (last is not None and last < now):
            raise UsageError(f"This schedule never runs ({said(schedule)}).")
        opens = milliseconds(first) if mode == "immediately" and first is not None and first > now else None
        closes = None if last is None else milliseconds(last) + 1
        if schedule.kind is Kind.ONCE and found is not None:
            closes = milliseconds(found) + 1
        return {
            "mode": mode,
            "schedule": form,
            "activated": milliseconds(activated),
            "next": None if found is None else milliseconds(found),
            "opens": opens,
            "closes": closes,
            "paused": opens,
            "sequential": int(blueprint.settings.sequential),
            "roundtrips": blueprint.settings.roundtrips,
        }

    def _blueprint(self, state: ScenarioState) -> tuple[Blueprint, Role]:
        """The blueprint of a scenario that can run, and the role of its start module. Raises Refusal."""
        _, catalog, imported = imports.Prepared(self.context.runner).blueprint(state.blueprint)
        found = imports.ready(catalog, imported, state.connections, stores=state.stores, scenarios=state.scenarios)
        return found, start_role(found, catalog)

    def _zone(self, state: ScenarioState) -> Any:
        return zone_or_utc(state.timezone or self.context.runner.settings.timezone)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._ledger.now_ms() / 1000, UTC)


#: A run may be at the very instant that is asked from.
_TICK = timedelta(milliseconds=1)


def start_role(blueprint: Blueprint, catalog: Catalog) -> Role:
    """What the start module of a blueprint is."""
    first = blueprint.flow[0]
    return catalog.lookup(first.name, first.version).role


def _schedule(wanted: object, blueprint: Blueprint, start: Role) -> Schedule:
    if wanted is not None:
        return read_schedule(wanted)
    scheduling: Mapping[str, Any] | None = blueprint.scheduling
    if scheduling:
        return read_schedule(scheduling)
    if start is Role.INSTANT:
        return Schedule(Kind.IMMEDIATELY)
    if any(isinstance(item, dict) and item.get("required") for item in blueprint.inputs):
        return Schedule(Kind.ON_DEMAND)
    return DEFAULT
