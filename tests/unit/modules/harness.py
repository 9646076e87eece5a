"""Runs a module over scripted answers: no network, no waiting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modules import MODULE_TYPES
from runtime.effects import Effect, Emit, HttpRequest, HttpResponse, Recall, Remember, Sleep, Steps, Warn, drive
from runtime.iml import Environment
from runtime.module_job import ModuleJob
from tests.module_apps import app_of, module_spec

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ENVIRONMENT = Environment(now=NOW)


@dataclass
class Seen:
    """What a module asked for."""

    pages: list[list[Any]] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    remembered: list[Any] = field(default_factory=list)
    recalled: int = 0
    result: Any = None

    @property
    def bundles(self) -> list[Any]:
        """All bundles in order."""
        return [bundle for page in self.pages for bundle in page]


def perform_all(steps: Steps[Any], answers: Iterable[HttpResponse] = (), *, stored: Any = None) -> Seen:
    """Drive steps to their end."""
    seen, queue = Seen(), list(answers)

    def perform(effect: Effect) -> Any:
        match effect:
            case HttpRequest():
                seen.requests.append(effect)
                return queue.pop(0)
            case Emit(bundles):
                seen.pages.append(bundles)
            case Recall():
                seen.recalled += 1
                return stored
            case Remember(value=value):
                seen.remembered.append(value)
            case Sleep() | Warn():
                pass
            case _:
                raise AssertionError(effect)
        return None

    seen.result = drive(steps, perform)
    return seen


def job_of(kind: str, communication: Any, *, base: Any = None, epoch: Any = None, **fields: Any) -> ModuleJob:
    """A job of a small module; `fields` are those of `ModuleJob`."""
    module = module_spec(kind, communication, epoch=epoch)
    app = app_of(module, base={"baseUrl": "http://s.test"} if base is None else base)
    return ModuleJob(**{"app": app, "module": module, "parameters": {}, "environment": ENVIRONMENT, **fields})


def run_module(
    kind: str, communication: Any, answers: Iterable[HttpResponse] = (), *, stored: Any = None, **fields: Any
) -> Seen:
    """Run a module of this type."""
    return perform_all(MODULE_TYPES[kind](job_of(kind, communication, **fields)), answers, stored=stored)
