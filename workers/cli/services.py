"""How a command gets at settings, logs and the service: one helper, so that all commands behave alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.cli import output

if TYPE_CHECKING:
    from workers.service import Service
    from workers.settings import Settings


def command_settings() -> Settings:
    """
    The settings, with logging set up for a command: on standard error, and without what a person did not ask for.

    Raises:
        SettingsError: A setting is unusable.
    """
    from workers.settings import load_settings

    settings = load_settings()
    quiet_logs(settings)
    return settings


def quiet_logs(settings: Settings) -> None:
    """Set logging up for a command."""
    from runtime.logs import configure_logging

    # A command reports what it did itself; the lines of level info are for processes that run on their own.
    level = "warning" if settings.log_level == "info" else settings.log_level
    form = settings.log_format if settings.log_format != "auto" else "console" if sys.stderr.isatty() else "json"
    configure_logging(form, level, output.secrets(), stream=sys.stderr)


@contextmanager
def service(*, ledger: bool = True) -> Generator[Service]:
    """
    The service that a command calls; `ledger=False` starts no server.

    Raises:
        SettingsError: A setting, the server or the key ring cannot be used.
    """
    from workers.service import open_service

    with open_service(command_settings(), ledger=ledger, secrets=output.secrets()) as opened:
        yield opened


def process_settings(*, as_json: bool) -> Settings:
    """
    The settings of a process that runs on its own; `as_json` asks for JSON logs of it and of its children.

    Raises:
        SettingsError: A setting is unusable.
    """
    from workers.settings import load_settings

    if as_json:
        # The children read their settings from the environment.
        os.environ["SCENARIST_LOG_FORMAT"] = "json"
    return load_settings()


def say_running(settings: Settings, role: str, *, as_json: bool) -> int:
    """Say whether such a process runs on this machine; the exit code is 0 if so, else 1."""
    from workers.cli.health import is_running

    running = is_running(settings.home, role)
    output.print_json({"running": running}) if as_json else output.say("running" if running else "not running")
    return 0 if running else 1
