"""
The cursor: the whole position of a run as plain JSON, and what is visible from it.

A cursor is a stack of frames and a few counters. Bundles lie in the run's bundle store under (operation number, index);
frames only refer to them, so a cursor is small however large the data is. Frames and cursors never change: the engine
makes new ones. Design sections 2.5, 10.2, 10.3, 10.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

#: Version of the stored form (design section 10.13).
VERSION: Final = 1
#: `Outs.base` and `At.base` of a module that is no merge.
NO_BASE: Final = -1

#: Makes a named tuple of all its fields, twice as fast as its own constructor. For the few places that are passed for
#: every bundle of a run: fields are by position, and nothing has a default.
made: Final = tuple.__new__

#: Where a bundle lies: (operation number, index).
Ref: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Intent:
    """
    A write outside the run that waits for the commit (design section 10.5): `kind` and `key` as in the effect
    `Remember`, the value at (`operation`, `index`) in the bundle store, as `{"value": ...}`.
    """

    module: int
    kind: str
    key: str
    ref: Ref


#: What an aggregator has collected so far in one operation of its feeder: (store number, count); number 0 = nothing.
Span: TypeAlias = tuple[int, int]
#: A span in the retry of an incomplete execution: its aggregator hands on only what the retry itself brings to it.
REPEATED_SPAN: Final[Span] = (-1, 0)


class At(NamedTuple):
    """To do: run the module at this position of this flow, with what is visible below."""

    flow: int
    position: int
    #: `filter`: its filter comes first; `go`: the filter passed or does not count; `flush`: an aggregator hands on.
    mode: str = "filter"
    #: For a merge: where in the stack the frame of its if-else lies.
    base: int = NO_BASE


class Parked(NamedTuple):
    """An operation that sleeps: it goes on with `resume` at `wake` (milliseconds since 1970 UTC)."""

    flow: int
    position: int
    mode: str
    number: int
    resume: dict[str, Any]
    wake: int
    written: int
    #: Store number of its evaluated parameters; 0 when they were not kept.
    kept: int = 0


class Outs(NamedTuple):
    """The `total` bundles of an operation go through the rest of the flow one by one; `current` is where it stands."""

    flow: int
    position: int
    module: int
    number: int
    total: int
    current: int
    #: One span for each aggregator that this module feeds, in pre-order.
    spans: tuple[Span, ...] = ()
    #: For a merge: the stack index of its if-else; the branch between is not visible from here on.
    base: int = NO_BASE


class Closing(NamedTuple):
    """All bundles of a feeder are done; its aggregators hand on one after the other. `turn` is the next one."""

    module: int
    spans: tuple[Span, ...]
    turn: int


class Routes(NamedTuple):
    """A bundle goes through the routes of a router; `route` is the next one to try."""

    flow: int
    position: int
    route: int
    taken: bool


class InBranch(NamedTuple):
    """A bundle is in a branch of an if-else."""

    flow: int
    position: int
    branch: int
    entered: bool


class Failure(NamedTuple):
    """A module has failed and nobody has decided yet. The error lies in the store at (`number`, 0)."""

    flow: int
    position: int
    mode: str
    base: int
    number: int
    error: str
    #: The handler was tried and did not take it: only the default is left.
    unhandled: bool = False


class Handling(NamedTuple):
    """An error route runs for the bundle that failed in this module."""

    flow: int
    position: int
    mode: str
    base: int
    module: int
    number: int
    error: str
    #: Stack index of the router whose handler this is, or -1 for the module's own.
    router: int = -1


Frame: TypeAlias = At | Parked | Outs | Closing | Routes | InBranch | Failure | Handling

_FRAMES: Final[dict[str, type[Any]]] = {
    "at": At,
    "parked": Parked,
    "outs": Outs,
    "closing": Closing,
    "routes": Routes,
    "branch": InBranch,
    "failure": Failure,
    "handling": Handling,
}
_TAGS: Final = {kind: tag for tag, kind in _FRAMES.items()}


@dataclass(frozen=True, slots=True)
class RunState:
    """
    What changes rarely during a run.

    Args:
        phase: `ready` (a cycle may start), `running`, `rollback`, `ended`.
        cycles: Most cycles of this run.
        roundtrip, execution: The two maps of scenario variables: name -> where the value lies (`{"value": ...}`).
        intents: Writes outside the run that wait for the commit of the cycle, oldest first.
        due: Writes that the next step commits (auto commit).
        empty: The start module gave no bundle in this cycle.
        last: This is the last cycle, whatever `cycles` says.
        warned: The run is at least a `warning`.
        directed: A directive rolls back, no unhandled error.
        stored: Number of incomplete executions stored.
        error: The error that ended the run, `ModuleError.to_json` without `external`, and its module.
        outputs: Where the run's outputs lie.
        label: The run's name, set from inside.
        unknown: (module id, number) of a step of unknown outcome that stopped the run.
    """

    phase: str = "ready"
    cycles: int = 1
    roundtrip: dict[str, Ref] = field(default_factory=dict[str, Ref])
    execution: dict[str, Ref] = field(default_factory=dict[str, Ref])
    intents: tuple[Intent, ...] = ()
    due: tuple[Intent, ...] = ()
    empty: bool = False
    last: bool = False
    warned: bool = False
    directed: bool = False
    stored: int = 0
    error: dict[str, Any] | None = None
    error_module: int | None = None
    outputs: Ref | None = None
    label: str = ""
    unknown: tuple[int, int] | None = None


class Cursor(NamedTuple):
    """
    Where a run stands. A named tuple, since two are made for every operation of a run.

    Args:
        blueprint: Hash of the plan it belongs to.
        stack: Frames, outermost first; the last one is what comes next.
        number: Next free number in the bundle store.
        operations: Operations counted so far (spec/scenarios.md 2.4).
        cycle: Current cycle, from 1; 0 before the first.
        state: Everything that changes rarely.
    """

    blueprint: str
    stack: tuple[Frame, ...] = ()
    number: int = 1
    operations: int = 0
    cycle: int = 0
    state: RunState = RunState()

    def at(self, stack: tuple[Frame, ...]) -> Cursor:
        """The same cursor with another stack."""
        blueprint, _, number, operations, cycle, state = self
        return made(Cursor, (blueprint, stack, number, operations, cycle, state))

    def to_json(self) -> dict[str, Any]:
        """The cursor as JSON data; `from_json` gives an equal cursor back."""
        state = self.state
        return {
            "v": VERSION,
            "blueprint": self.blueprint,
            "stack": [{"t": _TAGS[type(frame)], **_frame_json(frame)} for frame in self.stack],
            "number": self.number,
            "operations": self.operations,
            "cycle": self.cycle,
            "phase": state.phase,
            "cycles": state.cycles,
            "roundtrip": {name: list(ref) for name, ref in state.roundtrip.items()},
            "execution": {name: list(ref) for name, ref in state.execution.items()},
            "intents": [_intent_json(intent) for intent in state.intents],
            "due": [_intent_json(intent) for intent in state.due],
            "flags": {
                "empty": state.empty,
                "last": state.last,
                "warned": state.warned,
                "directed": state.directed,
                "stored": state.stored,
            },
            "error": state.error,
            "error_module": state.error_module,
            "outputs": list(state.outputs) if state.outputs else None,
            "label": state.label,
            "unknown": list(state.unknown) if state.unknown else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Cursor:
        """
        The cursor that `to_json` wrote.

        Raises:
            ValueError: It was written by a newer version.
        """
        if data.get("v") != VERSION:
            raise ValueError(f"this cursor has format {data.get('v')!r}; this version reads {VERSION}")
        flags = data["flags"]
        outputs, unknown = data["outputs"], data["unknown"]
        state = RunState(
            phase=data["phase"],
            cycles=data["cycles"],
            roundtrip={name: (ref[0], ref[1]) for name, ref in data["roundtrip"].items()},
            execution={name: (ref[0], ref[1]) for name, ref in data["execution"].items()},
            intents=tuple(_intent(intent) for intent in data["intents"]),
            due=tuple(_intent(intent) for intent in data["due"]),
            empty=flags["empty"],
            last=flags["last"],
            warned=flags["warned"],
            directed=flags.get("directed", False),
            stored=flags["stored"],
            error=data["error"],
            error_module=data["error_module"],
            outputs=(outputs[0], outputs[1]) if outputs else None,
            label=data["label"],
            unknown=(unknown[0], unknown[1]) if unknown else None,
        )
        stack = tuple(_frame(frame) for frame in data["stack"])
        return cls(data["blueprint"], stack, data["number"], data["operations"], data["cycle"], state)

    def reachable(self) -> set[int]:
        """Numbers in the bundle store that this cursor can still read; everything else may go (design section 10.2)."""
        state = self.state
        numbers = {ref[0] for ref in (*state.roundtrip.values(), *state.execution.values())}
        numbers.update(intent.ref[0] for intent in (*state.intents, *state.due))
        if state.outputs:
            numbers.add(state.outputs[0])
        for frame in self.stack:
            if isinstance(frame, (Outs, Failure, Handling, Parked)):
                numbers.add(frame.number)
            if isinstance(frame, Parked) and frame.kept:
                numbers.add(frame.kept)
            if isinstance(frame, (Outs, Closing)):
                numbers.update(number for number, _ in frame.spans if number > 0)
        return numbers


def visible(stack: tuple[Frame, ...]) -> Iterator[Outs | Handling]:
    """
    The frames whose modules can be addressed from the top of the stack, nearest first (spec/scenarios.md 2.8): the
    current bundle of each operation on the path, and the errors of modules whose error route runs. Closed spans have no
    frame any more; behind a merge the branch's frames are skipped.
    """
    index = len(stack) - 1
    while index >= 0:
        frame = stack[index]
        if type(frame) is Outs:
            yield frame
            if frame.base >= 0:
                index = frame.base
        elif type(frame) is Handling:
            yield frame
        index -= 1


def visible_refs(stack: tuple[Frame, ...]) -> dict[int, Ref]:
    """Where the bundles lie that are visible from the top of the stack, by module id; errors of failed modules too."""
    refs: dict[int, Ref] = {}
    for frame in visible(stack):
        refs.setdefault(frame.module, (frame.number, frame.current if type(frame) is Outs else 0))
    return refs


def _frame_json(frame: Frame) -> dict[str, Any]:
    data = frame._asdict()
    if "spans" in data:
        data["spans"] = [list(span) for span in data["spans"]]
    return data


def _frame(data: dict[str, Any]) -> Frame:
    fields = {key: value for key, value in data.items() if key != "t"}
    if "spans" in fields:
        fields["spans"] = tuple((span[0], span[1]) for span in fields["spans"])
    return _FRAMES[data["t"]](**fields)


def _intent_json(intent: Intent) -> dict[str, Any]:
    return {"module": intent.module, "kind": intent.kind, "key": intent.key, "ref": list(intent.ref)}


def _intent(data: dict[str, Any]) -> Intent:
    return Intent(data["module"], data["kind"], data["key"], (data["ref"][0], data["ref"][1]))
