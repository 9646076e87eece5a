"""
Optional traces by OpenTelemetry: a span for each segment of a run, operation and request (extra `tracing`).

Off unless a process turns it on (`start`): then a span costs one function call. Attributes are ids, words and numbers:
never an address, a bundle or a text out of an app. All spans of a run have the same trace id, made of the run's id, so
the segments of several workers come together without anything that would have to travel with a message.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from runtime.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

Attribute: TypeAlias = "str | int | float | bool"
#: Words of the setting `tracing`.
OFF: Final = ("", "off", "none", "false", "0")
WORDS: Final = ("off", "console", "otlp")
_EXTRA = "pip install 'scenarist[tracing]'"


class Span(Protocol):
    """What the code that is traced may do with its span."""

    def note(self, name: str, value: Attribute) -> None:
        """Add an attribute."""
        ...

    def fail(self, kind: str) -> None:
        """Mark it as failed; `kind` is the name of an error's class, never its message."""
        ...


class _Nothing:
    """The span when nothing is traced."""

    def note(self, name: str, value: Attribute) -> None:
        pass

    def fail(self, kind: str) -> None:
        pass


_NOTHING: Final[AbstractContextManager[Span]] = nullcontext(_Nothing())
_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def span(name: str, *, run: str = "", **attributes: Attribute) -> AbstractContextManager[Span]:
    """
    A span around a block. `run` makes it the beginning of a part of that run's trace; without it, it belongs to the
    span around it. Attributes get the prefix `scenarist.`.
    """
    if _tracer is None:
        return _NOTHING
    return _real(_tracer, name, run, attributes)


@contextlib.contextmanager
def _real(tracer: Tracer, name: str, run: str, attributes: Mapping[str, Attribute]) -> Generator[Span]:
    from opentelemetry.trace import Status, StatusCode

    with (
        _trace_of(run),
        tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as made,
    ):

        class Real:
            def note(self, name: str, value: Attribute) -> None:
                made.set_attribute(f"scenarist.{name}", value)

            def fail(self, kind: str) -> None:
                made.set_status(Status(StatusCode.ERROR, kind))

        real = Real()
        if run:
            real.note("run", run)
        for key, value in attributes.items():
            real.note(key, value)
        try:
            yield real
        except BaseException as error:
            # Its class alone: messages may repeat what a service or a person has said.
            real.fail(type(error).__name__)
            raise


def trace_id(run: str) -> int:
    """The trace of a run."""
    return int.from_bytes(hashlib.sha256(f"run {run}".encode()).digest()[:16]) or 1


def start(word: str, service: str, *, exporter: SpanExporter | None = None) -> bool:
    """
    Trace this process as the setting `tracing` says: `console`, `otlp`, or off; without it, the standard variable
    OTEL_TRACES_EXPORTER counts. `exporter` is for tests. Gives whether it is on.

    Raises:
        SettingsError: The word is none of these, or the libraries are not installed.
    """
    global _tracer, _provider
    word = word.lower() or os.environ.get("OTEL_TRACES_EXPORTER", "").lower()
    if word in OFF and exporter is None:
        return False
    if word not in WORDS and exporter is None:
        raise SettingsError(f"setting tracing: {word!r} is none of {', '.join(WORDS)}")
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError:
        raise SettingsError(f"setting tracing: the libraries for it are not installed: {_EXTRA}") from None
    stop()
    chosen = exporter or _exporter(word)
    processor = BatchSpanProcessor if exporter is None else SimpleSpanProcessor
    _provider = TracerProvider(
        resource=Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME", "scenarist"), "scenarist.role": service}
        ),
        id_generator=_ids(),
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(processor(chosen))
    _tracer = _provider.get_tracer("scenarist")
    return True


def stop() -> None:
    """Send what is left and trace no more."""
    global _tracer, _provider
    _tracer = None
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextlib.contextmanager
def closing_traces() -> Generator[None]:
    """Send what is left when the block ends."""
    try:
        yield
    finally:
        stop()


def _exporter(word: str) -> SpanExporter:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    if word == "console":
        import sys

        return ConsoleSpanExporter(out=sys.stderr)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # pyright: ignore[reportMissingImports]
            OTLPSpanExporter,
        )
    except ImportError:
        raise SettingsError(f"setting tracing: the exporter for otlp is not installed: {_EXTRA}") from None
    return OTLPSpanExporter()


class _Wanted:
    """The trace id for the next root span of each thread."""

    def __init__(self) -> None:
        import contextvars

        self.value: contextvars.ContextVar[int] = contextvars.ContextVar("trace", default=0)


_wanted: Final = _Wanted()


@contextlib.contextmanager
def _trace_of(run: str) -> Generator[None]:
    if not run:
        yield
        return
    token = _wanted.value.set(trace_id(run))
    try:
        yield
    finally:
        _wanted.value.reset(token)


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random ids, but for roots of a run's trace."""

        def generate_trace_id(self) -> int:
            return _wanted.value.get() or super().generate_trace_id()

    return Ids()
