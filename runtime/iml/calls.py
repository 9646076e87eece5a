"""Calls: built-in, lazy, custom and unknown functions as Python code (spec/iml.md 7)."""

from __future__ import annotations

import ast
from typing import Any, Final

from runtime.iml import code
from runtime.iml.code import Code
from runtime.iml.emitter import NESTED, E, Emitter, U
from runtime.iml.functions import APP_ONLY, FUNCTIONS
from runtime.iml.nodes import Call
from runtime.iml.registry import Function
from runtime.iml.registry import call as call_function
from runtime.values import UNDEFINED, truthy

#: Functions that folding may not call: their work can be large for small arguments.
_UNFOLDED: Final = frozenset({"replace", "formatDate"})


class CallCompiler(Emitter):
    """The part of the compiler that knows functions."""

    def call(self, node: Call, around: str | None, *, tail: bool) -> Code:
        if node.name in self.custom:
            arguments = [self.expression(argument, node.name).expression for argument in node.arguments]
            line = self.spot(node.column, node.name, around)
            return Code(code.call(code.name("CUSTOM"), E, code.literal(node.name), *arguments, line=line))
        if node.name == "if":
            return self.call_if(node, tail=tail)
        if node.name == "ifempty":
            return self.call_ifempty(node, tail=tail)
        if node.name == "switch":
            return self.call_switch(node, around, tail=tail)
        function = FUNCTIONS.get(node.name)
        if function is None or (self.strict and node.name in APP_ONLY):
            arguments = [self.expression(argument, node.name).expression for argument in node.arguments]
            line = self.spot(node.column, None, around)
            return Code(code.call(code.name("UNKNOWN"), code.literal(node.name), *arguments, line=line))
        return self.call_builtin(function, node, around)

    def call_builtin(self, function: Function, node: Call, around: str | None) -> Code:
        given: list[Code] = []
        fallible = 0
        for position, argument in enumerate(node.arguments):
            spots = len(self.spots)
            given.append(self.expression(argument, node.name))
            fallible = position if len(self.spots) > spots else fallible
        if function.pure and function.name not in _UNFOLDED and all(argument.constant for argument in given):
            folded = self.fold_call(function, [argument.value for argument in given])
            if folded is not None:
                return folded
        line = self.spot(node.column, node.name, around)
        kinds = [parameter.kind for parameter in function.parameters if not parameter.rest]
        rest = bool(function.parameters) and function.parameters[-1].rest
        before: list[ast.expr] = []
        if (len(given) > len(kinds) and not rest) or any(kind not in ("any", "text") for kind in kinds[:fallible]):
            # All arguments are evaluated before the first one is converted; that shows when a later one fails.
            given = [self.evaluated(argument, before) for argument in given]
        converted: list[ast.expr] = [E] if function.needs_evaluation else []
        for position, kind in enumerate(kinds):
            argument = given[position] if position < len(given) else self.constant(UNDEFINED)
            at = line
            if kind not in ("any", "text", argument.kind):
                at = self.spot(node.column, node.name, around, function.parameters[position].name)
            converted.append(self.convert(argument, kind, at))
        if rest:
            converted += [argument.expression for argument in given[len(kinds) :]]
        result: ast.expr = code.call(self.builtin(function), *converted, line=line)
        return Code(code.last_of([*before, result]) if before else result, function.gives)

    def evaluated(self, argument: Code, before: list[ast.expr]) -> Code:
        """An argument computed in `before`; constants stay."""
        if argument.constant:
            return argument
        identifier = self.local()
        before.append(code.bind(identifier, argument.expression))
        return Code(code.name(identifier), argument.kind)

    def fold_call(self, function: Function, values: list[Any]) -> Code | None:
        # What depends on the zone has to wait: dates, and whatever reads a text as one.
        if any(parameter.kind in ("date", "buffer") for parameter in function.parameters):
            return None
        return self.fold(lambda evaluation: call_function(function, values, evaluation))

    def builtin(self, function: Function) -> ast.Name:
        identifier = f"F_{function.name}"
        self.globals[identifier] = function.run
        return code.name(identifier)

    def argument(self, node: Call, position: int, *, tail: bool = False) -> Code:
        if position < len(node.arguments):
            return self.expression(node.arguments[position], node.name, tail=tail)
        return self.constant(UNDEFINED)

    def call_if(self, node: Call, *, tail: bool) -> Code:
        test = self.argument(node, 0)
        if test.constant:
            return self.argument(node, 1 if truthy(test.value) else 2, tail=tail)
        then, otherwise = self.argument(node, 1, tail=tail), self.argument(node, 2, tail=tail)
        kind = then.kind if then.kind == otherwise.kind else "any"
        if "any" not in (then.kind, otherwise.kind) and kind == "any":
            kind = "null"
        return Code(code.choose(self.test(test), then.expression, otherwise.expression), kind)

    def call_ifempty(self, node: Call, *, tail: bool) -> Code:
        value = self.argument(node, 0)
        if value.constant:
            empty = value.value is UNDEFINED or value.value is None or value.value == ""
            return self.argument(node, 1, tail=tail) if empty else value
        instead = self.argument(node, 1, tail=tail)
        if value.kind in ("number", "boolean", "array", "collection"):
            return value
        first, again = self.twice(value.expression)
        empty = code.any_of(
            code.is_(first, U), code.is_(again, code.literal(None)), code.equals(again, code.literal(""))
        )
        if value.kind == "text":
            empty = code.equals(first, code.literal(""))
        kind = "any" if instead.kind == "any" else instead.kind if instead.kind == value.kind else "null"
        return Code(code.choose(empty, instead.expression, again), kind)

    def call_switch(self, node: Call, around: str | None, *, tail: bool) -> Code:
        value = self.argument(node, 0)
        identifier = self.local()
        subject = Code(code.name(identifier), value.kind)
        rest = node.arguments[1:]
        pairs = [(rest[i], rest[i + 1]) for i in range(0, len(rest) - 1, 2)]
        default = self.expression(rest[-1], node.name, tail=tail) if len(rest) % 2 else self.constant(UNDEFINED)
        line = self.spot(node.column, node.name, around)
        tests = [self.equality(subject, self.expression(case, node.name), line) for case, _ in pairs]
        results = [self.expression(result, node.name, tail=tail) for _, result in pairs]
        kind = "any" if default.kind == "any" or any(result.kind == "any" for result in results) else "null"
        if len(pairs) <= NESTED:
            chosen = default.expression
            for test, result in zip(reversed(tests), reversed(results), strict=True):
                chosen = code.choose(test, result.expression, chosen)
            return Code(code.last_of([code.bind(identifier, value.expression), chosen]), kind)
        outcome = self.local()
        found = [
            code.all_of(test, code.any_of(code.is_not(code.bind(outcome, result.expression), U), code.literal(True)))
            for test, result in zip(tests, results, strict=True)
        ]
        chosen = code.any_of(*found, code.bind(outcome, default.expression))
        return Code(code.last_of([code.bind(identifier, value.expression), chosen, code.name(outcome)]), kind)
