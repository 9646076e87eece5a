"""
Values on their way into the JavaScript engine and back, as JSON text.

What JSON lacks is a collection of one key `$` with a list: `["date", milliseconds]`, `["buffer", base64]`,
`["undefined"]`, `["number", "NaN"]`. A collection of the user that holds a key `$` is wrapped as
`["object", {...}]`, so data can never forge one of these. `values.js` is the other side.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime
from typing import Any

from runtime.values import ERASE, UNDEFINED, Buffer, from_milliseconds, milliseconds

#: The only key of a marked value.
MARK = "$"
#: Integers beyond this are doubles in JavaScript.
MAX_EXACT_INTEGER = 2**53


class MalformedValue(ValueError):  # noqa: N818  the text of a person's error is made elsewhere
    """A text is not the JSON form of a value."""


def encode(value: object) -> str:
    """
    The ASCII JSON text of one value.

    Raises:
        RecursionError: The value is nested too deeply.
        TypeError: It holds something that is no value of the language.
    """
    return json.dumps(_marked(value), separators=(",", ":"), allow_nan=False)


def decode(text: str | bytes) -> Any:
    """
    The value of such a text. An undefined member is dropped from its collection and is null in a list.

    Raises:
        MalformedValue: The text is no JSON, or a mark in it has no meaning.
    """
    try:
        plain = json.loads(text)
        marked = b'"$":' in text if isinstance(text, bytes) else '"$":' in text
        return _unmarked(plain) if marked else plain
    except (ValueError, RecursionError, OverflowError) as error:
        raise MalformedValue(str(error)) from error


def decode_arguments(text: str) -> list[Any]:
    """
    The values of a JSON list of arguments; other than in a list of values, an undefined one stays undefined.

    Raises:
        MalformedValue: As `decode`.
    """
    try:
        return [_unmarked(item) for item in json.loads(text)]
    except (ValueError, RecursionError, OverflowError) as error:
        raise MalformedValue(str(error)) from error


def _number(value: int | float) -> Any:
    if isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if isinstance(value, float) and value - value != 0:
        return {MARK: ["number", "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"]}
    return value


def _marked(value: object) -> Any:
    if value is None or value is ERASE:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, dict):
        members = {key: _marked(member) for key, member in value.items()}
        return {MARK: ["object", members]} if MARK in members else members
    if isinstance(value, (list, tuple)):
        return [_marked(item) for item in value]
    if value is UNDEFINED:
        return {MARK: ["undefined"]}
    if isinstance(value, datetime):
        return {MARK: ["date", milliseconds(value)]}
    if isinstance(value, Buffer):
        return {MARK: ["buffer", base64.b64encode(value.data).decode("ascii")]}
    raise TypeError(f"{type(value).__name__} is no value of the expression language")


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        items = [_unmarked(item) for item in value]
        return [None if item is UNDEFINED else item for item in items]
    if not isinstance(value, dict):
        return value
    if MARK not in value:
        return _members(value)
    match value[MARK]:
        case ["undefined"]:
            return UNDEFINED
        case ["date", int() | float() as instant]:
            return from_milliseconds(instant)
        case ["buffer", str() as data]:
            return Buffer(base64.b64decode(data, validate=True))
        case ["number", "NaN" | "Infinity" | "-Infinity" as name]:
            return float(name)
        case ["object", dict() as members]:
            return _members(members)
        case _:
            raise MalformedValue("unknown mark")


def _members(value: dict[str, Any]) -> dict[str, Any]:
    members = {key: _unmarked(member) for key, member in value.items()}
    return {key: member for key, member in members.items() if member is not UNDEFINED}
