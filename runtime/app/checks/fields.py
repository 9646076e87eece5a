"""
Parameter lists and interfaces: P301 to P316, P320 (spec/app-format.md 6, 7, modules.md 2.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from runtime.app.checks.connections import SECRET_NAME
from runtime.app.checks.context import Check, Spot, has_iml, spot
from runtime.app.checks.shapes import check_parameter
from runtime.app.specs import CodeFile
from runtime.errors import BundleValidationError
from runtime.parameters import resolve
from runtime.parameters.fields import PLATFORM_TYPES, SECRET_TYPES, TYPES, VISUAL, Options, parse_field
from runtime.parameters.patterns import is_pattern

#: Deepest level of lists in lists that is looked at; the parser allows no more.
MAX_LEVELS = 400
#: Values of one list that are looked at; the largest real list has some 200 parameters.
MAX_FIELDS = 50_000
_MAX_NAME = 128
_MAX_LABEL = 256
#: Keys of a parameter that mean something (modules.md 2.2).
KEYS = frozenset({
    "name", "label", "help", "type", "required", "default", "advanced", "multiline", "tags", "validate", "spec",
    "nested", "options", "multiple", "grouped", "sort", "dynamic", "mappable", "editable", "mode", "time", "extension",
    "codepage", "sequence", "semantic", "rpc", "schema", "convert", "metadata", "labels", "coder", "visible", "pattern",
    "disabled", "title", "text", "closable", "theme", "badge", "logic",
})  # fmt: skip
#: Types of the platform that RPC results may hold; in a file they pass as `any`.
_PLATFORM = frozenset({*PLATFORM_TYPES, "datastore", "aiagent", "scenario", "upload", "filestorage"})


def check_fields(check: Check) -> None:
    """All rules about parameter lists."""
    app = check.app
    for connection in app.connections.values():
        _list(check, connection.title, connection.params)
    for webhook in app.webhooks.values():
        _list(check, webhook.title, webhook.params)
    for rpc in app.rpcs.values():
        _list(check, rpc.title, rpc.params)
    for module in app.modules.values():
        static = set(_top_names(module.static_params.value))
        _list(check, module.title, module.static_params)
        _list(check, module.title, module.mappable_params, mappable=True, others=static)
        _list(check, module.title, module.interface, interface=True)


def _top_names(value: Any) -> list[str]:
    items: list[Any] = value if isinstance(value, list) else []
    return [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]


def _list(
    check: Check,
    title: str,
    file: CodeFile,
    *,
    mappable: bool = False,
    interface: bool = False,
    others: set[str] | None = None,
) -> None:
    whole = spot(check, title, file)
    seen: dict[str, bool] = {}
    for field, top in _fields(whole):
        if check.report.full:
            return
        _field(field, mappable=mappable, interface=interface)
        name = field.value.get("name")
        if not top or not isinstance(name, str) or interface:
            continue
        if others and name in others:
            message = f'"{name}" is a static parameter too; the mappable value wins'
            field.at("name").say("warning", "P305", message, hint="rename one of the two")
        if name in seen:
            field.at("name").say("warning", "P305", f'"{name}" stands twice in the list; the first one counts')
        seen[name] = True


def _fields(whole: Spot) -> Iterator[tuple[Spot, bool]]:
    """All parameter objects of a list, with True for those of its top level."""
    stack: list[Iterator[tuple[Spot, bool]]] = [iter([(whole, True)])]
    left = MAX_FIELDS
    while stack and left:
        left -= 1
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        place, top = found
        if len(stack) > MAX_LEVELS:
            continue
        if isinstance(place.value, list):
            stack.append(_elements(place, top))
        elif isinstance(place.value, dict):
            if place.pointer == "" or "type" in place or "name" in place:
                yield place, top
            stack.append(iter([(item, False) for item in _inner_lists(place) if item.value]))


def _elements(place: Spot, top: bool) -> Iterator[tuple[Spot, bool]]:
    return ((place.at(index), top) for index in range(len(place.value)))


def _inner_lists(place: Spot) -> list[Spot]:
    """Everything in a parameter that may hold parameters."""
    nested = place.at("nested")
    inner = [place.at("spec"), nested]
    options = place.at("options")
    if isinstance(options.value, dict):
        inner += [options.at("nested"), options.at("placeholder").at("nested")]
        options = options.at("store")
    if isinstance(options.value, list):
        inner += [options.at(index).at("nested") for index in range(len(options.value))]
    if isinstance(nested.value, dict):
        inner.append(nested.at("store"))
    return inner


def _field(field: Spot, *, mappable: bool, interface: bool) -> None:
    value: dict[str, Any] = field.value
    kind = _type(field, interface=interface)
    name = value.get("name")
    if isinstance(name, str):
        if name.startswith("__IMT"):
            message = f'the name "{name[:60]}" is reserved: the engine sets it'
            field.at("name").say("warning", "P307", message, hint="rename or remove it")
        if len(name) > _MAX_NAME:
            field.at("name").say("warning", "P303", f"name over {_MAX_NAME} characters")
    elif kind not in VISUAL and name is None and field.pointer.rpartition("/")[2] != "spec":
        field.say("warning", "P308", "the parameter has no name; it is left out", hint="add a name")
    label = value.get("label")
    if isinstance(label, str) and len(label) > _MAX_LABEL:
        field.at("label").say("warning", "P303", f"label over {_MAX_LABEL} characters", hint="move the rest to help")
    _keys(field)
    check_parameter(field)
    if interface:
        return
    if mappable and (
        kind == "password" or (kind in SECRET_TYPES and isinstance(name, str) and SECRET_NAME.search(name))
    ):
        field.at("type").say("warning", "P306", f"a {kind} in the mappable parameters is stored in scenarios as it is")
    _pattern(field)
    _default(field)
    if value.get("advanced") is True and value.get("required") is True and "default" not in value:
        field.say("info", "P314", "an advanced parameter that is required needs a default")
    options = field.at("options")
    if isinstance(options.value, dict):
        options = options.at("store")
    if kind == "select" and isinstance(options.value, list):
        for index, option in enumerate(options.value):
            if isinstance(option, dict) and option.get("value", "") is None:
                options.at(index).say("warning", "P310", "an option must have a value that is not null")


def _type(field: Spot, *, interface: bool) -> str:
    """The lower-case type; findings about it are added."""
    raw = field.value.get("type")
    place = field.at("type")
    if raw is None:
        field.say("info", "P304", "the parameter has no type; text is assumed")
        return "text"
    if not isinstance(raw, str) or has_iml(raw):
        if not isinstance(raw, str):
            place.say("warning", "P304", "type must be a text; any value passes")
        return "any"
    kind = raw.strip().lower()
    if kind == "html":
        place.say("info", "P301", "html is not in the published schema; it is shown and has no value")
    elif kind in TYPES or kind in VISUAL or kind in _PLATFORM or ":" in kind:
        if kind != raw:
            place.say("warning", "P304", f'the type "{raw[:40]}" must be written "{kind}"')
    elif not interface:
        near = field.check.report.near(kind, TYPES)
        hint = f'did you mean "{near}"?' if near else ""
        place.say("warning", "P304", f'unknown type "{raw[:40]}"; any value passes', hint=hint)
    return kind


def _keys(field: Spot) -> None:
    for key in field.value:
        if key in ("minimum", "maximum"):
            message = f"`{key}` is not a parameter property; use `validate.{key[:3]}`"
            field.at(key).say("warning", "P302", message, key=True)
        elif key not in KEYS:
            near = field.check.report.near(key, KEYS, cutoff=0.75)
            hint = f'did you mean "{near}"?' if near else "it is kept and has no meaning"
            field.at(key).say("info", "P312", f'unknown key "{key[:40]}" in a parameter', key=True, hint=hint)


def _default(field: Spot) -> None:
    """P320: a default that its own parameter refuses fails every run that leaves the parameter out."""
    default: Any = field.value.get("default")
    if default is None or (isinstance(default, str) and (default == "" or "{{" in default)):
        return
    parsed = parse_field(field.value)
    alone = replace(
        parsed, name="x", nested=(), domain="", options=_childless(parsed.options), spec=(), element=None,
        validate=replace(parsed.validate, pattern=None),
    )  # fmt: skip
    try:
        resolve((alone,), {"x": default}, mode="form")
    except BundleValidationError as error:
        message = f"the default is refused: {error.suberrors[0]}".replace("'x'", f"'{parsed.name[:60]}'")
        field.at("default").say("warning", "P320", message[:300], hint="correct the default or the limit")


def _childless(options: Options) -> Options:
    items = tuple([replace(option, nested=None) for option in options.items])
    return replace(options, items=items, nested=(), placeholder_nested=(), has_default=False)


def _pattern(field: Spot) -> None:
    validate = field.at("validate")
    pattern = validate.at("pattern") if "pattern" in validate else field.at("pattern")
    if isinstance(pattern.value, dict):
        pattern = pattern.at("regexp")
    if isinstance(pattern.value, str) and not is_pattern(pattern.value):
        pattern.say("warning", "P309", "the pattern is no usable regular expression; no value is refused by it")
