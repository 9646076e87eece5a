"""Parts for tests of the ledger: a real embedded server for the session, a fresh prefix for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from connections.keyring import KeyRing, generate_key
from workers.ledger.keys import Keys
from workers.ledger.records import Checkpoint, Claim, Move, RunRequest
from workers.ledger.runs import Runs
from workers.ledger.states import RunState
from workers.server import Server, connect
from workers.settings import Settings, load_settings


def settings_in(home: Path, **more: str) -> Settings:
    """Settings with this data folder and nothing of the host's environment."""
    return load_settings({"SCENARIST_HOME": str(home), **more})


@contextmanager
def server_in(home: Path) -> Iterator[Server]:
    """The embedded server of a data folder."""
    with connect(settings_in(home)) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One embedded server for all tests of the session."""
    with server_in(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def runs(server: Server) -> Runs:
    """A ledger of its own on the session's server. Its leases are so long that they end only when a test ends them."""
    return Runs(server.client, Keys(f"test-{secrets.token_hex(6)}"), KeyRing([generate_key()]), timedelta(hours=1))


def accept(runs: Runs, **fields: object) -> str:
    """Accept a run; gives its id."""
    return runs.create(RunRequest("scenario", "blueprint", **fields)).id  # type: ignore[arg-type]


def claimed(runs: Runs, run: str, fence: int = 0) -> Claim:
    """Claim a run that is free."""
    claim = runs.claim(run, fence)
    assert claim is not None
    return claim


def step(runs: Runs, claim: Claim, seq: int, *, state: RunState | None = None, **fields: object) -> Checkpoint:
    """Write one checkpoint; gives what was written."""
    move = None if state is None else Move(state, wake_ms=1)
    made = Checkpoint({"at": seq}, move=move, **fields)  # type: ignore[arg-type]
    runs.checkpoint(claim, seq, made)
    return made


def expire(runs: Runs, run: str) -> None:
    """End a run's lease now, as if its worker had been silent for too long."""
    runs.client.zadd(runs.keys.leased, {run: 1})
