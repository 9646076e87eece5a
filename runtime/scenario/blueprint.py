"""
A scenario blueprint after unwrapping: frozen models of what the engine needs, and the file itself for round trips.

Built only by `runtime.scenario.importer`, which reads anything and reports findings; these models assume its checks.
Sources: spec/scenarios.md 1.2 to 1.5.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Settings(_Frozen):
    """`metadata.scenario` with the defaults of spec/scenarios.md 1.3 filled in."""

    roundtrips: int = 1
    max_errors: int = 3
    auto_commit: bool = True
    auto_commit_trigger_last: bool = True
    sequential: bool = False
    confidential: bool = False
    dlq: bool = False
    dataloss: bool = False
    fresh_variables: bool = False
    slots: int | None = None


class Condition(_Frozen):
    """One condition of a filter. `operator` is the canonical name (aliases are rewritten by the importer)."""

    a: Any = None
    operator: str = "exist"
    b: Any = None


class Filter(_Frozen):
    """Outer list OR, inner list AND; no condition at all always passes."""

    name: str = ""
    conditions: tuple[tuple[Condition, ...], ...] = ()


class Route(_Frozen):
    """One route of a router."""

    flow: tuple[Module, ...] = ()
    disabled: bool = False


class Branch(_Frozen):
    """One branch of an if-else. `is_else` is the branch that runs when no condition was true."""

    label: str = ""
    is_else: bool = False
    conditions: tuple[tuple[Condition, ...], ...] = ()
    flow: tuple[Module, ...] = ()
    merge: bool = False
    disabled: bool = False


class MergeOutput(_Frozen):
    """One output of a merge: a name and one expression for each branch of the if-else, by branch index."""

    name: str
    mappings: tuple[Any, ...] = ()


class Flags(_Frozen):
    """Settings of an aggregator (`flags`, or their aliases in `parameters`)."""

    group_by: Any = None
    stop_if_empty: bool = False


class Module(_Frozen):
    """One module of a flow. `pointer` is its JSON pointer inside the unwrapped blueprint."""

    id: int
    name: str
    version: int = 1
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    mapper: dict[str, Any] = Field(default_factory=dict[str, Any])
    filter: Filter | None = None
    onerror: tuple[Module, ...] = ()
    routes: tuple[Route, ...] = ()
    fallback: int | None = None
    branches: tuple[Branch, ...] = ()
    outputs: tuple[MergeOutput, ...] = ()
    #: Filters of a merge, by branch index of the if-else before it.
    filters: tuple[Filter | None, ...] = ()
    flags: Flags = Flags()
    feeder: int | None = None
    label: str = ""
    expect: Any = None
    expect_parameters: Any = None
    interface: Any = None
    pointer: str = ""


class Blueprint(_Frozen):
    """
    One scenario.

    Args:
        name: The scenario's name, `""` when the file has none.
        flow: The main flow; its first module is the start module.
        settings: Execution settings.
        scheduling: The schedule that the file carries, if any.
        inputs: Declared scenario inputs (`io.input_spec`).
        outputs: Declared scenario outputs.
        raw: The unwrapped file, every key kept, for export and for the content hash.
    """

    name: str
    flow: tuple[Module, ...]
    settings: Settings = Settings()
    scheduling: dict[str, Any] | None = None
    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    raw: dict[str, Any] = Field(default_factory=dict[str, Any])

    @cached_property
    def hash(self) -> str:
        """Content hash of the unwrapped file: SHA-256 in hex. Key order counts, since it decides output order."""
        text = json.dumps(self.raw, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def modules(self) -> Iterator[Module]:
        """All modules in order of the file: routes, branches and error routes included."""
        return walk(self.flow)


def walk(flow: tuple[Module, ...]) -> Iterator[Module]:
    """All modules of a flow in pre-order: the module, its routes and branches, its error route."""
    for module in flow:
        yield module
        for route in module.routes:
            yield from walk(route.flow)
        for branch in module.branches:
            yield from walk(branch.flow)
        yield from walk(module.onerror)


Route.model_rebuild()
Branch.model_rebuild()
Module.model_rebuild()
Blueprint.model_rebuild()
