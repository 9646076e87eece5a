"""
From configured values to a `ModuleJob`: parameter resolution and everything else that one run of a module is given.

Used by `module run` and by the worker alike. Source: spec/modules.md 1.3, 2.4 and 9.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from modules.rpc_lists import Lists, lists_of
from runtime.app.functions import app_environment
from runtime.app.specs import App, ModuleSpec
from runtime.communication.scope import Limits
from runtime.errors import BundleValidationError, ImlError, InvalidConfigurationError
from runtime.iml import Environment, Place, compile_document
from runtime.module_job import ModuleJob
from runtime.parameters import Field, Resolved, RpcReference, joined, merge, parse_fields, resolve, secret_values
from runtime.values import UNDEFINED

#: Parsed parameter lists kept per process.
KEPT_LISTS: Final = 2048
#: Keys of a configuration that belong to the platform, such as the connection's id.
_RESERVED: Final = "__IMT"
#: Keys of `common` that steer the engine; their values are no secrets.
_STEERING: Final = frozenset({"maxRequestCount", "maxPaginationRequestCount", "maxPastRecords", "timeout"})

Fields: TypeAlias = "tuple[Field | RpcReference, ...]"
Mode: TypeAlias = Literal["mapped", "static", "form"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job, what to say in the log about its parameters, and the values to keep out of every log."""

    job: ModuleJob
    warnings: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    #: Those of them that the app declares as secret parameters: they are kept out of shown bundles, too.
    declared: frozenset[str] = frozenset()


@dataclass(slots=True)
class _ListCache:
    size: int = KEPT_LISTS
    lock: threading.Lock = field(default_factory=threading.Lock)
    lists: OrderedDict[tuple[str, str, str, str], Fields] = field(default_factory=OrderedDict[Any, Any])

    def fields(self, app: App, spec: ModuleSpec, role: str, raw: Any) -> Fields:
        key = (app.name, app.hash, spec.id, role)
        with self.lock:
            found = self.lists.get(key)
            if found is not None:
                self.lists.move_to_end(key)
                return found
        fields = parse_fields(raw, where=spec.title)
        if app.hash:
            with self.lock:
                self.lists[key] = fields
                while len(self.lists) > self.size:
                    self.lists.popitem(last=False)
        return fields


_LISTS: Final = _ListCache()


def find_module(app: App, name: str) -> ModuleSpec:
    """
    The module of an app by id or remote name.

    Raises:
        InvalidConfigurationError: There is none; the message lists the known ones.
    """
    spec = app.module(name)
    if spec is None:
        known = ", ".join(sorted(app.modules)) or "none"
        raise InvalidConfigurationError(f'The app "{app.name}" has no module "{name}". Known modules: {known}.')
    return spec


