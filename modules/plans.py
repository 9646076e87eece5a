"""Compiled plans of modules: made once per app hash, module and kind, and shared by all threads of a process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final, TypeAlias

from runtime.app.specs import App
from runtime.communication import Kind, Plan, compile_communication, merge_epoch
from runtime.communication.scope import Scope
from runtime.module_job import ModuleJob

#: Plans kept per process, the longest unused one leaves first.
KEPT_PLANS: Final = 1024

Key: TypeAlias = tuple[str, str, str, Kind]


class PlanCache:
    """A bounded table of plans. An app without a hash (made by hand in a test) is never kept."""

    def __init__(self, size: int = KEPT_PLANS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._plans: OrderedDict[Key, Plan] = OrderedDict()

    def plan(self, job: ModuleJob, kind: Kind) -> Plan:
        """
        The plan of a job's module.

        Raises:
            InvalidConfigurationError: The module has problems and may not be used.
        """
        job.module.require_usable()
        document = job.module.communication.value
        if kind is Kind.EPOCH:
            document = merge_epoch(document, job.module.epoch.value)
        return self.compiled(job.app, job.module.id, document, kind, job.component)

    def compiled(self, app: App, component: str, document: Any, kind: Kind, title: str) -> Plan:
        """The plan of a component's communication; `title` is how messages name it."""
        key = (app.name, app.hash, component, kind)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        plan = compile_communication(document, base=app.base.value, kind=kind, component=title)
        if app.hash:
            with self._lock:
                self._plans[key] = plan
                while len(self._plans) > self._size:
                    self._plans.popitem(last=False)
        return plan


#: The plans of this process.
PLANS: Final = PlanCache()


def scope_of(job: ModuleJob) -> Scope:
    """The scope in which a job's communication runs."""
    version = job.connection_version if job.renewable else None
    return Scope(
        job.variables(), job.environment, job.limits, job.resume, connection_version=version, signing=job.signing
    )
