"""
Expanding `rpc://` in a module's lists of parameters and in its interface, when nothing is stored for them.

A list that cannot be expanded keeps its `rpc://` text: unknown values then pass untyped, and nothing fails
(spec/modules.md 2.4, 4.3, 4.4).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from modules.rpc import RPC_SECONDS, RpcJob, rows_of, run_rpc
from runtime.app.specs import App, ModuleSpec, RpcSpec
from runtime.communication import Limits
from runtime.effects import Steps, Warn
from runtime.errors import ImlError, ModuleError, ModuleRuntimeError, ModuleTimeoutError
from runtime.iml import Environment, Place, compile_document
from runtime.parameters.rules import same_value
from runtime.values import UNDEFINED, compact_json, is_empty, to_text

#: `rpc://` inside the rows of an RPC is followed so far (spec/modules.md 4.4).
MAX_DEPTH: Final = 5
#: How long rows are kept for the next run with the same values (spec/modules.md 4.4).
KEPT_SECONDS: Final = 60.0
#: Answers kept per process, the longest unused one leaves first.
KEPT_ANSWERS: Final = 512
_SCHEME: Final = "rpc://"


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one module run as raw arrays, expanded as far as that was possible."""

    static: Any
    mappable: Any
    interface: Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the app, the values of its form, and the connection that it has chosen."""

    app: App
    values: Mapping[str, Any]
    environment: Environment
    connection: dict[str, Any] | None = None
    #: Local id of the connection's component; an RPC of another component is not called.
    component: str | None = None
    #: What tells one connection from another and one state of it from the next.
    connection_key: str = ""
    limits: Limits = field(default_factory=Limits)
    webhook: dict[str, Any] | None = None
    clock: Callable[[], float] = time.monotonic
    #: The keys of an OAuth 1 connection.
    signing: Mapping[str, Any] | None = field(default=None, repr=False)


class RpcCache:
    """Rows of RPCs for a short time. Thread-safe; holds no errors."""

    def __init__(self, size: int = KEPT_ANSWERS, seconds: float = KEPT_SECONDS) -> None:
        self._size, self._seconds = size, seconds
        self._lock = threading.Lock()
        self._rows: OrderedDict[tuple[str, ...], tuple[float, list[Any]]] = OrderedDict()

    def get(self, key: tuple[str, ...], now: float) -> list[Any] | None:
        """The rows of a call that was made within the last `KEPT_SECONDS`."""
        with self._lock:
            found = self._rows.get(key)
            if found is None or now - found[0] > self._seconds:
                self._rows.pop(key, None)
                return None
            self._rows.move_to_end(key)
            return found[1]

    def put(self, key: tuple[str, ...], now: float, rows: list[Any]) -> None:
        """Keep the rows of a call."""
        with self._lock:
            self._rows[key] = (now, rows)
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)


#: The rows of this process.
ROWS: Final = RpcCache()


def lists_of(spec: ModuleSpec) -> Lists:
    """A module's lists as its files have them."""
    return Lists(spec.static_params.value, spec.mappable_params.value, spec.interface.value)


def needs_expansion(spec: ModuleSpec, *, expect: object = None, interface: object = None) -> bool:
    """False when no list of the module that counts has an `rpc://`; what a blueprint has stored needs none."""
    lists = lists_of(spec)
    return (
        _has_rpc(lists.static, 0)
        or (not expect and _has_rpc(lists.mappable, 0))
        or (not interface and _has_rpc(lists.interface, 0) and _reads_metadata(spec))
    )


def expand_lists(
    spec: ModuleSpec, caller: Caller, *, expect: object = None, interface: object = None, cache: RpcCache = ROWS
) -> Steps[Lists]:
    """
    The lists of a module with the rows of their RPCs in place. Never fails: what could not be called is told with
    `Warn` and left as it is, in the interface left out.
    """
    lists = lists_of(spec)
    run = _Expansion(spec, caller, cache)
    static = yield from run.fields(lists.static, 0)
    mappable = lists.mappable
    if not expect:
        mappable = yield from run.fields(mappable, 0)
    shown = interface or lists.interface
    if not interface and _has_rpc(shown, 0):
        shown = yield from run.fields(shown, 0, nested=False)
        shown = [item for item in shown if not _is_rpc(item)]
    return Lists(static, mappable, shown)


