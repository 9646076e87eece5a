"""
JavaScript regular expressions on the `regex` package, with a time limit (spec/iml.md 7.2, 13, 13a).

A pattern is parsed and written anew; nothing of it is passed through unread. What has no exact counterpart goes to the
JavaScript engine itself, in a child process; inside such a child it is that child's own engine.
"""

from __future__ import annotations

import array
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import regex

from runtime.iml.evaluation import TEXT_PER_STEP, Evaluation, FunctionFailed
from runtime.iml.javascript.regex import RegexRefused, RegexTimedOut, js_replace
from runtime.iml.regexp_translation import Refused, Untranslatable, translate

#: Longest time that matching in one text may take, in seconds (spec/iml.md 13).
TIME_LIMIT: Final = 1.0
#: Longest pattern; a longer one is generated, not written.
MAX_PATTERN: Final = 10_000

_LITERAL: Final = re.compile(r"/(.+)/([gimsuy]*)", re.DOTALL)
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_TEMPLATE: Final = re.compile(r"\$(\$|&|[0-9]{1,2})")
#: What JavaScript understands in a replacement beyond that; `$$` stands first, so that it is not taken apart.
_BEYOND: Final = re.compile(r"\$(\$|[`'])")
#: Parts of a pattern in which no group can begin.
_NO_GROUPS: Final = re.compile(r"\\.|\[(?:[^\]\\]|\\.)*\]", re.DOTALL)
_NAMED: Final = re.compile(r"\(\?<(?![=!])")


class NotExact(FunctionFailed):
    """A pattern cannot be translated exactly; the JavaScript engine takes it."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A translated pattern. `units`: it has to run over UTF-16 units when the text has characters above U+FFFF."""

    pattern: Any
    everywhere: bool
    sticky: bool
    unicode: bool
    groups: int
    #: Groups whose content may differ from JavaScript's, because a repetition does not reset them here.
    uncertain: frozenset[int]


def as_literal(text: str) -> tuple[str, str] | None:
    """Pattern and flags of a text of the form `/pattern/flags`; None when it is a plain text."""
    match = _LITERAL.fullmatch(text)
    return None if match is None else (match[1], match[2])


def to_units(text: str) -> str:
    """A text with every character above U+FFFF as its two surrogates."""
    if not _ASTRAL.search(text):
        return text
    return "".join(map(chr, array.array("H", text.encode("utf-16-le", "surrogatepass"))))


