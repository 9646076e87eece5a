"""
A module's output against its interface: a hint for authors, never an error (spec/modules.md 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from runtime.parameters import Field, RpcReference, parse_fields

#: Bundles that are looked at: later ones of a long search rarely have other fields.
MOST_BUNDLES: Final = 1000
#: Names that are told at most, so that a free-form answer does not fill the screen.
MOST_NAMES: Final = 50


def compare(interface: Any, bundles: Iterable[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Paths of fields that the bundles have and the interface does not name, and declared top-level fields that no bundle
    has. An interface that an RPC makes, or none at all, says nothing.
    """
    fields = parse_fields(interface)
    if not fields or any(isinstance(item, RpcReference) for item in fields):
        return (), ()
    undeclared: dict[str, None] = {}
    seen: set[str] = set()
    count = 0
    for count, bundle in enumerate(bundles, 1):
        if count > MOST_BUNDLES or not isinstance(bundle, dict):
            break
        seen |= bundle.keys()
        if len(undeclared) < MOST_NAMES:
            undeclared.update(dict.fromkeys(_undeclared(bundle, fields, "")))
    own = [name for name in undeclared if not name.startswith("__IMT")]
    missing = [item.name for item in fields if isinstance(item, Field) and not item.visual and item.name not in seen]
    return tuple(own[:MOST_NAMES]), tuple(missing[:MOST_NAMES]) if count else ()


def _undeclared(value: Mapping[str, Any], fields: Iterable[Field | RpcReference], path: str) -> Iterator[str]:
    known = {item.name: item for item in fields if isinstance(item, Field)}
    for name, member in value.items():
        item = known.get(name)
        if item is None:
            yield path + name
            continue
        below = item.spec or (item.element.spec if item.element is not None else ())
        if not below or any(isinstance(part, RpcReference) for part in below):
            # A collection or array of unknown content.
            continue
        for element in member if isinstance(member, list) else [member]:
            if isinstance(element, dict):
                yield from _undeclared(element, below, f"{path}{name}{'[]' if isinstance(member, list) else ''}.")
