"""
`scenarist doctor`: looks at an installation from this machine and says what is wrong and what to do.

It only reads (it starts the embedded server, as every command does). What it says holds names of settings, numbers and
ids, never a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from redis.exceptions import RedisError

from runtime.errors import ScenaristError, SettingsError
from workers.doctor.finding import Finding, Level, Place, error, ok
from workers.doctor.keys import check_keys
from workers.doctor.machine import check_settings, check_space, check_urls
from workers.doctor.server import check_broker, check_clock, check_persistence, check_server
from workers.doctor.work import check_formats, check_processes, check_queue, check_runs, check_stored
from workers.ledger.keys import Keys
from workers.server import connect
from workers.settings import load_settings

__all__ = ["Finding", "Level", "examine"]

#: What is asked of the ledger; each check gives one finding or more.
CHECKS: Sequence[Callable[[Place], list[Finding]]] = (
    check_server,
    check_persistence,
    check_clock,
    check_broker,
    check_keys,
    check_formats,
    check_processes,
    check_queue,
    check_runs,
    check_stored,
    check_urls,
)


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Everything there is to say about the installation that this environment leads to. Never raises."""
    try:
        settings = load_settings(environment)
    except SettingsError as problem:
        return [error("settings", problem.message, "Correct this setting; nothing else can be looked at before.")]
    found = [*check_settings(settings, environment), *check_space(settings)]
    try:
        with connect(settings) as server:
            for check in CHECKS:
                found += _checked(check, Place(settings, server, Keys(settings.prefix)))
    except SettingsError as problem:
        advice = "Start the server, or correct the setting; without it nothing runs."
        found.append(error("server", problem.message, advice))
    except RedisError as problem:
        found.append(error("server", f"The server went away meanwhile ({type(problem).__name__}).", "Look at its log."))
    return found


def _checked(check: Callable[[Place], list[Finding]], place: Place) -> list[Finding]:
    name = check.__name__.removeprefix("check_")
    try:
        return check(place) or [ok(name, "Nothing to say.")]
    except RedisError as problem:
        # The library's texts name commands and addresses, never data.
        return [error(name, f"The server refused this look ({type(problem).__name__}).", "Look at the server's log.")]
    except ScenaristError as problem:
        return [error(name, problem.message, "See docs/operating.md.")]
