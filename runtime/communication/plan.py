"""
The compiled form of one communication: what `compile_communication` gives and the engine walks.

A `Plan` is frozen, holds compiled templates only and may be shared by any number of threads and runs. It is made
once per content hash of an app and component.

Source: spec/communication.md sections 2 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from runtime.errors import ImlError, ModuleRuntimeError
from runtime.iml import Environment, Template


class Kind(StrEnum):
    """The kinds of component that use the engine (spec/communication.md 1)."""

    CONNECTION = "connection"  #: basic connection
    OAUTH1 = "oauth1"  #: one phase of an OAuth 1 connection
    OAUTH2 = "oauth2"  #: one phase of an OAuth 2 connection
    ACTION = "action"
    SEARCH = "search"
    TRIGGER = "trigger"  #: polling trigger
    UNIVERSAL = "universal"
    INSTANT = "instant_trigger"  #: enrichment request of an instant trigger
    RESPONDER = "responder"
    RPC = "rpc"
    EPOCH = "epoch"  #: start points of a polling trigger, overrides already merged (`merge_epoch`)
    ATTACH = "attach"
    DETACH = "detach"
    UPDATE = "update"


CONNECTION_KINDS = frozenset({Kind.CONNECTION, Kind.OAUTH1, Kind.OAUTH2})
HOOK_KINDS = frozenset({Kind.ATTACH, Kind.DETACH, Kind.UPDATE})
#: Kinds whose items are counted against `limit` and the cap on records, and that may ask for more pages.
LISTING_KINDS = frozenset({Kind.SEARCH, Kind.TRIGGER, Kind.RPC, Kind.EPOCH})


@dataclass(frozen=True, slots=True)
class Directive:
    """One compiled directive and its path in the communication, for messages."""

    template: Template
    path: str

    def evaluate(self, context: Mapping[str, Any], environment: Environment) -> Any:
        """
        The directive's value.

        Raises:
            ModuleRuntimeError: The expression failed: `<directive path>: <reason>` (spec/communication.md 15).
        """
        try:
            return self.template.render(context, environment)
        except ImlError as error:
            raise ModuleRuntimeError(f"{self.path}: {error.message}") from error


@dataclass(frozen=True, slots=True)
class RepeatPlan:
    """`repeat`: the condition, the wait and the most repetitions, None without a limit of its own."""

    condition: Directive | None
    delay: timedelta
    limit: int | None


@dataclass(frozen=True, slots=True)
class PagePlan:
    """`pagination`: what differs from the first request on every further page."""

    merge_with_parent: bool
    url: Directive | None
    method: Directive | None
    headers: Directive | None
    qs: Directive | None
    body: Directive | None
    condition: Directive | None


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """`response.trigger` of a polling trigger."""

    type: Directive | None
    order: Directive | None
    id: Directive | None
    date: Directive | None


@dataclass(frozen=True, slots=True)
class FailurePlan:
    """A pair of `message` and `type`, of `valid`, of `error` or of one status in `error`."""

    message: Directive | None = None
    type: Directive | None = None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """Everything below `response`. `type` is a directive whose value is a name or a map of status to name."""

    type: Directive | None = None
    temps: tuple[Directive, ...] = ()
    valid: Directive | None = None
    valid_failure: FailurePlan = FailurePlan()
    failure: FailurePlan = FailurePlan()
    failures: Mapping[int, FailurePlan] = field(default_factory=dict[int, FailurePlan])
    limit: Directive | None = None
    iterates: bool = False
    container: Directive | None = None
    item_condition: Directive | None = None
    output: Directive | None = None
    wrapper: Directive | None = None
    trigger: TriggerPlan | None = None
    data: Directive | None = None
    uid: Directive | None = None
    metadata: Directive | None = None
    expires: Directive | None = None
    scope: Directive | None = None


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """One request spec with everything inherited from Base. `url` None means that nothing is sent."""

    index: int
    response: ResponsePlan
    temps: tuple[Directive, ...] = ()
    condition: Directive | None = None
    default: Directive | None = None
    base_url: Directive | None = None
    url: Directive | None = None
    method: Directive | None = None
    headers: Directive | None = None
    qs: Directive | None = None
    body: Directive | None = None
    type: Directive | None = None
    ca: Directive | None = None
    oauth: Directive | None = None
    digest: Directive | None = None
    aws: Directive | None = None
    #: Headers and query of Base alone: what pages with `mergeWithParent: false` still inherit.
    base_headers: Directive | None = None
    base_qs: Directive | None = None
    encode_url: bool = True
    use_querystring: bool = True
    gzip: bool = False
    follow_redirects: bool = True
    follow_all_redirects: bool = True
    share_cookies: bool = False
    reject_unauthorized: bool = True
    timeout: timedelta | None = None
    sanitize: tuple[str, ...] | None = None
    #: `request.body<path>` forms of `sanitize`: the part before `<` and the expression inside.
    within: tuple[tuple[str, Directive], ...] = ()
    #: Lower-case names of the headers that `sanitize` names; `*` when it names them all.
    sensitive: frozenset[str] = frozenset()
    repeat: RepeatPlan | None = None
    pages: PagePlan | None = None
    #: Why this request cannot be used, such as a directive that is not built.
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A compiled communication.

    `refusal` is the reason why the component may not be used at all: using it raises `InvalidConfigurationError` with
    this text. `warnings` are told in the log of each run.
    """

    component: str
    kind: Kind
    requests: tuple[RequestPlan, ...]
    warnings: tuple[str, ...] = ()
    refusal: str | None = None
