"""ECMAScript regular expression syntax, parsed and written anew for the `regex` package (spec/iml.md 13a)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_DIGIT: Final = "0-9"
_WORD: Final = "A-Za-z0-9_"
_SPACE: Final = r"\t\n\x0b\x0c\r\x20\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_CLASS_ESCAPES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_LINE_ENDS: Final = r"\n\r\u2028\u2029"
_CONTROL: Final = {"n": 10, "r": 13, "t": 9, "v": 11, "f": 12}
_QUANTIFIER: Final = re.compile(r"([*+?]|\{(\d+)(?:(,)(\d*))?\})(\?)?", re.ASCII)
_PROPERTY: Final = re.compile(r"\{([A-Za-z_]+)\}")
#: Groups of categories -> the letters that may follow; other properties are known to the two engines differently.
_CATEGORIES: Final = {"L": "ultmo", "M": "nce", "N": "dlo", "P": "cdseifo", "S": "mcko", "Z": "slp"}
_SYNTAX_CHARACTERS: Final = frozenset("^$\\.*+?()[]{}|/")
#: Largest count of a repetition; the package has no use for more, JavaScript reads more as infinity.
_MAX_COUNT: Final = 1_000_000


class Refused(Exception):  # noqa: N818  it never leaves the package: it becomes a FunctionFailed
    """The pattern is invalid; the text says why."""


class Untranslatable(Refused):
    """The pattern has no exact counterpart; whether it is valid, the JavaScript engine says."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The new source, and what is known about its groups."""

    source: str
    groups: int
    uncertain: frozenset[int]


@dataclass(slots=True)
class _Group:
    """
    A group while it is open: where its source starts, which captures it holds, whether parts of it are optional.
    `width` is the least number of characters that its current alternative takes, `narrowest` of those before.
    """

    opening: str
    start: int
    capture: int = 0
    captures: list[int] = field(default_factory=list[int])
    optional: set[int] = field(default_factory=set[int])
    alternatives: bool = False
    lookahead: bool = False
    width: int = 0
    narrowest: int | None = None

    @property
    def least(self) -> int:
        """The least number of characters that the whole group takes."""
        if self.lookahead:
            return 0
        return self.width if self.narrowest is None else min(self.width, self.narrowest)


def escaped(code: int) -> str:
    """One character as an escape that means the same inside and outside a class."""
    character = chr(code)
    if character.isascii() and (character.isalnum() or character == "_"):
        return character
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def canonical(code: int) -> int:
    """ECMAScript's Canonicalize without the flag `u`: the upper case form when it is one character of the same kind."""
    upper = chr(code).upper()
    if len(upper) != 1 or (code >= 128 and ord(upper) < 128):
        return code
    return ord(upper)


@lru_cache(maxsize=1)
def _folds() -> dict[int, tuple[int, ...]]:
    """All characters below U+10000 that share a canonical form with another one."""
    groups: dict[int, list[int]] = {}
    for code in range(0x10000):
        groups.setdefault(canonical(code), []).append(code)
    return {code: tuple(codes) for codes in groups.values() if len(codes) > 1 for code in codes}


