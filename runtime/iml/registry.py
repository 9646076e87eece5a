"""
How a built-in function is declared: one decorator that carries its name, parameters, words and examples.

The examples are data: a test runs every one, and the reference page prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.coercion import to_array, to_boolean, to_buffer, to_collection, to_date, to_number_argument
from runtime.errors import ImlFunctionError, ImlTypeError
from runtime.iml.environment import Environment
from runtime.iml.evaluation import BudgetExceeded, Evaluation, FunctionFailed
from runtime.iml.operators import print_text
from runtime.values import UNDEFINED

#: What a value nested deeper than the interpreter follows gives.
TOO_DEEP: Final = "A value is nested too deeply."


def reason_of(error: Exception) -> str:
    """The reason that a failed function gives, from what it raised."""
    return "The result is out of range." if isinstance(error, OverflowError) else str(error)


def function_error(name: str, reason: str, **where: Any) -> ImlFunctionError:
    """The error of a function that failed (spec/iml.md 7, 11); `where` as in `ImlError`."""
    return ImlFunctionError(f"Function '{name}' finished with error! {reason}", **where)


@dataclass(frozen=True, slots=True)
class Example:
    """A template, the context that it sees and what it renders to (`error`: a fragment of the message instead)."""

    template: str
    expect: Any = None
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timezone: str = "UTC"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `kind` names the conversion of its arguments; `rest` takes all further ones."""

    name: str
    kind: str = "any"
    optional: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """
    A built-in function.

    `run` is called with converted arguments, after the `Evaluation` when `needs_evaluation`. `gives` is the kind of
    its results ("any" may be undefined). `pure` results depend on the arguments only. `app_only` is taken away by
    `strict_functions`. `lazy` functions are compiled by hand; `run` is their eager form.
    """

    name: str
    parameters: tuple[Parameter, ...]
    run: Callable[..., Any]
    doc: str
    family: str
    gives: str = "any"
    needs_evaluation: bool = False
    pure: bool = True
    lazy: bool = False
    app_only: bool = False
    examples: tuple[Example, ...] = ()

    @property
    def signature(self) -> str:
        """As people write it: `replace(text; search; [replacement])`."""
        shown = [f"{p.name}; ..." if p.rest else p.name for p in self.parameters]
        shown = [f"[{text}]" if p.optional else text for text, p in zip(shown, self.parameters, strict=True)]
        return f"{self.name}({'; '.join(shown)})"

    def __call__(self, environment: Environment, *arguments: Any) -> Any:
        """
        Call the function on its own, outside a template, as custom JavaScript does with `iml.<name>`.

        Raises:
            ImlFunctionError: The function failed.
        """
        try:
            return call(self, list(arguments), Evaluation(environment, {}))
        except (FunctionFailed, BudgetExceeded, ImlTypeError, OverflowError) as error:
            raise function_error(self.name, reason_of(error)) from None
        except RecursionError:
            raise function_error(self.name, TOO_DEEP) from None


def _text(value: Any, evaluation: Evaluation) -> str:
    return print_text(evaluation, value)


def _number(value: Any, _: Evaluation) -> Any:
    if value is None or value is UNDEFINED or value == "":
        return UNDEFINED
    return to_number_argument(value)


def _date(value: Any, evaluation: Evaluation) -> Any:
    if value is None or value is UNDEFINED:
        return UNDEFINED
    return to_date(value, evaluation.timezone)


#: Conversions of arguments by kind (spec/iml.md 5.4, 7). `number` and `date` pass emptiness on as undefined.
CONVERSIONS: Final[dict[str, Callable[[Any, Evaluation], Any]]] = {
    "text": _text,
    "number": _number,
    "date": _date,
    "array": lambda value, _: to_array(value),
    "collection": lambda value, _: to_collection(value),
    "boolean": lambda value, _: to_boolean(value),
    "buffer": lambda value, _: to_buffer(value),
}


def parameters_of(text: str) -> tuple[Parameter, ...]:
    """Parameters from their declaration: `"text: text; [start: number]; *values"`."""
    parsed: list[Parameter] = []
    for part in filter(None, [part.strip() for part in text.split(";")]):
        optional = part.startswith("[")
        body = part.strip("[]")
        name, _, kind = body.lstrip("*").partition(":")
        parsed.append(Parameter(name.strip(), kind.strip() or "any", optional, rest=body.startswith("*")))
    return tuple(parsed)


class Family:
    """The functions of one file, in the order of their declaration."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.functions: dict[str, Function] = {}

    def function(
        self,
        name: str,
        parameters: str,
        doc: str,
        *examples: Example,
        gives: str = "any",
        pure: bool = True,
        needs_evaluation: bool = False,
        lazy: bool = False,
        app_only: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare a function; see `Function` for what the words mean."""

        def declare(run: Callable[..., Any]) -> Callable[..., Any]:
            self.functions[name] = Function(
                name=name,
                parameters=parameters_of(parameters),
                run=run,
                doc=doc,
                family=self.name,
                gives=gives,
                needs_evaluation=needs_evaluation,
                pure=pure,
                lazy=lazy,
                app_only=app_only,
                examples=examples,
            )
            return run

        return declare


def call(function: Function, arguments: list[Any], evaluation: Evaluation) -> Any:
    """
    Call a built-in function with evaluated arguments: missing ones are undefined, surplus ones are ignored.

    Raises:
        FunctionFailed, ImlTypeError, BudgetExceeded: As the function does.
    """
    converted: list[Any] = [evaluation] if function.needs_evaluation else []
    for position, parameter in enumerate(function.parameters):
        given = arguments[position:] if parameter.rest else arguments[position : position + 1]
        if not given and not parameter.rest:
            given = [UNDEFINED]
        convert = CONVERSIONS.get(parameter.kind)
        converted += given if convert is None else [convert(value, evaluation) for value in given]
    return function.run(*converted)