def prepare_job(
    app: App,
    module: str,
    *,
    environment: Environment,
    static: Mapping[str, Any] | None = None,
    mapped: Mapping[str, Any] | None = None,
    expressions: Collection[str] = (),
    evaluated: Collection[str] = (),
    connection: dict[str, Any] | None = None,
    connection_version: int = 0,
    renewable: bool = False,
    signing: Mapping[str, Any] | None = None,
    scenario: Mapping[str, Any] | None = None,
    expect: list[Any] | None = None,
    interface: list[Any] | None = None,
    state: dict[str, Any] | None = None,
    state_known: bool = False,
    resume: dict[str, Any] | None = None,
    limits: Limits | None = None,
    webhook: dict[str, Any] | None = None,
    debug: Callable[[str], None] | None = None,
    lists: Lists | None = None,
) -> Prepared:
    """
    The job of one module run.

    `static` is the configuration as saved, `mapped` the mapped values after evaluation, marks kept; `expressions` are
    the paths of mapped fields whose whole value is one expression, `evaluated` of those that hold any. `expect` and
    `interface` are the lists that a blueprint has stored with the module, RPCs expanded; they fill the places of
    `rpc://` entries. `lists` are the module's lists after their RPCs were called (`expand_lists`). Where nothing is
    stored or called, values without a definition pass as they are. The job gets the app's custom functions; `debug` is
    given each line that one of them logs, which is raw.

    Raises:
        BundleValidationError: Values failed their checks; one suberror each, static parameters first.
        InvalidConfigurationError: There is no such module, or it may not be used.
    """
    spec = find_module(app, module)
    spec.require_usable()
    limits = limits or Limits()
    environment = app_environment(environment, app, limits=limits.functions, debug=debug)
    evaluate = _default_evaluator(spec, environment)
    if lists is None:
        static_fields = _LISTS.fields(app, spec, "static", spec.static_params.value)
        mapped_fields = _LISTS.fields(app, spec, "mappable", spec.mappable_params.value)
    else:
        static_fields = parse_fields(lists.static, where=spec.title)
        mapped_fields = parse_fields(lists.mappable, where=spec.title)
    mapped_fields = _with_stored(mapped_fields, expect)
    raw = lists if lists is not None else lists_of(spec)
    warnings: list[str] = []
    failures: list[BundleValidationError] = []

    def values_of(fields: Fields, config: Mapping[str, Any], mode: Mode) -> Resolved:
        try:
            resolved = resolve(
                fields,
                config,
                timezone=environment.timezone,
                mode=mode,
                evaluate_default=evaluate if mode == "mapped" else None,
                expressions=expressions,
                evaluated=evaluated,
            )
        except BundleValidationError as error:
            failures.append(error)
            return Resolved({}, [])
        warnings.extend(resolved.warnings)
        return resolved

    given_static, given_mapped = _own(static), _own(mapped)
    fixed = values_of(static_fields, given_static, "static")
    # Nested fields may belong to the other list: a static select that shows mappable fields, and the reverse.
    mapped_fields += fixed.moved.get("expect", ())
    moving = values_of(mapped_fields, given_mapped, "mapped")
    late = moving.moved.get("parameters", ())
    values = {**fixed.values, **(values_of(late, given_static, "static").values if late else {})}
    if failures:
        raise failures[0] if len(failures) == 1 else joined(failures)
    parameters = merge(values, moving.values)
    job = ModuleJob(
        app=app,
        module=spec,
        parameters=parameters,
        environment=environment,
        connection=connection,
        connection_version=connection_version,
        renewable=renewable,
        signing=signing,
        common=app.common_values,
        scenario=dict(scenario or {}),
        expect=expect if expect is not None else _raw_list(raw.mappable),
        interface=interface if interface is not None else _raw_list(raw.interface),
        state=state,
        state_known=state_known,
        resume=resume,
        limits=limits,
        webhook=webhook,
    )
    signed = {text for text in (signing or {}).values() if isinstance(text, str) and text}
    declared = secret_values(static_fields + late, values) | secret_values(mapped_fields, moving.values)
    secrets = signed | declared | set(_common_texts(app.common_values))
    return Prepared(job, tuple(warnings), frozenset(secrets), frozenset(declared))


def _common_texts(value: Any) -> Iterator[str]:
    """Every text in the app's common data, which is secret as a whole (spec/communication.md 21)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if key not in _STEERING:
                yield from _common_texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _common_texts(item)


def _own(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A configuration without the keys of the platform."""
    return {key: value for key, value in (config or {}).items() if not key.startswith(_RESERVED)}


def _raw_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _default_evaluator(spec: ModuleSpec, environment: Environment) -> Callable[[str], Any]:
    """Evaluates a default that holds an expression; one that fails counts as no default."""

    def evaluate(text: str) -> Any:
        template = compile_document(text, place=Place(component=f"module {spec.id}"), marks=True)
        try:
            return template.render({}, environment)
        except ImlError:
            return UNDEFINED

    return evaluate


def _with_stored(fields: Fields, expect: list[Any] | None) -> Fields:
    """The fields with `rpc://` entries of the top level replaced by what the blueprint stored for them."""
    if not expect or not any(isinstance(item, RpcReference) for item in fields):
        return fields
    known = {item.name for item in fields if isinstance(item, Field)}
    stored = [item for item in parse_fields(expect) if isinstance(item, Field) and item.name not in known]
    spliced: list[Field | RpcReference] = []
    for item in fields:
        if isinstance(item, Field):
            spliced.append(item)
        else:
            spliced += stored
            stored = []
    return tuple(spliced)
