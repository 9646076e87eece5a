"""What the doctor says: one finding each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from workers.ledger.keys import Keys
from workers.server import Server
from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at."""

    settings: Settings
    server: Server
    keys: Keys


class Level(StrEnum):
    """How bad it is. An error makes the command end with exit code 1."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what is the case, and what to do about it (empty where nothing has to be done)."""

    check: str
    level: Level
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, and something will go wrong or is lost some day."""
    return Finding(check, Level.WARNING, text, advice)


def error(check: str, text: str, advice: str) -> Finding:
    """Something does not work, or accepted work can be lost."""
    return Finding(check, Level.ERROR, text, advice)


def many(number: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def age(seconds: float) -> str:
    """A time span for people: `42 s`, `3 min`, `5 h`, `12 days`."""
    span = timedelta(seconds=round(seconds))
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if span >= 2 * unit:
            return f"{span // unit} {name}"
    return f"{int(span.total_seconds())} s"


def size(number: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
