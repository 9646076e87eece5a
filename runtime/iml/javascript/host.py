"""
Custom functions: called by name with values of the language, run in a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from runtime.errors import ImlFunctionError, ImlFunctionNotFound
from runtime.iml.javascript.pool import ChildFailed, ChildTimedOut, Pool
from runtime.iml.javascript.values import MalformedValue, decode, encode
from runtime.values import Value

#: Wall clock that one call of a custom function may take (spec/iml.md 10).
CALL_TIMEOUT = timedelta(seconds=10)
#: Memory of one engine context (spec/iml.md 10).
MEMORY_BYTES = 64 * 1024 * 1024
#: More than a context could hold anyway; refused before it is sent.
MAX_ARGUMENT_BYTES = 64 * 1024 * 1024
#: Threads of a worker process, when nobody says otherwise (design section 10.14).
DEFAULT_THREADS = 8


@dataclass(frozen=True, slots=True)
class FunctionLimits:
    """
    What one call of a custom function may use; the operator's settings.

    `timeout` is wall clock, `memory_bytes` that of the engine context, `result_characters` the largest result as JSON
    text: 0 = only the limit that every text has, which is what public apps need (spec/iml.md 10).
    """

    timeout: timedelta = CALL_TIMEOUT
    memory_bytes: int = MEMORY_BYTES
    result_characters: int = 0


#: As the specification has them.
DEFAULT_LIMITS = FunctionLimits()


class FunctionHost:
    """
    Runs custom functions; any thread may call. Children start on first use and are not shared over a fork.

    Args:
        threads: How many threads of this process may call: one child per 4 of them, at least one, plus a spare.
    """

    def __init__(self, *, threads: int = DEFAULT_THREADS) -> None:
        self.pool = Pool(size=max(1, -(-threads // 4)))

    def call(
        self,
        app_hash: str,
        sources: Mapping[str, str | None],
        name: str,
        args: Sequence[Value],
        *,
        timezone: str,
        debug: Callable[[str], None] | None = None,
        timeout: timedelta = CALL_TIMEOUT,
        memory_bytes: int = MEMORY_BYTES,
        result_characters: int = 0,
    ) -> Value:
        """
        Call one custom function of an app and return its value (spec/iml.md 10).

        Args:
            app_hash: Identifies `sources`; contexts are kept by it.
            sources: Component name -> source text of every custom function of the app; None = its body is missing.
            name: The component's name.
            args: Arguments; they are copied, never changed.
            timezone: Zone of the scenario, a name of the tz database.
            debug: Gets each line that the function logs, 5,000 characters in all, when the call has ended.
            timeout, memory_bytes, result_characters: As in `FunctionLimits`.

        Raises:
            ImlFunctionNotFound: The app has no function of this name.
            ImlFunctionError: `Function 'name' finished with error! <reason>`: it threw, its time or memory is over,
                its result is no value, its body is missing.
        """
        if name not in sources:
            raise ImlFunctionNotFound(f"Function '{name}' not found!")
        if sources[name] is None:
            raise _failed(name, "The app's files hold no code for this function.")
        try:
            body = encode(list(args)).encode("ascii")
        except (RecursionError, TypeError) as error:
            raise _failed(name, "An argument is nested too deeply or is no value of the language.") from error
        if len(body) > MAX_ARGUMENT_BYTES:
            raise _failed(name, f"The arguments are larger than {MAX_ARGUMENT_BYTES // 1024**2} MiB.")
        meta = {"op": "call", "name": name, "timezone": timezone}
        try:
            answer = self.pool.call_app(
                (app_hash, memory_bytes), sources, meta, body, timeout=timeout, debug=debug or _ignore
            )
        except ChildTimedOut as error:
            raise _failed(name, "Script execution timed out.") from error
        except ChildFailed as error:
            raise _failed(name, str(error)) from error
        if "error" in answer.meta:
            raise _failed(name, reason(answer.meta, name=name, memory_bytes=memory_bytes))
        if 0 < result_characters < len(answer.body):
            raise _failed(name, f"The result is longer than {result_characters:,} characters.")
        try:
            return decode(answer.body)
        except MalformedValue as error:
            raise _failed(name, f"The result cannot be read: {error}.") from error

    def set_threads(self, threads: int) -> None:
        """Say anew how many threads may call; for the start of a worker process."""
        self.pool.size = max(1, -(-threads // 4))

    def close(self) -> None:
        """End all children. A later call starts new ones."""
        self.pool.close()


def reason(meta: Mapping[str, Any], *, name: str, memory_bytes: int = MEMORY_BYTES) -> str:
    """The text behind `finished with error!` for a child's error answer."""
    match meta.get("kind"):
        case "memory":
            return f"The function needs more memory than the limit of {memory_bytes // 1024**2} MiB."
        case "promise":
            return f"Function '{name}' returned a Promise."
        case _:
            return str(meta.get("error"))


def _failed(name: str, text: str) -> ImlFunctionError:
    return ImlFunctionError(f"Function '{name}' finished with error! {text}")


def _ignore(_: str) -> None:
    pass


#: Starts nothing by itself, and is ready for a fork: a forked process starts children of its own.
_HOST = FunctionHost()


def function_host() -> FunctionHost:
    """The host of this process."""
    return _HOST


def functions_for(
    app_hash: str,
    sources: Mapping[str, str | None],
    *,
    timezone: str = "UTC",
    debug: Callable[[str], None] | None = None,
    host: FunctionHost | None = None,
    limits: FunctionLimits = DEFAULT_LIMITS,
) -> Mapping[str, Callable[..., Value]]:
    """
    The custom functions of an app for `iml.Environment.functions`: name -> callable of positional arguments.

    Nothing starts before the first call.
    """

    def run(name: str, *args: Value) -> Value:
        return (host or function_host()).call(
            app_hash,
            sources,
            name,
            args,
            timezone=timezone,
            debug=debug,
            timeout=limits.timeout,
            memory_bytes=limits.memory_bytes,
            result_characters=limits.result_characters,
        )

    return {name: partial(run, name) for name in sources}
