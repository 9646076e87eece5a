"""Short forms for the tests of custom functions."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

from runtime.errors import ImlFunctionError
from runtime.iml.javascript import FunctionHost, function_host

#: Long enough for every function that ends, on a busy machine.
PATIENT = timedelta(seconds=20)
#: For functions that never end.
SHORT = timedelta(milliseconds=150)


def call(source: str | dict[str, str | None], *args: Any, host: FunctionHost | None = None, **options: Any) -> Any:
    """Call the custom function `f` of an app that has this source, or these sources."""
    sources = source if isinstance(source, dict) else {"f": source}
    app_hash = sha256(repr(sorted(sources.items(), key=str)).encode()).hexdigest()
    settings: dict[str, Any] = {"timezone": "UTC", "timeout": PATIENT, **options}
    return (host or function_host()).call(app_hash, sources, "f", args, **settings)


def failure(source: str | dict[str, str | None], *args: Any, **options: Any) -> str:
    """The text behind `finished with error!` of such a call."""
    try:
        result = call(source, *args, **options)
    except ImlFunctionError as error:
        prefix = "Function 'f' finished with error! "
        assert error.message.startswith(prefix)
        return error.message.removeprefix(prefix)
    raise AssertionError(f"the function returned {result!r}")
