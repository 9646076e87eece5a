"""
Field definitions: one frozen `Field` for each parameter of a list (spec/modules.md 2.2).

Nothing here fails: a definition that makes no sense becomes the nearest that does; the checker says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from runtime.coercion import parse_number_text

#: Types that show something and have no value.
VISUAL = frozenset({"banner", "separator", "markdown", "html"})

#: The 31 types of an app's list (2.5), without the visual ones.
TYPES = frozenset({
    "any", "array", "boolean", "buffer", "cert", "collection", "color", "date", "email", "file", "filename", "filter",
    "folder", "hidden", "integer", "json", "number", "password", "path", "pkey", "port", "select", "text", "time",
    "timestamp", "timezone", "udt", "uinteger", "url", "uuid",
})  # fmt: skip

#: Types of the platform that an RPC may give, and what they are here (2.5).
PLATFORM_TYPES = {"checkbox": "boolean", "radio": "select", "list": "select", "editor": "text"}

#: Values of these types are secrets: they are never shown (2.5).
SECRET_TYPES = frozenset({"password", "pkey", "cert"})

#: Deepest `spec` or `nested` that is followed; deeper ones are left out. No real app passes 10.
MAX_DEPTH = 60


@dataclass(frozen=True, slots=True)
class RpcReference:
    """An `rpc://name?x=y` string in the place of fields or options: its result stands there (2.1)."""

    url: str


#: The list that nested fields belong to: that of their parent, or the mappable or static one (2.7).
Domain: TypeAlias = Literal["", "expect", "parameters"]
FieldItem: TypeAlias = "Field | RpcReference"
Fields: TypeAlias = "tuple[FieldItem, ...]"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a select. `nested` is None when it has none of its own (2.7, 2.8), `domain` as in `Field`."""

    value: Any
    label: str = ""
    default: bool = False
    nested: Fields | None = None
    domain: Domain = ""


@dataclass(frozen=True, slots=True)
class Options:
    """
    The `options` of a field. `known` is False when they come from an RPC, so that nothing can be checked.

    `operators` (filter) are the allowed operators, None = the built-in ones; with `any_operator` they come from an RPC.
    """

    items: tuple[Option, ...] = ()
    known: bool = True
    nested: Fields = ()
    domain: Domain = ""
    placeholder_nested: Fields = ()
    placeholder_domain: Domain = ""
    default: Any = None
    has_default: bool = False
    any_operator: bool = False
    operators: tuple[Any, ...] | None = None
    logic: str = ""
    show_root: bool = True
    single_level: bool = False


@dataclass(frozen=True, slots=True)
class Validate:
    """`validate` (2.2). `off` is the boolean `false`: the type's own check is switched off too."""

    off: bool = False
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    enum: tuple[Any, ...] | None = None
    min_items: float | None = None
    max_items: float | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """
    One parameter. `type` is a type of 2.5, lower case, aliases followed, `any` for an unknown one.

    `spec` of a collection are its fields; of an array a tuple of fields when each element is a collection, one `Field`
    (in `element`) when each element has a type, both empty when untyped. `domain` is `expect`, `parameters` or "".
    """

    name: str
    type: str = "text"
    label: str = ""
    required: bool = False
    has_default: bool = False
    default: Any = None
    multiple: bool = False
    dynamic: bool = False
    mappable: bool = True
    tags: str = ""
    time: bool = True
    extension: tuple[str, ...] = ()
    codepage: str = ""
    sequence: bool = False
    logic: str = ""
    spec: Fields = ()
    element: Field | None = None
    options: Options = field(default_factory=Options)
    nested: Fields = ()
    domain: Domain = ""
    validate: Validate = field(default_factory=Validate)
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def visual(self) -> bool:
        """True for a field that has no value: banner, separator, ..."""
        return self.type in VISUAL


