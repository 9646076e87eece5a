"""How a redacted exchange (spec/communication.md 21) is shown to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.cli.steps import shortened


def request_line(exchange: Mapping[str, Any]) -> str:
    """`GET http://host/path -> 200, 12 ms` of one exchange record."""
    request: Mapping[str, Any] = exchange.get("request") or {}
    response: Mapping[str, Any] = exchange.get("response") or {}
    line = f"{request.get('method', '?')} {request.get('url') or _address(request)}"
    if response.get("statusCode") is not None:
        line += f" -> {response['statusCode']}"
    error = exchange.get("error")
    if isinstance(error, Mapping):
        line += f" -> {error.get('type')}: {error.get('message')}"
    elapsed = exchange.get("ms", exchange.get("elapsed_ms"))
    return line if elapsed is None else f"{line}, {float(elapsed):.0f} ms"


def _address(request: Mapping[str, Any]) -> str:
    return f"{request.get('host', '')}{request.get('path', '')}"


def exchange_lines(exchange: Mapping[str, Any]) -> list[str]:
    """The request line, then the headers and bodies that may be shown."""
    lines = [request_line(exchange)]
    if source := exchange.get("source"):
        page, repeat = exchange.get("page", 1), exchange.get("repeat", 0)
        steps = [f"page {page}"] if page > 1 else []
        steps += [f"repetition {repeat}"] if repeat else []
        lines.append("    ".join(["", f"at {source}", *steps]))
    for side in ("request", "response"):
        part: Mapping[str, Any] = exchange.get(side) or {}
        for name, value in dict(part.get("headers") or {}).items():
            lines.append(f"    {'>' if side == 'request' else '<'} {name}: {value}")
        if part.get("body") not in (None, ""):
            lines.append(f"    {'>' if side == 'request' else '<'} {shortened(part['body'])}")
    return lines
