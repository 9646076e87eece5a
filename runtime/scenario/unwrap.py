"""
From what people have on disk to one inner object: the wrappings of spec/scenarios.md 1.1.

Reads untrusted bytes: size and nesting are limited before anything else, and every fault is a finding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

from runtime.scenario.findings import BlueprintFinding, severity

#: Largest blueprint in bytes, and the size that only warns (spec/scenarios.md 1.1).
MAX_BYTES: Final = 5 * 1024 * 1024
WARN_BYTES: Final = 3 * 1024 * 1024
#: Deepest nesting of lists and objects. Real files stay under 40; the interpreter's own limit is far above this one.
MAX_DEPTH: Final = 200


@dataclass(slots=True)
class Unwrapped:
    """The inner object (None when there is none), the schedule beside it, what was found on the way."""

    blueprint: dict[str, Any] | None
    scheduling: dict[str, Any] | None = None
    findings: list[BlueprintFinding] = field(default_factory=list[BlueprintFinding])


def unwrap(raw: bytes | str) -> Unwrapped:
    """Parse a file and unwrap it to `{name, flow, metadata, ...}`. Never raises; a fault is E-JSON or E-SHAPE."""
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        return _refused("E-JSON", f"the file has {size} bytes; a blueprint has at most {MAX_BYTES}")
    result = Unwrapped(None)
    if size > WARN_BYTES:
        result.findings.append(BlueprintFinding("warning", "W-SIZE", f"the file has {size} bytes; 3 MB is a lot"))
    try:
        value = _parse(raw)
    except (ValueError, RecursionError) as error:
        return _refused("E-JSON", f"the file is not JSON: {error}")
    if not _shallow(value):
        return _refused("E-JSON", f"the file is nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        return _refused("E-JSON", "the file holds no JSON object; a blueprint is an object with a list `flow`")
    _inner(cast("dict[str, Any]", value), result)
    if result.blueprint is None or not isinstance(result.blueprint.get("flow"), list):
        result.blueprint = None
        result.findings.append(_error("E-JSON", "no list `flow` was found in the file"))
    return result


def _error(code: str, message: str) -> BlueprintFinding:
    return BlueprintFinding(severity(code), code, message)


def _refused(code: str, message: str) -> Unwrapped:
    return Unwrapped(None, None, [_error(code, message)])


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _parse(raw: bytes | str) -> Any:
    """
    The JSON value of a text, a byte-order mark dropped.

    Raises:
        ValueError: It is not JSON or not UTF-8.
    """
    text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    return json.loads(text, parse_constant=_constant)


def _shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                following.extend(cast("dict[str, Any]", item).values())
            elif isinstance(item, list):
                following.extend(cast("list[Any]", item))
        level = [item for item in following if isinstance(item, (dict, list))]
        if not level:
            return True
    return False


def _json_text(value: Any) -> Any:
    """A value that may be JSON text inside JSON; anything else as it is."""
    if isinstance(value, str):
        try:
            parsed = _parse(value)
        except (ValueError, RecursionError):
            return None
        return parsed if _shallow(parsed) else None
    return value


def _inner(value: dict[str, Any], result: Unwrapped) -> None:
    scheduling: Any = None
    for _ in range(4):  # {code, response: {blueprint: "text"}} is the deepest wrapping seen
        if scheduling is None:
            scheduling = _json_text(value.get("scheduling"))
        if isinstance(value.get("flow"), list):
            break
        following = _json_text(value.get("blueprint"))
        if not isinstance(following, dict):
            following = value.get("response")
        if not isinstance(following, dict):
            break
        value = following
    subflows = value.get("subflows")
    if "flow" not in value and isinstance(subflows, list) and subflows and isinstance(subflows[0], dict):
        if len(subflows) > 1:
            message = f"only the first of {len(subflows)} copied flows is taken"
            result.findings.append(BlueprintFinding("warning", "W-ALIAS", message, pointer="/subflows"))
        rest = {key: item for key, item in value.items() if key != "subflows"}
        value = {**rest, "flow": subflows[0].get("flow")}
    metadata = value.get("metadata")
    if scheduling is None and isinstance(metadata, dict):
        scheduling = _json_text(metadata.get("scheduling"))
    result.blueprint = value
    result.scheduling = scheduling if isinstance(scheduling, dict) else None
