"""Rotation of the keys while processes run, and of what waits only for a moment."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connections.keyring import CipherError, KeyRing, generate_key
from tests.ledger_kit import server
from tests.worker_kit import PATIENCE, Installation, Peer, call, installation, peer
from workers.keys import load_keyring
from workers.ledger.authorizations import Authorizations, CommonData
from workers.ledger.contents import Contents
from workers.ledger.keys import Keys
from workers.server import Server

__all__ = ["server"]

OLD, NEW = generate_key(), generate_key()
KEEP = timedelta(minutes=15)
PATIENT = timedelta(seconds=PATIENCE)


@pytest.fixture
def api() -> Iterator[Peer]:
    """The service that the runs talk to."""
    with peer() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, api: Peer) -> Iterator[Installation]:
    """A fresh installation."""
    with installation(tmp_path, api.port) as made:
        yield made


def test_a_running_worker_follows_a_rotation(place: Installation, api: Peer) -> None:
    """A worker that was started with the old ring goes on, and does what the new key wraps: a new run, a content."""
    first, second = place.scenario(call(1, "hold"), call(2, "b")), place.scenario(call(1, "c"))
    old = load_keyring(place.settings).ids
    with place.running("worker"):
        running = place.service.runs.enqueue(first)
        assert api.arrived("/hold")
        assert place.service.keys.rotate() > 0
        accepted = place.service.runs.enqueue(second)
        api.release.set()
        reports = [place.service.runs.wait(run.id, timeout=PATIENT) for run in (running, accepted)]

    newest = load_keyring(place.settings)
    wrapped = place.service.runner.runs.client.hget(place.keys.run(accepted.id), "key")
    assert newest.ids[1:] == old
    assert wrapped is not None
    assert not newest.needs_rotation(wrapped)  # type: ignore[arg-type]
    assert [report.status for report in reports] == ["success", "success"]
    assert sorted(path for _, path in api.seen) == ["/b", "/c", "/hold"]


def test_pending_authorizations_follow_a_rotation(server: Server) -> None:
    """One that waits for its callback, and how another ended, open with the new key alone, and end when they would."""
    keys = Keys(f"test-{secrets.token_hex(6)}")
    old = Authorizations(server.client, keys, KeyRing([OLD]))
    old.put("state", b"what was sent", keep=KEEP)
    old.ended("other", {"connection": "c1"}, keep=KEEP)
    CommonData(server.client, keys, KeyRing([OLD])).put("app", {"clientSecret": "x"})

    both = KeyRing([NEW, OLD])
    assert old.rotate(both) == 2
    assert old.rotate(both) == 0
    assert CommonData(server.client, keys, both).rotate(both) == 1

    new = Authorizations(server.client, keys, KeyRing([NEW]))
    left = [server.client.pttl(key) for key in server.client.scan_iter(match=f"{keys.prefix}:pending:*")]
    assert len(left) == 1
    assert all(0 < each <= KEEP // timedelta(milliseconds=1) for each in left)
    assert new.take("state") == b"what was sent"
    assert new.result("other") == {"connection": "c1"}
    assert CommonData(server.client, keys, KeyRing([NEW])).get("app") == {"clientSecret": "x"}
    with pytest.raises(CipherError):
        old.result("other")


def test_a_content_of_a_lost_key_is_stored_again(server: Server) -> None:
    """A content that is there stays as it is; one whose key is gone is written anew."""
    keys = Keys(f"test-{secrets.token_hex(6)}")
    old, new = (Contents(server.client, keys, KeyRing([key])) for key in (OLD, NEW))
    content = keys.app_files("hash")

    old.put(content, {"a": b"1"})
    stored = server.client.hgetall(content)
    old.put(content, {"a": b"1"})
    assert server.client.hgetall(content) == stored
    assert new.get(content) is None
    new.put(content, {"a": b"1"})
    assert new.get(content) == {"a": b"1"}
