"""What comes in, what goes out, and what was decided about it (spec/modules.md 5.4, spec/scenarios.md 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from runtime.communication.reading import Headers, read_headers


@dataclass(frozen=True, slots=True)
class Incoming:
    """
    One request to a hook's URL as the server has read it: `query` without its question mark, header names in lower
    case, the address of the caller.
    """

    method: str
    query: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    remote: str = ""

    def read_headers(self) -> Headers:
        """The headers as expressions see them: repeats joined, names found in any spelling."""
        return read_headers(self.headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets. Header values are Latin-1 text; other characters are in it as their UTF-8 bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What is to be done with a request: queue `items`, and answer.

    An `answer` is given at once, after the items are stored; without one the server answers or holds the request
    (spec/scenarios.md 5.3). `refused` says for the hook's log why nothing is queued, "" when nothing is wrong.
    A `verification` is answered also while no scenario listens: services ask during attach.
    """

    items: tuple[Any, ...] = ()
    answer: Answer | None = None
    refused: str = field(default="", repr=False)
    verification: bool = False


class BadRequest(Exception):  # noqa: N818  it never leaves the package: it becomes a verdict
    """A request that is refused; the text is for its sender and holds none of the request's data."""

    def __init__(self, message: str, status: int = 400, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = headers


_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
#: The usual answer of a webhook.
ACCEPTED: Final = Answer(200, (("content-type", "text/plain"),), b"Accepted")


def plain(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer in plain text."""
    return Answer(status, (_TEXT, *headers), text.encode("utf-8", "replace"))


def refusal(error: BadRequest) -> Verdict:
    """The verdict over a request that is refused."""
    return Verdict((), plain(error.status, error.message, error.headers), error.message)
