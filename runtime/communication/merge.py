"""
Base inheritance: one request of a component over the Base of its app, as raw JSON and before any evaluation.

Source: spec/communication.md section 7; the epoch overrides are spec/modules.md 1.6.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = "dict[str, Any]"

#: The key whose value's entries are inserted at its place.
SPREAD: Final = "{{...}}"
#: Directives of Base that stay with Base: they have no meaning for, or would change the nature of, another request.
NOT_INHERITED: Final = frozenset({"url", "repeat", "baseUrl", "temp", "oauthVersion"})
_MERGED: Final = frozenset({"oauth", "aws", "digest", "pagination"})


def merge_base(base: Json, request: Json) -> Json:
    """
    One request spec with everything that it inherits. `temp` and `response.temp` of Base are not merged here: they
    are evaluated one after the other, see `RequestPlan`.
    """
    merged = {key: value for key, value in base.items() if key not in NOT_INHERITED}
    for key, value in request.items():
        if key not in merged:
            merged[key] = value
        elif key == "headers":
            merged[key] = merge_fields(merged[key], value, ignore_case=True)
        elif key == "qs":
            merged[key] = merge_fields(merged[key], value)
        elif key == "body":
            merged[key] = merge_body(merged[key], value)
        elif key == "response":
            merged[key] = _merge_response(merged[key], value)
        elif key == "log":
            merged[key] = merge_log(merged[key], value)
        elif key in _MERGED and isinstance(value, dict) and isinstance(merged[key], dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def merge_fields(base: Any, own: Any, *, ignore_case: bool = False) -> Any:
    """
    `headers` or `qs`: key by key, the own value on the place that Base has given. One IML string replaces Base
    completely; an empty object does not clear it.
    """
    if not isinstance(own, dict):
        return base if own is None else own
    if isinstance(base, str):
        # The whole Base part is one expression: spread it, so that the own keys can override single entries.
        return {SPREAD: base, **own}
    if not isinstance(base, dict):
        return own
    merged = dict(base)
    places = {key.lower(): key for key in merged} if ignore_case else {}
    for key, value in own.items():
        merged[places.get(key.lower(), key)] = value
    return merged


def merge_body(base: Any, own: Any) -> Any:
    """`body`: two objects merge by their first level, else the own one wins."""
    if isinstance(base, dict) and isinstance(own, dict):
        return {**base, **own}
    return own


def merge_log(base: Any, own: Any) -> Any:
    """`log`: the union of both lists of `sanitize`, so that no path is ever lost."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own if isinstance(own, dict) else base
    lists = [part["sanitize"] for part in (base, own) if isinstance(part.get("sanitize"), list)]
    if not lists:
        return {**base, **own}
    return {**base, **own, "sanitize": list(dict.fromkeys(path for paths in lists for path in paths if path))}


def _merge_response(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    merged = {key: value for key, value in base.items() if key != "temp"}
    for key, value in own.items():
        if key == "error":
            merged[key] = deep_merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def deep_merge(base: Any, own: Any) -> Any:
    """Objects merged key by key at every level; everything else is replaced."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    merged = dict(base)
    for key, value in own.items():
        merged[key] = deep_merge(merged[key], value) if key in merged else value
    return merged


def merge_epoch(communication: Any, epoch: Any) -> Any:
    """
    The communication that lists start points: `epoch` merged over the trigger's own one, in an array over the element
    that holds `response.trigger`. A limit of the trigger is not taken over.
    """
    if not isinstance(epoch, dict):
        return communication
    if isinstance(communication, list):
        holders = [index for index, item in enumerate(communication) if _has_trigger(item)]
        target = holders[-1] if holders else len(communication) - 1
        return [
            _merge_epoch_request(item, epoch) if index == target else item for index, item in enumerate(communication)
        ]
    return _merge_epoch_request(communication, epoch)


def _has_trigger(request: Any) -> bool:
    return isinstance(request, dict) and isinstance(request.get("response"), dict) and "trigger" in request["response"]


def _merge_epoch_request(request: Any, epoch: Json) -> Any:
    merged = deep_merge(request, epoch)
    response, own = merged.get("response"), epoch.get("response")
    if isinstance(response, dict) and not (isinstance(own, dict) and "limit" in own):
        merged["response"] = {key: value for key, value in response.items() if key != "limit"}
    return merged
