"""
From configured values to what `parameters` holds (spec/modules.md 2.3 to 2.8, 8.1).

Order for one field: visual, skip; required and empty, error; empty, the table of 8.1; coerce; the type's own check;
`validate`; content; then the nested fields of the active branch, on the level of their parent. All failures of a
bundle are collected in the order of the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from runtime.parameters.coerce import Refused, coerce
from runtime.parameters.empties import empty_value, is_empty, unmarked
from runtime.parameters.failures import Failure, expected, validation_error
from runtime.parameters.fields import SECRET_TYPES, Domain, Field, Fields, Option, RpcReference
from runtime.parameters.filters import is_filter
from runtime.parameters.rules import enum_fault, items_fault, same_value, value_fault
from runtime.values import ERASE, UNDEFINED, shown, to_text

Mode: TypeAlias = Literal["mapped", "static", "form"]
_Branch: TypeAlias = "tuple[Fields, Domain]"


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    `values` in definition order; `warnings` are sentences for the log. `moved` are the active nested fields that
    belong to the other list (`{store, domain}`, 2.7), by that list's name `expect` or `parameters`: add them to its
    fields before it is resolved.
    """

    values: dict[str, Any]
    warnings: list[str]
    moved: dict[str, Fields] = field(default_factory=dict[str, Fields])


def resolve(
    fields: Fields,
    config: Mapping[str, Any],
    *,
    timezone: str = "UTC",
    mode: Mode = "mapped",
    evaluate_default: Callable[[str], Any] | None = None,
    rpc_unresolved: bool = False,
    expressions: Collection[str] = (),
    evaluated: Collection[str] = (),
) -> Resolved:
    """
    The values of a list of fields: defaults, coercion, validation, nested fields of active branches.

    Args:
        fields: From `parse_fields`. An `RpcReference` among them counts as a list that could not be resolved.
        config: Evaluated values by name; `FORCED_EMPTY` and `ERASE` are understood in the mode `mapped`.
        timezone: Zone of date texts without one.
        mode: `mapped` and `static` are the two lists of a module, `form` is that of a connection, webhook or RPC,
            where an empty value stays as it is. In `static` a text with `{{ }}` is refused.
        evaluate_default: Evaluates a default with `{{ }}` in the mode `mapped`; literal without it.
        rpc_unresolved: An RPC of this list is known to have failed: unknown values pass unchanged, with a warning.
        expressions: Paths of fields whose whole value is one expression: a collection then keeps keys without a field,
            and a select whose options are unknown has its elements described by `spec`.
        evaluated: Paths of fields whose value holds any expression; a field with `mappable: false` refuses it.

    Raises:
        BundleValidationError: Values failed; `suberrors` holds one text for each, in the order of the fields, and
            `external["parameters"]` the same with path, label and what would be accepted.
    """
    run = _Run(
        timezone=timezone,
        mode=mode,
        evaluate_default=evaluate_default,
        expressions=frozenset(expressions),
        evaluated=frozenset(evaluated),
    )
    out: dict[str, Any] = {}
    level = _Level(config, out, "", unresolved=rpc_unresolved)
    run.walk(fields, level)
    run.pass_unknown(level)
    if run.errors:
        raise validation_error(run.errors)
    return Resolved(out, run.warnings, {name: tuple(items) for name, items in run.moved.items()})


