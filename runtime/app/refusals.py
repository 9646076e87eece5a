"""
What makes a component unusable although its files can be read (communication.md 2, connections.md 4).

The checker reports the same with its place; here is what counts when the component is used without a check.
"""

from __future__ import annotations

from typing import Any


def connection_refusals(kind: str, communication: Any) -> list[str]:
    """Why a connection of type `basic` or `oauth` with this communication may not be used."""
    requests: list[Any]
    if kind == "basic":
        requests = communication if isinstance(communication, list) else [communication]
    else:
        phases = communication.values() if isinstance(communication, dict) else ()
        requests = [item for phase in phases for item in (phase if isinstance(phase, list) else [phase])]
    found: list[str] = []
    if kind == "basic" and len(requests) > 1:
        found.append(f"a basic connection can perform only a single request (found {len(requests)})")
    if any(isinstance(request, dict) and "aws" in request for request in requests):
        found.append("aws is not available in a connection")
    return found


def trigger_refusals(communication: Any) -> list[str]:
    """Why a polling trigger with this communication may not be used (modules.md 1.2)."""
    requests: list[Any] = communication if isinstance(communication, list) else [communication]
    for request in requests:
        response = request.get("response") if isinstance(request, dict) else None
        if isinstance(response, dict) and response.get("trigger"):
            return []
    return ["a polling trigger needs response.trigger"]


def webhook_refusals(kind: str, communication: Any) -> list[str]:
    """Why a webhook may not be used: a shared one without `uid` cannot tell whose event it has (modules.md 5.1)."""
    if kind != "web-shared" or (isinstance(communication, dict) and communication.get("uid")):
        return []
    return ["a shared webhook needs uid in its communication"]
