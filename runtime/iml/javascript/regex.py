"""
Regular expressions in the real JavaScript dialect: named groups, look-behind, sticky and the rest.

For patterns whose translation to Python would not be exact, and for the text parser app (spec/iml.md 7.2 and 13,
spec/scenarios.md 4.9). Patterns and texts are untrusted: they run in a child process with a time limit.
`evaluate_here` is for the child itself: there the engine is at hand, and no process may be started.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias, TypedDict

from runtime.errors import ImlError
from runtime.iml.javascript.host import FunctionHost, function_host
from runtime.iml.javascript.pool import Answer, ChildFailed, ChildTimedOut
from runtime.iml.javascript.values import MalformedValue, decode, encode

#: Answers a request of `child.py` of the kinds `match` and `replace`: (request, text as JSON) -> (meta, body).
Evaluate: TypeAlias = Callable[[dict[str, Any], str], tuple[dict[str, Any], bytes]]
#: Time of one regular expression (spec/iml.md 13).
REGEX_TIMEOUT = timedelta(seconds=1)


class RegexRefused(ImlError):  # noqa: N818  named like the module's other error
    """The pattern or its flags are no JavaScript regular expression; `reason` is the engine's sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid regular expression: {reason}")
        self.reason = reason


class RegexTimedOut(ImlError):  # noqa: N818  as above
    """The time limit was over before the pattern had decided, or its results outgrew the memory."""


class JsMatch(TypedDict):
    """One match. Positions count UTF-16 units; a group that took no part is None; `groups[0]` is `$1`."""

    index: int
    match: str
    groups: list[str | None]
    named: dict[str, str | None]


def js_matches(
    text: str,
    pattern: str,
    flags: str = "",
    *,
    limit: int | None = None,
    timeout: timedelta = REGEX_TIMEOUT,
    host: FunctionHost | None = None,
) -> list[JsMatch]:
    """
    The matches of a pattern in a text: all of them with the flag `g` (at most `limit`), else the first or none.

    A match of length zero is followed by a search one character further on, so there is no endless loop.

    Raises:
        RegexRefused: Invalid pattern or flags.
        RegexTimedOut: Time or memory is over.
    """
    meta = {"op": "match", "pattern": encode(pattern), "flags": flags, "limit": limit}
    found: list[tuple[int, str, list[str | None], list[tuple[str, str | None]]]] = _ask(meta, text, timeout, host)
    return [
        {"index": index, "match": match, "groups": groups, "named": dict(named)}
        for index, match, groups, named in found
    ]


def js_replace(
    text: str,
    pattern: str,
    flags: str,
    replacement: str,
    timeout: timedelta = REGEX_TIMEOUT,
    *,
    host: FunctionHost | None = None,
) -> str:
    """
    `text.replace(new RegExp(pattern, flags), replacement)`: `$1`, `$&`, `$<name>`, `$$` in the replacement work.

    Raises:
        RegexRefused: Invalid pattern or flags.
        RegexTimedOut: Time or memory is over.
    """
    meta = {"op": "replace", "pattern": encode(pattern), "flags": flags, "replacement": encode(replacement)}
    return _ask(meta, text, timeout, host)


#: Inside a child process there is no pool: it evaluates by itself, for built-in functions that a script calls.
_here: list[Evaluate] = []


def evaluate_here(evaluate: Evaluate) -> None:
    """Make this process answer requests by itself. For the child process."""
    _here[:] = [evaluate]


def _ask(meta: dict[str, Any], text: str, timeout: timedelta, host: FunctionHost | None) -> Any:
    body = encode(text)
    try:
        if _here:
            answer = Answer(*_here[0]({**meta, "seconds": timeout.total_seconds()}, body))
        else:
            answer = (host or function_host()).pool.call_plain(meta, body.encode("ascii"), timeout=timeout)
    except ChildTimedOut as error:
        raise RegexTimedOut("The regular expression took too long.") from error
    except ChildFailed as error:
        raise RegexTimedOut(f"The regular expression could not be evaluated: {error}") from error
    match answer.meta.get("kind"):
        case "time":
            raise RegexTimedOut("The regular expression took too long.")
        case "memory":
            raise RegexTimedOut("The results of the regular expression are too large.")
        case _ if "error" in answer.meta:
            raise RegexRefused(str(answer.meta["error"]))
        case _:
            pass
    try:
        return decode(answer.body)
    except MalformedValue as error:
        raise RegexTimedOut(f"The results of the regular expression cannot be read: {error}") from error
