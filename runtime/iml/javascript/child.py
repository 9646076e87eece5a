"""
The child process that holds the JavaScript engine. Started as a script by `process.py`, one request at a time.

Frames on both pipes: two big-endian 32-bit lengths, then a JSON object (`meta`), then a body of JSON text.

| request `op` | meta | body | answer |
| --- | --- | --- | --- |
| `open` | key, memory, sources, builtins | | `{}` |
| `call` | key, name, timezone | arguments | `{}` + result, or `{error, kind}`, or `{missing: true}` |
| `test` | key, name, timezone, script | | `{}` + report, or `{error, kind}` |
| `match` | pattern, flags, limit, seconds | text | `{}` + matches, or `{error, kind}` |
| `replace` | pattern, flags, replacement, seconds | text | `{}` + text, or `{error, kind}` |

`missing` asks for `open` and the same request again: the child does not have that context, or no longer trusts it.
Before the answer of a call, `{"debug": line}` frames may come. `last: true` in an answer: the child ends now.

Nothing of the project is imported at start, so that a child is up in some 30 ms; the table of IML functions is
imported when a script first calls one. Deadlines of calls are the parent's business: it kills this process.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

#: Lengths of meta and body.
HEADER = struct.Struct(">II")
#: Contexts kept; the longest unused goes first (design section 10.7).
MAX_CONTEXTS = 8
#: A child ends after so many requests, so that nothing can pile up for ever (design section 10.7).
MAX_REQUESTS = 100_000
#: Address space of the process: far above what one context may use, far below what hurts a host.
MAX_ADDRESS_SPACE = 600_000_000
#: C stack that scripts may use: some 9,000 plain calls deep, as in other engines. Deeper recursion is an error inside
#: the script. 512 KiB would end at 300 calls, and at 80 through `iml.self(...)`.
STACK_BYTES = 16 * 1024 * 1024
#: Stack of the thread that the engine runs in: room for the built-in functions on top of a script's own.
THREAD_STACK_BYTES = 24 * 1024 * 1024
#: Stack for regular expressions, which run no script.
REGEX_STACK_BYTES = 512 * 1024
#: Memory of the context for regular expressions.
REGEX_MEMORY = 64 * 1024 * 1024
#: Characters that one call may log (spec/iml.md 10). The prelude cuts there; this is the second wall.
MAX_DEBUG = 5_000
#: Largest result, as JSON text (spec/iml.md 13).
MAX_RESULT = 32 * 1024 * 1024
#: A context that holds more than this part of its memory between two calls is thrown away.
DIRTY_PART = 4
#: Calls between two looks at a context's memory: a look costs some 10 microseconds.
CALLS_PER_LOOK = 20

Answer = tuple[dict[str, Any], bytes]


def confine(parent: int) -> None:
    """Give up what a script must never reach. Best effort where the platform lacks a limit."""
    import resource

    limits = (
        ("RLIMIT_AS", MAX_ADDRESS_SPACE),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 16),
        ("RLIMIT_CORE", 0),
    )
    for name, value in limits:
        if hasattr(resource, name):
            kind = getattr(resource, name)
            _, hard = resource.getrlimit(kind)
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (limit, limit))
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig, pr_set_no_new_privs = 1, 38
        libc = ctypes.CDLL(None)
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
        libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            raise SystemExit(0)


def peak_memory() -> int:
    """
    The most memory that this process has held, in bytes.

    When not even an error object fits any more, the engine throws null. So null in a process that has never held much
    was thrown by the script; else the memory was over. A child whose memory was over ends and takes its peak along.
    """
    try:
        # The value of getrusage would include what the parent held before it started this process.
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123  pathlib costs start time
            return 1024 * int(file.read().partition(b"VmHWM:")[2].split(maxsplit=1)[0])
    except (OSError, IndexError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


#: What the process held before the first script.
BASE_MEMORY = peak_memory()


class Builtins:
    """The project's own IML functions for `iml.*`, imported when first needed. `regex` evaluates their expressions."""

    def __init__(self, regex: Callable[[dict[str, Any], str], Answer]) -> None:
        self._regex = regex
        self._call: Callable[[str, str, str], str] | None = None

    def call(self, name: str, args: str, timezone: str) -> str:
        """`=` and the result, or `!` and the text of the error. Never raises: that would break the engine."""
        try:
            if self._call is None:
                from runtime.iml.javascript.builtins import call_builtin
                from runtime.iml.javascript.regex import evaluate_here

                evaluate_here(self._regex)
                self._call = call_builtin
            return "=" + self._call(name, args, timezone)
        except Exception as error:  # noqa: BLE001  one that gets out of here breaks the engine
            try:
                return "!" + json.dumps(str(error) or type(error).__name__)
            except Exception:  # noqa: BLE001  even an error that cannot be printed
                return '!"The function failed."'


