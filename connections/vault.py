"""
The vault: connections in a store that sees nothing secret.

What a user gave and what the service returned are encrypted, each under its record and field; the rest of a record is
readable, so that lists need no key. Every write compares the version (design section 10.8). The vault knows no server:
`RecordStore` is implemented where the server is.

Sources: spec/connections.md section 2, design sections 3, 10.8 and 10.13.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol, cast

from connections.keyring import KeyRing
from connections.record import RECORD_VERSION, ConnectionRecord, ConnectionState, Grant
from runtime.codec import blob_hash, mark, parse_json, unmark
from runtime.errors import NotFoundError, ScenaristError, UsageError
from runtime.values import Buffer, date_text

#: Attempts to rotate one record that somebody else keeps writing.
ROTATE_ATTEMPTS: Final = 10
_SEALED: Final = ("parameters", "data")


class RecordStore(Protocol):
    """Where records lie. `fields` hold bytes only; `version` in them is the decimal number that writes compare."""

    def get(self, record: str) -> dict[str, bytes] | None:
        """All fields of a record; None when there is none."""
        ...

    def put(self, record: str, fields: Mapping[str, bytes], *, expect_version: int) -> bool:
        """Write all fields if the stored version is this one (0 = no record); False when it is not."""
        ...

    def delete(self, record: str) -> bool:
        """Remove a record; False when there was none."""
        ...

    def ids(self) -> Iterable[str]:
        """Ids of all records."""
        ...


class ConnectionChanged(ScenaristError):  # noqa: N818  says what happened
    """Somebody else has changed the connection since it was read: read it again."""

    name = "ConnectionChanged"


class NewerConnection(ScenaristError):  # noqa: N818  says what was found
    """The record was written by a newer release; it is left alone."""

    name = "NewerConnection"


@dataclass(frozen=True, slots=True)
class Rotation:
    """Result of a rotation: how many records there are, and how many of them were encrypted anew."""

    records: int
    rotated: int


def public_view(record: ConnectionRecord) -> dict[str, Any]:
    """What lists, APIs and the command line may show of a record: who it stands for, never its parameters or data."""
    return {
        "id": record.id,
        "app": record.app,
        "component": record.component,
        "type": record.type,
        "name": record.name,
        "label": record.label,
        "metadata": record.metadata,
        "uid": record.uid,
        "state": str(record.state),
        "scope": list(record.scope),
        "expires": date_text(record.expires) if record.expires is not None else None,
        "version": record.version,
        "created": record.created_ms,
        "changed": record.changed_ms,
    }


class Vault:
    """Connections by id. Thread-safe when its store is."""

    def __init__(
        self, store: RecordStore, keyring: KeyRing, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._now_ms = now_ms

    def create(self, *, app: str, component: str, type: str, name: str, grant: Grant) -> ConnectionRecord:  # noqa: A002  the record's own word
        """
        Store a new connection.

        Raises:
            UsageError: The name is empty or another connection has it.
        """
        self.require_free(name)
        record = ConnectionRecord(
            id=secrets.token_hex(8), app=app, component=component, type=type, name=name, created_ms=self._now_ms()
        )
        return self.update(record.granted(grant))

    def get(self, connection: str) -> ConnectionRecord:
        """
        A connection by id, decrypted.

        Raises:
            UsageError: There is none.
            CipherError: Its key is not in the ring, or it was changed.
            NewerConnection: A newer release wrote it.
        """
        fields = self._store.get(connection)
        if fields is None:
            raise UsageError(f'there is no connection "{connection}"')
        return self._open(connection, fields)

    def find(self, name: str, *, app: str | None = None) -> ConnectionRecord:
        """
        A connection by id or name, decrypted; with `app`, one of this app.

        Raises:
            UsageError: There is none, or several of this name; the message lists what there is.
        """
        known = [record for record in self.list() if app is None or record.app == app]
        for matches in ([r for r in known if r.id == name], [r for r in known if r.name == name]):
            if len(matches) == 1:
                return self.get(matches[0].id)
            if matches:
                ids = ", ".join(record.id for record in matches)
                raise UsageError(f'several connections have the name "{name}"; use an id: {ids}')
        names = ", ".join(sorted(record.name for record in known)) or "none"
        of_app = f" of the app {app}" if app is not None else ""
        raise NotFoundError(f'there is no connection "{name}"{of_app}; known: {names}')

    def list(self) -> list[ConnectionRecord]:
        """All connections by name, without `parameters` and `data`: needs no key."""
        found: list[ConnectionRecord] = []
        for connection in self._store.ids():
            fields = self._store.get(connection)
            if fields is not None:  # removed meanwhile
                found.append(_from_fields(connection, fields))
        return sorted(found, key=lambda record: (record.name.lower(), record.id))

    def update(self, record: ConnectionRecord) -> ConnectionRecord:
        """
        Write a record that was read at `record.version`; gives it with its new version.

        Raises:
            ConnectionChanged: Somebody else has written it meanwhile.
        """
        written = replace(record, version=record.version + 1, changed_ms=self._now_ms(), v=RECORD_VERSION)
        if not self._store.put(record.id, self._fields(written), expect_version=record.version):
            raise ConnectionChanged(f'The connection "{record.name}" was changed by somebody else. Try again.')
        return written

    def rename(self, connection: str, name: str) -> ConnectionRecord:
        """
        Give a connection another name.

        Raises:
            UsageError: There is no such connection, or the name is empty or taken.
            ConnectionChanged: Somebody else has written it meanwhile.
        """
        record = self.get(connection)
        if record.name == name:
            return record
        self.require_free(name)
        return self.update(replace(record, name=name))

    def remove(self, connection: str) -> bool:
        """Forget a connection; False when there was none. Whether something uses it is the caller's question."""
        return self._store.delete(connection)

    def require_free(self, name: str) -> None:
        """Raises UsageError when a name is empty or taken."""
        if not name.strip():
            raise UsageError("a connection needs a name")
        if any(record.name == name for record in self.list()):
            raise UsageError(f'there is already a connection "{name}"; choose another name or remove that one')

    def rotate(self) -> Rotation:
        """
        Encrypt every record that an older key has sealed with the newest one. Versions grow; contents stay.

        Raises:
            CipherError: A record's key is not in the ring. Records before it are done.
            ConnectionChanged: A record was written by others each time it was tried.
        """
        records = rotated = 0
        for connection in self._store.ids():
            records += 1
            rotated += self._rotate_one(connection)
        return Rotation(records, rotated)

    def _rotate_one(self, connection: str) -> bool:
        for _ in range(ROTATE_ATTEMPTS):
            fields = self._store.get(connection)
            if fields is None or not any(self._keyring.needs_rotation(fields[name]) for name in _SEALED):
                return False
            try:
                self.update(self._open(connection, fields))
            except ConnectionChanged:
                continue
            return True
        raise ConnectionChanged(f"The connection {connection} changes all the time. Rotate the keys again later.")

    # --- fields -------------------------------------------------------------------------------------------------------

    def _open(self, connection: str, fields: Mapping[str, bytes]) -> ConnectionRecord:
        record = _from_fields(connection, fields)
        opened = {
            name: _unpacked(self._keyring.decrypt(fields[name], aad=_place(connection, name))) for name in _SEALED
        }
        return replace(record, **opened)

    def _fields(self, record: ConnectionRecord) -> dict[str, bytes]:
        fields = {
            "v": str(record.v),
            "version": str(record.version),
            "app": record.app,
            "component": record.component,
            "type": record.type,
            "name": record.name,
            "metadata": json.dumps(record.metadata),
            "uid": json.dumps(record.uid),
            "scope": json.dumps(list(record.scope)),
            "expires": date_text(record.expires) if record.expires is not None else "",
            "state": str(record.state),
            "reusable": "1" if record.reusable else "",
            "created": str(record.created_ms),
            "changed": str(record.changed_ms),
        }
        sealed = {
            name: self._keyring.encrypt(_packed(getattr(record, name)), aad=_place(record.id, name)) for name in _SEALED
        }
        return {name: text.encode() for name, text in fields.items()} | sealed


