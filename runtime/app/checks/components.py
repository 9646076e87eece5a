"""
Rules about components and what links them: RPC links, groups, functions, webhooks, common (A216, A302, C113, I603).
"""

from __future__ import annotations

import re
from typing import Any

from runtime.app.checks.connections import SECRET_NAME
from runtime.app.checks.context import Check, has_iml, may_hold, spot, strings
from runtime.app.report import listed
from runtime.app.specs import CodeFile, ConnectionSpec

_FUNCTION_NAME = re.compile(
    r"\s*(?:(?://[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)\s*)*(?:async\s+)?function\s+([A-Za-z_$][\w$]*)"
)


def check_components(check: Check) -> None:
    """All rules about components as a whole."""
    _rpc_links(check)
    _groups(check)
    _modules(check)
    _webhooks(check)
    _functions(check)
    _committed_secrets(check)


def _rpc_links(check: Check) -> None:
    app = check.app
    files: list[tuple[str, CodeFile]] = []
    for connection in app.connections.values():
        files.append((connection.title, connection.params))
    for webhook in app.webhooks.values():
        files.append((webhook.title, webhook.params))
    for module in app.modules.values():
        files += [
            (module.title, file)
            for file in (module.static_params, module.mappable_params, module.interface, module.samples)
        ]
    for rpc in app.rpcs.values():
        files.append((rpc.title, rpc.params))
    lower = {name.lower(): name for name in app.rpcs}
    for title, file in files:
        if not may_hold(file, "rpc:"):
            continue
        for text in strings(file.value):
            if text.key or not text.text.startswith("rpc://"):
                continue
            name = re.split(r"[?#/]", text.text[len("rpc://") :], maxsplit=1)[0]
            if has_iml(name) or app.local_id("rpc", name) in app.rpcs:
                continue
            if name.lower() in lower:
                severity, message = "warning", f'RPC "{name}" is written "{lower[name.lower()]}" in the app'
            else:
                severity, message = "error", f'RPC "{name[:100]}" does not exist (known: {listed(app.rpcs)})'
            near = check.report.near(name, app.rpcs)
            check.report.add(
                severity, "A302", message, document=file.document, pointer=text.pointer, component=title,
                hint=f'did you mean "{near}"?' if near else "",
            )  # fmt: skip


def _groups(check: Check) -> None:
    app = check.app
    whole = spot(check, "app", app.groups)
    if not isinstance(whole.value, list) or not whole.value:
        return
    named: set[str] = set()
    for index, group in enumerate(whole.value):
        modules = group.get("modules") if isinstance(group, dict) else None
        for position, name in enumerate(modules if isinstance(modules, list) else []):
            if not isinstance(name, str):
                continue
            local = app.local_id("module", name)
            named.add(local)
            if local not in app.modules:
                near = check.report.near(name, app.modules)
                place = whole.at(index).at("modules").at(position)
                hint = f'did you mean "{near}"?' if near else ""
                place.say(
                    "warning", "A216", f'the group names the module "{name[:60]}", which does not exist', hint=hint
                )
    for module in app.modules.values():
        if module.id not in named:
            whole.say("info", "A216", f'the module "{module.id}" is in no group; it is shown under Other')


def _modules(check: Check) -> None:
    for module in check.app.modules.values():
        whole = spot(check, module.title, module.communication)
        value: Any = whole.value
        document = module.communication.document
        if module.type == "trigger" and document is not None and not document.broken:
            items: list[Any] = value if isinstance(value, list) else [value]
            if not any(isinstance(item, dict) and _member(item, "response", "trigger") for item in items):
                whole.say(
                    "error", "M428", "a polling trigger needs response.trigger", hint="add type, order, id (and date)"
                )
        if module.type != "trigger" and module.epoch.value:
            spot(check, module.title, module.epoch).say(
                "warning", "M421", "only a polling trigger has an epoch; it is ignored"
            )
        if module.type in ("trigger", "instant_trigger") and module.mappable_params.value:
            what = "trigger" if module.type == "trigger" else "instant trigger"
            message = (
                f"nothing can be mapped in a{'n' if what[0] == 'i' else ''} {what}; mappable parameters are ignored"
            )
            spot(check, module.title, module.mappable_params).say("warning", "M421", message)
        if module.type == "responder" and module.interface.value:
            spot(check, module.title, module.interface).say("warning", "M421", "a responder has no interface")


def _member(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _webhooks(check: Check) -> None:
    for webhook in check.app.webhooks.values():
        if webhook.type != "web-shared":
            continue
        whole = spot(check, webhook.title, webhook.communication)
        if not _member(whole.value, "uid"):
            whole.say(
                "error",
                "C113",
                "a shared webhook needs uid in its communication",
                hint="say which user an event is for",
            )
        connection = check.app.connections.get(webhook.connection or "")
        if not webhook.connection:
            whole.say(
                "error", "C113", "a shared webhook needs a connection", hint="its uid is compared with the event's"
            )
        if connection and not _gives_uid(connection):
            place = spot(check, connection.title, connection.communication)
            message = f'the shared webhook "{webhook.id}" needs response.uid of its connection'
            place.say("error", "C113", message, hint="set response.uid to the user's id at the service")


def _gives_uid(connection: ConnectionSpec) -> bool:
    return any(
        text.key and text.text == "uid" and "/response" in text.pointer
        for text in strings(connection.communication.value)
    )


def _functions(check: Check) -> None:
    for function in check.app.functions.values():
        match = _FUNCTION_NAME.match(function.code or "")
        if match and match[1] != function.id:
            message = f'the source names the function "{match[1][:100]}"; IML calls it "{function.id}"'
            check.report.add("info", "I603", message, file=function.file, component=function.title)


def _committed_secrets(check: Check) -> None:
    app = check.app
    files = [("app", app.common), *[(item.title, item.common) for item in app.connections.values()]]
    for title, file in files:
        whole = spot(check, title, file)
        for name in whole.value if isinstance(whole.value, dict) else ():
            place = whole.at(name)
            if SECRET_NAME.search(name) and isinstance(place.value, str) and len(place.value) >= 6:
                message = f'"{name[:60]}" looks like a secret in a file of the app'
                place.say("warning", "C117", message, hint="leave it null and supply it from outside with --common")
