"""
Evaluates what stands in front of an operation: filter, mapper, group by, merge; and says what failed.

Errors become `DataError` of the module with the texts of spec/scenarios.md 2.6 and spec/iml.md 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runtime.errors import DataError, ImlError
from runtime.iml import Environment, Template, compile_document
from runtime.scenario.aggregate import element
from runtime.scenario.cursor import Frame, Handling, Outs, made
from runtime.scenario.plan import FilterPlan, Needs, Node
from runtime.values import ERASE, UNDEFINED, Bundle, to_text

if TYPE_CHECKING:
    from runtime.scenario.engine import Engine

#: Position of a bundle in its operation, from 1, and their number (spec/modules.md 1.10).
INDEX: Final = "__IMTINDEX__"
LENGTH: Final = "__IMTLENGTH__"

_NOTHING: Final[dict[str, Any]] = {}


class Verdict(NamedTuple):
    """What a filter said; `sides` are the conditions looked at, as (a, operator, b, result)."""

    passed: bool
    name: str
    sides: tuple[tuple[tuple[Any, str, Any, bool], ...], ...]


def stamped(bundle: Bundle, index: int, count: int) -> Bundle:
    """A bundle of a multi-bundle module with its position and total; one that carries a total stays as it is."""
    if LENGTH in bundle:
        return bundle
    return {**bundle, LENGTH: count, INDEX: index + 1}


class Evaluation:
    """
    What is visible from a stack, and evaluations in it. Only bundles that the templates name are read.

    Args:
        engine: Gives bundles, variables and the environment of this step.
        stack: The frames below the module.
        needs: What the templates refer to.
    """

    __slots__ = ("_engine", "_stack", "context", "environment")

    def __init__(self, engine: Engine, stack: tuple[Frame, ...], needs: Needs) -> None:
        self._engine = engine
        self._stack = stack
        self.environment = engine.moment()
        self.context = self._visible(needs) if needs.modules or needs.variables else _NOTHING

    def _visible(self, needs: Needs) -> dict[str, Any]:
        engine = self._engine
        context: dict[str, Any] = {"var": engine.variables} if needs.variables else {}
        modules = needs.modules
        missing = len(modules)
        stack = self._stack
        index = len(stack) - 1
        # The same walk as `cursor.visible`, without a generator and only as far as something is missing: it runs for
        # every operation.
        while missing and index >= 0:
            frame = stack[index]
            if type(frame) is Outs or type(frame) is Handling:
                name = modules.get(frame.module)
                if name is not None and name not in context:
                    context[name] = self._bundle(frame)
                    missing -= 1
                if type(frame) is Outs and frame.base >= 0:
                    index = frame.base
            index -= 1
        return context

    def _bundle(self, frame: Outs | Handling) -> Bundle:
        """The current bundle of an operation as later modules see it, or the error of a failed module."""
        engine = self._engine
        if type(frame) is Outs:
            bundle = engine.bundles.get(frame.number, frame.current)
            if engine.plan.nodes[frame.module].info.multi_bundle:
                return stamped(bundle, frame.current, frame.total)
            return bundle
        return {"error": engine.bundles.get(frame.number, 0)["error"]}

    def check(self, filter_plan: FilterPlan) -> Verdict | DataError:
        """Whether a filter passes; a `DataError` when one of its expressions fails."""
        context, environment = self.context, self.environment
        timezone = environment.timezone
        groups: tuple[tuple[tuple[Any, str, Any, bool], ...], ...] = ()
        try:
            for group in filter_plan.tests:
                sides: tuple[tuple[Any, str, Any, bool], ...] = ()
                passed = True
                for test in group:
                    a, b = test.a.render(context, environment), test.text
                    if b is None:
                        b = test.b.render(context, environment)
                    passed = test.apply(a, b, timezone)
                    sides = (*sides, (a, test.operator, b, passed))
                    if not passed:
                        break
                groups = (*groups, sides)
                if passed:
                    return made(Verdict, (True, filter_plan.name, groups))
        except ImlError as error:
            return DataError(f"Failed to evaluate filter '{filter_plan.name}': {error.message}")
        return made(Verdict, (False, filter_plan.name, groups))

    def configuration(self, node: Node) -> tuple[dict[str, Any], dict[str, Any], DataError | None]:
        """The evaluated mapper and the static parameters of a module, or what failed."""
        try:
            mapped = node.mapper.render(self.context, self.environment)
        except ImlError as error:
            return {}, node.static, self._field_error(node.mapper_source, error)
        static = node.static
        if node.static_template is not None:
            try:
                static = node.static_template.render({}, self.environment)
            except ImlError as error:
                return {}, node.static, _blame("parameters", error)
        return mapped, static, None

    def element(self, node: Node) -> tuple[Bundle, DataError | None]:
        """What an aggregator collects from here: `{"key": ..., "item": ...}`, or what failed."""
        key, failed = self.group_key(node)
        if failed is not None:
            return {}, failed
        mapped, _, error = self.configuration(node)
        return element(key, mapped), error

    def group_key(self, node: Node) -> tuple[str | None, DataError | None]:
        """The text by which an aggregator groups this bundle; None without group by."""
        if node.group_by is None:
            return None, None
        try:
            return to_text(node.group_by.render(self.context, self.environment)), None
        except ImlError as error:
            return None, _blame("groupBy", error)

    def merge(self, node: Node, branch: int, base: int) -> tuple[Bundle, DataError | None]:
        """The bundle of a merge: its mappings for this branch, or without outputs the last bundle of the branch."""
        if not node.outputs:
            for frame in reversed(self._stack[base + 1 :]):
                if type(frame) is Outs:
                    return self._bundle(frame), None
            return {}, None
        bundle: Bundle = {}
        for name, mappings in node.outputs:
            template = mappings[branch] if branch < len(mappings) else None
            try:
                value = None if template is None else template.render(self.context, self.environment)
            except ImlError as error:
                return {}, _blame(name, error)
            if value is not UNDEFINED:
                bundle[name] = None if value is ERASE else value
        return bundle, None

    def _field_error(self, sources: Mapping[str, Any], error: ImlError) -> DataError:
        """Name the field that made the mapper fail, by evaluating them one by one; slow, but only after a failure."""
        for name, source in sources.items():
            found = _failure(compile_document({name: source}), self.context, self.environment)
            if found is not None:
                return _blame(name, found)
        return _blame("", error)


def _failure(template: Template, context: Mapping[str, Any], environment: Environment) -> ImlError | None:
    try:
        template.render(context, environment)
    except ImlError as error:
        return error
    return None


def _blame(field: str, error: ImlError) -> DataError:
    return DataError(f"Failed to map '{field}': {error.message}")
