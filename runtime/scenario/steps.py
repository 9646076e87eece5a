"""
What the engine asks for (steps) and what it is told (outcomes).

A driver is a loop: `step = engine.next(cursor)`, do it, `cursor = engine.apply(cursor, step, outcome)`, store it.
| step | what the driver does | outcomes |
| --- | --- | --- |
| `Operation` | run the module, write its bundles under (`number`, 0..) | `Bundles`, `Failed`, `Slept`, `Unknown` |
| `Store` | write one bundle of the engine under (`number`, `place`); no step of the run | `Done` |
| `Filtered` | note it in the journal | `Done` |
| `Commit` | apply the intents and the checkpoint in one script | `Done`, `Failed` (`InconsistencyError`) |
| `Rollback` | drop the intents, put the event or position back | `Done`, `Failed` |
| `Incomplete` | store an incomplete execution | `Done`, `Refused` |
| `Wait` | park the run until then | none: ask `next` again after that time |
| `Finished` | the run has ended | none |

When an operation fails, the one bundle under its number is `error_bundle(error)`, written before `apply`.
Design sections 2.5 and 10.2 to 10.5; spec/scenarios.md 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from runtime.errors import ModuleError
from runtime.scenario.catalog import ModuleInfo
from runtime.scenario.cursor import At, Cursor, Frame, Intent, Ref, visible_refs
from runtime.values import Bundle

#: Conditions of a filter as evaluated: outer OR, inner AND of (a, operator, b, result).
Sides: TypeAlias = tuple[tuple[tuple[Any, str, Any, bool], ...], ...]


@dataclass(frozen=True, slots=True)
class Collected:
    """
    What an aggregator collected: `count` elements under (`number`, 0..), each `{"key": ..., "item": {...}}`
    (`key` None without group by). `runtime.scenario.aggregate.flush` reads them. `fields` are the mapper's keys in the
    order of the file: an item leaves out those without a value.
    """

    number: int
    count: int
    grouped: bool
    fields: tuple[str, ...] = ()


class Operation(NamedTuple):
    """
    One operation of one module. A named tuple, since one is made for every operation of a run.

    Args:
        number: Identifies it in the run and in the bundle store; a repeated attempt has the same number.
        cycle: Cycle, from 1.
        module_id, name, info, label: Which module.
        static: `parameters` of the blueprint, literal (evaluated only for `util:BasicTrigger`).
        mapped: The evaluated mapper; FORCED_EMPTY and ERASE marks kept.
        start: It is the start module.
        error: Its filter or mapper failed: do not run the module, note the failed step, apply `Failed(error)`.
        outputs: The engine itself knows the result (if-else, merge): write these bundles, apply `Bundles(count)`.
        collected: For an aggregator's flush: what to aggregate.
        resume: For an operation that was parked: where to go on (`Sleep.resume`).
        written: Bundles that a parked operation wrote before it was parked; later ones go behind them.
        expect, interface: The module's field snapshots in the blueprint, for dynamic fields.
        kept: Store number of the evaluated parameters of an operation that was parked; 0 for none. Such a step comes
            with empty `static` and `mapped`: the driver reads them with `kept_config`.
        passed: Name and conditions of the filter that let the bundle in, as evaluated; None without a filter.
        branch: For an if-else: the stack behind it, the branch chosen.
        after: The cursor at this step; belongs to the engine, as in the other steps.
    """

    number: int
    cycle: int
    module_id: int
    name: str
    info: ModuleInfo
    label: str
    static: dict[str, Any]
    mapped: dict[str, Any]
    start: bool = False
    error: ModuleError | None = None
    outputs: list[Bundle] | None = None
    collected: Collected | None = None
    resume: dict[str, Any] | None = None
    written: int = 0
    expect: Any = None
    interface: Any = None
    kept: int = 0
    passed: tuple[str, Sides] | None = None
    branch: tuple[Frame, ...] | None = None
    after: Cursor | None = None

    @property
    def inputs(self) -> dict[int, Ref]:
        """Where the bundles lie that are visible to it, by module id."""
        return visible_refs(self.after.stack) if self.after else {}

    @property
    def spare(self) -> int:
        """A free number in the bundle store, for the evaluated parameters of an operation that parks itself."""
        return max(self.after.number if self.after else 0, self.number + 1)

    @property
    def config(self) -> dict[str, Any]:
        """`static` and `mapped` in one: a mapped value wins unless it is undefined (spec/modules.md 1.3)."""
        return {**self.static, **self.mapped}


class Store(NamedTuple):
    """
    Write one bundle that the engine made (a collected element, a Resume substitute, an error). A named tuple, as
    `Filtered` is, since there may be one for every bundle.
    """

    number: int
    place: int
    bundle: Bundle
    after: Cursor | None = None


class Filtered(NamedTuple):
    """A filter stopped a bundle in front of a module. `conditions` are (a, operator, b, result) as evaluated."""

    cycle: int
    module_id: int
    name: str
    filter_name: str
    conditions: Sides
    after: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """
    Commit these intents, in this order. `auto`: right after an operation (auto commit); else the end of cycle `cycle`.
    """

    cycle: int
    intents: tuple[Intent, ...]
    auto: bool = False
    after: Cursor | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Rollback:
    """Drop these intents (the newest first), put the trigger position and the hook event back."""

    cycle: int
    intents: tuple[Intent, ...]
    error: ModuleError | None
    after: Cursor | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """
    Store an incomplete execution for a failing bundle (spec/scenarios.md 3.5): the failed module, its error, the
    bundles visible to it. `retry`: (count, interval in minutes) of a Break with automatic retry, else None. `at` is the
    place of the failed module, `number` its failed operation.
    """

    cycle: int
    module_id: int
    name: str
    error: ModuleError
    inputs: dict[int, Ref]
    by_break: bool
    retry: tuple[int, int] | None
    at: At
    number: int
    after: Cursor | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """A parked operation goes on at this time; ask `next` again then."""

    until: datetime
    module_id: int
    number: int


@dataclass(frozen=True, slots=True)
class Finished:
    """
    The run has ended: `status` is `success`, `warning`, `error`, `cancelled` or `incomplete` (design section 8).
    `incomplete` may go on: `Engine.repeat_unknown`.
    """

    status: str
    error: ModuleError | None
    error_module: int | None
    operations: int
    cycles: int
    outputs: Ref | None
    label: str
    #: (module id, number) of the step of unknown outcome.
    unknown: tuple[int, int] | None = None


Step: TypeAlias = Operation | Store | Filtered | Commit | Rollback | Incomplete | Wait | Finished


@dataclass(frozen=True, slots=True)
class Change:
    """
    A change of run state by an operation; its value lies at (operation, `index`) as `{"value": ...}`.
    `kind`: `roundtrip` and `execution` (a scenario variable), `outputs`, `label`, or the kind of an intent.
    """

    kind: str
    key: str
    index: int
    #: True for a write outside the run, which waits for the commit.
    intent: bool = False


@dataclass(frozen=True, slots=True)
class Bundles:
    """
    The operation succeeded with so many bundles under its number. `changes` refer to bundles behind those.
    `warned`: it logged a warning, which makes the run a `warning`.
    """

    count: int
    changes: tuple[Change, ...] = ()
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The step failed."""

    error: ModuleError


@dataclass(frozen=True, slots=True)
class Slept:
    """
    The operation parked itself with this `Sleep.resume`; `written` bundles are in the store already. `kept`: the number
    under which the driver wrote its evaluated parameters (`Operation.spare`), so that they stay what they are.
    """

    resume: dict[str, Any]
    wake_at: datetime
    written: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is not known whether the operation's unsafe request was carried out (design section 10.4)."""


@dataclass(frozen=True, slots=True)
class Done:
    """The step was carried out."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The incomplete execution could not be stored (limit reached, or storing is not possible)."""

    reason: str


def error_bundle(error: ModuleError) -> Bundle:
    """
    What the driver writes at (`number`, 0) when an operation failed. `error` is what the error route sees as
    `{{id.error}}` (spec/scenarios.md 3.4); `raised` is the whole error, for records.
    """
    shown: dict[str, Any] = {
        "message": error.message,
        "type": error.name,
        "name": error.name,
        "detail": [{"message": text} for text in error.suberrors],
    }
    if error.status_code is not None:
        shown["statusCode"] = error.status_code
    return {"error": shown, "raised": error.to_json()}


Outcome: TypeAlias = Bundles | Failed | Slept | Unknown | Done | Refused
