"""
Every error class of the runtime, one tree.

* ScenaristError
  + UsageError                   the command or call was wrong (exit code 2)
  + SettingsError                a setting is missing or unusable; names it
  + DefinitionError              an app or blueprint is wrong; carries findings, never retried
  + ImlError                     an expression failed
    - ImlSyntaxError, ImlFunctionNotFound, ImlFunctionError, ImlTypeError
  + ModuleError                  a module failed; an error route sees its class name (`name`)
    - one class for each name of spec/communication.md 15 and spec/scenarios.md 3.2

`name` is the class name that Make uses, kept as data so that our classes need not hide Python's own. What a class
does to a run stands in spec/scenarios.md 3.2 and is decided by the engine, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class ScenaristError(Exception):
    """Base of all errors that a person may see. Its text is a sentence for that person."""

    #: The class name that messages, JSON and error routes show.
    name: ClassVar[str] = "UnexpectedError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageError(ScenaristError):
    """A command or call is wrong in itself: unknown name, missing argument, no such file. Exit code 2."""

    name = "UsageError"


class NotFoundError(UsageError):
    """There is nothing of this name or id. The message lists what there is, or says which command does."""


class SettingsError(ScenaristError):
    """A setting is missing or unusable. The message names the setting and what to put there. Exit code 2."""

    name = "SettingsError"


class DefinitionError(ScenaristError):
    """An app or a blueprint is wrong. `findings` are `runtime.app.findings.Finding` objects, errors first."""

    name = "DefinitionError"

    def __init__(self, message: str, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ImlError(ScenaristError):
    """
    An expression failed (spec/iml.md 11). `place` says where in words: component, JSON pointer, column.

    For editors: `column` (1-based, 0 = not known) within the text at `pointer` of the document; `template` is that
    text where it is at hand; `function` is the called function that failed or is unknown, `argument` its parameter.
    """

    name = "ImlError"

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        template: str = "",
        column: int = 0,
        pointer: str = "",
        function: str = "",
        argument: str = "",
    ) -> None:
        super().__init__(message)
        self.place = place
        self.template = template
        self.column = column
        self.pointer = pointer
        self.function = function
        self.argument = argument


class ImlSyntaxError(ImlError):
    """A template cannot be parsed. `column` is 1-based within the template text."""

    name = "ImlSyntaxError"

    def __init__(
        self, message: str, *, place: str | None = None, template: str = "", column: int = 1, pointer: str = ""
    ) -> None:
        super().__init__(message, place=place, template=template, column=column, pointer=pointer)


class ImlFunctionNotFound(ImlError):  # noqa: N818  the specification's own name
    """A call of an unknown function was evaluated."""

    name = "ImlFunctionNotFound"


class ImlFunctionError(ImlError):
    """A function raised. `reason` is the part behind `finished with error!`."""

    name = "ImlFunctionError"


class ImlTypeError(ImlError):
    """A value has a type that the place cannot take, such as a spread of a text."""

    name = "ImlTypeError"


class ModuleError(ScenaristError):
    """
    A module failed. Subclasses carry Make's class name; catch this one to catch them all.

    Args:
        message: For the owner of the scenario; never holds a header, a token or a whole body.
        status_code: HTTP status of the answer that caused it, if one did.
        delay_ms: How long the service asks to wait, in milliseconds.
        suberrors: Texts of the single failures, for example one per parameter.
        external: What the service said about it, as JSON data; redacted before it is stored.
    """

    name = "UnexpectedError"

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        delay_ms: int | None = None,
        suberrors: Sequence[str] = (),
        external: Any = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.delay_ms = delay_ms
        self.suberrors = tuple(suberrors)
        self.external = external

    def to_json(self) -> dict[str, Any]:
        """The error as JSON data; `error_from_json` gives an equal error back."""
        data: dict[str, Any] = {"type": self.name, "message": self.message}
        if self.status_code is not None:
            data["statusCode"] = self.status_code
        if self.delay_ms is not None:
            data["delay"] = self.delay_ms
        if self.suberrors:
            data["suberrors"] = list(self.suberrors)
        if self.external is not None:
            data["external"] = self.external
        return data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModuleError) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


class UnexpectedError(ModuleError):
    """Should never happen: a fault of the runtime itself."""

    name = "UnexpectedError"


class UnknownError(ModuleError):
    """Something that is no error object was raised."""

    name = "UnknownError"


class ModuleRuntimeError(ModuleError):
    """Make's `RuntimeError`: a fault in logic or a refused request; the default class."""

    name = "RuntimeError"


