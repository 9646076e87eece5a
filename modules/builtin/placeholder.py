"""The app `placeholder`: a module that was not chosen yet; it passes the bundle on (spec/scenarios.md 4.10)."""

from __future__ import annotations

from typing import Final

from modules.builtin.job import Builtin
from runtime.scenario.catalog import Role

ENTRIES: Final = (Builtin("placeholder:Placeholder", role=Role.PLACEHOLDER),)
