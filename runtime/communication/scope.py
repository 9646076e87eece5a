"""
What a communication runs with (`Scope`, `Limits`) and what comes out of it (`Result`).

Sources: spec/communication.md sections 22 and 25, spec/modules.md section 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from runtime.coercion import parse_number_text
from runtime.iml import Environment
from runtime.iml.javascript import FunctionLimits
from runtime.values import UNDEFINED

#: Most that `common.maxRequestCount` and its like can ask for; an app is untrusted and may not raise caps at will.
REQUEST_CEILING: Final = 10_000
RECORD_CEILING: Final = 1_000_000
#: Longest time-out an app may ask for, in milliseconds (spec/communication.md 22).
TIMEOUT_CEILING_MS: Final = 300_000

#: What services see unless the app says otherwise; a test holds it to the version of the package.
USER_AGENT: Final = "scenarist/0.1.0"


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps and switches of one component run; the operator's settings, some of them changed by the app's `common`."""

    max_requests: int = 100
    max_pagination_requests: int = 50
    max_records: int = 3200
    #: Most repetitions of one `repeat`; 0 = as the app has written it.
    repeat_max: int = 1000
    timeout: timedelta = timedelta(seconds=40)
    max_request_bytes: int = 100 * 1024 * 1024
    allow_insecure_tls: bool = False
    qs_replaces_url_query: bool = False
    universal_same_host_only: bool = False
    user_agent: str = USER_AGENT
    #: Of one call of a custom function.
    functions: FunctionLimits = field(default_factory=FunctionLimits)

    def evolve(self, **changes: Any) -> Limits:
        """These limits with some of them changed."""
        return replace(self, **changes)

    def with_common(self, common: object) -> Limits:
        """These limits with `maxRequestCount`, `maxPaginationRequestCount`, `maxPastRecords`, `timeout` of `common`."""
        if not isinstance(common, dict):
            return self
        changes: dict[str, Any] = {}
        for key, name, ceiling in (
            ("maxRequestCount", "max_requests", REQUEST_CEILING),
            ("maxPaginationRequestCount", "max_pagination_requests", REQUEST_CEILING),
            ("maxPastRecords", "max_records", RECORD_CEILING),
        ):
            number = whole_number(common.get(key))
            if number is not None and number >= 0:
                # What the operator allows everybody, an app may ask for too.
                changes[name] = min(number, max(ceiling, getattr(self, name)))
        timeout = timeout_of(common.get("timeout"))
        if timeout is not None:
            changes["timeout"] = timeout
        return replace(self, **changes) if changes else self


def whole_number(value: object) -> int | None:
    """A number or numeric text as a whole number; None for everything else."""
    number = parse_number_text(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number - number != 0:
        return None
    return int(number)


def timeout_of(value: object) -> timedelta | None:
    """A `timeout` in milliseconds as a duration, at least 1 ms and at most 300 s; None when it is no number."""
    number = whole_number(value)
    if number is None or number <= 0:
        return None
    return timedelta(milliseconds=min(number, TIMEOUT_CEILING_MS))


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The surroundings of one component run.

    `variables` are the roots that expressions see, such as `parameters`, `connection`, `common`, `data`, `metadata`,
    `scenario`, `payload`; the engine adds `environment`, `temp`, `body` and its like. `resume` is what a parked
    `Sleep` carried (design section 10.3). `temp` is what an earlier phase of a connection left. With
    `connection_version`, a 401 renews the connection once and repeats the request (spec/connections.md 7.8). `signing`
    are the OAuth 1 keys of the connection, which a request's own `oauth` overrides; None when it is no OAuth 1 one.
    """

    variables: Mapping[str, Any]
    environment: Environment
    limits: Limits = field(default_factory=Limits)
    resume: dict[str, Any] | None = None
    temp: Mapping[str, Any] = field(default_factory=dict[str, Any])
    connection_version: int | None = None
    signing: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """
    What a communication gave.

    `output` is the final value after `output` and `wrapper`, a list when `iterate` was used, UNDEFINED for nothing.
    `data`, `uid`, `metadata`, `expires` and `granted` are those of connections and attach (UNDEFINED when absent).
    `emitted` counts outputs that went out page by page and are not in `output`. `ran` is false when no request was
    sent at all, `executed` when every request was skipped by its condition.
    """

    output: Any = UNDEFINED
    data: Any = UNDEFINED
    uid: Any = UNDEFINED
    metadata: Any = UNDEFINED
    expires: Any = UNDEFINED
    scope: Any = UNDEFINED
    temp: dict[str, Any] = field(default_factory=dict[str, Any])
    status_code: int | None = None
    ran: bool = False
    executed: bool = False
    emitted: int = 0
