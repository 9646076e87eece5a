"""
The table of connection types: how each authorizes. One file a type.

A connection is a generator over effects that gets everything it needs in its job and returns its `Grant`, or the
`Redirect` that a person has to follow first. It is authorized once; its data lie in the vault, and modules read them
(spec/connections.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from connections.basic import authorize_basic
from connections.job import ConnectionJob
from connections.oauth1 import begin_oauth1, finish_oauth1, invalidate_oauth1, verify_oauth1
from connections.oauth2 import begin_oauth2, due_oauth2, finish_oauth2, invalidate_oauth2, renew_oauth2, verify_oauth2
from connections.phases import kind_of
from connections.record import Grant
from connections.redirect import Pending, Redirect
from runtime.app.specs import ConnectionSpec
from runtime.effects import Steps
from runtime.errors import InvalidConfigurationError, UsageError

Begin: TypeAlias = Callable[[ConnectionJob], Steps[Grant | Redirect]]
Authorize: TypeAlias = Callable[[ConnectionJob], Steps[Grant]]
Finish: TypeAlias = Callable[[ConnectionJob, Pending, Mapping[str, Any]], Steps[Grant]]


@dataclass(frozen=True, slots=True)
class ConnectionType:
    """
    One type. `begin` creates and authorizes again, `finish` goes on after a redirect, `verify` asks the service about a
    stored record; `due` says whether that is to be renewed before its use, `renew` does it, `invalidate` gives it back.
    None: the type has no such step.
    """

    begin: Begin
    verify: Authorize
    finish: Finish | None = None
    due: Callable[[ConnectionJob], bool] | None = None
    renew: Authorize | None = None
    invalidate: Callable[[ConnectionJob], Steps[None]] | None = None


#: Logical kind (spec/connections.md 1) -> its steps.
CONNECTION_TYPES: dict[str, ConnectionType] = {
    "basic": ConnectionType(begin=authorize_basic, verify=authorize_basic),
    "oauth1": ConnectionType(
        begin=begin_oauth1, verify=verify_oauth1, finish=finish_oauth1, invalidate=invalidate_oauth1
    ),
    "oauth2": ConnectionType(
        begin=begin_oauth2,
        verify=verify_oauth2,
        finish=finish_oauth2,
        due=due_oauth2,
        renew=renew_oauth2,
        invalidate=invalidate_oauth2,
    ),
}


def connection_type(spec: ConnectionSpec) -> ConnectionType:
    """
    The type of a connection component.

    Raises:
        InvalidConfigurationError: It mixes the phases of both OAuth versions.
    """
    known = CONNECTION_TYPES.get(kind_of(spec))
    if known is None:
        raise InvalidConfigurationError(f"{spec.title}: it mixes the phases of OAuth 1 and OAuth 2")
    return known


def authorize(job: ConnectionJob) -> Steps[Grant]:
    """
    Authorize a connection that needs no browser; also runs an edited one again.

    Raises:
        UsageError: A person has to visit the provider's page.
        InvalidConfigurationError: The component may not be used.
        ModuleError: As the type says. Nothing is to be stored then.
    """
    begun = yield from connection_type(job.spec).begin(job)
    if isinstance(begun, Redirect):
        raise UsageError(
            f"{job.component} is authorized in a browser: make it with `scenarist connection add`, then use its name"
        )
    return begun
