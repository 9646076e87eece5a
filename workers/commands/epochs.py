"""What `scenario epoch` does: where a polling trigger stands, and where it is to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers import epochs
from workers.commands.context import Context
from workers.commands.local_calls import LocalCommands


@dataclass(frozen=True, slots=True)
class EpochCommands:
    """The commands."""

    context: Context

    def show(self, scenario: str, module: int | None = None, *, points: bool = True) -> epochs.EpochView:
        """The memory of a scenario's polling trigger, and with `points` where it can start."""
        local = LocalCommands(self.context)
        state = self.context.runner.scenarios.get(scenario)
        return epochs.view(self.context.runner, local.of, local.stored, state, module, points=points)

    def choose(self, scenario: str, choice: Mapping[str, Any], module: int | None = None) -> epochs.EpochView:
        """Let a scenario's polling trigger start somewhere else. Raises UsageError for an unknown choice."""
        local = LocalCommands(self.context)
        state = self.context.runner.scenarios.get(scenario)
        return epochs.choose(self.context.runner, local.of, local.stored, state, module, choice)