def merge(static: Mapping[str, Any], mappable: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters`: a mappable value wins over a static one of its name, unless it is undefined (1.3)."""
    return {**static, **{name: value for name, value in mappable.items() if value is not UNDEFINED}}


def secret_values(fields: Fields, values: Mapping[str, Any]) -> set[str]:
    """The texts of secret fields (password, private key, certificate) among values, nested ones too, for redaction."""
    found: set[str] = set()
    for item in fields:
        if not isinstance(item, Field):
            continue
        value = values.get(item.name)
        if item.type in SECRET_TYPES and isinstance(value, (str, int, float)) and to_text(value):
            found.add(to_text(value))
        elif item.type == "collection" and isinstance(value, dict):
            found |= secret_values(item.spec, value)
        elif item.type == "array" and isinstance(value, list):
            for element in value:
                if item.element is not None:
                    found |= secret_values((replace(item.element, name="x"),), {"x": element})
                elif isinstance(element, dict):
                    found |= secret_values(item.spec, element)
        branches = [item.nested, item.options.nested, item.options.placeholder_nested]
        branches += [option.nested for option in item.options.items if option.nested]
        for branch in branches:
            found |= secret_values(branch, values)
    return found


@dataclass(slots=True)
class _Level:
    """One collection being filled: the top of the list, a collection field, an element of an array."""

    config: Mapping[str, Any]
    out: dict[str, Any]
    path: str
    unresolved: bool = False
    #: Keys without a field stay (`spec` absent, or the whole collection comes from one expression).
    whole: bool = False
    seen: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class _Run:
    timezone: str
    mode: Mode
    evaluate_default: Callable[[str], Any] | None
    expressions: frozenset[str]
    evaluated: frozenset[str] = frozenset()
    errors: list[Failure] = field(default_factory=list[Failure])
    warnings: list[str] = field(default_factory=list[str])
    moved: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def fail(self, item: Field, path: str, message: str, detail: str = "") -> None:
        """Note one failure; `detail` is more to say about what is expected."""
        wanted = expected(item) + (f": {detail}" if detail else "")
        self.errors.append(Failure(path, message, item.label, wanted))

    # Fields ----------------------------------------------------------------------------------------------------------

    def walk(self, fields: Fields, level: _Level) -> None:
        for item in fields:
            if isinstance(item, RpcReference):
                level.unresolved = True
                continue
            if item.visual:
                continue
            if not item.name:
                self.warnings.append("Object contains field with unknown name.")
                continue
            if item.name in level.seen:
                continue
            level.seen.add(item.name)
            before = len(self.errors)
            value, chosen = self._field(item, level)
            if value is not UNDEFINED:
                level.out[item.name] = value
            if len(self.errors) == before:
                self._nested(item, value, chosen, level)

    def _field(self, item: Field, level: _Level) -> tuple[Any, list[Option]]:
        path = f"{level.path}{item.name}"
        given = item.name in level.config
        value = level.config[item.name] if given else self._default(item)
        if not given and item.type == "collection" and value is UNDEFINED:
            # Absent counts as "all members empty"; a form has no such rule.
            value = {} if self.mode != "form" else UNDEFINED
        return self._value(item, value, path, literal=not given, whole=level.whole or path in self.expressions)

    def _value(
        self, item: Field, value: Any, path: str, *, literal: bool = False, whole: bool = False, required: bool = True
    ) -> tuple[Any, list[Option]]:
        """One value through the steps up to its content; the options that were chosen come with it."""
        if is_empty(item, value):
            return self._empty(item, value, path, required=required and item.required), []
        if not literal and self._prohibited(item, value, path):
            self.fail(item, path, f"Value of parameter '{path}' contains prohibited IML expression.")
            return UNDEFINED, []
        if item.type == "select":
            return self._select(item, value, path)
        return self._typed(item, value, path, whole=whole), []

    def _prohibited(self, item: Field, value: Any, path: str) -> bool:
        """Static values are never evaluated, nor are those of a field that cannot be mapped."""
        if self.mode == "static":
            return isinstance(value, str) and "{{" in value and "}}" in value
        return self.mode == "mapped" and not item.mappable and path in self.evaluated

    def _empty(self, item: Field, value: Any, path: str, *, required: bool) -> Any:
        if item.type == "boolean" and required and value is not ERASE:
            # `required` makes it a checkbox.
            return False
        if required:
            self.fail(item, path, f"Missing value of required parameter '{path}'.")
            return UNDEFINED
        if self.mode == "form":
            return None if value is ERASE else value
        if item.type == "collection" and value is ERASE and item.spec:
            return self._collection(item, dict.fromkeys(_names(item.spec), ERASE), path, whole=False)
        return empty_value(item, value)

    def _default(self, item: Field) -> Any:
        """The value of an absent key (2.6)."""
        if item.has_default:
            return self._evaluated(item.default)
        if item.options.has_default:
            return self._evaluated(item.options.default)
        if item.type == "select":
            marked = [option.value for option in item.options.items if option.default]
            if marked:
                return marked if item.multiple else marked[0]
        return UNDEFINED

    def _evaluated(self, default: Any) -> Any:
        if self.mode != "mapped" or self.evaluate_default is None:
            return default
        if isinstance(default, str):
            return self.evaluate_default(default) if "{{" in default else default
        if isinstance(default, list):
            return [self._evaluated(element) for element in default]
        if isinstance(default, dict):
            return {name: self._evaluated(member) for name, member in default.items()}
        return default

    # Types -----------------------------------------------------------------------------------------------------------

    def _typed(self, item: Field, value: Any, path: str, *, whole: bool) -> Any:
        if item.type == "array":
            return self._array(item, value, path, whole=whole)
        if item.type == "collection":
            if not isinstance(value, dict):
                self.fail(item, path, f"Invalid collection in parameter '{path}'.")
                return UNDEFINED
            return self._collection(item, value, path, whole=whole)
        if item.type == "filter":
            if not item.validate.off and not is_filter(item, value):
                self.fail(item, path, f"Invalid filter in parameter '{path}'.")
                return UNDEFINED
            return value
        try:
            value = coerce(item, unmarked(value), self.timezone)
        except Refused as refused:
            self.fail(item, path, f"Invalid {refused.what} in parameter '{path}'.", refused.detail)
            return UNDEFINED
        fault = value_fault(item, value, path)
        if fault:
            self.fail(item, path, fault)
            return UNDEFINED
        return value

    def _collection(self, item: Field, value: Mapping[str, Any], path: str, *, whole: bool) -> dict[str, Any]:
        if not item.spec:
            return {name: unmarked(member) for name, member in value.items() if member is not UNDEFINED}
        out: dict[str, Any] = {}
        level = _Level(value, out, f"{path}.", whole=whole)
        self.walk(item.spec, level)
        self.pass_unknown(level)
        if whole and not item.sequence:
            # Data keep the order they came in; only `sequence` asks for that of the spec.
            return {name: out[name] for name in (*[name for name in value if name in out], *out)}
        return out

    def _array(self, item: Field, value: Any, path: str, *, whole: bool) -> Any:
        elements: list[Any] = value if isinstance(value, list) else [value]
        fault = items_fault(item, elements, path)
        if fault:
            self.fail(item, path, fault)
            return UNDEFINED
        if item.spec and not all(isinstance(element, dict) or _nothing(element) for element in elements):
            self.fail(item, path, f"Array of objects expected in parameter '{path}'.")
            return UNDEFINED
        kind = item.element or Field(name="", type="collection" if item.spec else "any", spec=item.spec)
        found: list[Any] = []
        for index, element in enumerate(elements):
            place = f"{path}[{index}]"
            kept, _ = self._value(kind, element, place, whole=whole, required=False)
            fault = None if kept is UNDEFINED or kept is None else enum_fault(item, kept, place)
            if fault:
                self.fail(item, place, fault)
            found.append(None if kept is UNDEFINED else kept)
        return found

    def _select(self, item: Field, value: Any, path: str) -> tuple[Any, list[Option]]:
        checked = item.options.known and not item.dynamic and bool(item.options.items) and not item.validate.off
        if not item.multiple:
            found, option = self._choose(item, value, path, checked=checked)
            fault = value_fault(item, found, path) if found is not UNDEFINED else None
            if fault:
                self.fail(item, path, fault)
            return found, [option] if option else []
        values: list[Any] = value if isinstance(value, list) else [value]
        fault = items_fault(item, values, path)
        if fault:
            self.fail(item, path, fault)
            return UNDEFINED, []
        pairs = [self._choose(item, single, path, checked=checked) for single in values]
        chosen = [option for option in item.options.items if any(option is picked for _, picked in pairs)]
        return [None if found is UNDEFINED else found for found, _ in pairs], chosen

    def _choose(self, item: Field, value: Any, path: str, *, checked: bool) -> tuple[Any, Option | None]:
        """The option that a value means, exact type first, and the value that the module sees."""
        options = [option for option in item.options.items if option.value is not None]
        for option in options:
            if type(option.value) is type(value) and same_value(option.value, value):
                return option.value, option
        for option in options:
            if same_value(option.value, value):
                return option.value, option
        if checked:
            self.fail(item, path, f"Value '{shown(value)}' not found in options of parameter '{path}'.")
            return UNDEFINED, None
        if path.partition("[")[0] in self.expressions and (item.element or item.spec):
            # In map mode `spec` describes what the form's options would have given (2.2).
            kind = item.element or Field(name="", type="collection", spec=item.spec)
            return self._value(kind, value, path, whole=True, required=False)[0], None
        return unmarked(value), None

    # Nested fields ---------------------------------------------------------------------------------------------------

    def _nested(self, item: Field, value: Any, chosen: list[Option], level: _Level) -> None:
        """Walk the fields of the active branches, or hand them over to the other list."""
        own = "parameters" if self.mode == "static" else "expect"
        for branch, domain in _active(item, value, chosen):
            if domain and domain != own and self.mode != "form":
                self.moved.setdefault(domain, []).extend(branch)
            else:
                self.walk(branch, level)

    def pass_unknown(self, level: _Level) -> None:
        """Values without a field: dropped, except where their field may be in a list that an RPC did not give."""
        if not level.unresolved and not level.whole:
            return
        for name, value in level.config.items():
            if name not in level.seen and value is not UNDEFINED:
                level.out[name] = unmarked(value)
                if level.unresolved:
                    self.warnings.append(f"Parameter '{level.path}{name}' passes unchecked: its RPC was not resolved.")


def _nothing(value: Any) -> bool:
    return value is None or value is UNDEFINED or value is ERASE or (isinstance(value, str) and value == "")


def _names(fields: Fields) -> list[str]:
    return [item.name for item in fields if isinstance(item, Field) and item.name]


def _active(item: Field, value: Any, chosen: list[Option]) -> list[_Branch]:
    """The nested lists that a value makes active (2.7), each with the list that it belongs to."""
    own: _Branch = (item.nested, item.domain)
    if item.type == "boolean":
        return [own] if value is True else []
    given = not (_nothing(value) or value == [])
    if item.type != "select":
        return [own] if given else []
    common: _Branch = (item.options.nested, item.options.domain or item.domain) if item.options.nested else own
    if not given:
        return [(item.options.placeholder_nested, item.options.placeholder_domain or item.domain)]
    # An option's list is in the domain that it names itself, else in that of the whole field.
    branches: list[_Branch] = [
        (option.nested, option.domain or item.domain) for option in chosen if option.nested is not None
    ]
    if item.multiple:
        return [common, *branches]
    return branches[:1] or [common]
