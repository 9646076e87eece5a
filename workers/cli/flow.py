"""A blueprint's flow drawn as a tree: modules, filters in front of them, routes, branches, error routes."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.scenario.blueprint import Blueprint, Filter, Module
from runtime.values import to_text
from workers.cli.steps import shortened


def flow_lines(blueprint: Blueprint) -> list[str]:
    """The lines of the drawing, start module first."""
    return list(_flow(blueprint.flow, ""))


def _flow(flow: tuple[Module, ...], lead: str) -> Iterator[str]:
    for module in flow:
        test = _filter(module.filter)
        if test:
            yield f"{lead}│ {test}"
        label = f"  {module.label}" if module.label else ""
        yield f"{lead}{module.id}  {module.name}{label}{_extra(module)}"
        parts: list[tuple[str, tuple[Module, ...]]] = [("on error", module.onerror)] if module.onerror else []
        for index, route in enumerate(module.routes):
            words = f"route {index + 1}"
            words += " (fallback)" if index == module.fallback else ""
            parts.append((words + (" (disabled)" if route.disabled else ""), route.flow))
        for branch in module.branches:
            name = branch.label or ("else" if branch.is_else else "branch")
            test = _filter(Filter(name=name, conditions=branch.conditions)) if branch.conditions else f"[{name}]"
            words = test + (" (disabled)" if branch.disabled else "") + (" to the merge" if branch.merge else "")
            parts.append((words, branch.flow))
        for index, (words, inner) in enumerate(parts):
            last = index == len(parts) - 1
            yield f"{lead}{'└─' if last else '├─'} {words}"
            yield from _flow(inner, f"{lead}{'   ' if last else '│  '}")


def _extra(module: Module) -> str:
    extra = f"  from {module.feeder}" if module.feeder is not None else ""
    if module.flags.group_by not in (None, ""):
        extra += f" by {to_text(module.flags.group_by)}"
    return extra + (" (stops when empty)" if module.flags.stop_if_empty else "")


def _filter(test: Filter | None) -> str:
    if test is None or not any(test.conditions):
        return ""
    groups = [
        " and ".join(_condition(condition.a, condition.operator, condition.b) for condition in group)
        for group in test.conditions
        if group
    ]
    return f"[{test.name + ': ' if test.name else ''}{' or '.join(groups)}]"


def _condition(a: object, operator: str, b: object) -> str:
    left = shortened(a) if not isinstance(a, str) else a
    return f"{left} {operator}" if b is None else f"{left} {operator} {b if isinstance(b, str) else shortened(b)}"
