"""Scenarios: a name, a blueprint by content hash, and what the blueprint's foreign ids are bound to here."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import redis

from runtime.errors import NotFoundError, UsageError
from workers.ledger.contents import Contents
from workers.ledger.keys import Keys
from workers.ledger.records import RECORD_VERSION

#: The one member of a blueprint's content.
_BYTES = "blueprint"


@dataclass(frozen=True, slots=True)
class Live:
    """How a scenario runs by itself: its schedule and where that stands. Scripts write it. Instants are UTC ms."""

    #: `immediately`, `timed` or `on-demand`; empty before the first activation.
    mode: str = ""
    #: The scheduling object as JSON text; empty before the first activation.
    schedule: str = ""
    #: A person gave the schedule; else it follows the blueprint's.
    chosen: bool = False
    activated_ms: int | None = None
    #: Next regular run; None when there is none.
    next_ms: int | None = None
    #: Repetition of the whole scenario after a failure, and how many of them came in a row.
    again_ms: int | None = None
    backoffs: int = 0
    #: First instant of an active range in the future, for a scenario that runs on events.
    opens_ms: int | None = None
    #: When the scenario is switched off by its schedule, once nothing else is due.
    closes_ms: int | None = None
    #: Data was not ready: no run before this instant.
    not_before_ms: int | None = None
    #: Until then no run is started for events.
    paused_ms: int | None = None
    #: A due run waits for its former one; one did so and is due now.
    late: bool = False
    deferred: bool = False
    #: Its last scheduled run.
    scheduled: str = ""
    #: Why its schedule switched it off.
    finished: str = ""
    #: The hook of its start module, and the most runs for events at a time (None: the setting).
    hook: str = ""
    slots: int | None = None
    sequential: bool = False
    roundtrips: int = 1


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
    #: Runs in a row that failed, and why the scenario was switched off by itself.
    errors: int = 0
    stop_reason: str = ""
    #: Content hash of its data structures: a JSON object of them by id or label. Empty: it has none.
    structures: str = ""
    #: Content hashes of all blueprints that it has had, oldest first; the last one is `blueprint`.
    versions: tuple[str, ...] = ()
    live: Live = Live()


@dataclass(frozen=True, slots=True)
class Scenarios:
    """The scenarios under one prefix of a server."""

    client: redis.Redis
    keys: Keys
    contents: Contents

    def add(
        self,
        name: str,
        blueprint: bytes,
        *,
        connections: Mapping[str, str],
        stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        structures: Mapping[str, Any] | None = None,
        on_unknown: str = "stop",
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
            on_unknown=on_unknown,
            structures=self._put_structures(structures),
        )
        self._write(state)
        self.client.zadd(self.keys.scenarios, {state.id: state.created_ms})
        return state

    def update(
        self,
        state: ScenarioState,
        blueprint: bytes,
        *,
        connections: Mapping[str, str],
        stores: Mapping[str, str] | None = None,
        scenarios: Mapping[str, str] | None = None,
        structures: Mapping[str, Any] | None = None,
        on_unknown: str | None,
    ) -> ScenarioState:
        """
        Give a scenario another blueprint; runs and incomplete executions keep theirs. None keeps the bindings of data
        stores or scenarios, or the data structures, as they are.
        """
        content = self.put_blueprint(blueprint)
        fresh = replace(
            state,
            blueprint=content,
            connections=dict(connections),
            stores=dict(state.stores if stores is None else stores),
            scenarios=dict(state.scenarios if scenarios is None else scenarios),
            on_unknown=on_unknown or state.on_unknown,
            structures=state.structures if structures is None else self._put_structures(structures),
            versions=(*(known for known in state.versions if known != content), content),
        )
        self._write(fresh)
        return fresh

    def change(self, state: ScenarioState, *, on_unknown: str | None, timezone: str | None) -> ScenarioState:
        """Change a scenario's options; None leaves one as it is."""
        fresh = replace(state, on_unknown=on_unknown or state.on_unknown, timezone=timezone or state.timezone)
        self._write(fresh)
        return fresh

    def _put_structures(self, structures: Mapping[str, Any] | None) -> str:
        return self.put_blueprint(json.dumps(dict(structures)).encode()) if structures else ""

    def structures(self, state: ScenarioState) -> dict[str, Any]:
        """A scenario's data structures by id or label. Raises UsageError when they are not stored any more."""
        return json.loads(self.blueprint(state.structures)) if state.structures else {}

    def named(self, name: str) -> list[ScenarioState]:
        """All scenarios of this name, oldest first."""
        return [state for state in self.list() if state.name == name]

    def put_blueprint(self, blueprint: bytes) -> str:
        """Store a blueprint's bytes; gives their content hash."""
        content = hashlib.sha256(blueprint).hexdigest()
        self.contents.put(self.keys.blueprint(content), {_BYTES: blueprint})
        return content

    def blueprint(self, content: str) -> bytes:
        """
        A blueprint's bytes by content hash.

        Raises:
            UsageError: It is not stored.
        """
        stored = self.contents.get(self.keys.blueprint(content))
        if stored is None:
            raise UsageError(f"The blueprint {content[:12]}… is not stored here, or its key is not in the key ring.")
        return stored[_BYTES]

    def bind(self, state: ScenarioState, connections: Mapping[str, str]) -> ScenarioState:
        """Replace the connection map of a scenario; gives the new state."""
        fresh = replace(state, connections=dict(connections))
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
        raise NotFoundError(f'There is no scenario "{scenario}". Known: {shown}.')

    def find(self, scenario: str) -> ScenarioState | None:
        """A scenario by id; None when there is none."""
        return self._read(scenario)

    def immediate(self, scenario: str) -> bool:
        """True for a scenario whose events are run as they arrive."""
        return self.client.hget(self.keys.scenario(scenario), "mode") == b"immediately"

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
            "timezone": state.timezone or "",
            "on_unknown": state.on_unknown,
            "versions": " ".join(state.versions or (state.blueprint,)),
            "structures": state.structures,
        }
        key = self.keys.scenario(state.id)
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping=cast("dict[Any, Any]", record))
            # The ledger's scripts change it when a run ends; here it only begins.
            pipeline.hsetnx(key, "active", str(int(state.active)))
            pipeline.execute()

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
            timezone=found.get("timezone") or None,
            on_unknown=found["on_unknown"],
            errors=int(found.get("errors", 0)),
            stop_reason=found.get("stop_reason", ""),
            versions=tuple(found.get("versions", found["blueprint"]).split()),
            structures=found.get("structures", ""),
            live=_live(found),
        )


def _live(found: Mapping[str, str]) -> Live:
    def number(name: str) -> int | None:
        # Instants that scripts have added up may be written as decimals.
        return int(float(found[name])) if found.get(name) else None

    return Live(
        found.get("mode", ""), found.get("schedule", ""), found.get("chosen") == "1", number("activated"),
        number("next"), number("again"), number("backoffs") or 0, number("opens"), number("closes"),
        number("not_before"), number("paused"), found.get("late") == "1", found.get("deferred") == "1",
        found.get("scheduled", ""), found.get("finished", ""), found.get("hook", ""), number("slots"),
        found.get("sequential") == "1", number("roundtrips") or 1,
    )  # fmt: skip