class DataError(ModuleError):
    """The input was rejected; only this bundle is bad."""

    name = "DataError"


class DuplicateDataError(ModuleError):
    """The service refuses a duplicate."""

    name = "DuplicateDataError"


class BundleValidationError(ModuleError):
    """Mapped values failed their type or required checks before the module ran; one suberror a field."""

    name = "BundleValidationError"


class InconsistencyError(ModuleError):
    """Commit or rollback failed: stop at once, nothing more is undone."""

    name = "InconsistencyError"


class RateLimitError(ModuleError):
    """A quota is exceeded; `delay_ms` when the service said how long."""

    name = "RateLimitError"


class ServiceConnectionError(ModuleError):
    """Make's `ConnectionError`: the service cannot be reached or failed itself (5xx)."""

    name = "ConnectionError"


class ModuleTimeoutError(ModuleError):
    """No complete answer in time."""

    name = "ModuleTimeoutError"


class OutOfSpaceError(ModuleError):
    """The target reports no space."""

    name = "OutOfSpaceError"


class InvalidConfigurationError(ModuleError):
    """The user must fix settings."""

    name = "InvalidConfigurationError"


class InvalidAccessTokenError(InvalidConfigurationError):
    """A credential is revoked or expired."""

    name = "InvalidAccessTokenError"


class MaxResultsExceededError(ModuleError):
    """More results than allowed."""

    name = "MaxResultsExceededError"


class MaxFileSizeExceededError(ModuleError):
    """A body or file is over its limit."""

    name = "MaxFileSizeExceededError"


class IncompleteDataError(ModuleError):
    """Triggers only: data are not ready yet."""

    name = "IncompleteDataError"


class ScenarioTimeoutError(ModuleError):
    """The execution is over its time limit."""

    name = "ScenarioTimeoutError"


class OperationsLimitExceededError(ModuleError):
    """Out of operations quota."""

    name = "OperationsLimitExceededError"


class DataSizeLimitExceededError(ModuleError):
    """Out of transfer or storage quota."""

    name = "DataSizeLimitExceededError"


class ExecutionInterruptedError(ModuleError):
    """Stopped by the user or by a shutdown."""

    name = "ExecutionInterruptedError"


class AccountValidationError(ModuleError):
    """A connection failed its check at the start of an execution."""

    name = "AccountValidationError"


#: Make's class name -> our class, matched exactly and case-sensitive (spec/communication.md 15).
MODULE_ERRORS: dict[str, type[ModuleError]] = {
    error.name: error
    for error in (
        ModuleRuntimeError, DataError, RateLimitError, OutOfSpaceError, ServiceConnectionError,
        InvalidConfigurationError, InvalidAccessTokenError, IncompleteDataError, DuplicateDataError,
        UnexpectedError, UnknownError, InconsistencyError, MaxResultsExceededError, MaxFileSizeExceededError,
        ModuleTimeoutError, ScenarioTimeoutError, OperationsLimitExceededError, DataSizeLimitExceededError,
        ExecutionInterruptedError, BundleValidationError, AccountValidationError,
    )
}  # fmt: skip

#: Names that `response.error` of an app may raise; the two engine-side ones are not among them.
APP_ERROR_NAMES = frozenset(MODULE_ERRORS) - {"BundleValidationError", "AccountValidationError"}


def module_error(name: str, message: str, **fields: Any) -> ModuleError:
    """An error of the class with this name; an unknown name gives a `RuntimeError` (spec/communication.md 15)."""
    return MODULE_ERRORS.get(name, ModuleRuntimeError)(message, **fields)


def error_from_json(data: dict[str, Any]) -> ModuleError:
    """The error that `ModuleError.to_json` wrote."""
    return module_error(
        data["type"],
        data["message"],
        status_code=data.get("statusCode"),
        delay_ms=data.get("delay"),
        suberrors=data.get("suberrors", ()),
        external=data.get("external"),
    )
