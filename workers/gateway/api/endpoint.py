"""What an endpoint of the API is, what it gets, and how its refusals look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from workers.ledger.tokens import TokenRow
from workers.service import Service


class Model(BaseModel):
    """A body or query: unknown members are refused, so that a mistyped one is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Model):
    """No query, no body."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint: its token, the names in its path, its query and body as the endpoint's models."""

    service: Service
    token: TokenRow
    path: dict[str, str]
    query: Any
    body: Any
    #: Of `Idempotency-Key`, '' without one.
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not simply 200 with JSON. `wait` makes an answer out of a run, once that has ended."""

    status: int
    body: Any = None
    #: Bytes that are sent as they are, with this content type.
    raw: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"
    #: A run whose end is waited for.
    run: str = ""


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """An answer that says what is wrong. `type` is a word for programs."""

    def __init__(self, status: int, type_: str, message: str, details: list[str] | None = None) -> None:
        super().__init__(message)
        self.status, self.type, self.message = status, type_, message
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.details:
            error["details"] = self.details
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One endpoint. `handle` is plain code on a thread; it may raise `Refused` or any error of the runtime.
    """

    method: str
    path: str
    scope: str
    summary: str
    handle: Callable[[Call], Any]
    query: type[Model] = Nothing
    body: type[Model] | None = None
    #: What it gives with 200, and the status and model of another good answer.
    gives: Any = None
    other: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def id(self) -> str:
        """Name of the operation in the OpenAPI document."""
        words = [word for word in self.path.split("/") if word and not word.startswith("{")]
        return "_".join((self.method.lower(), *words)) + ("_one" if self.path.endswith("}") else "")
