"""What a command needs to know about an app's parameters: which are secret, which take JSON, which to ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.parameters import Field
from runtime.parameters.fields import SECRET_TYPES, Fields
from workers.cli import output
from workers.cli.arguments import as_json_values, ask, pairs, read_object

#: Types whose value on the command line is JSON.
STRUCTURED_TYPES = frozenset({"array", "collection", "filter", "any"})


@dataclass(frozen=True, slots=True)
class Names:
    """Names of parameters: all, those that are secret or hold a secret, those that take JSON."""

    all: frozenset[str]
    secret: frozenset[str]
    structured: frozenset[str]


def names_of(fields: Fields) -> Names:
    """The names in a list of parameters, nested ones included, since those are given at the same level."""
    found = list(_level(fields))
    return Names(
        all=frozenset(item.name for item in found),
        secret=frozenset(item.name for item in found if _holds_secret(item)),
        structured=frozenset(item.name for item in found if item.type in STRUCTURED_TYPES - {"any"} or item.multiple),
    )


def _level(fields: Fields) -> Iterator[Field]:
    for item in fields:
        if isinstance(item, Field) and not item.visual:
            yield item
            yield from _level(item.nested)
            yield from _level(item.options.nested)
            yield from _level(item.options.placeholder_nested)
            for option in item.options.items:
                yield from _level(option.nested or ())


def _holds_secret(item: Field) -> bool:
    inside = (*item.spec, *((item.element,) if item.element else ()))
    return item.type in SECRET_TYPES or any(isinstance(part, Field) and _holds_secret(part) for part in inside)


def given_parameters(
    file: str | None, given: list[str] | None, names: Names, *, option: str = "--param"
) -> dict[str, Any]:
    """
    Parameters from `--params FILE|-` and `--param NAME=VALUE`, the latter winning. Secrets among them are registered.

    Raises:
        UsageError: A file or a pair cannot be used, or a secret is an argument.
    """
    from runtime.codec import unmark_given

    values: dict[str, Any] = unmark_given(read_object(file)) if file else {}
    values |= as_json_values(
        pairs(given, option=option, secret=names.secret), structured=names.structured, option=option
    )
    keep_secrets(values, names)
    return values


def keep_secrets(values: Mapping[str, Any], names: Names) -> None:
    """Register the secrets among parameters, so that nothing prints them."""
    for name in names.secret & values.keys():
        output.secrets().add(values[name])


def ask_missing(fields: Fields, values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The values and what a person answers for the rest: required parameters, and secrets, which may be left empty when
    they are optional.

    Raises:
        UsageError: A required one is missing and there is no terminal.
    """
    import sys

    complete = dict(values)
    for item in fields:
        if not isinstance(item, Field) or item.visual or item.name in complete or item.has_default:
            continue
        hidden = item.type in SECRET_TYPES
        if item.required or (hidden and sys.stdin.isatty()):
            answer = ask(item.label or item.name, hidden=hidden)
            if answer or item.required:
                complete[item.name] = answer
    return complete
