"""Any order of workers, stops, expired leases and repeated messages keeps the ledger's promises."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from connections.keyring import KeyRing, generate_key
from tests.ledger_kit import expire, server_in, step
from workers.ledger.keys import Keys
from workers.ledger.records import Claim, FenceLost, RunRequest
from workers.ledger.runs import MAX_IDLE_CLAIMS, Runs
from workers.ledger.schedule import Schedule
from workers.ledger.states import FINAL, RunState
from workers.server import Server


class Model:
    """One run as it should be."""

    def __init__(self) -> None:
        self.state = RunState.QUEUED
        self.fence = 0
        self.seq = 0
        self.idle = 0
        self.stop = False


class LedgerMachine(RuleBasedStateMachine):
    """One run, any number of workers with claims old and new, messages old and new."""

    server: Server
    claims = Bundle("claims")

    @initialize()
    def accept(self) -> None:
        self.runs = Runs(
            self.server.client, Keys(f"machine-{secrets.token_hex(6)}"), KeyRing([generate_key()]), timedelta(hours=1)
        )
        self.run = self.runs.create(RunRequest("s", "b")).id
        self.model = Model()

    @rule(target=claims, behind=st.integers(0, 2))
    def message(self, behind: int) -> tuple[Claim | None, int]:
        """A message arrives, newest or old; only the newest one for a queued run is worth a claim."""
        model = self.model
        claim = self.runs.claim(self.run, model.fence - behind)
        if behind or model.state is not RunState.QUEUED:
            assert claim is None
        elif model.idle >= MAX_IDLE_CLAIMS:
            assert claim is None
            model.state = RunState.ERROR
        else:
            assert claim is not None
            model.state, model.fence, model.idle = RunState.RUNNING, model.fence + 1, model.idle + 1
            assert (claim.fence, claim.seq, claim.stopping) == (model.fence, model.seq, model.stop)
        return claim, model.seq

    @rule(held=claims, goal=st.sampled_from([None, *RunState]))
    def checkpoint(self, held: tuple[Claim | None, int], goal: RunState | None) -> None:
        """A worker, which may have lost the run long ago, writes a checkpoint."""
        claim, model = held[0], self.model
        if claim is None or goal is RunState.RUNNING:
            return
        mine = claim.fence == model.fence and model.state is RunState.RUNNING
        try:
            step(self.runs, claim, model.seq + 1, state=goal)
        except FenceLost:
            assert not mine
            return
        assert mine
        model.seq, model.idle = model.seq + 1, 0
        model.state = goal or RunState.RUNNING

    @rule()
    def lease_ends(self) -> None:
        """The worker was silent for too long; the scheduler takes the run back."""
        expire(self.runs, self.run) if self.model.state is RunState.RUNNING else None
        self.sweep()

    @rule()
    def sweep(self) -> None:
        """The scheduler looks: parked runs of this machine are always due."""
        found = Schedule(self.server.client, self.runs.keys).sweep(lost_after=timedelta(days=1))
        expired = self.server.client.zscore(self.runs.keys.leased, self.run) is None
        if self.model.state is RunState.PARKED or (self.model.state is RunState.RUNNING and expired):
            assert [(wanted.run, wanted.fence) for wanted in found] == [(self.run, self.model.fence)]
            self.model.state = RunState.QUEUED
        else:
            assert found == []

    @rule()
    def stop(self) -> None:
        """A person stops the run."""
        if self.model.state is RunState.RUNNING:
            self.model.stop = True
        elif self.model.state not in FINAL:
            self.model.state = RunState.CANCELLED
        assert self.runs.cancel(self.run) is self.model.state

    @rule()
    def retry(self) -> None:
        """A person lets it go on, which is possible only when it waits for a decision."""
        if self.model.state is RunState.INCOMPLETE:
            assert self.runs.retry(self.run) == self.model.fence
            self.model.state, self.model.idle, self.model.stop = RunState.QUEUED, 0, False

    @invariant()
    def agree(self) -> None:
        """State and fence are those of the model, and the run stands in exactly the indexes of its state."""
        if not hasattr(self, "model"):
            return
        header, keys, client = self.runs.header(self.run), self.runs.keys, self.server.client
        assert (header.state, header.fence) == (self.model.state, self.model.fence)
        listed = {
            name
            for name, key in {
                "queued": keys.queued, "leased": keys.leased, "due": keys.due, "ended": keys.ended,
            }.items()
            if client.zscore(key, self.run) is not None
        }  # fmt: skip
        expected = {RunState.QUEUED: "queued", RunState.RUNNING: "leased", RunState.PARKED: "due"}
        # A run that waits for a decision has not ended: retention must not find it.
        waits = self.model.state is RunState.INCOMPLETE
        assert listed == (set() if waits else {expected.get(self.model.state, "ended")})


def test_ledger_keeps_its_promises() -> None:
    """Old fences never write, one message gives one claim, and indexes agree with states, in any order of events."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        LedgerMachine.server = stack.enter_context(server_in(Path(folder)))
        run_state_machine_as_test(
            LedgerMachine,
            settings=settings(
                max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


pytestmark = pytest.mark.timeout(110)
