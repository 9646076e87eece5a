"""An app with webhooks, and a service on loopback that keeps what was registered with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import Answer, Received

#: The connection's token; no output may show it.
TOKEN = "desk-token-7Qx2"


@dataclass
class Desk:
    """
    The service: `POST /hooks` registers, `PUT` and `DELETE /hooks/ID` change and forget, `GET /tickets/ID` gives a
    ticket. What `broken` names (method and path without the id) is answered with that status.
    """

    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    #: Called with the body of a registration before it is answered.
    on_register: Callable[[dict[str, Any]], None] | None = None
    made: int = 0

    def __call__(self, request: Received) -> Answer:
        path = request.target.partition("?")[0]
        self.seen.append((request.method, path, request.header("authorization") or ""))
        place = f"{request.method} {'/'.join(path.split('/')[:2])}"
        if place in self.broken:
            return _json(self.broken[place], {"reason": f"broken for {TOKEN}"})
        name = path.rpartition("/")[2]
        body = json.loads(request.body) if request.body else {}
        if place == "POST /hooks":
            if self.on_register is not None:
                self.on_register(body)
            self.made += 1
            self.hooks[f"x{self.made}"] = body
            return _json(201, {"id": f"x{self.made}", "secret": f"sign-{self.made}-9fWq"})
        if place == "DELETE /hooks":
            return _json(200 if self.hooks.pop(name, None) is not None else 404, {})
        if place == "PUT /hooks":
            self.hooks[name] |= body
            return _json(200, {})
        if place == "GET /tickets":
            return _json(200, {"id": name, "title": f"Ticket {name}"})
        return _json(200, {"uid": "u7", "n": len(self.seen)})


def _json(status: int, value: Any) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(value).encode())


def write_hook_app(folder: Path, url: str) -> Path:
    """
    The app `desk`: webhook `ticket` (attach, detach, no update), `changed` (with update), `byhand` (not attached),
    `team` (shared, by uid); an instant trigger of each, and a responder.
    """
    files: dict[str, Any] = {
        "base": {
            "baseUrl": url,
            "headers": {"authorization": "Bearer {{connection.token}}"},
            "log": {"sanitize": ["request.headers.authorization"]},
            "response": {"error": {"message": "[{{statusCode}}] {{body.reason}}"}},
        },
        "connection": {
            "url": f"{url}/me",
            "headers": {"authorization": "Bearer {{parameters.token}}"},
            "response": {"data": {"token": "{{parameters.token}}"}, "uid": "{{body.uid}}"},
            "log": {"sanitize": ["request.headers.authorization"]},
        },
        "connection.params": [{"name": "token", "type": "password", "label": "Token", "required": True}],
        "hook.params": [
            {"name": "event", "type": "text", "label": "Event", "required": True},
            {"name": "key", "type": "password", "label": "Key"},
        ],
        "receive": {
            "verification": {
                "condition": "{{if(body.challenge, true, false)}}",
                "respond": {"body": {"challenge": "{{body.challenge}}", "hook": "{{webhook.id}}"}},
            },
            "condition": "{{parameters.event = body.event}}",
            "iterate": "{{body.tickets}}",
            "output": {"id": "{{item.id}}", "event": "{{body.event}}"},
        },
        "receive.team": {"uid": "{{body.team}}", "output": {"id": "{{body.id}}", "name": "{{parameters.event}}"}},
        "attach": {
            "url": "/hooks",
            "method": "POST",
            "body": {"url": "{{webhook.url}}", "event": "{{parameters.event}}"},
            "response": {"data": {"externalHookId": "{{body.id}}", "secret": "{{body.secret}}"}},
        },
        "detach": {"url": "/hooks/{{webhook.externalHookId}}", "method": "DELETE"},
        "update": {
            "url": "/hooks/{{webhook.externalHookId}}",
            "method": "PUT",
            "body": {"event": "{{parameters.event}}"},
        },
        "nothing": {},
        "list": [],
        "watch": {
            "url": "/tickets/{{payload.id}}",
            "response": {
                "output": {"title": "{{body.title}}", "event": "{{payload.event}}", "p": "{{parameters.event}}"}
            },
        },
        "respond": {"response": {"status": 203, "body": {"title": "{{parameters.title}}", "hook": "{{webhook.id}}"}}},
        "title": [{"name": "title", "type": "text", "label": "Title"}],
    }
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.imljson").write_text(json.dumps(content))

    def hook(kind: str = "web", receive: str = "receive", **roles: str) -> dict[str, Any]:
        code = {"communication": receive, "params": "hook.params", "requiredScope": "list"} | {
            role: roles.get(role, "nothing") for role in ("attach", "detach", "update")
        }
        return {
            "label": "Hook", "webhookType": kind, "connection": "desk",
            "codeFiles": {role: f"{file}.imljson" for role, file in code.items()},
        }  # fmt: skip

    def module(kind: str, communication: str, mappable: str = "list", **more: Any) -> dict[str, Any]:
        code = {
            "communication": communication, "staticParams": "list", "mappableParams": mappable, "interface": "list",
            "samples": "nothing",
        }  # fmt: skip
        return {
            "label": kind, "description": "", "moduleType": kind, **more,
            "codeFiles": {role: f"{file}.imljson" for role, file in code.items()},
        }  # fmt: skip

    life = {"attach": "attach", "detach": "detach"}
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.imljson"},
        "components": {
            "connection": {
                "desk": {
                    "label": "Desk", "connectionType": "basic",
                    "codeFiles": {"communication": "connection.imljson", "params": "connection.params.imljson"},
                }
            },
            "webhook": {
                "ticket": hook(**life),
                "changed": hook(update="update", **life),
                "byhand": hook(),
                "team": hook("web-shared", "receive.team"),
            },
            "module": {
                "watchTickets": module("instant_trigger", "watch", webhook="ticket"),
                "watchByHand": module("instant_trigger", "nothing", webhook="byhand"),
                "answer": module("responder", "respond", "title"),
            },
        },
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": "desk", "appVersion": 1}],
    }  # fmt: skip
    (folder / "makecomapp.json").write_text(json.dumps(manifest))
    return folder
