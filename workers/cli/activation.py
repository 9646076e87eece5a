"""`scenarist scenario activate`, `deactivate` and `next`: what runs by itself, and when."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import JsonOption, read_json
from workers.cli.arguments import ask as ask_person
from workers.cli.services import service

if TYPE_CHECKING:
    from workers.service import Service
    from workers.views import ScenarioRow

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="Id or name.")]
ScheduleOption = Annotated[
    str | None,
    typer.Option("--schedule", metavar="JSON|@FILE|-", help='A scheduling object: {"type": "daily", "time": "08:00"}.'),
]
EveryOption = Annotated[str | None, typer.Option("--every", metavar="15m", help="At intervals: 90s, 15m, 2h, 1d.")]
DailyOption = Annotated[str | None, typer.Option("--daily", metavar="HH:MM", help="Each day at this time.")]
WeeklyOption = Annotated[
    str | None, typer.Option("--weekly", metavar="DAYS@HH:MM", help="On days of the week: mon,fri@08:00.")
]
MonthlyOption = Annotated[
    str | None, typer.Option("--monthly", metavar="DAYS@HH:MM", help="On days of the month: 1,15@08:00.")
]
OnceOption = Annotated[str | None, typer.Option("--once", metavar="DATE", help="Once: 2026-03-01T08:00:00.")]
ImmediatelyOption = Annotated[bool, typer.Option("--immediately", help="When events arrive at its webhook.")]
OnDemandOption = Annotated[bool, typer.Option("--on-demand", help="Only when somebody asks for a run.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}


def given_schedule(
    *,
    schedule: str | None,
    every: str | None,
    daily: str | None,
    weekly: str | None,
    monthly: str | None,
    once: str | None,
    immediately: bool = False,
    on_demand: bool = False,
) -> object:
    """
    The scheduling object that options mean; None when there are none.

    Raises:
        UsageError: Several were given, or one cannot be read.
    """
    given = [
        option
        for option, value in {
            "--schedule": schedule, "--every": every, "--daily": daily, "--weekly": weekly, "--monthly": monthly,
            "--once": once, "--immediately": immediately, "--on-demand": on_demand,
        }.items()
        if value
    ]  # fmt: skip
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other.")
    if schedule:
        if schedule.startswith("@") or schedule == "-":
            return read_json(schedule.removeprefix("@"))
        return schedule
    if every:
        return {"type": "indefinitely", "interval": _seconds(every)}
    if daily:
        return {"type": "daily", "time": daily}
    if weekly:
        days, at = _days_at(weekly, "--weekly", "mon,fri@08:00")
        numbers = [_DAYS.get(day.lower()[:3], day) for day in days]
        if unknown := [day for day in numbers if isinstance(day, str) and not day.isdecimal()]:
            raise UsageError(f"--weekly: {unknown[0]!r} is no day; the days are {', '.join(_DAYS)}.")
        return {"type": "weekly", "days": numbers, "time": at}
    if monthly:
        days, at = _days_at(monthly, "--monthly", "1,15@08:00")
        return {"type": "monthly", "days": days, "time": at}
    if once:
        return {"type": "once", "date": once}
    if immediately or on_demand:
        return {"type": "immediately" if immediately else "on-demand"}
    return None


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})\s*([smhd])", text.strip().lower())
    if match is None:
        raise UsageError(f"--every: {text!r} is no interval; write 90s, 15m, 2h or 1d.")
    return int(match[1]) * _UNITS[match[2]]


def _days_at(text: str, option: str, example: str) -> tuple[list[str], str]:
    days, found, at = text.partition("@")
    if not found:
        raise UsageError(f"{option}: {text!r} names no time; write {example}.")
    return [day.strip() for day in days.split(",") if day.strip()], at.strip()


def activate(
    scenario: ScenarioArgument,
    schedule: ScheduleOption = None,
    every: EveryOption = None,
    daily: DailyOption = None,
    weekly: WeeklyOption = None,
    monthly: MonthlyOption = None,
    once: OnceOption = None,
    immediately: ImmediatelyOption = False,
    on_demand: OnDemandOption = False,
    between: Annotated[
        str | None,
        typer.Option("--between", metavar="FROM,TO", help="Only in this range; an end may be empty."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of the schedule: Europe/Prague.")
    ] = None,
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", help="Most runs for events at a time.")] = None,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="A polling trigger starts with what comes from now on.")
    ] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="It starts with this date.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="It starts with all there is.")] = False,
    from_id: Annotated[str | None, typer.Option("--from-id", metavar="ID", help="It starts after this item.")] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="JSON", help='It starts at a point of "scenario epoch".')
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """
    Let a scenario run by itself, or give an active one another schedule.

    Without a schedule it keeps the one that it was given before, else that of its file, else every 15 minutes, or
    immediately where it starts with an instant trigger. Refused while something of it is not bound. Where a polling
    trigger begins that has never polled is asked on a terminal; else it begins as its app says.
    """
    from workers.cli import calls

    wanted = given_schedule(
        schedule=schedule, every=every, daily=daily, weekly=weekly, monthly=monthly, once=once,
        immediately=immediately, on_demand=on_demand,
    )  # fmt: skip
    if from_id is not None:
        if start is not None:
            raise UsageError("--from-id and --start exclude each other")
        start = json.dumps({"mode": "id", "id": int(from_id) if from_id.isdecimal() else from_id})
    choice = calls.start_choice(since=since, everything=everything, now=from_now, start=start)
    with service() as opened:
        bounds = None if between is None else _bounds(between)
        opened.schedules.check(scenario, schedule=wanted, between=bounds, timezone=timezone, slots=slots)
        if choice is None:
            choice = _asked_start(opened, scenario)
        if choice is not None:
            opened.epochs.choose(scenario, choice)
        state = opened.schedules.activate(scenario, schedule=wanted, between=bounds, timezone=timezone, slots=slots)
        row = opened.scenarios.show(state.id)
    if as_json:
        from workers.cli.scenario import row_json

        output.print_json(row_json(row))
        return 0
    output.say(f"{row.name} is active: {row.schedule.text}{_zone(row)}")
    for at in row.schedule.next_ms:
        output.say(f"  {output.instant(at)}")
    return 0


def _bounds(text: str) -> tuple[str | None, str | None]:
    first, found, last = text.partition(",")
    if not found:
        raise UsageError(f"--between: {text!r} has no comma; write FROM,TO, where one of them may be empty.")
    return first.strip() or None, last.strip() or None


def _zone(row: ScenarioRow) -> str:
    return f" ({row.timezone})" if row.timezone else ""


def _asked_start(opened: Service, scenario: str) -> dict[str, Any] | None:
    """Ask where a polling trigger begins that has never polled; None leaves it to the app."""
    if not sys.stdin.isatty():
        return None
    try:
        found = opened.epochs.show(scenario)
    except UsageError:
        return None  # It starts with no polling trigger of an app.
    if found.state is not None or found.points is None:
        return None
    output.complain("Where does its trigger begin?")
    output.complain("  1  with what comes from now on")
    output.complain("  2  with a date")
    output.complain("  3  with all there is")
    shown = [point for point in found.points if isinstance(point, dict)][:20]
    for number, point in enumerate(shown, start=4):
        output.complain(f"  {number}  after {output.printable(str(point.get('label') or point.get('id')))}")
    answer = ask_person("Number, or nothing for 1", hidden=False).strip() or "1"
    if answer == "2":
        return {"mode": "since", "date": ask_person("Date, such as 2026-01-31", hidden=False).strip()}
    if answer.isdecimal() and 4 <= int(answer) < 4 + len(shown):
        return {"mode": "item", "id": shown[int(answer) - 4].get("id"), "date": shown[int(answer) - 4].get("date")}
    if answer not in ("1", "3"):
        raise UsageError(f"{answer!r} is none of these numbers.")
    return {"mode": "now" if answer == "1" else "all"}


def deactivate(scenario: ScenarioArgument, as_json: JsonOption = False) -> int:
    """
    Switch a scenario off: nothing of it runs by itself any more.

    A run that goes on goes on to its end. Its webhook answers 410 from now on; events that wait stay.
    """
    with service() as opened:
        state = opened.schedules.deactivate(scenario)
    if as_json:
        output.print_json({"id": state.id, "name": state.name, "active": state.active})
    else:
        output.say(f"{state.name} is switched off")
    return 0


def next_(
    scenario: ScenarioArgument,
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many runs.")] = 5,
    schedule: ScheduleOption = None,
    every: EveryOption = None,
    daily: DailyOption = None,
    weekly: WeeklyOption = None,
    monthly: MonthlyOption = None,
    once: OnceOption = None,
    as_json: JsonOption = False,
) -> int:
    """
    Show when a scenario runs next.

    Of one that is not active, when it would if it were switched on now; with a schedule, when it would with that one.
    """
    wanted = given_schedule(schedule=schedule, every=every, daily=daily, weekly=weekly, monthly=monthly, once=once)
    with service() as opened:
        runs = opened.schedules.next_runs(scenario, count, schedule=wanted)
        row = opened.scenarios.show(scenario)
    from runtime.values import milliseconds

    shown = [output.instant(milliseconds(run)) for run in runs]
    if as_json:
        output.print_json({"scenario": row.id, "active": row.active, "next": shown})
        return 0
    for each in shown:
        output.say(each)
    if not shown:
        output.say("It runs by itself at no instant.")
    elif not row.active and wanted is None:
        output.complain("It is not active: scenarist scenario activate")
    return 0
