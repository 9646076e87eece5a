"""Whatever is logged, by us or by a library, comes out as one redacted line."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime import logs
from runtime.logs import RedactingHandler, configure_logging, get_logger, log_context
from runtime.sanitize import MASK, Secrets, redact_event


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is global to the process: each test leaves it as it was."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = (root.handlers[:], root.level)
    sink = logs._sink
    saved = (sink.secrets, sink.format, sink.stream, sink.level)
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    sink.secrets, sink.format, sink.stream, sink.level = saved
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Log:
    def __init__(self, style: Any = "json", level: str = "info", *secrets: str, hooks: bool = False) -> None:
        self.secrets = Secrets()
        self.secrets.add_all(secrets)
        self.stream = io.StringIO()
        configure_logging(style, level, self.secrets, self.stream, hooks=hooks)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def test_event_is_one_json_line() -> None:
    """An event has its time, level, phrase and logger first, then its data."""
    log = Log()
    get_logger("runtime.x").info("step finished", operations=3, big=2**70, text="a\nb\ud800")

    (event,) = log.events
    assert list(event)[:4] == ["timestamp", "level", "event", "logger"]
    assert event | {"timestamp": ""} == {
        "timestamp": "", "level": "info", "event": "step finished", "logger": "runtime.x",
        "operations": 3, "big": 2**70, "text": "a\nb\ud800",
    }  # fmt: skip


def test_secret_is_masked_in_every_part() -> None:
    """Known values and values of telling names are masked at any depth, in keys, objects and texts."""

    class Client:
        def __repr__(self) -> str:
            return "<Client key-of-mine>"

    log = Log("json", "info", "key-of-mine")
    given = {"deep": [{"key-of-mine": Client()}], "password": "other", "url": "https://a/?access_token=other"}
    get_logger("x").warning("called with key-of-mine", given=given, encoded="a2V5LW9mLW1pbmU=")

    (event,) = log.events
    assert "other" not in log.text
    assert event["event"] == f"called with {MASK}"
    assert event["given"]["deep"] == [{MASK: f"<Client {MASK}>"}]
    assert event["encoded"] == f"{MASK}="
    assert given["password"] == "other"


@pytest.mark.parametrize("style", ["json", "console"])
def test_traceback_is_redacted(style: str) -> None:
    """A traceback is printed with its frames, chained causes included, but with no secret in any message."""
    log = Log(style, "info", "s3cret\nvalue")
    try:
        try:
            raise KeyError("s3cret\nvalue")
        except KeyError as error:
            raise ValueError("bad: s3cret\nvalue") from error
    except ValueError:
        get_logger("x").exception("step failed")

    assert "Traceback" in log.text
    assert f"ValueError: bad: {MASK}" in log.text
    assert f"KeyError: '{MASK}'" in log.text
    assert "s3cret" not in log.text


def test_library_loggers_are_redacted() -> None:
    """Records of the standard library's loggers, their exceptions included, take the same way."""
    log = Log("json", "info", "key-of-mine")
    logger = logging.getLogger("celery.worker")
    try:
        raise ValueError("key-of-mine")
    except ValueError:
        logger.exception("task %s failed with %r", "t1", {"k": "key-of-mine"})

    (event,) = log.events
    assert event["event"] == f"task t1 failed with {{'k': '{MASK}'}}"
    assert (event["logger"], event["level"]) == ("celery.worker", "error")
    assert event["exception"].endswith(f"ValueError: {MASK}")


def test_broken_library_record_is_not_printed_raw() -> None:
    """A record whose arguments do not fit its message prints neither of them."""
    log = Log("json", "info")
    record = logging.LogRecord("x", logging.WARNING, "", 1, "%d and %d", ("unknown-secret",), None)
    RedactingHandler().handle(record)

    assert [event["event"] for event in log.events] == ["a log message could not be formatted"]
    assert "unknown-secret" not in log.text


def test_http_client_says_nothing_about_requests() -> None:
    """The HTTP client's own INFO lines hold URLs with their queries: they stay off at every level."""
    log = Log("json", "debug")
    logging.getLogger("httpx").info("HTTP Request: GET https://a/?key=unknown-secret")
    logging.getLogger("httpcore.connection").debug("connect_tcp")

    assert log.text == ""


def test_level_is_kept_for_both_ways() -> None:
    """Events below the level are dropped, ours and those of libraries."""
    log = Log("json", "warning")
    get_logger("x").info("quiet")
    logging.getLogger("y").info("quiet")
    get_logger("x").error("loud")
    logging.getLogger("y").warning("loud")

    assert [event["event"] for event in log.events] == ["loud", "loud"]


