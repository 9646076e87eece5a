"""
Sub-scenarios: runs that a run starts (spec/scenarios.md 4.8).

A child is an ordinary run with an id made of its parent's and the operation's number, so an operation that is done
again finds the child that it has started. It has its own cycles and commits; its parent parks while it waits, and the
script that writes the child's end wakes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runtime import codec
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError, UsageError
from workers.ledger.records import Claim, RunRequest
from workers.ledger.states import FINAL, RunState

if TYPE_CHECKING:
    from workers.runner import SegmentRunner

#: How deep scenarios may call each other.
MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Children:
    """The children of one run. `here`: they run in this process, before the parent goes on."""

    runner: SegmentRunner
    claim: Claim
    here: bool

    def start(self, number: int, foreign: str, *, inputs: Mapping[str, Any], wait: bool) -> str:
        """
        Start the scenario behind a foreign id for operation `number`; gives the run's id. `wait`: the parent goes on
        when the child has ended.

        Raises:
            InvalidConfigurationError: No scenario is bound to the id.
            BundleValidationError: An input is missing or does not fit.
            ModuleRuntimeError: The scenario cannot be called.
        """
        parent = self.claim.run
        run = hashlib.sha256(f"{parent}:{number}".encode()).hexdigest()[:24]
        request = self._request(foreign, inputs)
        if wait and request.sequential and self._waits_for_me(request.scenario):
            raise ModuleRuntimeError(
                f'The scenario "{request.name}" is sequential, and this run of it, or one that waits for this run, has '
                "not ended: it cannot wait for another one."
            )
        header = self.runner.runs.create(request, run=run, parent=parent if wait else "")
        fresh = self.runner.runs.header(run)
        if fresh.state is not RunState.QUEUED:
            return run
        if self.here:
            claim = self.runner.runs.claim(run, fresh.fence)
            if claim is not None:
                self.runner.take(claim, park=False)
            elif request.sequential and self.runner.runs.cancel(run) is RunState.CANCELLED:
                # Nobody here would ever start it, and the parent would wait in vain.
                raise ModuleRuntimeError(
                    f'The scenario "{request.name}" is sequential, and another run of it has not ended, or incomplete '
                    "executions of it are open. A run in the foreground does not wait for them."
                )
        elif self.runner.send is not None:
            self.runner.send(run, header.fence)
        return run

    def _waits_for_me(self, scenario: str) -> bool:
        """True when this run, or one that waits for its end, is a run of this scenario."""
        run = self.claim.run
        for _ in range(MAX_DEPTH + 1):
            header = self.runner.runs.header(run)
            if header.scenario == scenario:
                return True
            if not header.parent:
                return False
            run = header.parent
        return False

    def ended(self, run: str) -> dict[str, Any] | None:
        """The end of a child: `{"state", "error", "outputs"}`; None while it has not ended."""
        header = self.runner.runs.header(run)
        if header.state not in FINAL:
            return None
        cipher = self.runner.runs.cipher(run)
        outputs = self.runner.runs.outputs(run, cipher)
        reader = self.runner.runs.reader(run, cipher)
        values = codec.unmark(outputs, reader.get_blob) if isinstance(outputs, dict) else {}
        return {"state": str(header.state), "error": header.error, "outputs": values}

    def _request(self, foreign: str, inputs: Mapping[str, Any]) -> RunRequest:
        # Loaded here because it needs the runner, which needs the segment.
        from workers import imports

        request = self.claim.request
        if request.depth >= MAX_DEPTH:
            raise ModuleRuntimeError(f"Scenarios call each other more than {MAX_DEPTH} deep.")
        bound = request.scenarios.get(foreign)
        if bound is None:
            raise InvalidConfigurationError(f"The scenario {foreign} is not bound to one here.")
        try:
            state = self.runner.library.scenarios.get(bound)
            made = imports.scenario_request(self.runner, state, inputs, None, only_on_demand=True)
        except UsageError as error:
            raise ModuleRuntimeError(error.message) from None
        return replace(made, kind="sub", depth=request.depth + 1)