def _is_rpc(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith("rpc://")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parse_fields(raw: Any, *, where: str = "") -> Fields:
    """
    The fields of a parameter list (2.1): an array of parameter objects and `rpc://` strings, or one such string.

    Args:
        raw: A JSON value: a params file, `expect` of a blueprint, an RPC's rows, a built-in module's table.
        where: Names the list in messages; kept for callers that log.

    Anything that is no field is left out; nothing is raised.
    """
    del where
    return _fields(raw, 0)


def _fields(raw: Any, depth: int) -> Fields:
    if depth > MAX_DEPTH:
        return ()
    if _is_rpc(raw):
        return (RpcReference(raw.strip()),)
    if isinstance(raw, dict):
        raw = [raw]
    if not isinstance(raw, list):
        return ()
    found: list[FieldItem] = []
    for item in raw:
        if _is_rpc(item):
            found.append(RpcReference(item.strip()))
        elif isinstance(item, list):
            found.extend(_fields(item, depth + 1))
        elif isinstance(item, dict):
            found.append(parse_field(item, depth))
    return tuple(found)


def field_type(raw: Any) -> str:
    """The type that a `type` value means here (2.5): lower case, aliases followed, `any` when unknown."""
    if raw is None or raw == "":
        return "text"
    if not isinstance(raw, str):
        return "any"
    name = PLATFORM_TYPES.get(raw.strip().lower(), raw.strip().lower())
    return name if name in TYPES or name in VISUAL else "any"


def parse_field(raw: Mapping[str, Any], depth: int = 0) -> Field:
    """One parameter object as a `Field`; see `parse_fields`."""
    kind = field_type(raw.get("type"))
    spec, element = _spec(kind, raw.get("spec"), depth)
    nested, domain = _nested(raw.get("nested"), depth)
    extension = raw.get("extension")
    extensions = [extension] if isinstance(extension, str) else extension if isinstance(extension, list) else []
    options = _options(raw.get("options"), depth)
    has_default = "default" in raw and raw["default"] is not None
    mappable = raw.get("mappable", True)
    return Field(
        name=_name(raw.get("name")),
        type=kind,
        label=_text(raw.get("label")),
        required=raw.get("required") is True,
        has_default=has_default,
        default=raw.get("default"),
        multiple=raw.get("multiple") is True,
        dynamic=raw.get("dynamic") is True,
        mappable=mappable is not False,
        tags=_text(raw.get("tags")),
        time=raw.get("time") is not False,
        extension=tuple([item.lstrip(".").lower() for item in extensions if isinstance(item, str) and item]),
        codepage=_text(raw.get("codepage")),
        sequence=raw.get("sequence") is True,
        logic=_text(raw.get("logic")) or options.logic,
        spec=spec,
        element=element,
        options=options,
        nested=nested,
        domain=domain,
        validate=_validate(raw.get("validate"), raw.get("pattern")),
        raw=raw,
    )


def _name(raw: Any) -> str:
    """A name; a number in its place counts as its text, as it does for a key."""
    if isinstance(raw, str):
        return raw
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else ""


def _spec(kind: str, raw: Any, depth: int) -> tuple[Fields, Field | None]:
    """
    The fields of a collection or of the elements of an array, or the one field that each element is (2.5).

    `{"type": "collection", "spec": [...]}` for an array is the same as the list form.
    """
    if raw is None or depth >= MAX_DEPTH:
        return (), None
    if kind == "collection":
        # Some write the fields of a collection as one object that holds them.
        inner = raw.get("spec") if isinstance(raw, dict) and "name" not in raw and "spec" in raw else raw
        return _fields(inner, depth + 1), None
    if kind in ("array", "select"):
        if isinstance(raw, dict):
            if field_type(raw.get("type")) == "collection" and raw.get("spec"):
                return _fields(raw["spec"], depth + 1), None
            return (), parse_field(raw, depth + 1)
        return _fields(raw, depth + 1), None
    return (), None


def _nested(raw: Any, depth: int) -> tuple[Fields, Domain]:
    """Nested fields and the list that they belong to (2.7)."""
    if raw is None or depth >= MAX_DEPTH:
        return (), ""
    if isinstance(raw, dict) and "store" in raw:
        domain = raw.get("domain")
        if domain in ("expect", "mapper"):
            return _fields(raw["store"], depth + 1), "expect"
        return _fields(raw["store"], depth + 1), "parameters" if domain == "parameters" else ""
    return _fields(raw, depth + 1), ""


def _validate(raw: Any, pattern: Any) -> Validate:
    rules: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    wanted = rules.get("pattern", pattern)
    if isinstance(wanted, dict):
        wanted = wanted.get("regexp")
    enum = rules.get("enum")
    return Validate(
        off=raw is False,
        min=_bound(rules.get("min")),
        max=_bound(rules.get("max")),
        pattern=wanted if isinstance(wanted, str) and wanted else None,
        enum=tuple(enum) if isinstance(enum, list) and enum else None,
        min_items=_bound(rules.get("minItems")),
        max_items=_bound(rules.get("maxItems")),
    )


def _bound(raw: Any) -> float | int | None:
    """A limit of `validate`; texts of numbers count, anything else sets no limit."""
    if isinstance(raw, str):
        raw = parse_number_text(raw)
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return None
    return raw


def _options(raw: Any, depth: int) -> Options:
    """Options in any of their forms (2.8); an unknown list when they come from an RPC."""
    if raw is None or depth >= MAX_DEPTH:
        return Options(known=raw is None)
    if not isinstance(raw, dict):
        items = _option_list(raw, "label", "value", depth)
        return Options(items=items or (), known=items is not None)
    store = raw.get("store")
    label_key, value_key = _text(raw.get("label")) or "label", _text(raw.get("value")) or "value"
    items = _option_list(store, label_key, value_key, depth) if store is not None else ()
    placeholder = raw.get("placeholder")
    operators = raw.get("operators")
    nested, domain = _nested(raw.get("nested"), depth)
    empty, empty_domain = _nested(placeholder.get("nested") if isinstance(placeholder, dict) else None, depth)
    return Options(
        items=items or (),
        known=items is not None,
        nested=nested,
        domain=domain,
        placeholder_nested=empty,
        placeholder_domain=empty_domain,
        any_operator=isinstance(operators, str) and operators != "",
        default=raw.get("default"),
        has_default=raw.get("default") is not None,
        operators=_operator_values(operators) if isinstance(operators, list) else None,
        logic=_text(raw.get("logic")),
        show_root=raw.get("showRoot") is not False,
        single_level=raw.get("singleLevel") is True,
    )


def _option_list(raw: Any, label_key: str, value_key: str, depth: int) -> tuple[Option, ...] | None:
    """Plain options and the options of groups; None when a part comes from an RPC or an expression."""
    if not isinstance(raw, list):
        return None
    found: list[Option] = []
    for item in raw:
        if isinstance(item, dict):
            if isinstance(item.get("options"), (list, str)) and value_key not in item:
                group = _option_list(item["options"], label_key, value_key, depth)
                if group is None:
                    return None
                found.extend(group)
            else:
                nested, domain = _nested(item["nested"], depth) if "nested" in item else (None, "")
                label = _text(item.get(label_key))
                found.append(Option(item.get(value_key), label, item.get("default") is True, nested, domain))
        elif _is_rpc(item) or isinstance(item, list):
            return None
        else:
            # A bare value: its own label.
            found.append(Option(item, _text(item)))
    return tuple(found)


def _operator_values(raw: list[Any]) -> tuple[Any, ...]:
    values: list[Any] = []
    for item in raw:
        if isinstance(item, dict):
            inner = item.get("options")
            values += _operator_values(inner) if isinstance(inner, list) else [item.get("value")]
        else:
            values.append(item)
    return tuple(values)
