"""Drives a communication over scripted answers: no network, no waiting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runtime.communication import Kind, Limits, Result, Scope, compile_communication, run_communication
from runtime.effects import Effect, Emit, HttpRequest, HttpResponse, Parked, Sleep, Steps, Warn, drive
from runtime.iml import Environment

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
BASE = {"baseUrl": "http://s.test/v1"}


@dataclass
class Ran:
    """What a communication did."""

    result: Result | None = None
    requests: list[HttpRequest] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    resumes: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    emitted: list[list[Any]] = field(default_factory=list)

    @property
    def output(self) -> Any:
        assert self.result is not None
        return self.result.output

    @property
    def targets(self) -> list[str]:
        """The request targets without the host."""
        return [request.url.partition("://")[2].partition("/")[2] for request in self.requests]


def reply(body: Any = None, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> HttpResponse:
    """An answer; a body that is no bytes is JSON."""
    if isinstance(body, bytes):
        return HttpResponse(status, tuple(headers), body, "http://s.test/")
    data = b"" if body is None else json.dumps(body).encode()
    return HttpResponse(status, (("Content-Type", "application/json"), *headers), data, "http://s.test/")


def run(
    document: Any,
    answers: Iterable[HttpResponse] = (),
    *,
    kind: Kind = Kind.ACTION,
    base: Any = BASE,
    limits: Limits | None = None,
    resume: Any = None,
    streaming: bool = False,
    park_after: float | None = None,
    ran: Ran | None = None,
    **variables: Any,
) -> Ran:
    """Compile and run a communication; answers beyond the list fail the test."""
    ran = ran if ran is not None else Ran()
    queue = list(answers)

    def perform(effect: Effect) -> Any:
        match effect:
            case HttpRequest():
                ran.requests.append(effect)
                return queue.pop(0)
            case Sleep(duration, kept):
                ran.delays.append(duration.total_seconds() * 1000)
                ran.resumes.append(kept)
                if park_after is not None and len(ran.delays) > park_after:
                    raise Parked(effect)
            case Warn(message):
                ran.warnings.append(message)
            case Emit(bundles):
                ran.emitted.append(bundles)
            case _:
                raise AssertionError(effect)
        return None

    def emit(outputs: list[Any]) -> Steps[None]:
        yield Emit(outputs)

    plan = compile_communication(document, base=base, kind=kind, component="module x")
    scope = Scope(variables, Environment(now=NOW), limits or Limits(), resume)
    ran.result = drive(run_communication(plan, scope, emit=emit if streaming else None), perform)
    return ran