@dataclass(slots=True)
class _Expansion:
    spec: ModuleSpec
    caller: Caller
    cache: RpcCache
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.caller.clock()

    def fields(self, raw: Any, depth: int, *, nested: bool = True) -> Steps[list[Any]]:
        """A list of fields with `rpc://` entries replaced by rows, which may hold more of them."""
        found: list[Any] = []
        for item in raw if isinstance(raw, list) else [raw] if raw else []:
            if _is_rpc(item):
                rows = (yield from self.rows(item.strip())) if depth < MAX_DEPTH else None
                found += [item] if rows is None else (yield from self.fields(rows, depth + 1, nested=nested))
            elif isinstance(item, dict) and nested:
                found.append((yield from self.nested(item, depth)))
            else:
                found.append(item)
        return found

    def nested(self, item: dict[str, Any], depth: int) -> Steps[dict[str, Any]]:
        """A field whose active nested list, or the fields of its members, are expanded."""
        changed = dict(item)
        value = self.caller.values.get(to_text(item.get("name")), item.get("default", UNDEFINED))
        for key in ("spec", "nested"):
            if _has_rpc(item.get(key), 0) and (key == "spec" or not is_empty(value)):
                changed[key] = yield from self.branch(item[key], depth)
        options = item.get("options")
        if isinstance(options, dict) and _has_rpc(options.get("nested"), 0) and not is_empty(value):
            changed["options"] = {**options, "nested": (yield from self.branch(options["nested"], depth))}
        store = options.get("store") if isinstance(options, dict) else options
        if isinstance(store, list) and any(_has_rpc(_nested_of(option), 0) for option in store):
            rows: list[Any] = []
            for option in store:
                below = _nested_of(option)
                if _has_rpc(below, 0) and _chosen(option, value):
                    rows.append({**option, "nested": (yield from self.branch(below, depth))})
                else:
                    rows.append(option)
            changed["options"] = {**options, "store": rows} if isinstance(options, dict) else rows
        return changed

    def branch(self, raw: Any, depth: int) -> Steps[Any]:
        if isinstance(raw, dict) and "store" in raw:
            return {**raw, "store": (yield from self.fields(raw["store"], depth))}
        return (yield from self.fields(raw, depth))

    def rows(self, url: str) -> Steps[list[Any] | None]:
        """The rows of one call; None when it could not be made, after a warning."""
        name, query = split_url(url)
        rpc = self.caller.app.rpc(name)
        if rpc is None:
            yield Warn(f"rpc://{name}: the app has no such RPC", "rpc")
            return None
        if not self.fits(rpc):
            yield Warn(f"rpc://{name}: it needs another connection than the module has", "rpc")
            return None
        try:
            parameters = rpc_parameters(self.caller.values, query, self.caller.environment)
            return (yield from self.called(rpc, parameters))
        except ModuleError as error:
            yield Warn(f"rpc://{name}: {error.message}", "rpc")
            return None

    def fits(self, rpc: RpcSpec) -> bool:
        wanted = [name for name in (rpc.connection, rpc.alt_connection) if name]
        if not wanted:
            return True
        return self.caller.connection is not None and self.caller.component in (*wanted, None)

    def called(self, rpc: RpcSpec, parameters: dict[str, Any]) -> Steps[list[Any]]:
        caller = self.caller
        key = (caller.app.name, caller.app.hash, rpc.id, caller.connection_key, compact_json(parameters))
        now = caller.clock()
        if caller.app.hash and (kept := self.cache.get(key, now)) is not None:
            return kept
        left = RPC_SECONDS - (now - self.began)
        if left <= 0:
            raise ModuleTimeoutError(f"the RPCs of the module took longer than {RPC_SECONDS:g} s")
        job = RpcJob(
            caller.app,
            rpc,
            parameters,
            caller.environment,
            caller.connection if rpc.connection or rpc.alt_connection else None,
            caller.app.common_values,
            webhook=caller.webhook,
            limits=caller.limits,
            signing=caller.signing,
        )
        rows = rows_of((yield from run_rpc(job, seconds=left, clock=caller.clock)))
        if caller.app.hash:
            self.cache.put(key, now, rows)
        return rows


def split_url(url: str) -> tuple[str, str]:
    """Name and query of an `rpc://name?x=y`; the scheme may be missing."""
    text = url.strip()
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :]
    name, _, query = text.partition("?")
    return name.rstrip("/"), query


def rpc_parameters(values: Mapping[str, Any], query: str, environment: Environment) -> dict[str, Any]:
    """
    What an RPC sees as `parameters`: the values of the calling form, over them the query of its address, whose values
    are texts and may hold expressions over the form's values (spec/modules.md 4.3).

    Raises:
        ModuleError: An expression of the query failed.
    """
    parameters = {name: value for name, value in values.items() if value is not UNDEFINED}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if "{{" not in text:
            parameters[name] = text
            continue
        template = compile_document(text, place=Place(component=f"rpc query {name}"))
        try:
            value = template.render({**parameters, "parameters": dict(values)}, environment)
        except ImlError as error:
            raise ModuleRuntimeError(f"query {name}: {error.message}") from error
        parameters[name] = "" if value is UNDEFINED or value is None else to_text(value)
    return parameters


def _is_rpc(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(_SCHEME)


def _has_rpc(raw: object, depth: int) -> bool:
    """Whether a list of fields has an `rpc://` in the place of fields, at any level."""
    if depth > 20:
        return False
    if _is_rpc(raw):
        return True
    if isinstance(raw, list):
        return any(_has_rpc(item, depth + 1) for item in raw)
    if not isinstance(raw, dict):
        return False
    if "store" in raw and "name" not in raw:
        return _has_rpc(raw["store"], depth + 1)
    return any(_has_rpc(part, depth + 1) for part in _lists_in(raw))


def _lists_in(item: dict[str, Any]) -> Iterator[Any]:
    yield item.get("spec")
    yield item.get("nested")
    options = item.get("options")
    store = options
    if isinstance(options, dict):
        yield options.get("nested")
        store = options.get("store")
    if isinstance(store, list):
        for option in store:
            yield _nested_of(option)


def _nested_of(option: object) -> Any:
    return option.get("nested") if isinstance(option, dict) else None


def _chosen(option: Any, value: Any) -> bool:
    own = option.get("value") if isinstance(option, dict) else None
    return any(same_value(own, item) for item in (value if isinstance(value, list) else [value]))


def _reads_metadata(spec: ModuleSpec) -> bool:
    """Whether the module may look at `metadata`: only then is an interface worth a call."""
    return "metadata" in compact_json(spec.communication.value)


__all__ = [
    "Caller",
    "Lists",
    "RpcCache",
    "expand_lists",
    "lists_of",
    "needs_expansion",
    "rpc_parameters",
    "split_url",
]
