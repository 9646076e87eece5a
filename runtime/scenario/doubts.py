"""
Doubts about a module's values: fields that a module before does not give, types that do not fit, Resume fields that
nobody reads, literals that look like credentials (spec/scenarios.md 1.7: W-REF, W-TYPE, W-RESUME-FIELDS, W-SECRET).

What modules give is known from the snapshots that the editor leaves in the file; without one nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from runtime.scenario.blueprint import Module

#: Types of target fields that take no array or collection (spec/scenarios.md 2.10).
_PLAIN: Final = frozenset({"number", "integer", "uinteger", "port", "date", "time", "timestamp"})
_TEXTS: Final = frozenset({"text", "email", "url", "path", "filename", "password"})
_LONE: Final = re.compile(r"\{\{\s*(\d{1,15})\.([A-Za-z_]\w*)\s*\}\}")
_SECRET_NAME: Final = re.compile(
    r"(?i)^(x-)?(authorization|proxy-authorization|api[-_ ]?key|apikey|access[-_ ]?token|auth[-_ ]?token|token|secret"
    r"|client[-_ ]?secret|password|passwd|private[-_ ]?key|api[-_ ]?secret)$"
)
_SECRET_VALUE: Final = re.compile(r"(?i)^(bearer|basic|token)\s+[\w.~+/=-]{12,}$|^(sk|pk|ghp|xox[abp])[-_][\w-]{16,}$")
#: Shorter values under such a name are mostly a choice or a placeholder.
_SHORTEST_SECRET: Final = 8


def interface_of(module: Module) -> dict[str, str]:
    """Names and types of a module's output fields as its snapshot tells them; empty when it tells none."""
    return _fields(module.interface)


def _fields(snapshot: Any) -> dict[str, str]:
    if not isinstance(snapshot, list):
        return {}
    fields = [cast("dict[str, Any]", item) for item in snapshot if isinstance(item, dict)]
    return {item["name"]: str(item.get("type", "any")) for item in fields if isinstance(item.get("name"), str)}


def unknown_field(target: Module, path: tuple[str | int, ...]) -> str:
    """What is wrong with a reference into a module's output, `""` when nothing is or when it cannot be known."""
    known = interface_of(target)
    if not known or not path or not isinstance(path[0], str):
        return ""
    name = path[0]
    if name in known or name.startswith("__IMT") or name == "error":
        return ""
    return f"module {target.id} gives no field {name!r}: its value is empty"


def wrong_types(module: Module, modules: Mapping[int, Module]) -> Iterator[tuple[str, str, str]]:
    """(code, message, pointer inside the module) for fields that are mapped to one value of a type that cannot fit."""
    wanted = _fields(module.expect)
    for name, value in module.mapper.items():
        found = _LONE.fullmatch(value.strip()) if isinstance(value, str) else None
        source = modules.get(int(found[1])) if found else None
        if found is None or source is None:
            continue
        given, takes = interface_of(source).get(found[2], ""), wanted.get(name, "")
        if (given in ("array", "collection") and takes in _PLAIN) or (given == "collection" and takes in _TEXTS):
            yield (
                "W-TYPE",
                f"{name!r} takes a {takes}; {found[2]!r} of module {source.id} is {_article(given)}",
                f"/mapper/{name}",
            )


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def resume_fields(resume: Module, failed: Module) -> Iterator[tuple[str, str, str]]:
    """(code, message, pointer inside the Resume) for fields of a substitute that the failed module never gives."""
    known = interface_of(failed)
    for name in resume.mapper if known else ():
        if name not in known and not name.startswith("__IMT"):
            yield "W-RESUME-FIELDS", f"module {failed.id} never gives the field {name!r}", f"/mapper/{name}"


def secrets(module: Module) -> Iterator[tuple[str, str, str]]:
    """(code, message, pointer inside the module) for literals that look like credentials; the value is not repeated."""
    pending: list[tuple[str, str, Any]] = [
        (f"/{place}", "", values) for place, values in (("mapper", module.mapper), ("parameters", module.parameters))
    ]
    while pending:
        pointer, name, value = pending.pop(0)
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value)
            label = next((items[key] for key in ("name", "key") if isinstance(items.get(key), str)), "")
            for key, member in items.items():
                pending.append((f"{pointer}/{key}", label if key == "value" and label else key, member))
        elif isinstance(value, list):
            pending += [(f"{pointer}/{index}", name, member) for index, member in enumerate(cast("list[Any]", value))]
        elif isinstance(value, str) and "{{" not in value:
            text = value.strip()
            named = _SECRET_NAME.match(name) and len(text) >= _SHORTEST_SECRET
            if named or _SECRET_VALUE.match(text):
                yield "W-SECRET", "a literal that looks like a credential; use a connection for it", pointer
