"""
Webhooks in the ledger: whose an address is, what it belongs to, what the service was told (spec/modules.md 5).

The token in an address is a secret: it is found by its hash, and lies encrypted with the hook's parameters and the data
that its attach request stored. Each hook has a data key of its own, wrapped by the key ring; its events use it, too.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

import redis

from connections.keyring import DataKey, KeyRing
from runtime import codec
from runtime.errors import UsageError
from runtime.values import Buffer
from workers.ledger import lua
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION
from workers.ledger.rotation import reseal, rewrap

#: Random bytes in the token of an address: 32 characters.
TOKEN_BYTES = 24

HookKind: TypeAlias = Literal["custom", "web", "web-shared"]
#: `attached` and `detached`: the service knows the address, or no longer. `manual`: a person tells it.
HookState: TypeAlias = Literal["attached", "detached", "manual"]


@dataclass(frozen=True, slots=True)
class HookRecord:
    """A webhook. Instants are UTC milliseconds."""

    id: str
    kind: HookKind
    name: str
    app: str = "gateway"
    component: str = "CustomWebHook"
    #: Id of the connection that it was made with, '' for none, and that connection's uid (shared hooks).
    connection: str = ""
    uid: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    #: What the attach request stored.
    data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    token: str = field(default="", repr=False)
    #: The scenario that it serves, '' for none.
    scenario: str = ""
    state: HookState = "manual"
    #: Of a custom webhook: `headers`, `method`, `stringify`, `structure`, `ip`, `dedupe`.
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_ms: int = 0
    #: Goes up with each change; 0 before it is stored.
    version: int = 0
    key: DataKey = field(default_factory=DataKey.generate, repr=False)


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """Whose the address of a shared webhook is: all hooks of one component of one app."""

    app: str
    component: str


@dataclass(frozen=True, slots=True)
class Hooks:
    """The webhooks under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    keyring: KeyRing

    def add(self, record: HookRecord) -> HookRecord:
        """Store a new webhook with an id and a token; its address is live when this returns."""
        token = self._shared_token(record) if record.kind == "web-shared" else secrets.token_urlsafe(TOKEN_BYTES)
        made = replace(record, id=secrets.token_hex(6), token=token, version=0, key=DataKey.generate())
        return self._put(made, former_uid="")

    def change(self, record: HookRecord) -> HookRecord:
        """
        Write a changed record that was read before.

        Raises:
            UsageError: Somebody else has changed or removed it meanwhile.
        """
        return self._put(record, former_uid=self.get(record.id).uid)

    def get(self, hook: str) -> HookRecord:
        """A webhook by id. Raises UsageError when there is none."""
        found = self._read(hook)
        if found is None:
            raise UsageError(f"There is no webhook {hook}.")
        return found

    def find(self, hook: str) -> HookRecord:
        """
        A webhook by id, or by name when only one has it.

        Raises:
            UsageError: There is none, or several have the name; lists the known ones.
        """
        found = self._read(hook)
        if found is not None:
            return found
        known = self.list()
        named = [record for record in known if record.name == hook]
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(record.id for record in named)
            raise UsageError(f'Several webhooks are named "{hook}"; use an id: {ids}.')
        shown = ", ".join(f"{record.id} ({record.name})" for record in known) or "none"
        raise UsageError(f'There is no webhook "{hook}". Known: {shown}.')

    def list(self) -> list[HookRecord]:
        """All webhooks, oldest first."""
        ids = cast("list[bytes]", self.client.zrange(self.keys.hooks, 0, -1))
        return [record for hook in ids if (record := self._read(hook.decode())) is not None]

    def remove(self, hook: str) -> None:
        """Forget a webhook with all its events. Raises UsageError when there is none."""
        record = self.get(hook)
        alone = record.kind != "web-shared"
        lua.call(
            self.client,
            "hook_remove",
            [self.keys.hook(hook), self.keys.hooks, self._token_key(record.token), self._uid_key(record)],
            [self.keys.prefix, hook, int(alone)],
        )

    def by_token(self, token: str) -> HookRecord | SharedAddress | None:
        """Whose an address is; None for nobody's."""
        owner = cast("bytes | None", self.client.get(self._token_key(token)))
        if owner is None:
            return None
        word, _, rest = owner.decode().partition(" ")
        if word == "hook":
            return self._read(rest)
        app, _, component = rest.partition(" ")
        return SharedAddress(app, component)

    def recipients(self, app: str, component: str, uid: str) -> list[HookRecord]:
        """The hooks of a shared component whose connection belongs to this uid (compared as text)."""
        members = cast("set[bytes]", self.client.smembers(self.keys.hook_uid(app, component, _digest(uid))))
        found = [self._read(hook.decode()) for hook in sorted(members)]
        return [record for record in found if record is not None and record.uid == uid]

    def bind(self, hook: str, scenario: str) -> None:
        """
        Let a webhook serve a scenario, '' for none; the scenario's former one is free again.

        Raises:
            UsageError: It serves another scenario, or there is none.
        """
        answer = lua.call(self.client, "hook_bind", [self.keys.hook(hook)], [self.keys.prefix, hook, scenario])
        if answer == b"gone":
            raise UsageError(f"There is no webhook {hook}.")
        if answer != b"ok":
            raise UsageError(
                f"The webhook {hook} serves the scenario {answer.decode()}; one webhook serves one scenario."
            )

    def rotate(self, keyring: KeyRing) -> int:
        """Wrap the data keys that an older key has wrapped with the newest one; gives their number."""
        hooks = [hook.decode() for hook in cast("list[bytes]", self.client.zrange(self.keys.hooks, 0, -1))]
        rotated = sum(rewrap(self.client, keyring, self.keys.hook(hook), f"hook {hook}") for hook in hooks)
        return rotated + reseal(self.client, keyring, f"{self.keys.prefix}:hook-shared:", "hook-shared")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _put(self, record: HookRecord, *, former_uid: str) -> HookRecord:
        sealed = codec.dumps(
            {
                "parameters": dict(record.parameters),
                "data": dict(record.data),
                "token": record.token,
                "uid": record.uid,
            },
            _no_buffers,
        )
        place = f"hook {record.id}"
        fields: list[str | bytes | int] = [
            "v", RECORD_VERSION, "kind", record.kind, "name", record.name, "app", record.app,
            "component", record.component, "connection", record.connection, "state", record.state,
            "options", json.dumps(dict(record.options)),
            "sealed", record.key.encrypt(sealed, aad=f"{place} record"),
        ]  # fmt: skip
        if record.version == 0:
            fields += ["key", self.keyring.wrap(record.key, aad=place)]
        shared = record.kind == "web-shared"
        owner = f"shared {record.app} {record.component}" if shared else f"hook {record.id}"
        former = replace(record, uid=former_uid)
        written = lua.call(
            self.client,
            "hook_put",
            [
                self.keys.hook(record.id),
                self.keys.hooks,
                self._token_key(record.token),
                self._uid_key(record),
                self._uid_key(former) if former_uid != record.uid else "",
            ],
            [record.id, record.version, owner, *fields],
        )
        if written != 1:
            raise UsageError(f"The webhook {record.id} was changed meanwhile; try again.")
        return self.get(record.id)

    def _read(self, hook: str) -> HookRecord | None:
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.hook(hook)))
        if b"key" not in row:
            return None
        key = self.keyring.unwrap(row[b"key"], aad=f"hook {hook}")
        content = cast("dict[str, Any]", codec.loads(key.decrypt(row[b"sealed"], aad=f"hook {hook} record")))
        return HookRecord(
            id=hook,
            kind=cast("HookKind", row[b"kind"].decode()),
            name=row[b"name"].decode(),
            app=row[b"app"].decode(),
            component=row[b"component"].decode(),
            connection=row[b"connection"].decode(),
            uid=content["uid"],
            parameters=content["parameters"],
            data=content["data"],
            token=content["token"],
            scenario=row.get(b"scenario", b"").decode(),
            state=cast("HookState", row[b"state"].decode()),
            options=json.loads(row[b"options"]),
            created_ms=int(row[b"created"]),
            version=int(row[b"version"]),
            key=key,
        )

    def _shared_token(self, record: HookRecord) -> str:
        """The token of a shared component's address, the same for all its hooks; made with the first one."""
        name, place = (
            self.keys.hook_shared(record.app, record.component),
            f"hook-shared {record.app}:{record.component}",
        )
        self.client.set(name, self.keyring.encrypt(secrets.token_urlsafe(TOKEN_BYTES).encode(), aad=place), nx=True)
        return self.keyring.decrypt(cast("bytes", self.client.get(name)), aad=place).decode()

    def _token_key(self, token: str) -> str:
        return self.keys.hook_token(_digest(token))

    def _uid_key(self, record: HookRecord) -> str:
        if record.kind != "web-shared" or not record.uid:
            return ""
        return self.keys.hook_uid(record.app, record.component, _digest(record.uid))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _no_buffers(_buffer: Buffer) -> str:
    raise UsageError("A webhook cannot keep a file among its parameters or data.")
