"""
Values in and out of `scenarist iml`: JSON with the marks of the IML test notation (spec/iml.md 15).

`{"$date": "ISO"}`, `{"$buffer": "base64"}`, `{"$undefined": true}`, `{"$number": "NaN"}`. This is not the stored form
of bundles: here a buffer carries its bytes, and undefined can be written down.
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import datetime
from typing import Any, cast

from runtime.errors import UsageError
from runtime.values import UNDEFINED, Buffer, date_text

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def read(data: Any) -> Any:
    """
    The value that JSON data in this notation stand for.

    Raises:
        UsageError: A mark is malformed.
    """
    if isinstance(data, list):
        return [read(item) for item in cast("list[Any]", data)]
    if not isinstance(data, dict):
        return data
    members = cast("dict[str, Any]", data)
    if len(members) == 1:
        ((mark, content),) = members.items()
        if mark == "$date":
            return _date(content)
        if mark == "$buffer":
            return _buffer(content)
        if mark == "$undefined":
            return UNDEFINED
        if mark == "$number" and content in _NUMBERS:
            return _NUMBERS[content]
    return {key: read(member) for key, member in members.items()}


def _date(content: Any) -> datetime:
    from runtime.dates import parse_date_text

    date = parse_date_text(content, "UTC") if isinstance(content, str) else None
    if date is None:
        raise UsageError(f'{{"$date": {content!r}}} is no date; write it as "2026-01-31T12:00:00.000Z"')
    return date


def _buffer(content: Any) -> Buffer:
    try:
        return Buffer(base64.b64decode(content, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise UsageError('{"$buffer": ...} takes base64 text') from None


def write(value: Any) -> Any:
    """A value as JSON data in this notation."""
    if isinstance(value, dict):
        return {key: write(member) for key, member in cast("dict[str, Any]", value).items() if member is not UNDEFINED}
    if isinstance(value, list):
        return [write(item) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return {"$date": date_text(value)}
    if isinstance(value, Buffer):
        return {"$buffer": base64.b64encode(value.data).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if value is None or isinstance(value, (int, float)):
        return value
    return {"$undefined": True} if value is UNDEFINED else None
