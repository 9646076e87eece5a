"""
The binding table: references of a blueprint to things of the account it was exported from (spec/scenarios.md 1.4).

A connection number means nothing here; the table says which field holds which foreign id, what it was called, and what
may be bound in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from runtime.scenario.blueprint import Blueprint, Module


class BindingKind(StrEnum):
    """What a reference points to."""

    CONNECTION = "connection"
    KEYCHAIN = "keychain"
    HOOK = "hook"
    DATA_STORE = "datastore"
    DATA_STRUCTURE = "udt"
    SCENARIO = "scenario"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Binding:
    """
    One reference.

    Args:
        kind: What it points to.
        foreign_id: The id in the exporting account, a number or a text such as `SCN_12`.
        label: What it was called there, `""` when the file does not say.
        expected_types: What may be bound, for example `("google", "smtp")`; empty when the file does not say.
        module, field: The module and its key in `parameters`.
    """

    kind: BindingKind
    foreign_id: int | str
    label: str
    expected_types: tuple[str, ...]
    module: int
    field: str


#: Prefix of a field's type in `metadata.parameters` -> kind.
_TYPES: Final = {
    "account": BindingKind.CONNECTION,
    "hook": BindingKind.HOOK,
    "keychain": BindingKind.KEYCHAIN,
    "udt": BindingKind.DATA_STRUCTURE,
    "datastore": BindingKind.DATA_STORE,
    "scenario": BindingKind.SCENARIO,
    "agent": BindingKind.AGENT,
}
#: Names of fields that hold a reference, when the file does not give their type.
_FIELDS: Final = {
    "__IMTCONN__": BindingKind.CONNECTION,
    "account": BindingKind.CONNECTION,
    "oAuthAccount": BindingKind.CONNECTION,
    "makeConnectionId": BindingKind.CONNECTION,
    "key": BindingKind.KEYCHAIN,
    "auth": BindingKind.KEYCHAIN,
    "apiKeyKeychain": BindingKind.KEYCHAIN,
    "basicAuthKeychain": BindingKind.KEYCHAIN,
    "proxyKeychain": BindingKind.KEYCHAIN,
    "__IMTHOOK__": BindingKind.HOOK,
    "hook": BindingKind.HOOK,
    "datastore": BindingKind.DATA_STORE,
    "type": BindingKind.DATA_STRUCTURE,
    "scenario": BindingKind.SCENARIO,
    "agent": BindingKind.AGENT,
}
#: Apps whose field `type` is a data structure; elsewhere it is an ordinary setting.
_STRUCTURED_APPS: Final = frozenset({"json", "xml", "csv"})
#: Apps whose `key` and `auth` are keychains; elsewhere they are ordinary settings.
_KEYCHAIN_APPS: Final = frozenset({"http"})


def bindings(blueprint: Blueprint) -> list[Binding]:
    """All references of a blueprint, in order of the file."""
    found: list[Binding] = []
    for module in blueprint.modules():
        declared = _declared(module)
        for name, value in module.parameters.items():
            kind, expected = _kind(module, name, declared.get(name, ""))
            if kind is None or not _is_reference(value):
                continue
            found.append(Binding(kind, value, _label(blueprint, module, name), expected, module.id, name))
    return found


def _is_reference(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and value != "" and "{{" not in value)


def _kind(module: Module, name: str, declared: str) -> tuple[BindingKind | None, tuple[str, ...]]:
    prefix, _, rest = declared.partition(":")
    if prefix in _TYPES:
        return _TYPES[prefix], tuple(part for part in rest.split(",") if part)
    app = module.name.partition(":")[0]
    if (name == "type" and app not in _STRUCTURED_APPS) or (name in ("key", "auth") and app not in _KEYCHAIN_APPS):
        return None, ()
    if name == "scenario" and app != "scenario-service":
        return None, ()
    return _FIELDS.get(name), ()


def _declared(module: Module) -> dict[str, str]:
    """Types of the module's static fields by name, from its own snapshot."""
    fields = module.expect_parameters
    if not isinstance(fields, list):
        return {}
    return {
        field["name"]: field["type"]
        for field in fields
        if isinstance(field, dict) and isinstance(field.get("name"), str) and isinstance(field.get("type"), str)
    }


def _label(blueprint: Blueprint, module: Module, field: str) -> str:
    """`metadata.restore.parameters.<field>.label` of the module, read from the file itself."""
    place: Any = blueprint.raw
    for part in module.pointer.split("/")[1:]:
        place = place[int(part)] if isinstance(place, list) else place[part]
    for key in ("metadata", "restore", "parameters", field, "label"):
        place = place.get(key) if isinstance(place, dict) else None
    return place if isinstance(place, str) else ""
