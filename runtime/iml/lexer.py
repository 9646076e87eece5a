"""
Splitting a string into literal text and expressions, and an expression into tokens (spec/iml.md 2.1 and 3).

Where an expression ends depends on its tokens (a `}}` inside a string does not end it), so both are one scan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from runtime.errors import ImlSyntaxError

#: Longest expression, in characters (spec/iml.md 3.1).
MAX_LENGTH: Final = 100_000
#: Most expressions in one text: a text with more is generated, and each costs some 100 microseconds to compile.
MAX_EXPRESSIONS: Final = 10_000
#: Characters of a template that are shown around a place.
_LINE: Final = 120

# U+00A0 is white space; every other character from U+0080 on may stand in a name.
_START: Final = "A-Za-z_$\u0080-\u009f\u00a1-\U0010ffff"
_NAME: Final = f"[{_START}](?:[{_START}0-9]|-(?=[{_START}0-9]))*"
_TOKEN: Final = re.compile(
    rf"""(?P<space>[ \t\r\n\u00a0]+)
    |(?P<string>"[^"]*(?:""[^"]*)*"|'[^']*(?:''[^']*)*')
    |(?P<quoted>`[^`]*(?:``[^`]*)*`)
    |(?P<module>[0-9]+(?=\.[{_START}`]))
    |(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>{_NAME})
    |(?P<operator>===|!==|==|!=|<=|>=|&&|\|\||[=<>!&|+\-*/%])
    |(?P<mark>[()\[\]{{}}.,;:])""",
    re.VERBOSE,
)
_REGEX: Final = re.compile(r"/(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/[gimsuy]*", re.DOTALL)
_SEGMENT: Final = re.compile(rf"[0-9]+(?:[{_START}0-9]|-(?=[{_START}0-9]))*|{_NAME}")
_NAME_START: Final = re.compile(f"[{_START}]")
_WORD_OPERATORS: Final = {"and": "&", "or": "|", "mod": "%"}
_SPELLINGS: Final = {"&&": "&", "||": "|", "==": "=", "===": "=", "!==": "!="}


class Token(NamedTuple):
    """`kind`: string, number, name, quoted, module, segment, operator, mark, end. `position` is 0-based."""

    kind: str
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class Expression:
    """One `{{ ... }}`: its tokens, where it starts and where the text goes on behind it."""

    tokens: list[Token]
    start: int
    end: int


def syntax_error(source: str, detail: str, position: int, expression: str | None = None) -> ImlSyntaxError:
    """The error of a string that cannot be parsed (spec/iml.md 11); `position` is 0-based."""
    shown = source if expression is None else expression
    if len(shown) > 200:
        shown = shown[:197] + "..."
    return ImlSyntaxError(f"Failed to parse expression '{shown}': {detail}", template=source, column=position + 1)


def caret(template: str, column: int) -> tuple[str, str]:
    """The line of a template that a column (1-based) is in, cut to a terminal's width, and the caret's line below."""
    before = template[: max(column - 1, 0)]
    start = before.rfind("\n") + 1
    line = template[start : start + _LINE * 1000].partition("\n")[0]
    position = len(before) - start
    cut = max(0, position - _LINE // 2)
    shown = line[cut : cut + _LINE]
    # A tab or a control character would move what follows it.
    shown = "".join([character if character.isprintable() else " " for character in shown])
    head, tail = "..." if cut else "", "..." if len(line) > cut + _LINE else ""
    return f"{head}{shown}{tail}", f"{' ' * (len(head) + position - cut)}^"


class _Scan:
    """Tokens of one expression from `position` on, up to its closing braces."""

    def __init__(self, source: str, start: int) -> None:
        self.source = source
        self.start = start
        self.position = start
        self.tokens: list[Token] = []
        self.braces = 0
        self.operand = True

    def fail(self, detail: str, position: int) -> ImlSyntaxError:
        end = self.source.find("}}", position)
        return syntax_error(self.source, detail, position, self.source[self.start : end if end >= 0 else None].strip())

    def run(self) -> Expression:
        source = self.source
        while self.position < len(source):
            if self.position - self.start > MAX_LENGTH:
                raise self.fail(f"an expression may have {MAX_LENGTH:,} characters", self.start)
            if not self.braces and source.startswith("}}", self.position):
                self.tokens.append(Token("end", "", self.position))
                return Expression(self.tokens, self.start, self.position + 2)
            self.step()
        raise self.fail("the object literal is not closed" if self.braces else "'}}' expected", self.start)

    def step(self) -> None:
        source, position = self.source, self.position
        if self.operand and source[position] == "/":
            match = _REGEX.match(source, position)
            if match is None:
                raise self.fail("the regular expression is not closed", position)
            return self.push("string", match[0], match.end(), operand=False)
        if (
            self.tokens
            and self.tokens[-1].kind == "mark"
            and self.tokens[-1].value == "."
            and source[position].isdigit()
        ):
            match = _SEGMENT.match(source, position)
            if match is not None:
                return self.push("segment", match[0], match.end(), operand=False)
        if not self.operand and source[position] == ".":
            return self.push("mark", ".", position + 1, operand=True)
        match = _TOKEN.match(source, position)
        if match is None:
            raise self.fail(self._unknown(position), position)
        kind, text, end = str(match.lastgroup), match[0], match.end()
        if kind == "space":
            self.position = end
            return None
        return self._token(kind, text, end)

    def _unknown(self, position: int) -> str:
        character = self.source[position]
        if character in "\"'":
            return "the text is not closed"
        return "the quoted name is not closed" if character == "`" else f"unexpected character '{character}'"

    def _token(self, kind: str, text: str, end: int) -> None:
        position = self.position
        if kind == "string":
            return self.push(kind, text[1:-1].replace(text[0] * 2, text[0]), end, operand=False)
        if kind == "quoted":
            return self.push(kind, text[1:-1].replace("``", "`"), end, operand=False)
        if kind == "number":
            if _NAME_START.match(self.source, end) or self.source.startswith("[", end):
                raise self.fail(f"unexpected '{self.source[end]}' after a number", end)
            return self.push(kind, text, end, operand=False)
        if kind == "name" and not self.operand and text in _WORD_OPERATORS:
            return self.push("operator", _WORD_OPERATORS[text], end, operand=True)
        if kind == "operator":
            return self.push(kind, _SPELLINGS.get(text, text), end, operand=True)
        if kind == "mark":
            self.braces += {"{": 1, "}": -1}.get(text, 0)
            if self.braces < 0:
                raise self.fail("unexpected '}'", position)
            return self.push(kind, text, end, operand=text not in ")]}")
        return self.push(kind, text, end, operand=False)

    def push(self, kind: str, value: str, end: int, *, operand: bool) -> None:
        self.tokens.append(Token(kind, value, self.position))
        self.position = end
        self.operand = operand


def split(source: str) -> list[str | Expression]:
    """
    A string as literal texts and expressions in turn.

    Raises:
        ImlSyntaxError: A token is broken, an expression is not closed although a `}}` follows, or there are too many.
    """
    parts: list[str | Expression] = []
    literal = position = count = 0
    while True:
        opening = source.find("{{", position)
        if opening < 0 or source.find("}}", opening + 2) < 0:
            break
        # In a longer run of braces the last two open the expression.
        while source.startswith("{", opening + 2):
            opening += 1
        if source.find("}}", opening + 2) < 0:
            break
        count += 1
        if count > MAX_EXPRESSIONS:
            raise syntax_error(source, f"a text may have {MAX_EXPRESSIONS:,} expressions", opening)
        expression = _Scan(source, opening + 2).run()
        if opening > literal:
            parts.append(source[literal:opening])
        parts.append(expression)
        literal = position = expression.end
    if literal < len(source):
        parts.append(source[literal:])
    return parts
