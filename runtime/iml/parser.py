"""
Tokens to a syntax tree (spec/iml.md 3.1, 3.2).

An operator-precedence parser with its own stack: how deep an expression nests is a limit of the language, not of the
interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from runtime.coercion import parse_number_text
from runtime.errors import ImlSyntaxError
from runtime.iml.lexer import Expression, Token, split, syntax_error
from runtime.iml.nodes import Call, Chain, Collection, Constant, Index, Keyword, Node, Path, Text, Unary
from runtime.values import UNDEFINED

#: Deepest nesting of parentheses, calls, indexes, literals and prefix operators (spec/iml.md 3.1).
MAX_NESTING: Final = 200
#: Deepest tree; more than the nesting, since one level may hold operators of several levels.
MAX_DEPTH: Final = 400

#: Keywords whose value never changes (spec/iml.md 6).
CONSTANTS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "undefined": UNDEFINED,
    "ignore": UNDEFINED,
    "space": " ",
    "tab": "\t",
    "newline": "\n",
    "carriagereturn": "\r",
    "nbsp": "\u00a0",
    "pi": 3.141592653589793,
}
#: Keywords that the place (marks, a new array) or the environment decides.
KEYWORDS: Final = frozenset(
    {"emptystring", "empty", "erase", "emptyarray", "now", "timestamp", "random", "uuid", "executionId"}
)
#: Binary operators by level, a higher one binds tighter.
LEVELS: Final = {
    "|": 1,
    "&": 2,
    "=": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_PREFIX: Final = 7


@dataclass(slots=True)
class _Frame:
    """One open construct: the whole expression, a parenthesis, a call, an index or an object literal."""

    kind: str
    token: Token
    name: str = ""
    target: Node | None = None
    items: list[Node] = field(default_factory=list[Node])
    members: list[tuple[str, Node]] = field(default_factory=list[tuple[str, Node]])
    values: list[Node] = field(default_factory=list[Node])
    operators: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    separated: bool = False


class _Parser:
    def __init__(self, source: str, expression: Expression) -> None:
        self.source = source
        self.expression = expression
        self.tokens = expression.tokens
        self.position = 0
        self.frames = [_Frame("root", expression.tokens[0])]

    def fail(self, detail: str, token: Token) -> ImlSyntaxError:
        text = self.source[self.expression.start : self.expression.end - 2].strip()
        return syntax_error(self.source, detail, token.position, text)

    def unexpected(self, token: Token) -> ImlSyntaxError:
        if token.kind == "end":
            return self.fail("unexpected end", token)
        shown = token.value if len(token.value) <= 40 else token.value[:37] + "..."
        return self.fail(f"unexpected '{shown}'", token)

    def next(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def run(self) -> Node:
        operand = True
        while self.position < len(self.tokens):
            token = self.next()
            operand = self.operand(token) if operand else self.operator(token)
        return self.frames[0].values[0]

    def open(self, frame: _Frame) -> None:
        self.frames.append(frame)
        self.check_nesting(frame.token)

    def check_nesting(self, token: Token) -> None:
        prefixes = len(self.frames[-1].operators)
        if len(self.frames) + prefixes > MAX_NESTING and len(self.frames) + self.prefixes() > MAX_NESTING + 1:
            raise self.fail(f"nested deeper than {MAX_NESTING} levels", token)

    def prefixes(self) -> int:
        return sum(level == _PREFIX for frame in self.frames for _, level, _ in frame.operators)

    # An operand is expected: returns whether one is still expected.
    def operand(self, token: Token) -> bool:
        frame, kind = self.frames[-1], token.kind
        if kind in ("string", "number"):
            value = token.value if kind == "string" else parse_number_text(token.value)
            frame.values.append(Constant(value, token.position + 1))
            return False
        if kind in ("name", "quoted", "module"):
            return self.name(frame, token)
        if kind == "operator" and token.value in "!-+":
            frame.operators.append((token.value, _PREFIX, token.position))
            self.check_nesting(token)
            return True
        if kind == "mark" and token.value == "(":
            self.open(_Frame("group", token))
            return True
        if kind == "mark" and token.value == "{":
            self.open(_Frame("object", token))
            return self.member()
        return self.missing(frame, token)

    def name(self, frame: _Frame, token: Token) -> bool:
        following = self.tokens[self.position]
        column = token.position + 1
        if token.kind == "name" and following.kind == "mark" and following.value == "(":
            self.next()
            self.open(_Frame("call", token, name=token.value))
            return True
        alone = not (following.kind == "mark" and following.value in (".", "["))
        if token.kind == "name" and alone and token.value in CONSTANTS:
            frame.values.append(Constant(CONSTANTS[token.value], column))
        elif token.kind == "name" and alone and token.value in KEYWORDS:
            frame.values.append(Keyword(token.value, column))
        else:
            frame.values.append(Path(token.value, None, [], column))
        return False

    def missing(self, frame: _Frame, token: Token) -> bool:
        """No operand where one could stand: an empty expression, argument or index."""
        if frame.operators or frame.values:
            raise self.unexpected(token)
        nothing = Constant(UNDEFINED, token.position + 1)
        value = token.value if token.kind == "mark" else ""
        if (frame.kind == "root" and token.kind == "end") or (frame.kind == "group" and value == ")"):
            frame.values.append(nothing)
            return self.close(frame)
        if frame.kind == "call" and value in (",", ";"):
            frame.items.append(nothing)
            frame.separated = True
            return True
        if frame.kind == "call" and value == ")":
            if frame.separated:
                frame.items.append(nothing)
            return self.close(frame)
        if frame.kind == "index" and value == "]":
            frame.values.append(Constant(1, token.position + 1))
            return self.close(frame)
        raise self.unexpected(token)

    def member(self) -> bool:
        """The name of the next member of an object literal, or its end."""
        token = self.next()
        if token.kind == "mark" and token.value == "}":
            return self.close(self.frames[-1])
        if token.kind not in ("name", "quoted", "string"):
            raise self.unexpected(token)
        colon = self.next()
        if colon.kind != "mark" or colon.value != ":":
            raise self.unexpected(colon)
        self.frames[-1].name = token.value
        return True

    # An operand has ended: returns whether another one is expected.
    def operator(self, token: Token) -> bool:
        frame = self.frames[-1]
        if token.kind == "operator" and token.value in LEVELS:
            level = LEVELS[token.value]
            self.reduce(frame, level)
            frame.operators.append((token.value, level, token.position))
            return True
        if token.kind == "end":
            if frame.kind != "root":
                wanted = {"index": "]", "object": "}"}.get(frame.kind, ")")
                raise self.fail(f"'{wanted}' expected", token)
            return self.close(frame)
        if token.kind != "mark":
            raise self.unexpected(token)
        return self.mark(frame, token)

    def mark(self, frame: _Frame, token: Token) -> bool:
        value = token.value
        if value == ".":
            segment = self.next()
            if segment.kind not in ("name", "quoted", "segment", "module"):
                raise self.unexpected(segment)
            self.extend(frame, segment.value, token)
            return False
        if value == "[":
            self.open(_Frame("index", token, target=frame.values.pop()))
            return True
        if frame.kind == "call" and value in (",", ";"):
            self.reduce(frame, 0)
            frame.items.append(frame.values.pop())
            frame.separated = True
            return True
        if frame.kind == "object" and value == ",":
            self.finish_member(frame)
            return self.member()
        closing = {"group": ")", "call": ")", "index": "]", "object": "}"}.get(frame.kind)
        if value != closing:
            raise self.unexpected(token)
        return self.close(frame)

    def finish_member(self, frame: _Frame) -> None:
        self.reduce(frame, 0)
        frame.members.append((frame.name, frame.values.pop()))
        frame.name = ""

    def extend(self, frame: _Frame, step: str | Index, token: Token) -> None:
        base = frame.values.pop()
        inner = step.value.depth + 1 if isinstance(step, Index) else 1
        if isinstance(base, Path):
            node = base
            node.steps.append(step)
            node.depth = max(node.depth, inner)
        else:
            node = Path(None, base, [step], token.position + 1, max(base.depth + 1, inner))
        self.append(frame, node, token)

    def append(self, frame: _Frame, node: Node, token: Token) -> None:
        if node.depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} operators", token)
        frame.values.append(node)

    def close(self, frame: _Frame) -> bool:
        if frame.kind == "call":
            if frame.values:
                self.reduce(frame, 0)
                frame.items.append(frame.values.pop())
        elif frame.kind == "object":
            if frame.values:
                self.finish_member(frame)
        else:
            self.reduce(frame, 0)
        if frame.kind == "root":
            return False
        self.frames.pop()
        outer, column = self.frames[-1], frame.token.position + 1
        if frame.kind == "index":
            if frame.target is not None:
                outer.values.append(frame.target)
            self.extend(outer, Index(frame.values[0], column), frame.token)
            return False
        if frame.kind == "call":
            depth = 1 + max((item.depth for item in frame.items), default=0)
            self.append(outer, Call(frame.name, frame.items, column, depth), frame.token)
        elif frame.kind == "object":
            depth = 1 + max((member.depth for _, member in frame.members), default=0)
            self.append(outer, Collection(frame.members, column, depth), frame.token)
        else:
            node = frame.values[0]
            if isinstance(node, Chain):
                node.open = False
            outer.values.append(node)
        return False

    def reduce(self, frame: _Frame, level: int) -> None:
        """Apply the waiting operators that bind at least as tight as `level`."""
        while frame.operators and frame.operators[-1][1] >= level:
            operator, of_level, position = frame.operators.pop()
            token = Token("operator", operator, position)
            right = frame.values.pop()
            if of_level == _PREFIX:
                self.append(frame, Unary(operator, right, position + 1, right.depth + 1), token)
                continue
            left = frame.values.pop()
            if isinstance(left, Chain) and left.open and left.level == of_level:
                left.rest.append((operator, right, position + 1))
                left.depth = max(left.depth, right.depth + 1)
                self.append(frame, left, token)
            else:
                depth = 1 + max(left.depth, right.depth)
                self.append(frame, Chain(of_level, left, [(operator, right, position + 1)], left.column, depth), token)


def parse(source: str) -> Text:
    """
    A string of a document as literal texts and expression trees.

    Raises:
        ImlSyntaxError: It cannot be parsed.
    """
    parts = split(source)
    parsed: list[str | Node] = [part if isinstance(part, str) else _Parser(source, part).run() for part in parts]
    return Text(source, parsed, lone=len(parts) == 1 and not isinstance(parts[0], str))


def has_expression(source: str) -> bool:
    """Whether a string can hold an expression at all: the cheap test before parsing."""
    opening = source.find("{{")
    return opening >= 0 and source.find("}}", opening + 2) >= 0
