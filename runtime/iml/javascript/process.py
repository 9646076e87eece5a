"""
The parent's handle of one child process: start, exchange frames under a deadline, kill.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.iml.javascript.child import HEADER, MAX_DEBUG, MAX_RESULT

#: The folder that holds the package `runtime`: the child looks for the IML functions there.
ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("child.py")
#: A frame larger than this does not come from our child.
MAX_FRAME = MAX_RESULT + 1024 * 1024
_CHUNK = 1024 * 1024


class ChildDied(Exception):  # noqa: N818  events, told apart by the pool; people see its texts
    """The process ended, or sent something that is no answer."""


class ChildTimedOut(Exception):  # noqa: N818
    """The deadline is over; the process is of no use any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child answered: its meta object and the JSON text of the result."""

    meta: dict[str, Any]
    body: bytes


class Child:
    """
    One running child. Used by one thread at a time; whoever catches one of its exceptions must `kill` it.

    `keys` names the contexts that it was given, as a hint for choosing a child.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.retired = False
        child_in, self._write = os.pipe()
        self._read, child_out = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own script under our own interpreter
                [sys.executable, "-I", "-B", str(SCRIPT), str(ROOT), str(os.getpid())],
                stdin=child_in,
                stdout=child_out,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                close_fds=True,
                start_new_session=True,
            )
        except BaseException:
            self.forget()
            raise
        finally:
            os.close(child_in)
            os.close(child_out)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended, whoever ended it."""
        return self._process.poll() is None

    def wait_ready(self, deadline: float) -> None:
        """
        Wait until it can answer.

        Raises:
            ChildDied, ChildTimedOut: It will not.
        """
        if not self._receive(deadline).meta.get("ready"):
            raise ChildDied("no greeting")

    def exchange(self, meta: dict[str, Any], body: bytes, deadline: float, lines: list[str]) -> Answer:
        """
        Send one request and return its answer; `deadline` is a time of `time.monotonic`. What the script logs is
        appended to `lines`.

        Raises:
            ChildDied, ChildTimedOut: There is none.
        """
        head = json.dumps(meta).encode("ascii")
        self._send(HEADER.pack(len(head), len(body)) + head + body, deadline)
        while True:
            answer = self._receive(deadline)
            if "debug" not in answer.meta:
                self.retired = bool(answer.meta.get("last"))
                return answer
            lines.append(str(answer.meta["debug"]))
            if len(lines) + sum(map(len, lines)) > 2 * MAX_DEBUG:
                raise ChildDied("it logs more than a script can")

    def kill(self) -> None:
        """End the process now and release all that it held."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close our ends only: also what a forked process does with a child that is not its own."""
        for descriptor in (self._write, self._read):
            if descriptor >= 0:
                os.close(descriptor)
        self._write = self._read = -1

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._write, rest[:_CHUNK]) :]
            except BlockingIOError:
                self._wait(self._write, select.POLLOUT, deadline)
            except OSError as error:
                raise ChildDied("it reads no more") from error

    def _receive(self, deadline: float) -> Answer:
        meta_length, body_length = HEADER.unpack(self._take(HEADER.size, deadline))
        if meta_length + body_length > MAX_FRAME:
            raise ChildDied("its answer is too large")
        try:
            meta = json.loads(self._take(meta_length, deadline))
        except (ValueError, RecursionError) as error:
            raise ChildDied("its answer is malformed") from error
        if not isinstance(meta, dict):
            raise ChildDied("its answer is malformed")
        return Answer(meta, self._take(body_length, deadline))

    def _take(self, size: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            try:
                part = os.read(self._read, min(size, _CHUNK))
            except BlockingIOError:
                self._wait(self._read, select.POLLIN, deadline)
                continue
            if not part:
                raise ChildDied("it closed its output")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChildTimedOut
        poll = select.poll()
        poll.register(descriptor, event)
        poll.poll(left * 1000)
