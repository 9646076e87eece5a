"""Scenarios: a name, a blueprint by content hash, and what the blueprint's foreign ids are bound to here."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from runtime.errors import UsageError
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION


@dataclass(frozen=True, slots=True)
class ScenarioState:
    """A stored scenario. Instants are UTC milliseconds."""

    id: str
    name: str
    blueprint: str
    created_ms: int
    #: Foreign connection id -> connection id here.
    connections: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Foreign data store id -> name of the data store here.
    stores: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Foreign scenario id -> scenario id here.
    scenarios: Mapping[str, str] = field(default_factory=dict[str, str])
    active: bool = False
    timezone: str | None = None
    on_unknown: str = "stop"


@dataclass(frozen=True, slots=True)
class Scenarios:
    """The scenarios under one prefix of a server."""

    client: redis.Redis
    keys: Keys

    def add(
        self,
        name: str,
        blueprint: bytes,
        *,
        connections: Mapping[str, str],
        stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
    ) -> ScenarioState:
        """Store a scenario with a new id."""
        state = ScenarioState(
            secrets.token_hex(6),
            name,
            self.put_blueprint(blueprint),
            time.time_ns() // 1_000_000,
            dict(connections),
            dict(stores or {}),
            dict(scenarios or {}),
        )
        self._write(state)
        self.client.zadd(self.keys.scenarios, {state.id: state.created_ms})
        return state

    def put_blueprint(self, blueprint: bytes) -> str:
        """Store a blueprint's bytes; gives their content hash."""
        content = hashlib.sha256(blueprint).hexdigest()
        self.client.set(self.keys.blueprint(content), blueprint)
        return content

    def blueprint(self, content: str) -> bytes:
        """
        A blueprint's bytes by content hash.

        Raises:
            UsageError: It is not stored.
        """
        stored = cast("bytes | None", self.client.get(self.keys.blueprint(content)))
        if stored is None:
            raise UsageError(f"The blueprint {content[:12]}… is not stored here.")
        return stored

    def bind(self, state: ScenarioState, connections: Mapping[str, str]) -> ScenarioState:
        """Replace the connection map of a scenario; gives the new state."""
        fresh = ScenarioState(
            state.id, state.name, state.blueprint, state.created_ms, dict(connections), state.stores,
            state.scenarios, state.active, state.timezone, state.on_unknown,
        )  # fmt: skip
        self._write(fresh)
        return fresh

    def get(self, scenario: str) -> ScenarioState:
        """
        A scenario by id, or by name when only one has it.

        Raises:
            UsageError: There is none, or several have the name; lists the known ones.
        """
        found = self._read(scenario)
        if found is not None:
            return found
        known = self.list()
        named = [state for state in known if state.name == scenario]
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(state.id for state in named)
            raise UsageError(f'Several scenarios are named "{scenario}"; use an id: {ids}.')
        shown = ", ".join(f"{state.id} ({state.name})" for state in known) or "none"
        raise UsageError(f'There is no scenario "{scenario}". Known: {shown}.')

    def list(self) -> list[ScenarioState]:
        """All scenarios, oldest first."""
        ids = cast("list[bytes]", self.client.zrange(self.keys.scenarios, 0, -1))
        return [state for scenario in ids if (state := self._read(scenario.decode())) is not None]

    def _write(self, state: ScenarioState) -> None:
        record: dict[str, Any] = {
            "v": RECORD_VERSION,
            "name": state.name,
            "blueprint": state.blueprint,
            "created": state.created_ms,
            "connections": json.dumps(dict(state.connections)),
            "stores": json.dumps(dict(state.stores)),
            "scenarios": json.dumps(dict(state.scenarios)),
            "active": int(state.active),
            "timezone": state.timezone or "",
            "on_unknown": state.on_unknown,
        }
        self.client.hset(self.keys.scenario(state.id), mapping=cast("dict[Any, Any]", record))

    def _read(self, scenario: str) -> ScenarioState | None:
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.scenario(scenario)))
        if not row:
            return None
        found = {name.decode(): value.decode() for name, value in row.items()}
        return ScenarioState(
            id=scenario,
            name=found["name"],
            blueprint=found["blueprint"],
            created_ms=int(found["created"]),
            connections=json.loads(found["connections"]),
            stores=json.loads(found.get("stores", "{}")),
            scenarios=json.loads(found.get("scenarios", "{}")),
            active=found["active"] == "1",
            timezone=found["timezone"] or None,
            on_unknown=found["on_unknown"],
        )