class _Translator:
    def __init__(self, source: str, flags: str) -> None:
        self.source = source
        self.position = 0
        self.unicode = "u" in flags
        self.fold = "i" in flags
        self.multiline = "m" in flags
        self.dot_all = "s" in flags
        self.out: list[str] = []
        self.groups: list[_Group] = []
        self.total = self._count_groups()
        self.seen = 0
        self.uncertain: set[int] = set()
        self.used: set[int] = set()
        #: Where the last term starts in `out`; -1 when there is nothing to repeat.
        self.term = -1
        #: The least number of characters that the last term takes.
        self.width = 0
        self.closed: _Group | None = None

    def _count_groups(self) -> int:
        stripped = re.sub(r"\\.|\[(?:[^\]\\]|\\.)*\]", "x", self.source, flags=re.DOTALL)
        return len(re.findall(r"\((?!\?)", stripped))

    def run(self) -> Translation:
        self.groups.append(_Group("", 0))
        while self.position < len(self.source):
            self.step(self.source[self.position])
        if len(self.groups) > 1:
            raise Refused("a group is not closed")
        broken = self.used & self.uncertain
        if broken:
            raise Untranslatable(f"\\{min(broken)} refers to an optional group inside a repetition")
        return Translation("".join(self.out), self.total, frozenset(self.uncertain))

    def emit(self, text: str, *, repeatable: bool = True, width: int = 1) -> None:
        self.term = len(self.out) if repeatable else -1
        self.closed = None
        self.width = width if repeatable else 0
        if self.groups:
            self.groups[-1].width += self.width
        self.out.append(text)

    def step(self, character: str) -> None:
        if character == "\\":
            self.position += 1
            return self.escape()
        if character in "*+?{":
            match = _QUANTIFIER.match(self.source, self.position)
            if match is not None:
                return self.quantifier(match)
            if self.unicode:
                raise Refused("nothing to repeat")
        self.position += 1
        if character == "(":
            return self.open_group()
        if character == ")":
            return self.close_group()
        if character == "[":
            return self.character_class()
        if character == "|":
            group = self.groups[-1]
            group.alternatives = True
            group.narrowest, group.width = group.least, 0
            return self.emit("|", repeatable=False)
        if character == "^":
            return self.emit(rf"(?:\A|(?<=[{_LINE_ENDS}]))" if self.multiline else r"\A", repeatable=False)
        if character == "$":
            return self.emit(rf"(?=[{_LINE_ENDS}]|\Z)" if self.multiline else r"\Z", repeatable=False)
        if character == ".":
            return self.emit("(?s:.)" if self.dot_all else f"[^{_LINE_ENDS}]")
        if self.unicode and character in "]}":
            raise Refused(f"lone '{character}'")
        return self.literal(ord(character))

    def literal(self, code: int) -> None:
        same = _folds().get(code) if self.fold and code < 0x10000 else None
        if same:
            return self.emit(f"[{''.join(map(escaped, same))}]")
        return self.emit(escaped(code))

    # ---- groups

    def open_group(self) -> None:
        rest = self.source[self.position : self.position + 3]
        if not rest.startswith("?"):
            self.seen += 1
            group = _Group("(", len(self.out), capture=self.seen)
            self.groups.append(group)
            return self.emit("(", repeatable=False)
        for opening in ("?:", "?=", "?!", "?<=", "?<!"):
            if rest.startswith(opening):
                self.position += len(opening)
                self.groups.append(_Group(opening, len(self.out), lookahead=opening != "?:"))
                return self.emit(f"({opening}", repeatable=False)
        if rest.startswith("?<"):
            raise Refused("named groups are not supported")
        raise Refused("invalid group")

    def close_group(self) -> None:
        if len(self.groups) == 1:
            raise Refused("unmatched ')'")
        group = self.groups.pop()
        inside = [*group.captures, *([group.capture] if group.capture else [])]
        outer = self.groups[-1]
        outer.captures += inside
        # What stands in one of several alternatives need not take part in an iteration of a repetition around it.
        outer.optional |= group.optional | (set(group.captures) if group.alternatives else set())
        if group.opening == "?!":
            self.uncertain.update(inside)
        if group.opening in ("?<=", "?<!") and inside:
            raise Untranslatable("a group inside a look-behind")
        group.optional = group.optional | (set(group.captures) if group.alternatives else set())
        self.out.append(")")
        repeatable = not group.lookahead or (not self.unicode and group.opening in ("?=", "?!"))
        self.term = group.start if repeatable else -1
        self.width = group.least
        outer.width += self.width
        group.captures = inside
        self.closed = group

    # ---- repetition

    def quantifier(self, match: re.Match[str]) -> None:
        if self.term < 0:
            raise Refused("nothing to repeat")
        self.position = match.end()
        text, low, comma, high, lazy = match.groups()
        minimum, maximum = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(text, (0, None))
        if low is not None:
            minimum = int(low[:9])
            maximum = minimum if comma is None else int(high[:9]) if high else None
            if maximum is not None and minimum > maximum:
                raise Refused("numbers out of order in a repetition")
        if max(minimum, maximum or 0) > _MAX_COUNT:
            raise Untranslatable(f"a repetition of more than {_MAX_COUNT:,} times")
        if not self.width and minimum != maximum:
            # In JavaScript, a repetition beyond the least number does not take nothing: it tries another way.
            raise Untranslatable("a repetition of something that can be empty")
        self.groups[-1].width += self.width * (minimum - 1)
        if self.closed is not None:
            outer = self.groups[-1]
            if minimum == 0:
                outer.optional.update(self.closed.captures)
            if maximum is None or maximum > 1:
                self.uncertain.update(self.closed.optional)
        self.out[self.term :] = [f"(?:{''.join(self.out[self.term :])})"]
        bounds = f"{{{minimum},{'' if maximum is None else maximum}}}"
        self.out.append(bounds + (lazy or ""))
        self.term, self.closed = -1, None

    # ---- escapes

    def escape(self) -> None:
        if self.position >= len(self.source):
            raise Refused("\\ at the end")
        character = self.source[self.position]
        if character in "bB":
            self.position += 1
            word, other = f"[{_WORD}]", f"[^{_WORD}]"
            if character == "b":
                edge = rf"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"
            else:
                edge = rf"(?:(?<={word})(?={word})|(?<!{word})(?!{word}))"
            del other
            return self.emit(edge, repeatable=False)
        if character in "dDwWsS":
            self.position += 1
            negated = "^" if character.isupper() else ""
            return self.emit(f"[{negated}{_CLASS_ESCAPES[character.lower()]}]")
        if character in "pP" and self.unicode:
            return self.emit(self.property())
        if character in "123456789":
            return self.back_reference()
        if character == "k" and self.unicode:
            raise Refused("invalid named reference")
        return self.literal(self.character_escape(in_class=False))

    def back_reference(self) -> None:
        match = re.compile(r"\d+", re.ASCII).match(self.source, self.position)
        number = int((match[0] if match else "0")[:6])
        if match is None or number > self.total:
            if self.unicode:
                raise Refused("reference to a group that does not exist")
            return self.literal(self.character_escape(in_class=False))
        self.position = match.end()
        if any(group.capture == number for group in self.groups):
            raise Untranslatable(f"\\{number} inside its own group")
        if number > self.seen:
            # A group further right has not taken part yet: JavaScript matches nothing here.
            if any(group.opening or group.capture for group in self.groups):
                raise Untranslatable(f"\\{number} before its own group")
            return self.emit("(?:)", width=0)
        self.used.add(number)
        reference = f"(?i:\\{number})" if self.fold else f"\\{number}"
        return self.emit(f"(?({number}){reference}|)", width=0)

    def property(self) -> str:
        letter = self.source[self.position]
        match = _PROPERTY.match(self.source, self.position + 1)
        name = match[1] if match is not None else ""
        if match is None or len(name) > 2 or name[:1] not in _CATEGORIES or name[1:] not in _CATEGORIES[name[0]]:
            raise Untranslatable("a property other than a general category")
        self.position = match.end()
        return f"\\{letter}{{{match[1]}}}"

    def character_escape(self, *, in_class: bool) -> int:
        """The character of an escape that stands for one; the position is at the character behind the backslash."""
        source, character = self.source, self.source[self.position]
        self.position += 1
        if character in _CONTROL:
            return _CONTROL[character]
        if character == "b" and in_class:
            return 8
        if character == "c" and (match := re.compile("[A-Za-z]").match(source, self.position)):
            self.position += 1
            return ord(match[0]) % 32
        if character == "x" and (match := re.compile("[0-9A-Fa-f]{2}").match(source, self.position)):
            self.position = match.end()
            return int(match[0], 16)
        if character == "u":
            return self.unicode_escape()
        if character in "01234567" and (match := re.compile("[0-3]?[0-7]{1,2}").match(source, self.position - 1)):
            if self.unicode and (character != "0" or len(match[0]) > 1):
                raise Refused("invalid octal escape")
            self.position = match.end()
            return int(match[0], 8)
        if self.unicode and character not in _SYNTAX_CHARACTERS and not (in_class and character == "-"):
            raise Refused(f"invalid escape '\\{character}'")
        if character == "c":
            # Without a letter the backslash itself is meant.
            self.position -= 1
            return ord("\\")
        return ord(character)

    def unicode_escape(self) -> int:
        source = self.source
        match = re.compile("[0-9A-Fa-f]{4}").match(source, self.position)
        if match is not None:
            self.position = match.end()
            code = int(match[0], 16)
            low = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})").match(source, self.position)
            if self.unicode and 0xD800 <= code < 0xDC00 and low is not None:
                self.position = low.end()
                return 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
            return code
        braced = re.compile(r"\{([0-9A-Fa-f]{1,8})\}").match(source, self.position)
        if self.unicode:
            if braced is None or int(braced[1], 16) > 0x10FFFF:
                raise Refused("invalid Unicode escape")
            self.position = braced.end()
            return int(braced[1], 16)
        return ord("u")

    # ---- classes

    def character_class(self) -> None:
        negated = self.source.startswith("^", self.position)
        self.position += negated
        items: list[str] = []
        while True:
            if self.position >= len(self.source):
                raise Refused("a class is not closed")
            if self.source[self.position] == "]":
                self.position += 1
                break
            self.class_item(items)
        if not items:
            return self.emit("(?s:.)" if negated else "(?!)")
        return self.emit(f"[{'^' if negated else ''}{''.join(items)}]")

    def class_item(self, items: list[str]) -> None:
        first = self.class_atom()
        if not self.source.startswith("-", self.position) or self.source.startswith("-]", self.position):
            items.append(first if isinstance(first, str) else self.class_range(first, first))
            return
        self.position += 1
        if self.position >= len(self.source):
            raise Refused("a class is not closed")
        last = self.class_atom()
        if isinstance(first, str) or isinstance(last, str):
            # A class beside a hyphen: the hyphen is itself (not so with `u`).
            if self.unicode:
                raise Refused("invalid range in a class")
            items += [
                part if isinstance(part, str) else self.class_range(part, part) for part in (first, ord("-"), last)
            ]
            return
        if first > last:
            raise Refused("range out of order in a class")
        items.append(self.class_range(first, last))

    def class_atom(self) -> int | str:
        character = self.source[self.position]
        self.position += 1
        if character != "\\":
            return ord(character)
        if self.position >= len(self.source):
            raise Refused("\\ at the end")
        kind = self.source[self.position]
        if kind in "dws":
            self.position += 1
            return _CLASS_ESCAPES[kind]
        if kind in "DWS":
            self.position += 1
            return _complement(_CLASS_ESCAPES[kind.lower()])
        if kind in "pP" and self.unicode:
            return self.property()
        return self.character_escape(in_class=True)

    def class_range(self, first: int, last: int) -> str:
        text = escaped(first) if first == last else f"{escaped(first)}-{escaped(last)}"
        if not self.fold:
            return text
        folds = _folds()
        extra = {other for code in range(first, min(last, 0xFFFF) + 1) for other in folds.get(code, ())}
        return text + "".join(escaped(code) for code in sorted(extra) if not first <= code <= last)


@lru_cache(maxsize=3)
def _complement(inside: str) -> str:
    """The ranges that a class leaves out, so that `\\D` can stand beside other items of a class."""
    members = re.compile(f"[{inside}]")
    parts: list[str] = []
    start = 0
    for code in range(0x10000):
        if members.match(chr(code)):
            if start < code:
                parts.append(f"{escaped(start)}-{escaped(code - 1)}")
            start = code + 1
    return "".join([*parts, f"{escaped(start)}-{escaped(0x10FFFF)}"])


def translate(source: str, flags: str) -> Translation:
    """
    A pattern of ECMAScript with its flags as a pattern of the `regex` package.

    Raises:
        Refused: It is invalid.
        Untranslatable: It has no exact counterpart.
    """
    if "i" in flags and "u" in flags:
        raise Untranslatable("the flags i and u together")  # the package folds case in another way
    return _Translator(source, flags).run()
