"""
Logs: one JSON line or one readable line an event, every one of them redacted (spec/communication.md section 30).

Our own events go straight through structlog; the standard library's loggers (celery, httpx, ...) end in one handler
that sends their records down the same way. The last step before rendering is the redactor, and exception texts are
formatted before it, so that neither a message nor a traceback prints a secret. Events are fixed past-tense phrases,
data are keys:

    log = get_logger(__name__)
    with log_context(run="r1", module=3):
        log.info("step finished", operations=3)
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Final, Literal, TypeAlias, cast

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

from runtime.sanitize import Secrets, redact_event

Format: TypeAlias = Literal["json", "console"]

#: Names that `log_context` takes: the same everywhere, so that logs can be searched by them.
CONTEXT_NAMES: Final = frozenset(
    {"run", "scenario", "module", "attempt", "execution_id", "component", "connection", "page", "repeat", "worker"}
)
#: These say at INFO and below what they send, headers and query included.
_QUIET: Final = ("httpx", "httpcore", "hpack")
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
#: A logger's name travels under this key: structlog has an argument of its own that is called `logger`.
_NAME: Final = "_logger_name"
#: Keys come first in this order.
_FIRST: Final = ("timestamp", "level", "event", "logger")


@dataclass(slots=True)
class _Sink:
    """Where lines go. One for the process: loggers are cached, and a later `configure_logging` reaches them too."""

    secrets: Secrets = field(default_factory=Secrets)
    format: Format = "console"
    stream: IO[str] | None = None
    level: int = 30
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, event: dict[str, Any]) -> None:
        ordered = {key: event.pop(key) for key in _FIRST if key in event} | event
        line = _json_line(ordered) if self.format == "json" else _console_line(ordered)
        stream = self.stream or sys.stderr
        # A closed or full stream leaves no place to say so, and must not stop the work that logs.
        with self.lock, contextlib.suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()

    def unlock(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self.lock = threading.Lock()


_sink: Final = _Sink()
os.register_at_fork(after_in_child=_sink.unlock)


def _json_line(event: dict[str, Any]) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        # Lone surrogates and integers over 64 bits.
        return json.dumps(event)


def _console_line(event: dict[str, Any]) -> str:
    rest = dict(event)
    time, level, name = rest.pop("timestamp", ""), rest.pop("level", ""), rest.pop("event", "")
    trace = rest.pop("exception", None)
    rest.pop("logger", None)
    pairs = [f"{key}={value if isinstance(value, str) else _json_line_of(value)}" for key, value in rest.items()]
    head = f"{time} {level!s:<7} {name}".replace("\n", "\\n").replace("\r", "\\r")
    tail = " ".join(pairs).replace("\n", "\\n").replace("\r", "\\r")
    return f"{head}  {tail}".rstrip() + (f"\n{trace}" if trace else "")


def _json_line_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _exception_text(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """`exc_info` as the text of its traceback, without the values of local variables."""
    given = event.pop("exc_info", None)
    if given:
        error = given if isinstance(given, BaseException) else None
        if error is None:
            error = given[1] if isinstance(given, tuple) else sys.exc_info()[1]
        if error is not None:
            event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _logger_name(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if _NAME in event:
        event["logger"] = event.pop(_NAME)
    return event


def _redacted(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return redact_event(_sink.secrets)(logger, method, event)


def _drop_below_level(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if _LEVELS.get(method, 50) < _sink.level:
        raise structlog.DropEvent
    return event


def _written(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    _sink.write(dict(event))
    raise structlog.DropEvent


#: The whole way of an event. Redaction is the last step before it is rendered and written.
_CHAIN: Final[list[structlog.typing.Processor]] = [
    _drop_below_level,
    merge_contextvars,
    _logger_name,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _exception_text,
    _redacted,
    _written,
]


class RedactingHandler(logging.Handler):
    """Sends records of the standard library's loggers down the same chain."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Never raises, and never prints a record that could not be formatted."""
        event: structlog.typing.EventDict = {"logger": record.name}
        try:
            event["event"] = record.getMessage()
        except Exception:  # noqa: BLE001  a broken log call must not stop what logs, nor print its arguments
            event["event"] = "a log message could not be formatted"
        if record.exc_info and record.exc_info[1] is not None:
            event["exc_info"] = record.exc_info[1]
        method = record.levelname.lower()
        try:
            for processor in _CHAIN:
                event = cast("structlog.typing.EventDict", processor(None, method, event))
        except structlog.DropEvent:
            return


def configure_logging(
    format: Format,  # noqa: A002  the word that users know from the setting
    level: str,
    secrets: Secrets,
    stream: IO[str] | None = None,
    *,
    hooks: bool = False,
) -> None:
    """
    Set logging up for this process; may be called again.

    Args:
        format: `json` for one JSON object a line, `console` for people.
        level: `debug`, `info`, `warning` or `error`.
        secrets: What is masked: the process's root registry.
        stream: Where lines go; standard error without.
        hooks: Uncaught exceptions of the process and its threads, and Python's warnings, are logged, redacted,
            instead of printed raw. For processes of our own; not for a library's host.

    Raises:
        ValueError: There is no such level.
    """
    if level not in _LEVELS:
        raise ValueError(f"{level!r} is no log level; known: {', '.join(_LEVELS)}")
    _sink.secrets, _sink.format, _sink.stream, _sink.level = secrets, format, stream, _LEVELS[level]
    _configure_structlog(cache=True)
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, (RedactingHandler, logging.StreamHandler)) and not _foreign(handler):
            root.removeHandler(handler)
    root.addHandler(RedactingHandler())
    root.setLevel(_LEVELS[level])
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[level]))
    if hooks:
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread
        logging.captureWarnings(True)


def _foreign(handler: logging.Handler) -> bool:
    """A handler that writes somewhere of its own, such as a file or the test runner's capture."""
    if isinstance(handler, RedactingHandler):
        return False
    stream = getattr(handler, "stream", None)
    return isinstance(stream, io.StringIO) or stream not in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)


def _configure_structlog(*, cache: bool) -> None:
    structlog.configure(
        processors=_CHAIN,
        wrapper_class=structlog.make_filtering_bound_logger(_sink.level),
        # The chain writes by itself; nothing ever reaches the logger behind it.
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=cache,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """
    A logger for one module. Before `configure_logging`, warnings and errors go to standard error, redacted as well.
    """
    if not structlog.is_configured():
        _configure_structlog(cache=False)
    return structlog.get_logger(**{_NAME: name})


@contextmanager
def log_context(**names: Any) -> Generator[None]:
    """
    These names in every event of this thread or task while the block runs.

    Raises:
        ValueError: A name is not one of `CONTEXT_NAMES`.
    """
    unknown = names.keys() - CONTEXT_NAMES
    if unknown:
        raise ValueError(f"unknown log context {sorted(unknown)}; known: {sorted(CONTEXT_NAMES)}")
    with bound_contextvars(**names):
        yield


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    del trace  # `error` has it
    if issubclass(kind, KeyboardInterrupt):
        return
    get_logger("process").error("process failed", exc_info=error)


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        name = given.thread.name if given.thread is not None else ""
        get_logger("process").error("thread failed", exc_info=given.exc_value, thread=name)
