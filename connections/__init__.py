"""
The table of connection types: how each authorizes. One file a type.

A connection is a generator over effects that gets everything it needs in its job and returns its `Grant`. It is
authorized once; its data lie in the vault, and modules read them (spec/connections.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from connections.basic import authorize_basic
from connections.job import ConnectionJob
from connections.record import ConnectionRecord, ConnectionState, Grant
from connections.values import secret_texts
from runtime.effects import Steps
from runtime.errors import InvalidConfigurationError

Authorize: TypeAlias = Callable[[ConnectionJob], Steps[Grant]]

#: `connectionType` of an app's manifest -> what authorizes it (spec/connections.md 1).
CONNECTION_TYPES: dict[str, Authorize] = {
    "basic": authorize_basic,
}

__all__ = [
    "CONNECTION_TYPES",
    "Authorize",
    "ConnectionJob",
    "ConnectionRecord",
    "ConnectionState",
    "Grant",
    "authorize",
    "secret_texts",
]


def authorize(job: ConnectionJob) -> Steps[Grant]:
    """
    Authorize a connection of any type; also verifies an existing one and runs an edited one again.

    Raises:
        InvalidConfigurationError: The type is not supported; the message lists the ones that are.
        ModuleError: As the type says. Nothing is to be stored then.
    """
    known = CONNECTION_TYPES.get(job.spec.type)
    if known is None:
        names = ", ".join(sorted(CONNECTION_TYPES))
        raise InvalidConfigurationError(
            f"{job.component}: connections of the type {job.spec.type} are not supported yet; supported: {names}"
        )
    return known(job)
