"""The vault: records come back whole, the store sees nothing secret, and no write is lost."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connections.keyring import CipherError, KeyRing, generate_key
from connections.record import ConnectionRecord, ConnectionState, Grant
from connections.vault import ConnectionChanged, NewerConnection, Vault, public_view
from runtime.errors import UsageError
from runtime.values import Buffer

OLD, NEW = generate_key(), generate_key()
GRANT = Grant(
    parameters={"apiKey": "hidden1", "domain": "hidden2"},
    data={
        "apiKey": "hidden1",
        "expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "big": 2**70,
        "$odd": {"file": Buffer(b"\x00hidden3", "binary", "a.bin")},
        "text": "\ud800",
    },
    uid="u7",
    metadata={"type": "email", "value": "me@example.com"},
    expires=datetime(2031, 1, 1, tzinfo=UTC),
    scope=("read", "write"),
)


class Memory:
    """A `RecordStore` in memory."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, bytes]] = {}
        self.before_put: list[str] = []

    def get(self, record: str) -> dict[str, bytes] | None:
        fields = self.records.get(record)
        return dict(fields) if fields is not None else None

    def put(self, record: str, fields: Mapping[str, bytes], *, expect_version: int) -> bool:
        stored = self.records.get(record)
        if (int(stored["version"]) if stored else 0) != expect_version:
            return False
        self.records[record] = dict(fields)
        return True

    def delete(self, record: str) -> bool:
        return self.records.pop(record, None) is not None

    def ids(self) -> Iterable[str]:
        return list(self.records)


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def vault(store: Memory) -> Vault:
    return Vault(store, KeyRing([NEW]), now_ms=lambda: 5)


def make(vault: Vault, name: str = "Mine", app: str = "acme") -> ConnectionRecord:
    return vault.create(app=app, component="apiKey", type="basic", name=name, grant=GRANT)


def test_record_comes_back_whole(vault: Vault) -> None:
    """Every value that a connection may hold survives: dates, buffers, big integers, odd keys."""
    record = make(vault)

    assert vault.get(record.id) == record
    assert (record.data, record.parameters, record.scope) == (GRANT.data, GRANT.parameters, GRANT.scope)
    assert (record.version, record.created_ms, record.changed_ms) == (1, 5, 5)
    assert record.label == "Mine (me@example.com)"


def test_store_sees_nothing_secret(vault: Vault, store: Memory) -> None:
    """Neither inputs nor data occur in what is stored, and equal values do not look equal."""
    first, second = make(vault), make(vault, "Other")
    dump = b"".join(value for fields in store.records.values() for value in fields.values())

    assert b"hidden" not in dump
    assert store.records[first.id]["data"] != store.records[second.id]["data"]
    assert store.records[first.id]["uid"] == b'"u7"'


def test_views_show_nothing_secret(vault: Vault) -> None:
    """Lists hold no inputs and no data, the public view neither, and `repr` of a record does not."""
    record = make(vault)
    (listed,) = vault.list()

    assert (listed.data, listed.parameters) == ({}, {})
    assert "hidden" not in f"{json.dumps(public_view(record))} {record!r} {GRANT!r}"
    assert public_view(record)["expires"] == "2031-01-01T00:00:00.000Z"


def test_list_needs_no_key(vault: Vault, store: Memory) -> None:
    """Connections can be listed by a process without the right key; reading one is refused."""
    record = make(vault)
    stranger = Vault(store, KeyRing([generate_key()]))

    assert [listed.name for listed in stranger.list()] == ["Mine"]
    with pytest.raises(CipherError):
        stranger.get(record.id)


def test_cipher_text_is_bound_to_its_record_and_field(vault: Vault, store: Memory) -> None:
    """Whoever can write to the store cannot pass one user's data off as another's, nor inputs as data."""
    first, second = make(vault), make(vault, "Other")
    store.records[second.id]["data"] = store.records[first.id]["data"]
    store.records[first.id]["data"] = store.records[first.id]["parameters"]

    for record in (first, second):
        with pytest.raises(CipherError):
            vault.get(record.id)


def test_late_writer_is_refused(vault: Vault) -> None:
    """Of two writers that read the same version, one wins and the other is told."""
    record = make(vault)
    vault.update(replace(record, state=ConnectionState.INVALID))

    with pytest.raises(ConnectionChanged):
        vault.update(replace(record, name="late"))
    assert vault.get(record.id).state is ConnectionState.INVALID


def test_find_by_id_or_name(vault: Vault) -> None:
    """A connection is found by id or name; an unknown name lists the known ones."""
    record = make(vault)
    make(vault, "Other", app="zeta")

    assert vault.find("Mine").id == vault.find(record.id).id == record.id
    with pytest.raises(UsageError, match='no connection "x"; known: Mine, Other'):
        vault.find("x")
    with pytest.raises(UsageError, match='no connection "Other" of the app acme; known: Mine'):
        vault.find("Other", app="acme")
    with pytest.raises(UsageError, match='no connection "y"'):
        vault.get("y")


def test_names_are_unique(vault: Vault) -> None:
    """Commands and bindings name connections, so a name is given once."""
    record = make(vault)
    make(vault, "Other")

    with pytest.raises(UsageError, match='already a connection "Other"'):
        vault.rename(record.id, "Other")
    with pytest.raises(UsageError, match="needs a name"):
        make(vault, " ")
    assert vault.rename(record.id, "Mine").version == 1
    assert (vault.rename(record.id, "New").name, vault.get(record.id).version) == ("New", 2)


def test_remove_forgets(vault: Vault) -> None:
    """A removed connection is gone; removing it again says so."""
    record = make(vault)

    assert vault.remove(record.id)
    assert not vault.remove(record.id)
    assert vault.list() == []


def test_rotation_encrypts_anew(vault: Vault, store: Memory) -> None:
    """After a rotation the newest key alone opens every record; a second rotation has nothing to do."""
    first, second = make(vault), make(vault, "Other")
    newest = generate_key()
    both = Vault(store, KeyRing([newest, NEW]))

    assert both.rotate() == both.rotate().__class__(2, 2)
    assert both.rotate().rotated == 0
    alone = Vault(store, KeyRing([newest]))
    assert [alone.get(record.id).data for record in (first, second)] == [GRANT.data, GRANT.data]


def test_newer_record_is_left_alone(vault: Vault, store: Memory) -> None:
    """A record of a newer release is neither read nor written."""
    record = make(vault)
    store.records[record.id]["v"] = b"2"

    with pytest.raises(NewerConnection, match="Upgrade this process"):
        vault.get(record.id)
