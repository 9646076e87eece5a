"""
JavaScript regular expressions on the `regex` package, with a time limit (spec/iml.md 7.2, 13, 13a).

A pattern is parsed and written anew; nothing of it is passed through unread. What has no exact counterpart is refused
with a sentence that says so.
"""

from __future__ import annotations

import array
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import regex

from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.regexp_translation import Refused, translate

#: Longest time that matching in one text may take, in seconds (spec/iml.md 13).
TIME_LIMIT: Final = 1.0
#: Longest pattern; a longer one is generated, not written.
MAX_PATTERN: Final = 10_000

_LITERAL: Final = re.compile(r"/(.+)/([gimsuy]*)", re.DOTALL)
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_TEMPLATE: Final = re.compile(r"\$(\$|&|[0-9]{1,2})")


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
        FunctionFailed: It is no regular expression, or cannot be translated exactly.
    """
    if len(set(flags)) != len(flags):
        raise FunctionFailed(f"Invalid regular expression flags '{flags}'")
    if len(pattern) > MAX_PATTERN:
        raise FunctionFailed(f"Invalid regular expression: longer than {MAX_PATTERN:,} characters")
    try:
        translated = translate(pattern if "u" in flags else to_units(pattern), flags)
        compiled = regex.compile(translated.source, regex.V0 | (regex.IGNORECASE if translated.ignore_case else 0))
    except Refused as error:
        raise FunctionFailed(f"Invalid regular expression: /{pattern}/: {error}") from None
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError, KeyError, IndexError):
        raise FunctionFailed(f"Invalid regular expression: /{pattern}/: it cannot be translated") from None
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
                raise FunctionFailed(
                    f"Invalid regular expression: ${group} stands for an optional group inside a repetition, "
                    "which has no exact counterpart here"
                )
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
    compiled = compile_literal(pattern, flags)
    parts = _replacement(template, compiled)
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
        # Never zero, which would mean no limit.
        evaluation.regex_seconds = max(0.001, evaluation.regex_seconds - (time.monotonic() - started))
    result.append(subject[position:])
    evaluation.room(length + len(result[-1]))
    joined = "".join(result)
    return from_units(joined) if units else joined


def _matches(compiled: Compiled, subject: str, limit: float) -> Any:
    if not compiled.sticky:
        found = compiled.pattern.finditer(subject, timeout=limit)
        for match in found:
            yield match
            if not compiled.everywhere:
                return
        return
    position = 0
    while position <= len(subject):
        match = compiled.pattern.match(subject, position, timeout=limit)
        if match is None:
            return
        yield match
        if not compiled.everywhere:
            return
        position = match.end() + (1 if match.end() == match.start() else 0)