class Context:
    """One engine context with the prelude and the functions of one app."""

    def __init__(self, request: dict[str, Any], prelude: str, builtins: Builtins, log: Callable[[str], None]) -> None:
        import quickjs

        self._engine = quickjs.Context()
        self._memory: int = request["memory"]
        self._engine.set_memory_limit(self._memory)
        self._engine.set_max_stack_size(STACK_BYTES)
        self._engine.add_callable("__host", builtins.call)
        self._engine.add_callable("__log", log)
        self._entry: Callable[..., str] = self._engine.eval(prelude)
        self._entry("open", json.dumps([request["sources"], request["builtins"]]))
        self._calls = 0

    @property
    def fresh(self) -> bool:
        """True until the second call."""
        return self._calls <= 1

    def run(self, operation: str, *texts: str) -> tuple[Answer, bool]:
        """The answer of one call, and whether the context may be used again."""
        self._calls += 1
        try:
            text = self._entry(operation, *texts)
        except Exception as error:  # noqa: BLE001  the engine has no class for what it raises; becomes the answer
            # Only a broken context gets here: whatever a script throws, the prelude turns into an answer.
            return (engine_error(error), b""), False
        clean = text[0] == "+"
        if text[1] == "!":
            kind, _, message = text[2:].partition(":")
            if kind == "null" and (peak_memory() - BASE_MEMORY) * 2 > self._memory:
                kind = "memory"
            clean = clean and kind != "memory"
            return ({"kind": kind, "error": json.loads(message)}, b""), clean and self._roomy()
        body = text[2:].encode("utf-8")
        if len(body) > MAX_RESULT:
            return ({"error": f"The result is larger than {MAX_RESULT // 1024**2} MiB."}, b""), False
        return ({}, body), clean and self._roomy()

    def _roomy(self) -> bool:
        if self._calls % CALLS_PER_LOOK:
            return True
        if self._used() * DIRTY_PART > self._memory:
            self._engine.gc()
        return self._used() * DIRTY_PART <= self._memory

    def _used(self) -> int:
        return self._engine.memory()["memory_used_size"]


class Regexes:
    """The context for regular expressions. Nothing of an app runs in it, so the engine's own time limit works."""

    def __init__(self, source: str) -> None:
        import quickjs

        self._engine = quickjs.Context()
        self._engine.set_memory_limit(REGEX_MEMORY)
        self._engine.set_max_stack_size(REGEX_STACK_BYTES)
        self._entry: Callable[..., str] = self._engine.eval(source)

    def run(self, request: dict[str, Any], text: str) -> Answer:
        self._engine.set_time_limit(request["seconds"])
        try:
            if request["op"] == "match":
                limit = "0" if request["limit"] is None else str(request["limit"])
                result = self._entry("match", request["pattern"], request["flags"], text, limit)
            else:
                result = self._entry("replace", request["pattern"], request["flags"], text, request["replacement"])
        except Exception as error:  # noqa: BLE001  as above
            return engine_error(error), b""
        if result[0] == "!":
            return {"error": json.loads(result[1:])}, b""
        return {}, result[1:].encode("utf-8")


def engine_error(error: Exception) -> dict[str, Any]:
    """The error answer for something that the engine raised."""
    text = str(error).split("\n", 1)[0]
    if isinstance(error, MemoryError) or text == "null" or "out of memory" in text or "string too long" in text:
        return {"kind": "memory", "error": "out of memory"}
    if "interrupted" in text:
        return {"kind": "time", "error": "interrupted"}
    return {"kind": "engine", "error": text or type(error).__name__}


