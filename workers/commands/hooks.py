"""What the `hook` commands do: make, show, change and remove webhooks, look at their events, learn a structure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.app.specs import WebhookSpec
from runtime.errors import ScenaristError, UsageError
from runtime.iml import compile_path
from runtime.parameters import parse_fields, secret_values
from runtime.sanitize import MASK
from runtime.values import to_text
from runtime.webhooks.structure import learn
from workers import imports
from workers.commands.context import Context
from workers.hook_binding import choose_hook, start_hook
from workers.hooking import Hooking
from workers.ledger.events import EventRow
from workers.ledger.hooks import HookRecord
from workers.library import catalog_of
from workers.runner import SegmentRunner
from workers.views import HookView

METHODS = ("any", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Changed:
    """A webhook after a command, and what there is to say about it."""

    view: HookView
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookCommands:
    """The commands."""

    context: Context

    @property
    def runner(self) -> SegmentRunner:
        """The ledger and what works on it."""
        return self.context.runner

    def webhook(self, app: str, webhook: str) -> WebhookSpec:
        """A webhook of a registered app. Raises UsageError when there is none; lists the known ones."""
        return self._hooking().component(app, webhook)[1]

    def add(
        self,
        app: str,
        webhook: str,
        *,
        name: str,
        connection: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        follow: bool = False,
        dedupe: str | None = None,
    ) -> Changed:
        """
        Make a webhook of an app and attach it at its service. `follow` attaches it with the scenario's activation.

        Raises:
            UsageError: A name is wrong or taken, or the connection does not fit.
            ModuleError: The service refused; nothing is left behind.
        """
        self._require_free(name)
        hooking = self._hooking()
        found, spec = hooking.component(app, webhook)
        options = _given({"follow": True if follow else None, "dedupe": _expression(dedupe)})
        record = hooking.create(
            found,
            spec,
            name=name,
            connection=hooking.connection(found, spec, connection),
            parameters=parameters,
            options=options,
        )
        return self._changed(record, hooking)

    def add_custom(self, name: str, options: Mapping[str, Any] | None = None) -> Changed:
        """Make a custom webhook (`gateway:CustomWebHook`). Raises UsageError for a wrong option or a taken name."""
        self._require_free(name)
        record = self.runner.hooks.add(HookRecord("", "custom", name, options=checked_options(options or {})))
        return self._changed(record)

    def list(self) -> list[HookView]:
        """All webhooks, oldest first."""
        return [self._view(record) for record in self.runner.hooks.list()]

    def show(self, hook: str) -> HookView:
        """A webhook by id or name."""
        return self._view(self.runner.hooks.find(hook))

    def edit(
        self,
        hook: str,
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Changed:
        """
        Change a webhook: its name, the parameters of an app's one, the options of a custom one.

        Raises:
            UsageError: Something does not belong to this kind of webhook.
            ModuleError: The service refused; when that leaves the webhook detached, the message says so.
        """
        record = self.runner.hooks.find(hook)
        if name is not None and name != record.name:
            self._require_free(name)
            record = self.runner.hooks.change(replace(record, name=name))
        if options:
            if record.kind != "custom" and options.keys() - {"dedupe", "follow"}:
                raise UsageError(
                    f'The webhook "{record.name}" belongs to the app {record.app}; it has no such options.'
                )
            merged = {key: value for key, value in {**record.options, **options}.items() if value is not None}
            record = self.runner.hooks.change(replace(record, options=checked_options(merged)))
        hooking = self._hooking()
        if parameters:
            if record.kind == "custom":
                raise UsageError(f'The webhook "{record.name}" is a custom one; it has no parameters.')
            record = hooking.edit(record, parameters)
        return self._changed(record, hooking)

    def bind(self, hook: str, scenario: str | None) -> Changed:
        """
        Let a webhook serve a scenario, with None none.

        Raises:
            UsageError: There is no such scenario, it starts with something else, or the webhook serves another one.
        """
        record = self.runner.hooks.find(hook)
        if scenario is None:
            self.runner.hooks.bind(record.id, "")
            return self._changed(self.runner.hooks.get(record.id))
        library = self.runner.library
        state = library.scenarios.get(scenario)
        catalog = catalog_of(library.current_apps())
        start = start_hook(imports.read(library.scenarios.blueprint(state.blueprint), catalog), catalog, library)
        if start is None:
            raise UsageError(f'The scenario "{state.name}" does not start with a webhook.')
        choose_hook(self.runner.hooks, start, {start.foreign: record.id}, former=state.id)
        self.runner.hooks.bind(record.id, state.id)
        return self._changed(self.runner.hooks.get(record.id))

    def attach(self, hook: str) -> Changed:
        """Attach a webhook that is detached. Raises UsageError or ModuleError when it cannot be."""
        hooking = self._hooking()
        return self._changed(hooking.attach(self._of_app(hook)), hooking)

    def detach(self, hook: str) -> Changed:
        """Take a webhook away from its service and keep it. Raises UsageError or ModuleError when it cannot be."""
        hooking = self._hooking()
        return self._changed(hooking.detach(self._of_app(hook)), hooking)

    def remove(self, hook: str, *, strict: bool = False, force: bool = False) -> tuple[str, tuple[str, ...]]:
        """
        Detach a webhook and forget it with its events; gives its name and warnings.

        Raises:
            UsageError: A scenario is bound to it and `force` is not given.
            ModuleError: With `strict`, when the service refused.
        """
        record = self.runner.hooks.find(hook)
        if record.scenario and not force:
            raise UsageError(
                f'The webhook "{record.name}" serves the scenario {self._scenario(record)}. Give this scenario another '
                "one first, or use --force."
            )
        hooking = self._hooking()
        hooking.remove(record, strict=strict)
        return record.name, tuple(hooking.warnings)

    # -- events --------------------------------------------------------------------------------------------------------

    def events(self, hook: str, *, limit: int = 100) -> list[EventRow]:
        """The oldest events that are not done with."""
        return self.runner.events.list(self.runner.hooks.find(hook).id, limit=limit)

    def event(self, hook: str, event: str) -> Any:
        """What an event holds. Raises UsageError when there is no such event any more."""
        record = self.runner.hooks.find(hook)
        found = self.runner.events.event(record, event)
        if found is None:
            raise UsageError(f'The webhook "{record.name}" has no event {event}.')
        return found

    def drop(self, hook: str, events: Sequence[str] | None) -> int:
        """Delete these events, or with None all that no run has; gives their number."""
        return self.runner.events.drop(self.runner.hooks.find(hook).id, events)

    def revive(self, hook: str) -> int:
        """Let events that made their run fail wait again; gives their number."""
        return self.runner.events.revive(self.runner.hooks.find(hook).id)

    def learn(
        self, hook: str, *, sample: Mapping[str, Any] | None = None, event: str | None = None, validate: bool = False
    ) -> tuple[list[Any] | None, bool]:
        """
        Learn the structure of a custom webhook from a sample, an event, or the oldest event there is; without any, from
        the next one. `validate` makes it binding: what does not fit is then refused. Gives the structure, None when
        it is still to come.
        """
        record = self.runner.hooks.find(hook)
        if record.kind != "custom":
            raise UsageError(f'The webhook "{record.name}" belongs to an app, which says what its events look like.')
        if sample is None:
            known = [event] if event else [row.id for row in self.runner.events.list(record.id, limit=1)]
            sample = self.event(hook, known[0]) if known else None
        place = "structure" if validate else "learned"
        options = {key: value for key, value in record.options.items() if key != "learn"}
        found: list[Any] | None = None
        if sample is None:
            options["learn"] = "validate" if validate else "show"
        else:
            options[place] = found = learn(dict(sample))
        self.runner.hooks.change(replace(record, options=options))
        return found, validate

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hooking(self) -> Hooking:
        return Hooking(self.runner, self.context.secrets)

    def _of_app(self, hook: str) -> HookRecord:
        record = self.runner.hooks.find(hook)
        if record.kind == "custom":
            raise UsageError(
                f'The webhook "{record.name}" is a custom one: there is no service that it is attached at.'
            )
        return record

    def _require_free(self, name: str) -> None:
        if not name.strip():
            raise UsageError("A webhook needs a name.")
        if any(name in (record.name, record.id) for record in self.runner.hooks.list()):
            raise UsageError(f'There is a webhook "{name}" already; choose another name.')

    def _changed(self, record: HookRecord, hooking: Hooking | None = None) -> Changed:
        return Changed(self._view(record), tuple(hooking.warnings) if hooking is not None else ())

    def _scenario(self, record: HookRecord) -> str | None:
        if not record.scenario:
            return None
        try:
            return self.runner.library.scenarios.get(record.scenario).name
        except UsageError:
            return record.scenario

    def _view(self, record: HookRecord) -> HookView:
        connection = None
        if record.connection:
            try:
                connection = self.runner.vault.get(record.connection).name
            except UsageError:
                connection = record.connection
        return HookView(
            record.id,
            record.name,
            record.kind,
            record.app,
            record.component,
            connection,
            self._scenario(record),
            record.state,
            self.runner.settings.hook_url(record.token),
            self._shown_parameters(record),
            dict(record.options),
            self.runner.events.waiting(record.id),
            record.created_ms,
        )

    def _shown_parameters(self, record: HookRecord) -> dict[str, Any]:
        """The parameters without those that the app declares as secret; all hidden where the app is gone."""
        if not record.parameters:
            return {}
        try:
            spec = self.webhook(record.app, record.component)
        except ScenaristError:
            return dict.fromkeys(record.parameters, MASK)
        hidden = secret_values(parse_fields(spec.params.value), record.parameters)
        return {name: MASK if to_text(value) in hidden else value for name, value in record.parameters.items()}


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _expression(text: str | None) -> str | None:
    """An expression that can be parsed. Raises UsageError when it cannot."""
    if text is None or not text.strip():
        return None
    errors = compile_path(text.strip()).errors
    if errors:
        raise UsageError(f"dedupe: {errors[0].message}")
    return text.strip()


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Options of a webhook as they are stored.

    Raises:
        UsageError: A network, method, structure or expression is none.
    """
    found = _given(options)
    for network in found.get("ip", ()):
        try:
            ipaddress.ip_network(str(network).strip(), strict=False)
        except ValueError:
            raise UsageError(f'"{network}" is no address or network; give one such as 203.0.113.0/24.') from None
    method = found.get("method")
    if method is not None:
        found["method"] = str(method).upper() if str(method).lower() != "any" else "any"
        if found["method"] not in METHODS:
            raise UsageError(f'"{method}" is no method; known are {", ".join(METHODS)}.')
    structure = found.get("structure")
    if structure is not None:
        if not isinstance(structure, list) or not all(
            isinstance(item, dict) and item.get("name") for item in structure
        ):
            raise UsageError(
                'A structure is a list of fields such as [{"name": "id", "type": "number", "required": true}].'
            )
        parse_fields(structure)
    if "dedupe" in found:
        found["dedupe"] = _expression(found["dedupe"])
    return _given(found)
