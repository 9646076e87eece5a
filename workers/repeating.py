"""
Repeats a part of an ended run: from any operation, with the stored bundles before it (design sections 10.9 and 10.10).

The new run uses the versions that the old one recorded and stands where that one stood; what is no longer kept is said.
It ends with the cycle, and writes of the old run outside of it are not done a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.errors import ScenaristError, UsageError
from runtime.scenario.cursor import At, Closing, Cursor, Outs, visible
from runtime.values import Bundle
from workers import history
from workers.ledger.bundles import ChunkReader
from workers.ledger.records import RunRequest, RunStart
from workers.ledger.runs import Runs
from workers.ledger.states import FINAL
from workers.library import Library

_CLEARED = "Ended runs are kept for SCENARIST_KEEP_DAYS, and up to SCENARIST_KEEP_BYTES."


@dataclass(frozen=True, slots=True)
class Past:
    """An ended run whose bundles are kept: what it was made of, and its operations in the order they began."""

    run: str
    request: RunRequest
    operations: Sequence[dict[str, Any]]
    reader: ChunkReader

    def operation(self, number: int) -> dict[str, Any]:
        """
        The record of an operation by its number in the run, from 1.

        Raises:
            UsageError: There is none.
        """
        if not 1 <= number <= len(self.operations):
            raise UsageError(f"Run {self.run} has the operations 1 to {len(self.operations)}; there is no {number}.")
        return self.operations[number - 1]


def past(runs: Runs, run: str) -> Past:
    """
    A run that can be repeated.

    Raises:
        UsageError: There is none, it has not ended, or what it held is not kept.
    """
    header = runs.header(run)
    if header.state not in FINAL:
        raise UsageError(f"Run {run} is {header.state}; only a run that has ended can be repeated from an operation.")
    cipher = runs.cipher(run)
    request = runs.request(run, cipher)
    if request.confidential:
        raise UsageError(f"Run {run} was confidential: its bundles are not kept.")
    records = [entry.record for entry in runs.all_journal(run, cipher) if entry.record is not None]
    operations = history.operations(records)
    if header.operations and not operations:
        raise UsageError(f"The journal of run {run} is not kept any more. {_CLEARED}")
    return Past(run, request, operations, runs.reader(run, cipher))


def from_operation(past: Past, library: Library, number: int, edit: Mapping[str, Any] | None) -> Any:
    """
    The request and the start of a run that repeats `past` from an operation on. `edit` replaces the bundle that came
    into this operation: the current one of the module before it.

    Raises:
        UsageError: Something of it is not kept any more, or there is no bundle to replace.
    """
    record = past.operation(number)
    position = record.get("at")
    if position is None:
        raise UsageError(f"Where operation {number} of run {past.run} stood was not recorded.")
    plan = library.compiled(past.request.blueprint, past.request.apps).plan
    blank = Cursor(plan.hash, operations=0, cycle=1).to_json()
    cursor = Cursor.from_json({**blank, **position})
    cursor = cursor._replace(state=replace(cursor.state, phase="running", last=True))
    stack = list(cursor.stack)
    top = stack[-1]
    if isinstance(top, At) and top.mode == "flush":
        # An aggregator hands on: its span is closed once more.
        closing = stack[-2]
        if isinstance(closing, Closing):
            stack[-2:] = [closing._replace(turn=closing.turn - 1)]
            cursor = cursor.at(tuple(stack))
    bundles = _kept(past, cursor)
    if edit is not None:
        frame = next((frame for frame in visible(cursor.stack[:-1]) if isinstance(frame, Outs)), None)
        if frame is None:
            raise UsageError(
                f"No bundle comes into operation {number}: it is the start module. "
                "Give its bundles with scenarist run --trigger-bundle."
            )
        bundles[frame.number][frame.current] = dict(edit)
    request = replace(past.request, kind="replay", source=past.run, incomplete="")
    return request, RunStart(cursor.to_json(), bundles)


def start_bundles(past: Past, number: int, *, is_start: bool) -> tuple[Bundle, ...]:
    """
    The bundles that an operation of the start module gave.

    Raises:
        UsageError: It is not the start module's, or they are not kept any more.
    """
    record = past.operation(number)
    if not is_start:
        raise UsageError(f"--current begins at the start module; operation {number} is module {record['module']}.")
    return tuple(_read(past, record["op"], index) for index in range(record.get("count", 0)))


def _kept(past: Past, cursor: Cursor) -> dict[int, list[Bundle]]:
    """The bundles that this cursor can reach, out of the store of the run that has ended."""
    counts: dict[int, int] = {}

    def need(number: int, count: int) -> None:
        counts[number] = max(counts.get(number, 0), count)

    for frame in cursor.stack:
        if isinstance(frame, Outs):
            need(frame.number, frame.total)
        elif not isinstance(frame, (At, Closing)) and hasattr(frame, "number"):
            need(frame.number, 1)  # pyright: ignore[reportAttributeAccessIssue]  asked for in the line before
        if isinstance(frame, (Outs, Closing)):
            for number, count in frame.spans:
                if number > 0:
                    need(number, count)
    for ref in (*cursor.state.roundtrip.values(), *cursor.state.execution.values()):
        need(ref[0], ref[1] + 1)
    return {number: [_read(past, number, index) for index in range(count)] for number, count in counts.items()}


def _read(past: Past, number: int, index: int) -> Bundle:
    try:
        return past.reader.get(number, index)
    except ScenaristError:
        raise UsageError(f"Bundles of run {past.run} that this needs are not kept any more. {_CLEARED}") from None
