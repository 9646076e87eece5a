"""
Good practice (B7xx): nothing is wrong, and an app without these findings is nicer to use.

Said in a strict check, and where `scenarist.toml` gives a code a severity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.app.checks.context import Check, spot
from runtime.app.specs import Component, ModuleSpec


def check_practices(check: Check) -> None:
    """All rules of good practice."""
    app = check.app
    for module in app.modules.values():
        _module(check, module)
    universal = any(module.type == "universal" for module in app.modules.values())
    if check.says("B705") and app.modules and not universal:
        message = "the app has no universal module: what it does not cover cannot be called"
        check.report.add("info", "B705", message, file=app.base.file, component="app", hint="add Make an API Call")
    _labels(check, "module", [(module, module.communication.file) for module in app.modules.values()])
    _labels(check, "connection", [(item, item.communication.file) for item in app.connections.values()])


def _labels(check: Check, kind: str, components: Sequence[tuple[Component, str]]) -> None:
    """B703, B704: labels that are ids, and labels that stand twice."""
    first: dict[str, str] = {}
    for component, file in components:
        label, title = component.label, component.title
        if check.says("B703") and label == component.id:
            hint = "write a label for people"
            check.report.add(
                "info", "B703", f'the label "{label[:60]}" is the id', file=file, component=title, hint=hint
            )
        other = first.setdefault(label.lower(), component.id)
        if check.says("B704") and other != component.id:
            message = f'has the label of {kind} "{other}"'
            check.report.add("warning", "B704", message, file=file, component=title, hint="tell them apart")


def _module(check: Check, module: ModuleSpec) -> None:
    value: Any = module.communication.value
    if module.type in ("action", "search", "trigger", "instant_trigger") and value:
        whole = spot(check, module.title, module.communication)
        if not module.interface.value:
            if check.says("B701"):
                message = "the module has no interface: its output cannot be mapped before a first run"
                whole.say("info", "B701", message)
        elif not module.samples.value and check.says("B702"):
            whole.say("info", "B702", "the module has no samples")
    items: Any = module.mappable_params.value
    if module.type == "search" and check.says("B706") and isinstance(items, list) and items:
        names = [item.get("name") if isinstance(item, dict) else "limit" for item in items]
        if "limit" not in names:
            spot(check, module.title, module.mappable_params).say(
                "info", "B706", "the search has no parameter limit", hint="add one of type uinteger with a default"
            )