def from_units(text: str) -> str:
    """The opposite of `to_units`."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


@lru_cache(maxsize=512)
def compile_literal(pattern: str, flags: str) -> Compiled:
    """
    Translate a pattern.

    Raises:
        NotExact: It cannot be translated exactly.
        FunctionFailed: It is no regular expression.
    """
    if len(set(flags)) != len(flags):
        raise FunctionFailed(f"Invalid regular expression flags '{flags}'")
    if len(pattern) > MAX_PATTERN:
        raise FunctionFailed(f"Invalid regular expression: longer than {MAX_PATTERN:,} characters")
    try:
        translated = translate(pattern if "u" in flags else to_units(pattern), flags)
        compiled = regex.compile(translated.source, regex.V0)
    except Untranslatable as error:
        raise NotExact(f"Invalid regular expression: /{pattern}/: {error} cannot be translated") from None
    except Refused as error:
        raise FunctionFailed(f"Invalid regular expression: /{pattern}/: {error}") from None
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError, KeyError, IndexError):
        raise NotExact(f"Invalid regular expression: /{pattern}/: it cannot be translated") from None
    return Compiled(compiled, "g" in flags, "y" in flags, "u" in flags, translated.groups, translated.uncertain)


def _replacement(template: str, compiled: Compiled) -> list[str | int]:
    """A replacement as literal texts and group numbers (0 = the whole match)."""
    parts: list[str | int] = []
    position = 0
    for match in _TEMPLATE.finditer(template):
        parts.append(template[position : match.start()])
        position, what = match.end(), match[1]
        if what == "$":
            parts.append("$")
            continue
        group, rest = (0, "") if what == "&" else (int(what), "")
        if what != "&" and len(what) == 2 and not 1 <= group <= compiled.groups:
            group, rest = int(what[0]), what[1]
        if what == "&" or 1 <= group <= compiled.groups:
            if group in compiled.uncertain:
                # A repetition resets it in JavaScript only.
                raise NotExact(f"Invalid regular expression: ${group} stands for a group that cannot be translated")
            parts += [group, rest]
        else:
            parts.append(match[0])
    parts.append(template[position:])
    return [part for part in parts if part != ""]


def replace(evaluation: Evaluation, text: str, pattern: str, flags: str, template: str) -> str:
    """
    `text.replace(/pattern/flags, template)` of ECMAScript.

    Raises:
        FunctionFailed: The pattern is invalid, or matching took longer than `TIME_LIMIT`.
        BudgetExceeded: The result is too long.
    """
    try:
        compiled = compile_literal(pattern, flags)
        parts = _replacement(template, compiled)
    except NotExact:
        if _NAMED.search(_NO_GROUPS.sub("x", pattern)):
            raise
        return _replace_in_engine(evaluation, text, pattern, flags, template)
    units = not compiled.unicode and (bool(_ASTRAL.search(text)) or bool(_ASTRAL.search(pattern)))
    subject = to_units(text) if units else text
    result: list[str] = []
    position = length = 0
    limit, started = min(TIME_LIMIT, evaluation.regex_seconds), time.monotonic()
    try:
        for match in _matches(compiled, subject, limit):
            evaluation.charge(1)
            new = "".join([part if isinstance(part, str) else match[part] or "" for part in parts])
            length += match.start() - position + len(new)
            if length > evaluation.max_text:
                evaluation.room(length)
            result += [subject[position : match.start()], new]
            position = match.end()
    except TimeoutError:
        raise FunctionFailed(f"The regular expression took longer than {limit:g} s.") from None
    except (MemoryError, RecursionError, OverflowError):
        raise FunctionFailed("The regular expression needs too much memory.") from None
    finally:
        _spend(evaluation, started)
    result.append(subject[position:])
    evaluation.room(length + len(result[-1]))
    joined = "".join(result)
    return from_units(joined) if units else joined


def _spend(evaluation: Evaluation, started: float) -> None:
    # Never zero, which would mean no limit.
    evaluation.regex_seconds = max(0.001, evaluation.regex_seconds - (time.monotonic() - started))


def _replace_in_engine(evaluation: Evaluation, text: str, pattern: str, flags: str, template: str) -> str:
    """The same by the JavaScript engine, for patterns that cannot be translated."""
    limit, started = min(TIME_LIMIT, evaluation.regex_seconds), time.monotonic()
    wanted = _BEYOND.sub(lambda match: "$$" if match[1] == "$" else f"$${match[1]}", template)
    evaluation.charge(len(text) // TEXT_PER_STEP)
    try:
        replaced = js_replace(text, pattern, flags, wanted, timedelta(seconds=limit))
    except RegexRefused as error:
        raise FunctionFailed(f"Invalid regular expression: /{pattern}/: {error.reason}") from None
    except RegexTimedOut as error:
        raise FunctionFailed(str(error)) from None
    finally:
        _spend(evaluation, started)
    evaluation.room(len(replaced))
    return replaced


def _matches(compiled: Compiled, subject: str, limit: float) -> Iterator[Any]:
    """
    The matches one after the other, as JavaScript looks for them: behind an empty one from the next character on.

    Raises:
        TimeoutError: Together they took longer than `limit` seconds.
    """
    position, until = 0, time.monotonic() + limit
    if compiled.everywhere and not compiled.sticky:
        while position <= len(subject):
            empty = -1
            for match in compiled.pattern.finditer(subject, position, timeout=max(until - time.monotonic(), 0.001)):
                if match.start() == empty:
                    break  # Python looks for a longer match behind an empty one at the same place, JavaScript does not
                yield match
                empty = match.end() if match.end() == match.start() else -1
            else:
                return
            position = empty + 1
        return
    find = compiled.pattern.match if compiled.sticky else compiled.pattern.search
    while position <= len(subject):
        # Never zero, which would mean no limit.
        match = find(subject, position, timeout=max(until - time.monotonic(), 0.001))
        if match is None:
            return
        yield match
        if not compiled.everywhere:
            return
        position = match.end() + (match.end() == match.start())
