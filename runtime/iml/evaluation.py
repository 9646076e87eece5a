"""One evaluation: its budgets, and the two ways in which a function stops it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.iml.environment import Environment

#: Characters of produced text that count as one step, so that the total is bounded and not only each text.
TEXT_PER_STEP: Final = 256


#: Time that all regular expressions of one render may take together, in seconds.
REGEX_SECONDS: Final = 5.0


class FunctionFailed(Exception):  # noqa: N818  it never leaves the package: rendering turns it into ImlFunctionError
    """A function cannot do its work; the text is the reason. The caller's place names the function."""


class BudgetExceeded(Exception):  # noqa: N818  the same: rendering turns it into ImlError
    """The evaluation has used up its steps or its text; the text says which."""


class Evaluation:
    """What the functions of one render share: the environment and what is left of the budgets."""

    __slots__ = ("context", "environment", "max_text", "regex_seconds", "steps", "timezone")

    def __init__(self, environment: Environment, context: Mapping[str, Any], size: int = 0) -> None:
        self.environment = environment
        self.context = context
        self.timezone = environment.timezone
        self.max_text = environment.max_text
        self.regex_seconds = REGEX_SECONDS
        self.steps = environment.max_steps - size

    def charge(self, steps: int) -> None:
        """
        Count steps.

        Raises:
            BudgetExceeded: More than the environment allows.
        """
        self.steps -= steps
        if self.steps < 0:
            raise BudgetExceeded(f"The expression needs more than {self.environment.max_steps:,} steps.")

    def room(self, length: int) -> None:
        """
        Make sure that a text of so many characters may be built; call it before building when the length is known.

        Raises:
            BudgetExceeded: The text is too long, or all texts together are.
        """
        if length > self.max_text:
            raise BudgetExceeded(f"A text result is longer than {self.max_text:,} characters.")
        self.steps -= length // TEXT_PER_STEP
        if self.steps < 0:
            raise BudgetExceeded(f"The expression needs more than {self.environment.max_steps:,} steps.")

    def text(self, text: str) -> str:
        """A text that has been built, if it may be that long."""
        if len(text) > 200:
            self.room(len(text))
        return text
