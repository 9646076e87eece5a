"""
The receiving directives of an app's webhook, compiled once per content hash (spec/modules.md 5.3).

They stand at the top level of the communication, Base does not apply to them, and no request is made.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from runtime.app.specs import App, WebhookSpec
from runtime.communication.plan import Directive
from runtime.iml import Place, compile_document, compile_path
from runtime.webhooks.answers import RespondPlan, compile_respond

#: Plans kept per process, the longest unused one leaves first.
KEPT_PLANS: Final = 1024


@dataclass(frozen=True, slots=True)
class ReceivingPlan:
    """A compiled webhook. `refusal` says why it cannot be used; `warnings` are told once in the log of the hook."""

    component: str
    shared: bool = False
    #: None without a verification that counts; `verify` None then means "always".
    verification: RespondPlan | None = None
    verify: Directive | None = None
    condition: Directive | None = None
    uid: Directive | None = None
    iterates: bool = False
    container: Directive | None = None
    item_condition: Directive | None = None
    output: Directive | None = None
    respond: RespondPlan | None = None
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    #: First names of what its expressions read, such as `connection`: what nobody reads need not be fetched.
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HookScope:
    """
    What a hook brings to the directives: its form's values, the data of its connection, what attach has stored, its
    id and URL, the app's common data.
    """

    id: str = ""
    url: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    connection: Mapping[str, Any] | None = field(default=None, repr=False)
    common: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def variables(self) -> dict[str, Any]:
        """The roots that expressions see (spec/modules.md 9)."""
        roots: dict[str, Any] = {
            "parameters": dict(self.parameters),
            "webhook": webhook_root(self.id, self.url, self.data),
            "data": dict(self.data),
            "common": dict(self.common),
            "temp": {},
        }
        if self.connection is not None:
            roots["connection"] = dict(self.connection)
        return roots


def webhook_root(id_: str, url: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The variable `webhook`: what attach has stored, flat; id and URL cannot be overwritten (spec/modules.md 5.2)."""
    return {**data, "id": id_, "url": url}


def compile_receiving(spec: WebhookSpec) -> ReceivingPlan:
    """The plan of a webhook. A wrong file raises nothing: bad IML fails where it is evaluated."""
    source = spec.communication.value
    document: dict[str, Any] = source if isinstance(source, dict) else {}
    shared = spec.type == "web-shared"
    compiler = _Compiler(spec.title)
    warnings: list[str] = []
    verification, verify = document.get("verification"), None
    respond = None
    if isinstance(verification, dict):
        respond = compile_respond(verification.get("respond"), component=spec.title, path="verification.respond")
        verify = compiler.directive(verification.get("condition"), "verification.condition")
        if respond is None:
            warnings.append("verification without respond is ignored")
    iterate, item_condition, path = document.get("iterate"), None, "iterate"
    iterates = iterate is not None and iterate != ""
    if isinstance(iterate, dict):
        item_condition = compiler.directive(iterate.get("condition"), "iterate.condition")
        iterate, path = iterate.get("container"), "iterate.container"
    plan = ReceivingPlan(
        spec.title,
        shared,
        respond,
        verify,
        compiler.directive(document.get("condition"), "condition"),
        compiler.path(document.get("uid"), "uid"),
        iterates,
        compiler.path(iterate, path),
        item_condition,
        # A written `null` is a value here: nothing is queued.
        compiler.compiled(document["output"], "output") if "output" in document else None,
        compile_respond(document.get("respond"), component=spec.title, path="respond"),
        tuple(warnings),
        _refusal(document, shared=shared),
    )
    return replace(plan, reads=frozenset(_roots(plan)))


def _roots(plan: ReceivingPlan) -> Iterator[str]:
    parts: list[Directive | None] = [
        plan.verify, plan.condition, plan.uid, plan.container, plan.item_condition, plan.output,
    ]  # fmt: skip
    for respond in (plan.verification, plan.respond):
        if respond is not None:
            parts += [respond.status, respond.headers, respond.body, respond.type]
    for part in parts:
        if part is not None:
            yield from (reference.root for reference in part.template.references)


def _refusal(document: Mapping[str, Any], *, shared: bool) -> str:
    if shared and not document.get("uid"):
        return "a shared webhook needs uid in its communication"
    return ""


@dataclass(frozen=True, slots=True)
class _Compiler:
    component: str

    def directive(self, source: Any, path: str) -> Directive | None:
        return None if source is None else self.compiled(source, path)

    def compiled(self, source: Any, path: str) -> Directive:
        return Directive(compile_document(source, place=self._place(path)), path)

    def path(self, source: Any, path: str) -> Directive | None:
        """As `directive`, but a text without `{{` is an expression too."""
        if isinstance(source, str) and "{{" not in source:
            return Directive(compile_path(source, place=self._place(path)), path) if source.strip() else None
        return self.directive(source, path)

    def _place(self, path: str) -> Place:
        return Place(component=self.component, pointer="/" + path.replace(".", "/"))


class ReceivingCache:
    """A bounded table of plans. An app without a hash (made by hand in a test) is never kept."""

    def __init__(self, size: int = KEPT_PLANS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[str, str, str], ReceivingPlan] = OrderedDict()

    def plan(self, app: App, webhook: WebhookSpec) -> ReceivingPlan:
        """The plan of an app's webhook; one with problems carries the first as its refusal."""
        key = (app.name, app.hash, webhook.id)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        plan = compile_receiving(webhook)
        if webhook.problems:
            plan = ReceivingPlan(plan.component, plan.shared, refusal=webhook.problems[0])
        if app.hash:
            with self._lock:
                self._plans[key] = plan
                while len(self._plans) > self._size:
                    self._plans.popitem(last=False)
        return plan


#: The plans of this process.
RECEIVING: Final = ReceivingCache()
