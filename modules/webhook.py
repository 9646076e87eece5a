"""
The life of an app's hook at its service: attach, detach and update as steps over effects (spec/modules.md 5.2).

`attach` runs when the hook is made and its URL is live, `detach` when it is removed, `update` when its form is edited.
What `response.data` holds is stored with the hook and is read back as `webhook.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modules.plans import PLANS
from runtime.app.functions import app_environment
from runtime.app.specs import App, CodeFile, WebhookSpec
from runtime.communication import Kind, Limits, Scope, run_communication
from runtime.communication.temp import merge_temp
from runtime.effects import HttpResponse, Steps, Warn
from runtime.errors import ModuleError, ModuleRuntimeError
from runtime.iml import Environment
from runtime.values import UNDEFINED, compact_json, is_empty, jsonable
from runtime.webhooks.plans import webhook_root

#: Longest stored data of a hook as JSON, in bytes; as of a trigger's memory.
MAX_DATA_BYTES: Final = 65_536
#: Statuses by which a service says that the hook is not there any more.
GONE: Final = frozenset({404, 410})
#: Names that stored data cannot take.
RESERVED: Final = frozenset({"id", "url"})


@dataclass(frozen=True, slots=True)
class HookJob:
    """
    One attach, detach or update of a hook. `parameters` are those of its form, checked; `data` what is stored with it.
    """

    app: App
    webhook: WebhookSpec
    id: str
    url: str
    parameters: Mapping[str, Any]
    environment: Environment
    data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    connection: dict[str, Any] | None = field(default=None, repr=False)
    connection_version: int = 0
    renewable: bool = False
    limits: Limits = field(default_factory=Limits)
    #: The keys of an OAuth 1 connection.
    signing: Mapping[str, Any] | None = field(default=None, repr=False)


class HookDetachedError(ModuleRuntimeError):
    """An update has detached the hook and could not attach it again: it is detached now. `cause` says why."""

    def __init__(self, cause: ModuleError) -> None:
        super().__init__(f"The hook is detached, and attaching it again failed: {cause.message}")
        self.cause = cause


def has_requests(file: CodeFile) -> bool:
    """Whether a role of a webhook does anything: it is not absent, `{}` or a list of nothing."""
    value = file.value
    if isinstance(value, list):
        return any(isinstance(item, dict) and item for item in value)
    return isinstance(value, dict) and bool(value)


def attachable(webhook: WebhookSpec) -> bool:
    """Whether a hook of this webhook registers itself; otherwise a person does it with the URL."""
    return has_requests(webhook.attach)


def attach(job: HookJob) -> Steps[dict[str, Any]]:
    """
    Register the hook at the service; gives the data to store. A webhook that is not attachable gives none.

    Raises:
        ModuleError: The service refused, or `response.data` is no collection or too large.
    """
    job.webhook.require_usable()
    if not attachable(job.webhook):
        return {}
    stored = yield from _run(job, Kind.ATTACH, job.webhook.attach, {})
    return _checked({}, stored)


def detach(job: HookJob) -> Steps[None]:
    """
    Take the hook away from the service; one that it does not know any more is taken away already.

    Raises:
        ModuleError: The service refused.
    """
    job.webhook.require_usable()
    if not has_requests(job.webhook.detach):
        return
    watched = _Watched()
    try:
        yield from watched.run(_run(job, Kind.DETACH, job.webhook.detach, job.data))
    except ModuleError as error:
        if watched.status not in GONE:
            raise
        yield Warn(f"The service does not know the hook any more: {error.message}", "hook-gone")


def update(job: HookJob, before: Mapping[str, Any]) -> Steps[dict[str, Any]]:
    """
    Tell the service of new parameters; gives the data to store. `before` are the parameters until now.

    Without requests of its own the hook is detached and attached again, in one step.

    Raises:
        HookDetachedError: It is detached and could not be attached again.
        ModuleError: The service refused; the hook is as it was.
    """
    job.webhook.require_usable()
    if has_requests(job.webhook.update):
        stored = yield from _run(job, Kind.UPDATE, job.webhook.update, job.data)
        return _checked(job.data, stored)
    if not attachable(job.webhook):
        return dict(job.data)
    yield from detach(replace(job, parameters=before))
    try:
        return (yield from attach(replace(job, data={})))
    except ModuleError as error:
        raise HookDetachedError(error) from error


def _run(job: HookJob, kind: Kind, file: CodeFile, data: Mapping[str, Any]) -> Steps[Any]:
    """Run one role; gives its `response.data`."""
    plan = PLANS.compiled(job.app, job.webhook.id, file.value, kind, f"{job.webhook.title}, {kind.value}")
    variables: dict[str, Any] = {
        "parameters": dict(job.parameters),
        "webhook": webhook_root(job.id, job.url, data),
        "common": dict(job.app.common_values),
    }
    if kind is not Kind.ATTACH:
        variables["data"] = dict(data)
    if job.connection is not None:
        variables["connection"] = job.connection
    environment = app_environment(job.environment, job.app, limits=job.limits.functions)
    version = job.connection_version if job.renewable else None
    scope = Scope(variables, environment, job.limits, connection_version=version, signing=job.signing)
    result = yield from run_communication(plan, scope)
    return result.data


def _checked(before: Mapping[str, Any], stored: Any) -> dict[str, Any]:
    """Stored data with what a role gave over them, as plain JSON values."""
    if is_empty(stored):
        return dict(before)
    merged = merge_temp(dict(before), stored, "response.data")
    data = {key: value for key, value in jsonable(merged).items() if key not in RESERVED and value is not UNDEFINED}
    if len(compact_json(data).encode("utf-8", "replace")) > MAX_DATA_BYTES:
        raise ModuleRuntimeError(f"response.data: the data of a hook may have {MAX_DATA_BYTES} bytes.")
    return data


class _Watched:
    """Passes the effects of steps on and notes the status of their last answer."""

    def __init__(self) -> None:
        self.status = 0

    def run(self, steps: Steps[Any]) -> Steps[Any]:
        reply: Any = None
        failure: ModuleError | None = None
        while True:
            try:
                effect = steps.throw(failure) if failure is not None else steps.send(reply)
            except StopIteration as stop:
                return stop.value
            failure = None
            try:
                reply = yield effect
            except ModuleError as error:
                self.status, failure = 0, error
            else:
                if isinstance(reply, HttpResponse):
                    self.status = reply.status
