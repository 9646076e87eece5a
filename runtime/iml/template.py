"""Compiled documents and how they are rendered (spec/iml.md 2, 11)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal

from runtime.errors import ImlError, ImlFunctionError, ImlFunctionNotFound, ImlSyntaxError, ImlTypeError
from runtime.iml import nodes
from runtime.iml.document import Broken, Document, Fixed, literal_path, read_document, texts, walk
from runtime.iml.documents import DocumentCompiler
from runtime.iml.emitter import Spot
from runtime.iml.environment import Environment, Place
from runtime.iml.evaluation import BudgetExceeded, Evaluation, FunctionFailed
from runtime.iml.functions import APP_ONLY
from runtime.iml.lexer import syntax_error
from runtime.iml.parser import has_expression
from runtime.iml.registry import TOO_DEEP, function_error, reason_of
from runtime.values import UNDEFINED

#: Documents kept compiled, and the longest one (as JSON text) worth keeping.
CACHE_SIZE: Final = 2048
MAX_CACHED: Final = 64 * 1024

#: The place of a document that stands nowhere in particular.
NOWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable that a document names: root, literal path behind it, JSON pointer of the string, column."""

    root: str
    path: tuple[str | int, ...] = ()
    pointer: str = ""
    column: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A function call in a document. `constants` are the arguments that are literals, by position from 0."""

    name: str
    arguments: int
    pointer: str = ""
    column: int = 1
    constants: tuple[tuple[int, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _Compiled:
    run: Callable[..., Any]
    spots: list[Spot]


class Template:
    """
    A compiled JSON document. Immutable and safe to share between threads.

    `constant`: it holds no expression. `errors`: syntax errors found, each raised when its string is rendered.
    """

    __slots__ = (
        "_compiled",
        "_document",
        "_lock",
        "_marks",
        "_names",
        "_offset",
        "_plain",
        "_size",
        "calls",
        "constant",
        "errors",
        "place",
        "references",
    )

    def __init__(self, document: Document, place: Place, *, marks: bool, offset: int = 0) -> None:
        self._document = document
        self._size = document.size
        self._marks = marks
        self._offset = offset
        self._compiled: dict[tuple[frozenset[str], bool], _Compiled] = {}
        self._lock = threading.Lock()
        self.place = place
        self.constant = isinstance(document, Fixed)
        references: list[Reference] = []
        calls: list[Call] = []
        errors: list[ImlSyntaxError] = []
        for pointer, text in texts(document):
            if isinstance(text, ImlSyntaxError):
                errors.append(self._syntax_error(text, pointer))
                continue
            for part in text.parts:
                for node in () if isinstance(part, str) else walk(part):
                    if isinstance(node, nodes.Path) and node.root is not None:
                        references.append(Reference(node.root, literal_path(node), pointer, node.column + offset))
                    elif isinstance(node, nodes.Call):
                        constants = tuple(
                            [
                                (at, given.value)
                                for at, given in enumerate(node.arguments)
                                if type(given) is nodes.Constant
                            ]
                        )
                        calls.append(Call(node.name, len(node.arguments), pointer, node.column + offset, constants))
        self.references: tuple[Reference, ...] = tuple(references)
        self.calls: tuple[Call, ...] = tuple(calls)
        self.errors: tuple[ImlSyntaxError, ...] = tuple(errors)
        self._names = frozenset(call.name for call in calls)
        self._plain = self._variant(frozenset(), strict=False)

    def render(self, context: Mapping[str, Any], environment: Environment) -> Any:
        """
        The document with its expressions evaluated; a new value each time.

        Raises:
            ImlError: An expression failed; `place` says where.
        """
        compiled = self._plain
        if environment.functions or environment.strict_functions:
            custom = frozenset([name for name in self._names if name in environment.functions])
            strict = environment.strict_functions and not self._names.isdisjoint(APP_ONLY)
            if custom or strict:
                compiled = self._variant(custom, strict=strict)
        evaluation = Evaluation(environment, context, self._size)
        try:
            if evaluation.steps < 0:
                evaluation.charge(0)
            return compiled.run(context.get, evaluation, UNDEFINED)
        except (ImlError, FunctionFailed, BudgetExceeded, RecursionError, OverflowError, MemoryError) as error:
            raise self._located(error, compiled) from error.__cause__

    def _variant(self, custom: frozenset[str], *, strict: bool) -> _Compiled:
        """The code for a set of custom functions; most documents call none and have one."""
        key = (custom, strict)
        found = self._compiled.get(key)
        if found is None:
            with self._lock:
                compiler = DocumentCompiler(custom, strict=strict, marks=self._marks, offset=self._offset)
                found = _Compiled(compiler.run(self._document), compiler.spots)
                self._compiled[key] = found
        return found

    def _syntax_error(self, error: ImlSyntaxError, pointer: str) -> ImlSyntaxError:
        column = max(1, error.column + self._offset)
        wrapped = -self._offset
        template = error.template[wrapped : len(error.template) - wrapped]
        place = self.place.text(pointer, column)
        return ImlSyntaxError(error.message, place=place, template=template, column=column, pointer=pointer)

    def _located(self, error: BaseException, compiled: _Compiled) -> ImlError:
        """The error that people see for what the generated code raised."""
        spot = _spot(error.__traceback__, compiled)
        where: dict[str, Any] = {
            "place": self.place.text(spot.pointer, spot.column), "column": spot.column, "pointer": spot.pointer,
        }  # fmt: skip
        if isinstance(error, ImlSyntaxError):
            return self._syntax_error(error, spot.pointer)
        if isinstance(error, ImlFunctionNotFound):
            where["function"] = error.function
            if spot.around is not None:
                return function_error(spot.around, error.message, **where)
            return ImlFunctionNotFound(error.message, **where)
        if isinstance(error, ImlFunctionError):
            return ImlFunctionError(error.message, **where)
        if isinstance(error, (RecursionError, MemoryError)):
            reason = TOO_DEEP if isinstance(error, RecursionError) else "Not enough memory."
        else:
            reason = reason_of(error) if isinstance(error, Exception) else str(error)
        if spot.function is not None:
            return function_error(spot.function, reason, **where, function=spot.function, argument=spot.argument)
        return ImlTypeError(reason, **where) if isinstance(error, ImlTypeError) else ImlError(reason, **where)


def _spot(traceback: TracebackType | None, compiled: _Compiled) -> Spot:
    """The place of the line at which the generated function stood."""
    while traceback is not None:
        if traceback.tb_frame.f_code is compiled.run.__code__:
            return compiled.spots[traceback.tb_lineno - 1]
        traceback = traceback.tb_next
    return Spot()


def _build(source: Any, place: Place, *, marks: bool, offset: int = 0) -> Template:
    try:
        return Template(read_document(source), place, marks=marks, offset=offset)
    except ImlSyntaxError as error:
        return Template(Broken(error), place, marks=marks)
    except RecursionError:
        return Template(Broken(syntax_error("", "nested too deeply", 0)), place, marks=marks)


@lru_cache(maxsize=CACHE_SIZE)
def _from_text(source: str, place: Place, marks: bool) -> Template:
    return _build(json.loads(source), place, marks=marks)


def compile_document(
    source: Any, *, place: Place = NOWHERE, on_error: Literal["raise", "defer"] = "defer", marks: bool = False
) -> Template:
    """
    Compile any JSON value; the same document at the same place is compiled once.

    `marks=True` (mappers): a lone `{{emptystring}}` or `{{erase}}` renders to FORCED_EMPTY or ERASE, also as the
    result of `if`, `ifempty` and `switch` (spec/iml.md 2.5).

    Raises:
        ImlSyntaxError: With `on_error="raise"`, for the first string that cannot be parsed.
    """
    try:
        text = json.dumps(source, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        # Not JSON (a date, a buffer): no text to find it by.
        template = _build(source, place, marks=marks)
    else:
        template = _from_text(text, place, marks) if len(text) <= MAX_CACHED else _build(source, place, marks=marks)
    if on_error == "raise" and template.errors:
        raise template.errors[0]
    return template


@lru_cache(maxsize=CACHE_SIZE)
def compile_path(text: str, *, place: Place = NOWHERE) -> Template:
    """A string that is evaluated as if wrapped in `{{ }}` when it holds no expression (spec/communication.md 0)."""
    if has_expression(text) or "{{" in text:
        return compile_document(text, place=place)
    return _build("{{" + text + "}}", place, marks=False, offset=-2)
