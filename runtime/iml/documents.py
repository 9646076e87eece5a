"""The structure of a document as Python code: one function that builds the whole value (spec/iml.md 2.3)."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable
from typing import Any, Final

from runtime.errors import ImlSyntaxError
from runtime.iml import code
from runtime.iml.code import Code
from runtime.iml.compiler import Compiler
from runtime.iml.document import (
    SPREAD,
    Broken,
    Document,
    Fixed,
    Items,
    Members,
    Rendered,
    escape_pointer,
    literal_path,
    texts,
    walk,
)
from runtime.iml.nodes import Path, Text

#: Fixed parts larger than this are copied by a helper; building them in place would only make the function longer.
_LARGE: Final = 40


def copy_json(value: Any) -> Any:
    """A copy of JSON data that shares nothing that can change."""
    if isinstance(value, dict):
        return {key: copy_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value


def fail(error: ImlSyntaxError) -> Any:
    """Raise a syntax error that waited for its string to be rendered; a new one, since several threads may."""
    raise ImlSyntaxError(error.message, template=error.template, column=error.column)


class DocumentCompiler(Compiler):
    """Compiles a whole document into one function `(G, E, U)`: the context's `get`, the evaluation, undefined."""

    def run(self, document: Document) -> Callable[..., Any]:
        self.globals["COPY"] = copy_json
        self.globals["FAIL"] = fail
        self.hoist(self.uses(document))
        self.body.append(code.give(self.value(document, "").expression))
        module = code.function("render", ("G", "E", "U"), self.body)
        compiled = compile(module, "<iml>", "exec", dont_inherit=True, optimize=0)
        function = next(constant for constant in compiled.co_consts if isinstance(constant, types.CodeType))
        return types.FunctionType(function, self.globals)

    def uses(self, document: Document) -> dict[tuple[str, ...], int]:
        """How many paths go through each collection, by its path."""
        counts: dict[tuple[str, ...], int] = {}
        for _, text in texts(document):
            if not isinstance(text, Text):
                continue
            for part in text.parts:
                for node in () if isinstance(part, str) else walk(part):
                    if isinstance(node, Path) and node.root is not None:
                        prefix: tuple[str, ...] = (node.root,)
                        for step in node.steps[:8]:
                            if not isinstance(step, str):
                                break
                            counts[prefix] = counts.get(prefix, 0) + 1
                            prefix = (*prefix, step)
        return counts

    def capture(self, run: Callable[[], Code]) -> tuple[list[ast.stmt], Code]:
        """The statements that compiling something needs, apart from the current ones."""
        outer, self.body = self.body, []
        try:
            result = run()
            return self.body, result
        finally:
            self.body = outer

    def value(self, document: Document, pointer: str) -> Code:
        if isinstance(document, Fixed):
            return self.fixed(document)
        if isinstance(document, Broken):
            self.pointer = pointer
            return self.broken(document)
        if isinstance(document, Rendered):
            self.pointer = pointer
            return self.rendered(document.text)
        return self.items(document, pointer) if isinstance(document, Items) else self.members(document, pointer)

    def broken(self, document: Broken) -> Code:
        line = self.spot(document.error.column - self.offset)
        return Code(code.call(code.name("FAIL"), self.passed(document.error), line=line))

    def rendered(self, text: Text) -> Code:
        if text.lone and not isinstance(text.parts[0], str):
            return self.expression(text.parts[0], tail=True)
        parts: list[ast.expr] = []
        line = 1
        for part in text.parts:
            if isinstance(part, str):
                parts.append(code.literal(part))
            else:
                line = self.spot(part.column)
                parts.append(self.text(self.expression(part), line))
        return self.concatenation(parts, line)

    def fixed(self, document: Fixed) -> Code:
        value = document.value
        if not isinstance(value, (dict, list)):
            return self.constant(value)
        kind = "collection" if isinstance(value, dict) else "array"
        if document.size > _LARGE:
            return Code(code.call(code.name("COPY"), self.passed(value)), kind)
        return Code(self.build(value), kind)

    def build(self, value: Any) -> ast.expr:
        if isinstance(value, dict):
            return code.collection([(self.constant(key).expression, self.build(item)) for key, item in value.items()])
        if isinstance(value, list):
            return code.array([self.build(item) for item in value])
        return self.constant(value).expression

    def items(self, document: Items, pointer: str) -> Code:
        pending: list[ast.expr] = []
        identifier: str | None = None
        for position, item in enumerate(document.items):
            inner, result = self.capture(lambda item=item, position=position: self.value(item, f"{pointer}/{position}"))
            if inner and identifier is None:
                # What comes before is evaluated before: the first error of a document is the one that shows.
                identifier = self.local()
                self.body.append(code.assign(identifier, code.array(pending)))
            self.body += inner
            if identifier is None:
                pending.append(result.expression)
            else:
                self.body.append(code.statement(code.method(code.name(identifier), "append", result.expression)))
        return Code(code.array(pending) if identifier is None else code.name(identifier), "array")

    def members(self, document: Members, pointer: str) -> Code:
        pending: list[tuple[ast.expr, ast.expr]] = []
        identifier: str | None = None
        for key, read_key, value in document.members:
            below = f"{pointer}/{escape_pointer(key)}"
            plain = isinstance(read_key, str) and key != SPREAD
            inner, result = self.capture(lambda value=value, below=below: self.value(value, below))
            if plain and not inner and result.kind != "any" and identifier is None:
                pending.append((self.constant(key).expression, result.expression))
                continue
            if identifier is None:
                identifier = self.local()
                self.body.append(code.assign(identifier, code.collection(pending)))
            if key == SPREAD:
                self.pointer = below
                self.body += inner
                line = self.spot(1)
                spread = code.call(code.name("SPREAD"), code.name(identifier), result.expression, line=line)
                self.body.append(code.statement(spread))
            elif isinstance(read_key, str):
                self.body += [*inner, *self.store(identifier, self.constant(key).expression, result)]
            else:
                self.body += self.named(identifier, read_key, below, inner, result)
        return Code(code.collection(pending) if identifier is None else code.name(identifier), "collection")

    def store(self, identifier: str, key: ast.expr, result: Code) -> list[ast.stmt]:
        """Store a member unless it is undefined."""
        if result.kind != "any":
            return [code.assign_item(identifier, key, result.expression)]
        kept = code.is_not(code.name("v"), code.name("U"))
        return [
            code.assign("v", result.expression),
            code.when(kept, [code.assign_item(identifier, key, code.name("v"))]),
        ]

    def named(
        self, identifier: str, key: Rendered | Broken, pointer: str, inner: list[ast.stmt], result: Code
    ) -> list[ast.stmt]:
        """A member whose key is rendered; an empty key drops it, its value unrendered."""
        self.pointer = pointer
        rendered = self.broken(key) if isinstance(key, Broken) else self.rendered(key.text)
        line = self.spot(1)
        local = self.local()
        return [
            code.assign(local, self.text(rendered, line)),
            code.when(code.name(local), [*inner, *self.store(identifier, code.name(local), result)]),
        ]


__all__ = ["DocumentCompiler", "copy_json", "literal_path"]
