"""The vault on a real server: what lies there, and who wins when several write."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connections.keyring import KeyRing, generate_key
from connections.record import ConnectionState, Grant
from connections.vault import ConnectionChanged, Vault
from runtime.errors import UsageError
from tests.ledger_kit import server_in
from tests.unit.connections.test_vault import GRANT
from workers.ledger.connections import ConnectionRecords
from workers.ledger.keys import Keys
from workers.server import Server

OLD = generate_key()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_in(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> ConnectionRecords:
    """A store under a prefix of its own."""
    return ConnectionRecords(server.client, Keys(f"test-{request.node.name}"))


def make(vault: Vault, name: str = "Mine", grant: Grant = GRANT) -> str:
    return vault.create(app="acme", component="apiKey", type="basic", name=name, grant=grant).id


def test_server_holds_no_clear_text(server: Server, store: ConnectionRecords) -> None:
    """Everything on the server, every type of key, holds no secret in clear; the record comes back whole."""
    vault = Vault(store, KeyRing([OLD]))
    connection = make(vault)
    vault.rename(connection, "New name")

    found = b"".join(key + (server.client.dump(key) or b"") for key in server.client.scan_iter())
    assert b"New name" in found
    assert b"hidden" not in found
    assert Vault(store, KeyRing([OLD])).get(connection).data == GRANT.data


def test_one_of_many_writers_wins_each_version(store: ConnectionRecords) -> None:
    """Writers that read the same version: exactly one is stored, the others are told, and none is lost unseen."""
    vault = Vault(store, KeyRing([OLD]))
    record = vault.get(make(vault))
    barrier = threading.Barrier(8)
    won: list[int] = []

    def write(number: int) -> None:
        barrier.wait()
        try:
            vault.update(replace(record, data={"number": number}))
        except ConnectionChanged:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    after = vault.get(record.id)
    assert len(won) == 1
    assert (after.data, after.version) == ({"number": won[0]}, record.version + 1)


def test_rotation_beside_a_writer_loses_nothing(store: ConnectionRecords) -> None:
    """Keys are rotated while somebody writes: all his writes are there, and the old key is not needed any more."""
    old = Vault(store, KeyRing([OLD]))
    connection = make(old)
    newest = generate_key()
    both = Vault(store, KeyRing([newest, OLD]))
    written: list[int] = []

    def write() -> None:
        for number in range(30):
            while True:
                record = both.get(connection)
                try:
                    both.update(replace(record, data={**record.data, str(number): number}))
                except ConnectionChanged:
                    continue
                written.append(number)
                break

    writer = threading.Thread(target=write)
    writer.start()
    both.rotate()
    writer.join()
    both.rotate()

    data = Vault(store, KeyRing([newest])).get(connection).data
    assert written == list(range(30))
    assert all(data[str(number)] == number for number in written)


def test_removed_connection_stays_removed(store: ConnectionRecords) -> None:
    """A write that comes after the removal does not bring the connection back."""
    vault = Vault(store, KeyRing([OLD]))
    record = vault.get(make(vault))
    vault.remove(record.id)

    with pytest.raises(ConnectionChanged):
        vault.update(replace(record, state=ConnectionState.INVALID))
    assert vault.list() == []
    with pytest.raises(UsageError):
        vault.get(record.id)
