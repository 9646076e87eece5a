"""
What a connection is when it is stored (`ConnectionRecord`) and what authorizing gives (`Grant`).

Sources: spec/connections.md sections 2 and 4, design section 10.13.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

#: Format of the stored record.
RECORD_VERSION: Final = 1
#: Longest shown identity (spec/connections.md 4).
MAX_METADATA: Final = 512


class ConnectionState(StrEnum):
    """Whether a connection can be used."""

    NEW = "new"  #: being authorized, nothing stored yet
    VALID = "valid"  #: the service accepted it
    UNVERIFIED = "unverified"  #: nothing was there to check it with
    NEEDS_REAUTHORIZATION = "needs_reauthorization"  #: the grant has ended or was refused; the user must act
    INVALID = "invalid"  #: the service refused it on the last check


#: States in which a module may use a connection.
USABLE: Final = frozenset({ConnectionState.VALID, ConnectionState.UNVERIFIED})


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Result of authorizing: everything is stored in one step, or nothing.

    `parameters` are the inputs as given, `data` the one collection that modules read (spec/connections.md 3).
    """

    parameters: dict[str, Any] = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    uid: str | None = None
    metadata: dict[str, str] | None = None
    expires: datetime | None = None
    scope: tuple[str, ...] = ()
    state: ConnectionState = ConnectionState.VALID
    #: What the renewal sends is still good afterwards, so that one of unknown outcome may be repeated.
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One connection in clear form; it never leaves the process like this. Instants are UTC milliseconds."""

    id: str
    #: Name of the app and local id of the connection component that made it.
    app: str
    component: str
    #: `basic` or `oauth`.
    type: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    data: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    metadata: dict[str, str] | None = None
    uid: str | None = None
    scope: tuple[str, ...] = ()
    expires: datetime | None = None
    state: ConnectionState = ConnectionState.NEW
    #: See `Grant.reusable`.
    reusable: bool = False
    #: Grows with each write: the optimistic lock.
    version: int = 0
    created_ms: int = 0
    changed_ms: int = 0
    v: int = RECORD_VERSION

    @property
    def label(self) -> str:
        """`name (value)` with the shown identity, else the name."""
        value = self.metadata["value"] if self.metadata else ""
        return f"{self.name} ({value})" if value else self.name

    def granted(self, grant: Grant) -> Self:
        """This record with the result of another authorization; the write that follows counts the version."""
        return replace(
            self,
            parameters=grant.parameters,
            data=grant.data,
            uid=grant.uid,
            metadata=grant.metadata,
            expires=grant.expires,
            scope=grant.scope,
            state=grant.state,
            reusable=grant.reusable,
        )
