"""
Shapes of parameters, groups and scopes as the published schemas have them (P315, P316, A217; spec/app-format.md 6).
"""

from __future__ import annotations

from typing import Any, Final

from runtime.app.checks.context import Check, Spot, has_iml, spot
from runtime.app.specs import CodeFile

_OPTION_KEYS: Final = frozenset({
    "store", "label", "value", "default", "placeholder", "nested", "operators", "logic", "scope", "ids", "showRoot",
    "singleLevel",
})  # fmt: skip
_VALIDATE: Final = frozenset({"max", "min", "minItems", "maxItems", "pattern", "enum"})
#: Key of a parameter -> the values it may have.
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "mode": ("edit", "choose"),
    "tags": ("strip", "stripall", "escape"),
    "sort": ("text", "number"),
}
#: Key of a parameter -> the JSON types it may have.
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "required": (bool, str), "advanced": (bool, str), "multiple": (bool, str), "grouped": (bool, str),
    "dynamic": (bool, str), "multiline": (bool, str), "sequence": (bool, str), "time": (bool, str),
    "label": (str,), "help": (str,), "nested": (str, list, dict), "options": (str, list, dict),
    "spec": (list, dict, str), "validate": (bool, dict), "mappable": (bool, dict, str),
    "editable": (bool, dict, str), "rpc": (dict,), "extension": (str, list), "schema": (dict, str, bool),
}  # fmt: skip
_WORDS: Final = {bool: "true or false", str: "a text", list: "an array", dict: "an object"}
#: Longest scope text.
MAX_SCOPE: Final = 512


def check_shapes(check: Check) -> None:
    """Groups and scopes of an app."""
    _groups(spot(check, "app", check.app.groups))
    for connection in check.app.connections.values():
        _scope(check, connection.title, connection.default_scope, "C110")
        listed = spot(check, connection.title, connection.scope_list)
        for name in listed.value if isinstance(listed.value, dict) else ():
            text = listed.at(name)
            if not isinstance(text.value, str) or not 1 <= len(text.value) <= MAX_SCOPE:
                text.say("warning", "C110", f"the description of a scope is a text of 1 to {MAX_SCOPE} characters")
    for webhook in check.app.webhooks.values():
        _scope(check, webhook.title, webhook.required_scope, "A217")
    for module in check.app.modules.values():
        _scope(check, module.title, module.scope, "A217")


def _scope(check: Check, title: str, file: CodeFile, code: str) -> None:
    whole = spot(check, title, file)
    texts: list[Any] = whole.value if isinstance(whole.value, list) else []
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_SCOPE:
            whole.at(index).say("warning", code, f"a scope is a text of 1 to {MAX_SCOPE} characters")


def _groups(whole: Spot) -> None:
    groups: list[Any] = whole.value if isinstance(whole.value, list) else []
    for index, group in enumerate(groups):
        place = whole.at(index)
        if not isinstance(group, dict):
            place.say("warning", "A217", "a group is an object with label and modules")
            continue
        if not isinstance(group.get("label"), str) or not isinstance(group.get("modules"), list):
            place.say("warning", "A217", "a group needs a label, and modules as an array of ids")
        for key in group:
            if key not in ("label", "modules"):
                place.at(key).say("warning", "A217", f'unknown key "{key[:60]}" in a group', key=True)


def check_parameter(field: Spot) -> None:
    """The keys of one parameter; its type, name and lengths are judged elsewhere."""
    value: dict[str, Any] = field.value
    for key, allowed in _CHOICES.items():
        place = field.at(key)
        if isinstance(place.value, str) and not has_iml(place.value) and place.value not in allowed:
            place.say("warning", "P315", f'{key} must not be "{place.value[:40]}"', hint=f"one of {', '.join(allowed)}")
    for key, types in _TYPES.items():
        given = value.get(key)
        # A text stands for an expression, or for an RPC.
        if given is not None and not isinstance(given, types):
            wanted = " or ".join([_WORDS[kind] for kind in types if kind is not str or len(types) == 1])
            field.at(key).say("warning", "P315", f"{key} must be {wanted or 'a text'}")
    for key in ("name", "label", "help"):
        if value.get(key) == "" and not (key == "name" and value.get("type") in ("banner", "html")):
            severity = "warning" if key == "name" else "info"
            field.at(key).say(severity, "P315", f"{key} is empty", hint="write it, or leave the key out")
    _validate(field)
    _options(field)
    nested = field.at("nested")
    if isinstance(nested.value, dict) and "store" not in nested.value and "type" not in nested.value:
        nested.say("warning", "P315", "nested as an object needs store")
    rpc = field.at("rpc")
    if isinstance(rpc.value, dict) and not isinstance(rpc.value.get("url"), str):
        rpc.say("warning", "P315", "rpc needs url", hint='write `"url": "rpc://name"`')


def _validate(field: Spot) -> None:
    validate = field.at("validate")
    for key in validate.value if isinstance(validate.value, dict) else ():
        place = validate.at(key)
        if key not in _VALIDATE:
            near = field.check.report.near(key, _VALIDATE)
            hint = f'did you mean "{near}"?' if near else f"keys: {', '.join(sorted(_VALIDATE))}"
            place.say("warning", "P316", f'unknown key "{key[:40]}" in validate', key=True, hint=hint)
        elif key in ("min", "max", "minItems", "maxItems") and not _is_number(place.value):
            place.say("warning", "P315", f"validate.{key} must be a number; it sets no limit")


def _is_number(value: Any) -> bool:
    if has_iml(value):
        return True
    if isinstance(value, str):
        return value.strip().lstrip("-").replace(".", "", 1).isdigit()
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _options(field: Spot) -> None:
    options = field.at("options")
    if isinstance(options.value, dict):
        for key in options.value:
            if key not in _OPTION_KEYS:
                near = field.check.report.near(key, _OPTION_KEYS)
                hint = f'did you mean "{near}"?' if near else ""
                options.at(key).say("info", "P316", f'unknown key "{key[:40]}" in options', key=True, hint=hint)
        named = options.value.get("value")
        options, key = options.at("store"), named if isinstance(named, str) else "value"
    else:
        key = "value"
    if str(field.value.get("type", "")).lower() != "select" or not isinstance(options.value, list):
        return
    for index, option in enumerate(options.value):
        if isinstance(option, dict) and key not in option and not isinstance(option.get("options"), (list, str)):
            options.at(index).say("warning", "P310", f"an option must have a {key}; this one is left out")