def _place(connection: str, name: str) -> str:
    return f"connection:{connection}:{name}"


def _packed(value: dict[str, Any]) -> bytes:
    """A collection with everything in it as one text; a connection is small, so buffers come along."""
    blobs: dict[str, str] = {}

    def keep(buffer: Buffer) -> str:
        digest = blob_hash(buffer)
        blobs[digest] = base64.b64encode(buffer.data).decode("ascii")
        return digest

    # The standard library writes every integer and lone surrogate that a value may hold.
    return json.dumps({"value": mark(value, keep), "blobs": blobs}, separators=(",", ":")).encode("ascii")


def _unpacked(text: bytes) -> dict[str, Any]:
    packed = parse_json(text)
    return unmark(packed["value"], lambda digest, _size: base64.b64decode(packed["blobs"][digest]))


def _from_fields(connection: str, fields: Mapping[str, bytes]) -> ConnectionRecord:
    """The readable part of a record."""
    text = {name: value.decode() for name, value in fields.items() if name not in _SEALED}
    if int(text["v"]) > RECORD_VERSION:
        raise NewerConnection(
            f"The connection {connection} was written by a newer release (format {text['v']}, this one reads up to "
            f"{RECORD_VERSION}). Upgrade this process."
        )
    return ConnectionRecord(
        id=connection,
        app=text["app"],
        component=text["component"],
        type=text["type"],
        name=text["name"],
        metadata=cast("dict[str, str] | None", json.loads(text["metadata"])),
        uid=cast("str | None", json.loads(text["uid"])),
        scope=tuple(json.loads(text["scope"])),
        expires=datetime.fromisoformat(text["expires"]) if text["expires"] else None,
        state=ConnectionState(text["state"]),
        reusable=text.get("reusable") == "1",
        version=int(text["version"]),
        created_ms=int(text["created"]),
        changed_ms=int(text["changed"]),
    )