class Server:
    """Answers requests until the input closes or the child has served its time."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._builtins = Builtins(self._regex)
        self._contexts: OrderedDict[str, Context] = OrderedDict()
        self._regexes: Regexes | None = None
        self._logged = 0
        self._texts: dict[str, str] = {}

    def serve(self) -> None:
        """Answer until the input closes."""
        importlib.import_module("quickjs")  # part of being ready
        self._send({"ready": True}, b"")
        for count in range(1, MAX_REQUESTS + 1):
            header = self._source.read(HEADER.size)
            if len(header) < HEADER.size:
                return
            meta_length, body_length = HEADER.unpack(header)
            request = json.loads(self._source.read(meta_length))
            body = self._source.read(body_length).decode("ascii")
            meta: dict[str, Any]
            try:
                meta, answer = self._answer(request, body)
            except MemoryError:
                self._contexts.clear()
                self._regexes = None
                meta, answer = {"kind": "memory", "error": "out of memory"}, b""
            if count == MAX_REQUESTS or meta.get("kind") == "memory":
                meta["last"] = True
            self._send(meta, answer)
            if "last" in meta:
                return

    def _answer(self, request: dict[str, Any], body: str) -> Answer:
        operation = request["op"]
        if operation in ("match", "replace"):
            return self._regex(request, body)
        key = request["key"]
        if operation == "open":
            try:
                self._contexts[key] = Context(request, self._prelude(), self._builtins, self._log)
            except Exception as error:  # noqa: BLE001  nothing of the app has run: the memory is too small for all this
                return {"kind": "memory", "error": str(error)}, b""
            while len(self._contexts) > MAX_CONTEXTS:
                self._contexts.popitem(last=False)
            return {}, b""
        context = self._contexts.get(key)
        if context is None:
            return {"missing": True}, b""
        self._contexts.move_to_end(key)
        self._logged = 0
        if operation == "test":
            answer, reusable = context.run("test", request["name"], request["timezone"], body, self._text("assert.js"))
        else:
            answer, reusable = context.run("call", request["name"], request["timezone"], body)
        if not reusable:
            del self._contexts[key]
        if answer[0].get("kind") == "memory" and not context.fresh:
            # Perhaps earlier calls left something behind, here or in other contexts: the answer of a new one counts.
            self._contexts.clear()
            return {"missing": True}, b""
        return answer

    def _regex(self, request: dict[str, Any], body: str) -> Answer:
        if self._regexes is None:
            self._regexes = Regexes(self._text("regex.js"))
        answer = self._regexes.run(request, body)
        if answer[0].get("kind") == "memory":
            self._regexes = None
        return answer

    def _prelude(self) -> str:
        parts = [self._text(name) for name in ("buffer.js", "values.js", "prelude.js")]
        return "(function () {\n'use strict';\n" + "\n".join(parts) + "\n})()"

    def _text(self, name: str) -> str:
        if name not in self._texts:
            with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123  pathlib costs start time
                self._texts[name] = file.read()
        return self._texts[name]

    def _log(self, line: str) -> None:
        # Called by the engine: must not raise, not even for a script that got hold of it.
        try:
            if self._logged <= MAX_DEBUG:
                self._logged += len(line) + 1
                self._send({"debug": json.loads(line)}, b"")
        except Exception:  # noqa: BLE001  one that gets out of here breaks the engine; the call logs no more
            self._logged = MAX_DEBUG + 1

    def _send(self, meta: dict[str, Any], body: bytes) -> None:
        head = json.dumps(meta).encode("ascii")
        self._sink.write(HEADER.pack(len(head), len(body)) + head + body)
        self._sink.flush()


def main() -> None:
    """Run as a script: argv[1] is the folder that holds the project's packages, argv[2] the parent's process id."""
    import threading
    import time

    root, parent = sys.argv[1], int(sys.argv[2])
    # The process ends by itself when nobody reads its answers any more.
    server = Server(sys.stdin.buffer, sys.stdout.buffer)
    threading.stack_size(THREAD_STACK_BYTES)
    confined = threading.Event()
    # Made before the limits, which allow no further thread; the first thread's stack has the size that the host set.
    engine = threading.Thread(target=lambda: confined.wait() and server.serve(), daemon=True)
    engine.start()
    confine(parent)
    # Scripts see a zone through Date: it must not depend on the machine.
    os.environ["TZ"] = "UTC"
    time.tzset()
    sys.path.append(root)
    confined.set()
    engine.join()


if __name__ == "__main__":
    main()
