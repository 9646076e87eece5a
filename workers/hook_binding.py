"""Which webhook a scenario starts with: what its blueprint names, what fits here, what is bound (design 10.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from runtime.errors import UsageError
from runtime.scenario.bindings import BindingKind
from runtime.scenario.catalog import Catalog, Role, app_part
from runtime.scenario.importer import Imported
from runtime.values import to_text
from workers.ledger.hooks import HookRecord, Hooks
from workers.library import CUSTOM_PREFIX, Library

#: The start module of a custom webhook.
CUSTOM = "gateway:CustomWebHook"


@dataclass(frozen=True, slots=True)
class StartHook:
    """
    The webhook that a blueprint's start module needs: its foreign id (the app's name where the file has none), what it
    was called, and which app and webhook must be behind it.
    """

    foreign: str
    label: str
    app: str
    component: str
    module: int

    @property
    def custom(self) -> bool:
        """Whether it is a custom webhook."""
        return self.app == "gateway"

    def fits(self, record: HookRecord) -> bool:
        """Whether a webhook here can take its place."""
        return (record.app, record.component) == (self.app, self.component)

    @property
    def shown(self) -> str:
        """What is needed, for messages."""
        return "a custom webhook" if self.custom else f"the webhook {self.component} of the app {self.app}"


def start_hook(imported: Imported, catalog: Catalog, library: Library) -> StartHook | None:
    """The webhook that a blueprint starts with; None when it starts with something else."""
    modules = list(imported.blueprint.flow) if imported.blueprint is not None else []
    if not modules:
        return None
    start = modules[0]
    info = catalog.lookup(start.name, start.version)
    if info.role is not Role.INSTANT:
        return None
    app, _, name = info.name.partition(":")
    app = app.removeprefix(CUSTOM_PREFIX)
    component = "CustomWebHook"
    if info.name != CUSTOM:
        found = library.current_apps().get(app)
        spec = found.module(name) if found is not None else None
        component = (spec.webhook or "") if spec is not None else ""
        if found is not None:
            component = found.local_id("webhook", component)
    binding = next(
        (item for item in imported.bindings if item.kind is BindingKind.HOOK and item.module == start.id), None
    )
    if binding is None:
        return StartHook(app_part(info.name).removeprefix(CUSTOM_PREFIX), "", app, component, start.id)
    return StartHook(to_text(binding.foreign_id), binding.label, app, component, start.id)


def choose_hook(
    hooks: Hooks, start: StartHook | None, wanted: Mapping[str, str], *, former: str = ""
) -> HookRecord | None:
    """
    The webhook that a scenario is to have: the one that a person names by the foreign id, else the one that it has
    (`former`, a scenario's id), else a free one of the blueprint's label.

    Raises:
        UsageError: The named one is not here, does not fit, serves another scenario, or nothing in the file needs it.
    """
    if start is None:
        if wanted:
            raise UsageError("The blueprint does not start with a webhook; leave --hook out.")
        return None
    for key in wanted.keys() - {start.foreign, start.label}:
        raise UsageError(f'The blueprint names no webhook "{key}". It names: {start.foreign}.')
    if wanted:
        record = hooks.find(next(iter(wanted.values())))
        if not start.fits(record):
            raise UsageError(
                f'The webhook "{record.name}" ({record.app}, {record.component}) does not fit: module {start.module} '
                f"needs {start.shown}."
            )
        if record.scenario and record.scenario != former:
            raise UsageError(
                f'The webhook "{record.name}" serves the scenario {record.scenario}; one webhook serves one scenario.'
            )
        return record
    fitting = [record for record in hooks.list() if start.fits(record)]
    held = [record for record in fitting if former and record.scenario == former]
    named = [record for record in fitting if not record.scenario and start.label and record.name == start.label]
    found = held or named
    return found[0] if len(found) == 1 else None


def free_name(hooks: Hooks, wanted: str) -> str:
    """A name for a webhook that no other has."""
    taken = {record.name for record in hooks.list()}
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} {number}", number + 1
    return name


def bound_hook(hooks: Hooks, scenario: str) -> HookRecord | None:
    """The webhook that serves a scenario."""
    found = cast("bytes | None", hooks.client.hget(hooks.keys.scenario(scenario), "hook"))
    try:
        return hooks.get(found.decode()) if found else None
    except UsageError:
        return None
