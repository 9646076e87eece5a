"""
ECMAScript patterns for built-ins (spec/scenarios.md 4.9): five seconds for one pattern, and the errors of a module.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from runtime.errors import BundleValidationError, ModuleTimeoutError
from runtime.iml.javascript.regex import JsMatch, RegexRefused, RegexTimedOut, js_matches, js_replace
from runtime.values import UNDEFINED, Bundle

#: Time of one pattern in one text.
TIME: Final = timedelta(seconds=5)
#: What a search gives that goes on without results (spec/scenarios.md 2.3).
MARKER: Final[Bundle] = {"__IMTLENGTH__": 0}
#: Most matches of one text: each is a bundle.
MAX_MATCHES: Final = 100_000


def flags(config: dict[str, Any]) -> str:
    """The flags that the switches of a text parser module mean; `sensitive` off ignores case."""
    switches = (("global", "g"), ("multiline", "m"), ("singleline", "s"))
    chosen = "".join([flag for name, flag in switches if config.get(name, UNDEFINED) is True])
    return chosen if config.get("sensitive", UNDEFINED) is True else chosen + "i"


def matches(text: str, pattern: str, marks: str) -> list[JsMatch]:
    """
    The matches of a pattern; at most one without the flag `g`.

    Raises:
        BundleValidationError: The pattern is none.
        ModuleTimeoutError: It takes too long.
    """
    try:
        return js_matches(text, pattern, marks, limit=MAX_MATCHES, timeout=TIME)
    except RegexRefused as error:
        raise BundleValidationError(error.message) from None
    except RegexTimedOut as error:
        raise ModuleTimeoutError(error.message) from None


def replaced(text: str, pattern: str, marks: str, replacement: str) -> str:
    """
    The text with matches replaced, `$1`, `$&` and `$<name>` in the replacement.

    Raises:
        BundleValidationError: The pattern is none.
        ModuleTimeoutError: It takes too long.
    """
    try:
        return js_replace(text, pattern, marks, replacement, TIME)
    except RegexRefused as error:
        raise BundleValidationError(error.message) from None
    except RegexTimedOut as error:
        raise ModuleTimeoutError(error.message) from None


def is_found(text: str, pattern: str) -> bool:
    """Whether the pattern occurs in the text. Raises as `matches`."""
    return bool(matches(text, pattern, ""))
