"""Expressions to Python code (design section 4): paths, operators, literals."""

from __future__ import annotations

import ast
from typing import Final

from runtime.iml import code, operators
from runtime.iml.calls import CallCompiler
from runtime.iml.code import Code
from runtime.iml.emitter import NESTED, E, U
from runtime.iml.nodes import Call, Chain, Collection, Constant, Index, Keyword, Node, Path, Unary
from runtime.values import truthy

_ARITHMETIC: Final = {"-": "SUBTRACT", "*": "MULTIPLY", "/": "DIVIDE", "%": "REMAINDER"}
_RELATIONS: Final = {"<": "LESS", "<=": "LESS_OR_EQUAL", ">": "GREATER", ">=": "GREATER_OR_EQUAL"}
_CONCATENATING: Final = frozenset({"text", "array", "collection"})


def _known_index(step: Index) -> int | None:
    """The number of an index that is a literal; None for one that is computed."""
    value = step.value.value if isinstance(step.value, Constant) else None
    return value if type(value) is int else None


class Compiler(CallCompiler):
    """Expressions of one document. Subclassed by `documents.DocumentCompiler`, which adds the structure around them."""

    # ---- nodes

    def expression(self, node: Node, around: str | None = None, *, tail: bool = False) -> Code:
        if isinstance(node, Constant):
            return self.constant(node.value)
        if isinstance(node, Path):
            return self.path(node, around)
        if isinstance(node, Call):
            return self.call(node, around, tail=tail)
        if isinstance(node, Chain):
            return self.logic(node, around) if node.level <= 2 else self.chain(node, around)
        if isinstance(node, Unary):
            return self.unary(node, around)
        if isinstance(node, Keyword):
            return self.keyword(node, tail=tail)
        return self.literal_collection(node, around)

    def keyword(self, node: Keyword, *, tail: bool) -> Code:
        if node.name in ("emptystring", "empty"):
            return Code(code.name("FORCED_EMPTY"), "any") if tail and self.marks else self.constant("")
        if node.name == "erase":
            return Code(code.name("ERASE"), "any") if tail and self.marks else self.constant(None)
        if node.name == "emptyarray":
            return Code(code.array([]), "array")
        return Code(code.call(code.name("KEYWORD"), E, code.literal(node.name)))

    def literal_collection(self, node: Collection, around: str | None) -> Code:
        members = [(key, self.expression(member, around)) for key, member in node.members]
        if len({key for key, _ in members}) == len(members) and all(member.kind != "any" for _, member in members):
            return Code(code.collection([(code.literal(k), m.expression) for k, m in members]), "collection")
        pairs = [code.row([code.literal(key), member.expression]) for key, member in members]
        return Code(code.call(code.name("COLLECT"), *pairs), "collection")

    # ---- paths

    def path(self, node: Path, around: str | None) -> Code:
        steps = list(node.steps)
        if node.base is not None:
            expression = self.expression(node.base, around).expression
        else:
            expression = self.hoisted(str(node.root), steps)
        known = tuple([step if isinstance(step, str) else _known_index(step) for step in steps])
        if len(steps) > NESTED and None not in known:
            return Code(code.call(code.name("WALK"), expression, code.literal(known)))
        if len(steps) > NESTED:
            identifier = self.local()
            computed: list[ast.expr] = [code.bind(identifier, expression)]
            for step in steps:
                computed.append(code.bind(identifier, self.step(code.name(identifier), step, around)))
            return Code(code.last_of(computed))
        for step in steps:
            expression = self.step(expression, step, around)
        return Code(expression)

    def hoisted(self, root: str, steps: list[str | Index]) -> ast.expr:
        """The start of a path; the steps that a hoisted getter has already taken are removed."""
        prefix: tuple[str, ...] = (root,)
        best: tuple[str, ...] | None = None
        for step in (*steps[:8], None):
            if prefix in self.getters and isinstance(step, str):
                best = prefix
            if not isinstance(step, str):
                break
            prefix = (*prefix, step)
        if best is None:
            return code.call(code.name("G"), code.literal(root), U)
        taken = len(best)
        key = str(steps[taken - 1])
        del steps[:taken]
        return code.call(code.name(self.getters[best]), code.literal(key), U)

    def step(self, value: ast.expr, step: str | Index, around: str | None) -> ast.expr:
        if isinstance(step, Index):
            number = step.value.value if isinstance(step.value, Constant) else None
            if type(number) is int and 0 < number < 1_000_000 and not isinstance(value, ast.Constant):
                first, again = self.twice(value)
                is_list = code.is_(code.call(code.name("type"), first), code.name("list"))
                long_enough = code.less(code.literal(number - 1), code.call(code.name("len"), again))
                index = code.call(code.name("INDEX"), again, code.literal(number))
                return code.choose(code.all_of(is_list, long_enough), code.item(again, number - 1), index)
            return code.call(code.name("INDEX"), value, self.expression(step.value, around).expression)
        first, again = self.twice(value)
        is_dict = code.is_(code.call(code.name("type"), first), code.name("dict"))
        key = code.literal(step)
        return code.choose(is_dict, code.method(again, "get", key, U), code.call(code.name("STEP"), again, key))

    def hoist(self, uses: dict[tuple[str, ...], int]) -> None:
        """Read the `get` methods of collections that several paths go through once, at the start."""
        for prefix in sorted(uses, key=len):
            *above, key = prefix
            parent = self.getters.get(tuple(above))
            if len(prefix) > 1 and (uses[prefix] < 2 or parent is None):
                continue
            source = code.name("G") if parent is None else code.name(parent)
            identifier = f"g{len(self.getters)}"
            self.body.append(code.assign("v", code.call(source, code.literal(key), U)))
            value = code.name("v")
            get = ast.Attribute(value, "get", ast.Load(), lineno=1, col_offset=0)
            is_dict = code.is_(code.call(code.name("type"), value), code.name("dict"))
            self.body.append(code.assign(identifier, code.choose(is_dict, get, code.call(code.name("GETTER"), value))))
            self.getters[prefix] = identifier

    # ---- operators

    def unary(self, node: Unary, around: str | None) -> Code:
        operand = self.expression(node.operand, around)
        if node.operator == "!":
            if operand.constant:
                return self.constant(not truthy(operand.value))
            return Code(code.negated(self.test(operand)), "boolean")
        run = operators.negate if node.operator == "-" else operators.positive
        if operand.constant:
            return self.constant(run(operand.value))
        return Code(
            code.call(code.name("NEGATE" if node.operator == "-" else "POSITIVE"), operand.expression), "number"
        )

    def logic(self, node: Chain, around: str | None) -> Code:
        """`&` or `|`: the first operand that decides, else the last one. Flat, since both are associative."""
        operands = [self.expression(part, around) for part in (node.first, *(part for _, part, _ in node.rest))]
        conjunction = node.level == 2
        while len(operands) > 1 and operands[0].constant:
            if truthy(operands[0].value) is not conjunction:
                return operands[0]
            del operands[0]
        if len(operands) == 1:
            return operands[0]
        combine = code.all_of if conjunction else code.any_of
        if all(operand.kind == "boolean" for operand in operands):
            return Code(combine(*[operand.expression for operand in operands]), "boolean")
        identifier = self.local()
        tests: list[ast.expr] = []
        for operand in operands[:-1]:
            bound = Code(code.bind(identifier, operand.expression), operand.kind)
            if operand.kind in ("boolean", "text"):
                tests.append(self.test(bound))
                continue
            if len(operands) > NESTED:
                tests.append(code.call(code.name("TRUTHY"), bound.expression))
                continue
            first, again = bound.expression, code.name(identifier)
            is_text = code.is_(code.call(code.name("type"), first), code.name("str"))
            is_bool = code.is_(code.call(code.name("type"), again), code.name("bool"))
            plain = code.any_of(is_text, is_bool)
            tests.append(code.choose(plain, again, code.call(code.name("TRUTHY"), again)))
        last = code.any_of(code.bind(identifier, operands[-1].expression), code.literal(True))
        kinds = {operand.kind for operand in operands}
        kind = kinds.pop() if len(kinds) == 1 else "any"
        return Code(code.last_of([combine(*tests, last), code.name(identifier)]), kind)

    def chain(self, node: Chain, around: str | None) -> Code:
        left = self.expression(node.first, around)
        if len(node.rest) <= NESTED:
            if any(operator == "+" for operator, _, _ in node.rest):
                return self.additions(left, node, around)
            for operator, operand, column in node.rest:
                left = self.binary(operator, left, self.expression(operand, around), column, around)
            return left
        if all(isinstance(part, (Constant, Path)) for part in (node.first, *(operand for _, operand, _ in node.rest))):
            return self.plain_chain(left, node, around)
        identifier = self.local()
        steps: list[ast.expr] = [code.bind(identifier, left.expression)]
        left = Code(code.name(identifier), left.kind)
        for operator, operand, column in node.rest:
            computed = self.binary(operator, left, self.expression(operand, around), column, around)
            steps.append(code.bind(identifier, computed.expression))
            left = Code(code.name(identifier), computed.kind)
        return Code(code.last_of(steps), left.kind)

    def plain_chain(self, left: Code, node: Chain, around: str | None) -> Code:
        """A long chain of variables and literals, which hold nothing new: all are read before the first is applied."""
        operands = [left, *(self.expression(operand, around) for _, operand, _ in node.rest)]
        names = code.literal(tuple([operator for operator, _, _ in node.rest]))
        values = code.row([operand.expression for operand in operands])
        line = self.spot(node.column, around=around)
        return Code(code.call(code.name("CHAIN"), E, names, values, line=line))

    def additions(self, left: Code, node: Chain, around: str | None) -> Code:
        """A chain with `+`: once one side is known to be text, the rest is one concatenation."""
        parts: list[ast.expr] = []
        line = self.spot(node.column)
        for operator, operand, column in node.rest:
            right = self.expression(operand, around)
            if operator == "+" and (parts or left.kind in _CONCATENATING or right.kind in _CONCATENATING):
                if not parts:
                    parts = [self.text(left, line)]
                parts.append(self.text(right, line))
                continue
            if parts:
                left = self.concatenation(parts, line)
                parts = []
            left = self.binary(operator, left, right, column, around)
        return self.concatenation(parts, line) if parts else left

    def binary(self, operator: str, left: Code, right: Code, column: int, around: str | None) -> Code:
        if left.constant and right.constant:
            folded = self.fold(lambda evaluation: operators.BINARY[operator](evaluation, left.value, right.value))
            # A text beside a date is read in the scenario's zone; a constant date does not exist, so folding is safe.
            if folded is not None:
                return folded
        if operator in ("=", "!="):
            result = self.equality(left, right, self.spot(column, around=around))
            return Code(code.negated(result), "boolean") if operator == "!=" else Code(result, "boolean")
        if operator in _RELATIONS:
            helper = code.name(_RELATIONS[operator])
            return Code(code.call(helper, E, left.expression, right.expression), "boolean")
        if operator == "+":
            line = self.spot(column, around=around)
            if left.kind in _CONCATENATING or right.kind in _CONCATENATING:
                return self.concatenation([self.text(left, line), self.text(right, line)], line)
            kind = "number" if {left.kind, right.kind} <= {"number", "boolean"} else "any"
            return Code(code.call(code.name("ADD"), E, left.expression, right.expression, line=line), kind)
        return Code(code.call(code.name(_ARITHMETIC[operator]), left.expression, right.expression), "number")