def test_context_is_in_every_event() -> None:
    """What is bound in a block is in the events of the block, of libraries too, and gone behind it."""
    log = Log()
    with log_context(run="r1", module=3):
        get_logger("x").info("inside")
        logging.getLogger("y").info("inside")
    get_logger("x").info("outside")

    assert [(event.get("run"), event.get("module")) for event in log.events] == [("r1", 3), ("r1", 3), (None, None)]


def test_unknown_context_is_refused() -> None:
    """Names of the context are fixed, so that logs can be searched by them."""
    with pytest.raises(ValueError, match="unknown log context"), log_context(run_id="r1"):
        pass


def test_console_is_one_line_for_people() -> None:
    """On a console: time, level, phrase, then the data; line breaks of data cannot forge a line."""
    log = Log("console", "info", "key-of-mine")
    get_logger("x").info("step finished", name="a\n2030 ERROR forged", rows=[1, "key-of-mine"])

    (line,) = log.text.splitlines()
    assert line.endswith(f'info    step finished  name=a\\n2030 ERROR forged rows=[1, "{MASK}"]')


def test_cached_logger_follows_a_new_configuration() -> None:
    """A logger that was used before writes to where the last configuration says."""
    first = Log()
    log = get_logger("x")
    log.info("one")
    second = Log("json", "info", "key-of-mine")
    log.info("two key-of-mine")

    assert [event["event"] for event in first.events] == ["one"]
    assert [event["event"] for event in second.events] == [f"two {MASK}"]


def test_configuring_again_adds_no_second_line() -> None:
    """Every event is written once, however often logging was set up."""
    Log()
    log = Log()
    logging.getLogger("y").info("once")

    assert len(log.events) == 1


def test_failed_redaction_withholds_the_event() -> None:
    """If an event cannot be redacted, its name, component and status remain."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("unknown-secret")

    log = Log("json", "info", "key-of-mine")
    get_logger("x").info("request sent", component="module x key-of-mine", status=200, body=Hostile())

    (event,) = log.events
    assert (event["event"], event["component"], event["status"]) == ("request sent", f"module x {MASK}", 200)
    assert "body" not in event
    assert "withheld" in event


def test_failing_registry_withholds_even_the_name() -> None:
    """When nothing at all can be redacted, nothing of the event's own text is shown."""

    class Broken(Secrets):
        def redact(self, value: Any) -> Any:
            raise RuntimeError

        def redact_text(self, text: str, **_: Any) -> str:
            raise RuntimeError

    event = redact_event(Broken())(None, "info", {"event": "a", "status": 1, "other": "b"})

    assert event == {"event": MASK, "level": "info", "status": 1, "withheld": event["withheld"]}


def test_uncaught_exceptions_are_redacted() -> None:
    """With hooks, an uncaught exception of the process or a thread is logged redacted instead of printed raw."""
    log = Log("json", "info", "key-of-mine", hooks=True)

    def fail() -> None:
        raise ValueError("key-of-mine")

    thread = threading.Thread(target=fail, name="t")
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    assert [event["event"] for event in log.events] == ["thread failed", "process failed"]
    assert "key-of-mine" not in log.text


@pytest.mark.filterwarnings("default")
def test_warnings_are_redacted() -> None:
    """With hooks, Python's own warnings take the same way instead of being printed raw."""
    log = Log("json", "info", "key-of-mine", hooks=True)
    # As `warnings.warn` does it when no filter is in the way.
    warnings.showwarning("about key-of-mine", UserWarning, "x.py", 1)

    (event,) = log.events
    assert event["logger"] == "py.warnings"
    assert f"UserWarning: about {MASK}" in event["event"]


def test_closed_stream_stops_nobody() -> None:
    """When there is no place left to write to, the work that logs goes on."""
    log = Log()
    log.stream.close()
    get_logger("x").error("lost")
    logging.getLogger("y").error("lost")

    assert log.stream.closed


def test_warning_before_configuration_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """A library user who never sets logging up still gets warnings, by the same way."""
    structlog.reset_defaults()
    logs._sink.secrets, logs._sink.format, logs._sink.stream, logs._sink.level = Secrets(), "console", None, 30
    get_logger("x").info("quiet")
    get_logger("x").warning("loud", password="other")

    assert f"loud  password={MASK}" in capsys.readouterr().err


def test_unknown_level_is_refused() -> None:
    """A wrong level names the ones that exist."""
    with pytest.raises(ValueError, match="known: debug, info, warning, error"):
        Log("json", "loud")
