"""
A plain tree-walking evaluator: the second opinion on what the compiler makes of a document.

It shares the parser, the operators and the function table with the compiler, and nothing of its code generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ImlError, ImlFunctionError, ImlFunctionNotFound, ImlSyntaxError, ImlTypeError, ScenaristError
from runtime.iml import operators
from runtime.iml.document import (
    SPREAD,
    Broken,
    Document,
    Fixed,
    Items,
    Members,
    Rendered,
    escape_pointer,
    read_document,
)
from runtime.iml.environment import Environment
from runtime.iml.evaluation import BudgetExceeded, Evaluation, FunctionFailed
from runtime.iml.functions import APP_ONLY, FUNCTIONS
from runtime.iml.nodes import Call, Chain, Collection, Constant, Index, Keyword, Node, Path, Text, Unary
from runtime.iml.registry import call
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, equal, is_empty, to_text, truthy


@dataclass
class Oracle:
    """Renders one document; errors have the class and the message that the compiler's have."""

    context: Mapping[str, Any]
    environment: Environment
    marks: bool = False
    evaluation: Evaluation = field(init=False)

    def __post_init__(self) -> None:
        self.evaluation = Evaluation(self.environment, self.context)

    def render(self, source: Any) -> Any:
        try:
            return self.document(read_document(source), "")
        except (BudgetExceeded, FunctionFailed) as error:
            raise ImlError(str(error)) from None

    def document(self, document: Document, pointer: str) -> Any:
        if isinstance(document, Fixed):
            return document.value
        if isinstance(document, Broken):
            raise ImlSyntaxError(document.error.message)
        if isinstance(document, Rendered):
            return self.string(document.text)
        if isinstance(document, Items):
            return [self.document(item, f"{pointer}/{i}") for i, item in enumerate(document.items)]
        return self.members(document, pointer)

    def members(self, document: Members, pointer: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, read_key, value in document.members:
            below = f"{pointer}/{escape_pointer(key)}"
            if key == SPREAD:
                operators.spread(result, self.document(value, below))
                continue
            name = read_key if isinstance(read_key, str) else to_text(self.document(read_key, below))
            if not name and not isinstance(read_key, str):
                continue
            rendered = self.document(value, below)
            if rendered is not UNDEFINED:
                result[name] = rendered
        return result

    def string(self, text: Text) -> Any:
        if text.lone and not isinstance(text.parts[0], str):
            return self.node(text.parts[0], None, tail=True)
        parts = [part if isinstance(part, str) else to_text(self.node(part, None)) for part in text.parts]
        return self.evaluation.text("".join(parts))

    def node(self, node: Node, around: str | None, *, tail: bool = False) -> Any:
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, Keyword):
            return self.keyword(node.name, tail=tail)
        if isinstance(node, Path):
            return self.path(node, around)
        if isinstance(node, Unary):
            value = self.node(node.operand, around)
            if node.operator == "!":
                return not truthy(value)
            return operators.negate(value) if node.operator == "-" else operators.positive(value)
        if isinstance(node, Chain):
            return self.chain(node, around)
        if isinstance(node, Collection):
            members = [(key, self.node(member, around)) for key, member in node.members]
            return {key: value for key, value in members if value is not UNDEFINED}
        return self.call(node, around, tail=tail)

    def keyword(self, name: str, *, tail: bool) -> Any:
        marked = tail and self.marks
        if name in ("emptystring", "empty"):
            return FORCED_EMPTY if marked else ""
        if name == "erase":
            return ERASE if marked else None
        return [] if name == "emptyarray" else operators.environment_keyword(self.evaluation, name)

    def path(self, node: Path, around: str | None) -> Any:
        value = self.context.get(str(node.root), UNDEFINED) if node.base is None else self.node(node.base, around)
        for step in node.steps:
            if isinstance(step, Index):
                value = operators.step_index(value, self.node(step.value, around))
            else:
                value = operators.step_name(value, step)
        return value

    def chain(self, node: Chain, around: str | None) -> Any:
        value = self.node(node.first, around)
        for operator, operand, _ in node.rest:
            if operator == "&":
                value = self.node(operand, around) if truthy(value) else value
            elif operator == "|":
                value = value if truthy(value) else self.node(operand, around)
            else:
                value = operators.BINARY[operator](self.evaluation, value, self.node(operand, around))
        return value

    def call(self, node: Call, around: str | None, *, tail: bool) -> Any:
        name, custom = node.name, self.environment.functions
        if name in ("if", "ifempty", "switch") and name not in custom:
            return self.lazy(node, tail=tail)
        arguments = [self.node(argument, name) for argument in node.arguments]
        function = FUNCTIONS.get(name)
        try:
            if name in custom:
                return custom[name](*arguments)
            if function is None or (self.environment.strict_functions and name in APP_ONLY):
                raise ImlFunctionNotFound(f"Function '{name}' not found!")
            return call(function, arguments, self.evaluation)
        except ImlFunctionNotFound as error:
            if around is None:
                raise
            raise ImlFunctionError(f"Function '{around}' finished with error! {error}") from None
        except ImlFunctionError:
            raise
        except (ScenaristError, FunctionFailed, BudgetExceeded, ImlTypeError) as error:
            raise ImlFunctionError(f"Function '{name}' finished with error! {error}") from None

    def lazy(self, node: Call, *, tail: bool) -> Any:
        def argument(position: int, *, last: bool = False) -> Any:
            if position >= len(node.arguments):
                return UNDEFINED
            return self.node(node.arguments[position], node.name, tail=last and tail)

        value = argument(0)
        if node.name == "if":
            return argument(1 if truthy(value) else 2, last=True)
        if node.name == "ifempty":
            return argument(1, last=True) if is_empty(value) else value
        count = max(0, len(node.arguments) - 1)
        for position in range(1, count, 2):
            if equal(value, argument(position)):
                return argument(position + 1, last=True)
        return argument(count, last=True) if count % 2 else UNDEFINED
