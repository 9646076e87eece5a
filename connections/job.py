"""
`ConnectionJob`: everything one authorization is given. A connection gets nothing else and does no I/O.

Sources: spec/connections.md sections 3 to 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.record import ConnectionRecord
from runtime.app.specs import App, ConnectionSpec
from runtime.communication import Limits
from runtime.iml import Environment


@dataclass(frozen=True, slots=True)
class ConnectionJob:
    """
    One run of an app's connection: create, verify, edit or reauthorize.

    `parameters` are the user's inputs as given; they are resolved inside. `stored` is the record of an earlier
    authorization. `common` overrides the connection's own common data with the operator's values.
    """

    app: App
    spec: ConnectionSpec
    environment: Environment
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    stored: ConnectionRecord | None = None
    common: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    redirect_uri: str = ""
    #: Scopes to ask for, and the random value that the callback has to bring back.
    scope: tuple[str, ...] = ()
    oauth_state: str = field(default="", repr=False)
    limits: Limits = field(default_factory=Limits)

    @property
    def component(self) -> str:
        """How messages name this connection; records of exchanges know a connection phase by it."""
        return self.spec.title

    def common_values(self) -> dict[str, Any]:
        """The connection's own common data, the operator's values over them (spec/connections.md 4, 7.9)."""
        own = self.spec.common.value
        return {**(own if isinstance(own, dict) else {}), **self.common}

    def inputs(self) -> dict[str, Any]:
        """The stored inputs with the given ones over them: the start values of this run."""
        return {**(self.stored.parameters if self.stored is not None else {}), **self.parameters}
