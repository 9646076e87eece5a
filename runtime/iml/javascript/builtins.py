"""
The IML functions on behalf of `iml.*` in JavaScript: their names here, their calls inside the child process.

The table is imported when needed, not before: its own modules use the regular expressions of this package.
"""

from __future__ import annotations

from datetime import UTC, datetime

from runtime.iml.javascript.values import decode_arguments, encode


def builtin_names() -> list[str]:
    """Names of all built-in IML functions, sorted."""
    from runtime.iml.functions import FUNCTIONS

    return sorted(FUNCTIONS)


def call_builtin(name: str, args: str, timezone: str) -> str:
    """
    Call a built-in IML function with arguments as JSON text; gives the JSON text of its result.

    Raises:
        ImlFunctionError: The function failed; its text is what the script sees.
        Exception: Whatever else goes wrong; the caller shows the text only.
    """
    from runtime.iml.environment import Environment
    from runtime.iml.functions import FUNCTIONS

    return encode(FUNCTIONS[name](Environment(now=datetime.now(UTC), timezone=timezone), *decode_arguments(args)))
