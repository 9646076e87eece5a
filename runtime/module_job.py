"""
`ModuleJob`: everything one run of a module is given. A module gets nothing else and does no I/O.

Sources: spec/modules.md 1.3 and 9, design section 2.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.app.specs import App, ModuleSpec
from runtime.communication.scope import Limits
from runtime.iml import Environment


@dataclass(frozen=True, slots=True)
class ModuleJob:
    """
    One run of an app-defined module for one input bundle.

    `parameters` are resolved, validated and merged. `connection` is the decrypted data collection of the bound
    connection, None when the module has none. `state` is what the module remembered (triggers); `state_known` false
    means that it has to be asked for with `Recall`. `resume` is what a parked `Sleep` carried.
    """

    app: App
    module: ModuleSpec
    parameters: dict[str, Any]
    environment: Environment
    connection: dict[str, Any] | None = None
    connection_version: int = 0
    common: Mapping[str, Any] = field(default_factory=dict[str, Any])
    scenario: dict[str, Any] = field(default_factory=dict[str, Any])
    expect: list[Any] = field(default_factory=list[Any])
    interface: list[Any] = field(default_factory=list[Any])
    state: dict[str, Any] | None = None
    state_known: bool = False
    resume: dict[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)
    #: A 401 renews the connection (spec/connections.md 7.8).
    renewable: bool = False
    #: The keys of an OAuth 1 connection, None for any other.
    signing: Mapping[str, Any] | None = field(default=None, repr=False)
    webhook: dict[str, Any] | None = None

    @property
    def component(self) -> str:
        """How messages name this module."""
        return f"module {self.module.id}"

    def variables(self) -> dict[str, Any]:
        """The variables that a module's communication sees (spec/modules.md 9)."""
        roots: dict[str, Any] = {
            "parameters": self.parameters,
            "common": dict(self.common),
            "data": {},
            "scenario": {key: self.scenario[key] for key in ("id", "name") if key in self.scenario},
            "metadata": {"expect": self.expect, "interface": self.interface},
        }
        if self.connection is not None:
            roots["connection"] = self.connection
        if self.webhook is not None:
            roots["webhook"] = self.webhook
        return roots
